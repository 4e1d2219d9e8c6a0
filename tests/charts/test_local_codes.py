"""A chart coded only in a site's own system gets the same cards as its standard twin."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cds_service import knowledge
from cds_service.app import create_app
from cds_service.fhir.chart_files import ChartFile, build_request, read_file
from cds_service.fhir.queries import build_queries
from cds_service.settings import Settings
from cds_service.sites import Site
from cds_service.sites.codes import SiteCodes
from cds_service.sites.loader import read_site
from tests.conftest import FIXTURES, INSTANCE, SERVICE, as_of, folder_of

KNOWN = knowledge.load()
OWN = KNOWN.assessment_system
INVENTED = "urn:oid:2.999.4711"
STANDARD = {OWN, *KNOWN.terminology.system_names} - set(KNOWN.terminology.uris["observation-category"].split())
"""Systems with clinical meaning; statuses and categories keep FHIR's own."""


def codings(content: Any) -> Iterator[dict[str, Any]]:
    """Yield every clinical coding of a resource, to be changed in place."""
    parts = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    if isinstance(content, dict) and content.get("system") in STANDARD and "code" in content:
        yield content
    for part in parts:
        yield from codings(part)


class Invention:
    """An invented system: a code for each standard one, and the site file that explains them."""

    def __init__(self) -> None:
        self.codes: dict[tuple[str, str], str] = {}

    def recode(self, chart: dict[str, Any]) -> dict[str, Any]:
        twin: dict[str, Any] = json.loads(json.dumps(chart))
        for entry in twin["entry"]:
            for coding in codings(entry["resource"]):
                key = (coding["system"], coding["code"])
                coding["code"] = self.codes.setdefault(key, f"L{len(self.codes)}")
                coding["system"] = INVENTED
        return twin

    def site_file(self, path: Path) -> Path:
        lines = ['[site]\nid = "north"\ntitle = "North Hospital"\nauthenticated_by_proxy = true\n']
        for (system, code), local in self.codes.items():
            lines += [f'[[code]]\nsystem = "{INVENTED}"\ncode = "{local}"\n{said}\n' for said in explained(system, code)]
        path.write_text("\n".join(lines), "utf-8")
        return path


def explained(system: str, code: str) -> Iterator[str]:
    """Yield the lines of a site file for a code: a fact, an answer to a fact, or a standard code of the same meaning."""
    if system == OWN:
        for definition in KNOWN.facts.values():
            if code in definition.assessment:
                yield f'fact = "{definition.id}"'
            if code in definition.options:
                yield f'fact = "{definition.id}"\nvalue = "{code}"'
        return
    name = KNOWN.terminology.system_names[system]
    held = SiteCodes(KNOWN)._held((name, code))
    yield f'means = "{name}|{code}"' + ("" if held else "\nunheld = true")


def cards(path: Path, site_file: Path | None, fixture: str, site: Site | None) -> list[dict[str, Any]]:
    """Return the answer to the chart of a file, without digests, uuids and recorded codes."""
    content = read_file(path)
    assert isinstance(content, ChartFile)
    request = build_request(content, timedelta(0), INSTANCE, build_queries(site.knowledge if site else KNOWN))
    settings = Settings(pages=False, sites=(site_file,) if site_file else ())
    answer = create_app(settings, lambda: as_of(fixture)).test_client().post(SERVICE, json=request)
    assert answer.status_code == 200
    text = re.sub(r'"(uuid|recorded)": ?"[^"]+"|"knowledge": ?"[0-9a-f]{16}"', '"":""', answer.get_data(as_text=True))
    text = re.sub(r"Not clinically verified \(knowledge [0-9a-f]{8}[^)]*\)", "", text)
    found: list[dict[str, Any]] = json.loads(text)["cards"]
    return found


@pytest.mark.parametrize("fixture", FIXTURES)
def test_a_chart_in_a_local_system_gives_the_cards_of_its_standard_twin(fixture: str, tmp_path: Path) -> None:
    standard = folder_of(fixture) / "chart.json"
    invention = Invention()
    local = tmp_path / "chart.json"
    local.write_text(json.dumps(invention.recode(json.loads(standard.read_text("utf-8")))), "utf-8")
    assert not any(f'"system": "{system}"' in local.read_text("utf-8") for system in STANDARD)
    site_file = invention.site_file(tmp_path / "north.toml")
    wanted = cards(standard, None, fixture, None)
    assert cards(local, site_file, fixture, read_site(site_file)) == wanted
    if wanted:
        assert cards(local, None, fixture, None) != wanted, "the site file is not what made the difference"


def test_a_code_mapped_under_another_spelling_of_a_standard_system_belongs_to_that_system(tmp_path: Path) -> None:
    """The code belongs to LOINC for the reader of charts, so it does for the site file."""
    file = tmp_path / "site.toml"
    head = '[site]\nid = "north"\ntitle = "North Hospital"\nauthenticated_by_proxy = true\n'
    file.write_text(f'{head}[[code]]\nsystem = "https://loinc.org/"\ncode = "L1"\nmeans = "loinc|1975-2"\n', "utf-8")
    terms = read_site(file).knowledge.terminology
    assert terms.coding("http://loinc.org", "L1", None).code == "1975-2"
