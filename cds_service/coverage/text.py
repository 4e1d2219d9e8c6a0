"""The coverage report for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from textwrap import wrap

from cds_service.coverage.advice import advice, snippet
from cds_service.coverage.report import Report, UnmappedRow

WIDTH = 120
MOST_ROWS = 25


def as_text(report: Report) -> str:
    parts = [_head(report)]
    parts.append(_section("What to do next", [line for said in advice(report) for line in _item(said)]))
    lines = snippet(report)
    parts.append(_section("For the site file: fill in each fact, delete what means none", lines.splitlines()))
    parts.append(_section("Codes of other systems that look relevant and are not read", _unmapped(report.local)))
    parts.append(_section("Codes of systems we read, not among those we hold", _unmapped(report.standard)))
    if report.unmapped_not_listed:
        parts.append(f"{report.unmapped_not_listed} further codings are not listed: text is sent as codes somewhere.")
    text_only = [(row.what, row.count, row.why) for row in report.text_only]
    parts.append(_section("Entries with such words and no code", _table(("type", "times", "words"), text_only)))
    refused = [(u.says, u.unit, u.charts, u.times, ", ".join(u.accepted)) for u in report.units_refused]
    parts.append(_section("Units refused", _table(("fact", "unit", "charts", "times", "accepted"), refused)))
    old = [(row.says, row.charts, f"{row.days} days") for row in report.out_of_window]
    parts.append(_section(f"Values out of their window on {report.as_of}", _table(("fact", "charts", "window"), old)))
    found = [(f.says, f.charts, f.readings, f.usable_charts) for f in report.facts]
    parts.append(_section("Facts found", _table(("fact", "charts", "readings", "charts usable on the day"), found)))
    codes = [
        (f.says, c.code if c.system else f"({c.code})", c.system or "-", c.charts, c.times)
        for f in report.facts
        for c in f.codes
    ]
    parts.append(_section("By which codes", _table(("fact", "code", "system", "charts", "times"), codes)))
    parts.append(_section("Facts never found", wrap("; ".join(report.never_found), WIDTH - 2)))
    for title, rows in (
        ("Not usable for other reasons (charts)", report.not_usable),
        ("Values that could not be read (values)", report.values_unreadable),
        ("Resources that could not be read", report.resources_unreadable),
        ("Files, lines or documents that could not be read", report.files_unreadable),
    ):
        parts.append(_section(title, _table(("what", "why", "how many"), [(r.what, r.why, r.count) for r in rows])))
    parts.append(_section("Left out, as the service does", _counted(report.left_out)))
    parts.append(_section("Types of resource that are not read", _counted(report.types_not_read)))
    parts.append(_section("Files of other kinds, not opened", _counted(report.files_not_opened)))
    return "\n\n".join(part for part in parts if part)


def _head(report: Report) -> str:
    none = report.charts - report.nlm["yes"] - report.possible
    return (
        f"Coverage on {report.as_of}, knowledge {report.knowledge}\n"
        f"{report.charts:,} charts from {report.resources:,} resources in {report.files:,} files\n"
        f"Neuroendocrine liver metastases: {report.nlm['yes']} yes, {report.possible} possible, {none:,} not\n"
        "Codes, systems, displays of codes, units and counts only: no name, id, date, text or value of a patient."
    )


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"━━ {title} ━━", *lines]) if lines else ""


def _item(said: str) -> list[str]:
    return wrap(said, WIDTH, initial_indent="- ", subsequent_indent="  ")


def _unmapped(rows: Sequence[UnmappedRow]) -> list[str]:
    lines = _table(
        ("code", "charts", "times", "type", "perhaps", "display", "system"),
        [(r.code, r.charts, r.times, r.source, ", ".join(r.looks_like[:1]), r.display, r.system) for r in rows[:MOST_ROWS]],
    )
    return [*lines, f"… and {len(rows) - MOST_ROWS} more: see --json or --html"] if len(rows) > MOST_ROWS else lines


def _table(head: tuple[str, ...], rows: Iterable[tuple[str | int, ...]]) -> list[str]:
    """Columns as wide as their longest entry; numbers to the right; the last column is left as it is."""
    cells = [[f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in rows]
    if not cells:
        return []
    right = [
        all(isinstance(cell, str) and cell.replace(",", "").isdigit() for cell in column) for column in zip(*cells, strict=True)
    ]
    widths = [max(len(row[place]) for row in [list(head), *cells]) for place in range(len(head))]
    return ["  ".join(_cell(*part) for part in zip(row, widths, right, strict=True)).rstrip() for row in [list(head), *cells]]


def _cell(text: str, width: int, right: bool) -> str:
    return text.rjust(width) if right else text.ljust(width)


def _counted(counts: dict[str, int]) -> list[str]:
    return wrap(", ".join(f"{name}: {count:,}" for name, count in counts.items()), WIDTH) if counts else []
