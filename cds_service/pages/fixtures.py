"""The example patients of `fhir_fixtures/`, as the page offers them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from cds_service.fhir.chart_files import story_date

PACKAGE = Path(__file__).parent.parent
START = "arterial-candidate"
"""The example that stands in the chooser at first: one control moves its verdicts."""


@dataclass(frozen=True, slots=True)
class Fixture:
    name: str
    title: str
    as_of: date | None
    story: str
    """The clinician's paragraph, Markdown."""
    chart: Path


def fixtures_folder() -> Path | None:
    """In a checkout beside the package, in a wheel inside it; None where neither is there."""
    folders = (PACKAGE.parent / "fhir_fixtures", PACKAGE / "fhir_fixtures")
    return next((folder for folder in folders if folder.is_dir()), None)


def fixtures() -> dict[str, Fixture]:
    """Every folder that holds a chart and its story, by name."""
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
