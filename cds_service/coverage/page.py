"""Renders the coverage report as one self-contained HTML page: no script, nothing loaded, everything escaped."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from cds_service.coverage.advice import advice, snippet
from cds_service.coverage.parts import report_parts
from cds_service.coverage.report import Report


def as_page(report: Report) -> bytes:
    """Return the report as an HTML page in UTF-8."""
    pages = Environment(
        loader=PackageLoader("cds_service.coverage"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = pages.get_template("coverage.html")
    text = page.render(report=report, advice=advice(report), snippet=snippet(report), parts=list(report_parts(report)))
    return text.encode()
