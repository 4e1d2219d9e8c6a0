"""The example patients of `fhir_fixtures/` for the page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from cds_service.fhir.chart_files import story_date

PACKAGE = Path(__file__).parent.parent
START = "arterial-candidate"
"""The example that is preselected, as changing one control changes its verdicts."""


@dataclass(frozen=True, slots=True)
class Fixture:
    """One example patient."""

    name: str
    title: str
    as_of: date | None
    """The day for which the example was written; its dates are moved so that this day becomes today."""
    story: str
    """The clinician's paragraph, in Markdown."""
    chart: Path


def fixtures_folder() -> Path | None:
    """Return the folder of examples: beside the package in a checkout, inside it in a wheel; None if there is none."""
    folders = (PACKAGE.parent / "fhir_fixtures", PACKAGE / "fhir_fixtures")
    return next((folder for folder in folders if folder.is_dir()), None)


def fixtures() -> dict[str, Fixture]:
    """Return the examples by name: one for each folder with a chart."""
    folder = fixtures_folder()
    charts = sorted(folder.glob("*/chart.json")) if folder else []
    return {chart.parent.name: _read(chart) for chart in charts}


def _read(chart: Path) -> Fixture:
    story = chart.with_name("story.md")
    text = story.read_text("utf-8") if story.is_file() else ""
    title = re.search(r"^title: *(.+)$", text, re.MULTILINE)
    body = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    paragraph = re.split(r"^#", body, maxsplit=1, flags=re.MULTILINE)[0].strip()
    name = chart.parent.name
    return Fixture(name, title[1].strip() if title else name, story_date(chart), paragraph, chart)
