"""Formats the coverage report for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from cds_service.coverage.advice import advice, snippet
from cds_service.coverage.parts import Cell, ReportPart, report_parts
from cds_service.coverage.report import Report

WIDTH = 120
MAX_ROWS = 25
"""Maximum rows of a table on a terminal; the page and the JSON have all."""


def as_text(report: Report) -> str:
    """Return the report as lines of at most WIDTH characters, except in wide tables."""
    head = (
        f"Coverage on {report.as_of}, knowledge {report.knowledge}\n"
        f"{report.charts:,} charts from {report.resources:,} resources in {report.files:,} files\n"
        f"Neuroendocrine liver metastases: {report.nlm['yes']:,} yes, {report.possible:,} possible, {report.without:,} no\n"
        "Contains codes, systems, displays of codes, units and counts only; no name, id, date, text or value of a patient."
    )
    found = [head, _section("What to do next", [line for said in advice(report) for line in _item(said)])]
    if lines := snippet(report):
        found.append(
            _section(
                "For the site file: add what each code means, delete codes that mean no fact or concept", lines.splitlines()
            )
        )
    found += [_part(part) for part in report_parts(report) if part.rows]
    return "\n\n".join(found)


def _part(part: ReportPart) -> str:
    if part.in_a_line:
        return _section(part.title, wrap("; ".join(" ".join(map(str, row)) for row in part.rows), WIDTH))
    more = len(part.rows) - MAX_ROWS
    lines = [*wrap(part.about, WIDTH), *_table(part.head, part.rows[:MAX_ROWS])]
    return _section(part.title, [*lines, f"… and {more:,} more: see --html or --json"] if more > 0 else lines)


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"━━ {title} ━━", *lines])


def _item(said: str) -> list[str]:
    return wrap(said, WIDTH, initial_indent="- ", subsequent_indent="  ")


def _table(head: tuple[str, ...], rows: Sequence[tuple[Cell, ...]]) -> list[str]:
    """Return the lines of a table with columns as wide as their longest entry and numbers right-aligned."""
    cells = [list(head), *([f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = [isinstance(cell, int) for cell in rows[0]]
    aligned = ([c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)] for row in cells)
    return ["  ".join(row).rstrip() for row in aligned]
