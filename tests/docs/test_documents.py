"""The documents are complete and lead somewhere: links, headings that code refers to, settings, words of the log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.documents import EXECUTED, WRITTEN, anchors, headings, links

INTEGRATOR = ROOT / "docs/integrator.md"
OPERATOR = ROOT / "docs/operator.md"
REFERENCE = re.compile(r"(?:docs/)?(?P<name>[a-zA-Z-]+\.md), \"(?P<heading>[^\"]+)\"")
"""How code and documents name a heading: docs/knowledge.md, "Silence"."""
NOT_HERE = re.compile(r"\bCLINICAL(?:\.md)?(?: sections?)? \d|\bCARDS\.md\b|\bDECIDING(?:\.md)?\b|\bDESIGN\.md\b")
"""References to documents that are not in the repository."""


def rows(document: Path, heading: str) -> dict[str, str]:
    """Return the first two columns of the tables under a heading of the second level, without their code marks."""
    section = document.read_text("utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = (line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| "))
    return {cell[0]: cell[1] for cell in cells if len(cell) > 1}


def sources() -> Iterator[Path]:
    for folder in ("cds_service", "tests", "bench", ".ci"):
        for suffix in ("py", "toml", "html"):
            yield from (path for path in sorted((ROOT / folder).rglob(f"*.{suffix}")) if path != Path(__file__))
    yield from (ROOT / "openapi.yaml", ROOT / "Makefile", ROOT / "pyproject.toml")


def test_the_readme_has_at_most_60_lines() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 60


def test_the_guide_for_integrators_has_the_headings_that_others_link_to() -> None:
    assert headings(INTEGRATOR, "h2") == [
        "Discovery", "What to send", "What is fetched", "Authentication", "Units", "Your own codes", "Settings",
        "Links the cards use", "What is not offered",
    ]  # fmt: skip


@pytest.mark.parametrize("document", WRITTEN, ids=lambda path: path.name)
def test_every_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    for link in links(document):
        if link.startswith(("http://", "https://")):
            continue
        path, _, fragment = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        assert not fragment or fragment in anchors(target), link


def test_every_heading_that_is_referred_to_exists() -> None:
    wrong = []
    for path in (*sources(), *WRITTEN):
        for match in REFERENCE.finditer(re.sub(r"\s*\n\s*(?:#\s*)?", " ", path.read_text("utf-8", "replace"))):
            document = next((place for place in WRITTEN if place.name == match["name"]), None)
            if document is None or match["heading"] not in headings(document):
                wrong.append(f"{path.relative_to(ROOT)}: {match[0]}")
    assert wrong == []


def test_no_document_and_no_source_refers_to_a_document_that_is_not_in_the_repository() -> None:
    assert [
        (path.name, match[0]) for path in (*WRITTEN, *sources()) for match in NOT_HERE.finditer(path.read_text("utf-8"))
    ] == []


def test_every_setting_is_in_the_table_of_settings() -> None:
    source = (ROOT / "cds_service/settings.py").read_text("utf-8")
    listed = {name for name in rows(INTEGRATOR, "Settings") if name.startswith("`CDS_")}
    assert {f"`{name}`" for name in re.findall(r"CDS_[A-Z_]+", source)} == listed


def test_every_key_of_a_site_file_is_in_the_table_of_settings() -> None:
    schema = json.loads((ROOT / "cds_service/sites/schema.json").read_text("utf-8"))["properties"]
    listed = {name for cell in rows(INTEGRATOR, "Settings") for name in re.findall(r"`([a-z_.]+)`", cell)}
    by_key = {"site", "fhir", "client", "wording", "suggestions"}
    keys = {name for name in schema if name not in by_key}
    for name in by_key:
        keys |= {f"{name}.{key}" for key in schema[name].get("items", schema[name])["properties"]}
    assert listed == keys


def test_every_word_of_a_rejected_caller_is_in_the_guide_for_operators() -> None:
    listed = {word for cell in rows(OPERATOR, "Logs") for word in re.findall(r"`([^`]+)`", cell)}
    words = set()
    for path in (*sorted((ROOT / "cds_service/auth").glob("*.py")), ROOT / "cds_service/sites/registry.py"):
        source = path.read_text("utf-8")
        words |= set(re.findall(r"reject\(\"([^\"]+)\"", source))
        for why in re.findall(r"^class Why\(StrEnum\):\n((?:    .*\n|\n)*)", source, re.MULTILINE):
            words |= set(re.findall(r"^    [A-Z_]+ = \"([^\"]+)\"", why, re.MULTILINE))
    assert len(words) > 15
    assert words - listed == set()


def test_every_document_is_linked_from_the_readme_or_from_one_that_it_links() -> None:
    reached = {ROOT / "README.md"}
    while (
        more := {
            target
            for path in reached
            if path.suffix == ".md" and path in WRITTEN
            for link in links(path)
            if not link.startswith("http") and (target := (path.parent / link.partition("#")[0]).resolve()).is_file()
        }
        - reached
    ):
        reached |= more
    not_for_readers = {"reading-test.md"}  # it holds the answers to what a newcomer is asked
    assert {path.name for path in EXECUTED if path not in reached} == not_for_readers
