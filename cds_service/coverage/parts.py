"""The tables of the coverage report, the same for the terminal and the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cds_service.coverage.report import ReasonRow, Report, UnmappedRow

Cell = str | int
DRUG_READ_BY = {
    "product": "RxNorm code that we hold",
    "code": "another code: ATC, or RxNorm with a name",
    "name": "name alone",
    "nothing": "not read: neither a known code nor the name of a drug",
}
"""How an entry was read (DrugRow.read_by), in words."""


@dataclass(frozen=True, slots=True)
class ReportPart:
    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    about: str = ""
    in_a_line: bool = False
    """On a terminal: one row behind the other, without a table; where there are many and each is short."""


def report_parts(report: Report) -> Iterator[ReportPart]:
    """What wants a decision first, then what was found, then what was left."""
    unmapped = ("code", "charts", "times", "type", "perhaps", "display", "system")
    yield ReportPart(
        "Codes of other systems that look relevant and are not read",
        unmapped,
        _unmapped(report.local),
        "Their display or text holds a word of our facts or codes. A word proves nothing.",
    )
    yield ReportPart(
        "Codes of systems we read, not among those we hold",
        unmapped,
        _unmapped(report.standard),
        "Most are another test or another organ, and rightly left out.",
    )
    yield ReportPart(
        "Entries with such words and no code",
        ("type", "times", "words"),
        [(row.what, row.count, row.why) for row in report.text_only],
        "Text alone is not read, but for the names of drugs. Only words of ours are shown.",
    )
    yield ReportPart(
        "How it was read which drug an entry is",
        ("by", "charts", "entries"),
        [(DRUG_READ_BY[row.read_by], row.charts, row.times) for row in report.drugs],
        "By a name a drug never decides: it asks, or counts as a caution. One that is not read leaves every drug open.",
    )
    yield ReportPart(
        "Coded answers that are not read",
        ("fact", "code", "charts", "times", "display", "system"),
        [(row.says, row.code, row.charts, row.times, row.display, row.system) for row in report.answers_not_read],
    )
    yield ReportPart(
        "Units refused",
        ("fact", "unit", "charts", "times", "accepted"),
        [(row.says, unit_label(row.unit), row.charts, row.times, ", ".join(row.accepted)) for row in report.units_refused],
    )
    yield ReportPart(
        "Written otherwise than its system wants",
        ("what", "of", "code", "charts", "times", "system"),
        [(row.what, row.about, row.code, row.charts, row.times, row.system) for row in report.written_otherwise],
    )
    yield ReportPart(
        f"Values out of their window on {report.as_of}",
        ("fact", "charts", "window"),
        [(row.says, row.charts, f"{row.days} days") for row in report.out_of_window],
    )
    yield ReportPart(
        "Facts found",
        ("fact", "charts", "readings", "charts usable on the day"),
        [(row.says, row.charts, row.readings, row.usable_charts) for row in report.facts],
    )
    yield ReportPart(
        "By which codes",
        ("fact", "code", "charts", "times", "name of the code in our files", "system"),
        [
            (fact.says, row.code if row.system else f"({row.code})", row.charts, row.times, row.display, row.system or "-")
            for fact in report.facts
            for row in fact.codes
        ],
    )
    yield ReportPart("Facts never found", ("fact",), [(says,) for says in report.never_found], in_a_line=True)
    yield ReportPart("Not usable on the day for other reasons", ("fact", "charts", "why"), _reasons(report.not_usable))
    yield ReportPart("Values that could not be read", ("fact", "values", "why"), _reasons(report.values_unreadable))
    yield ReportPart("Resources that could not be read", ("type", "resources", "why"), _reasons(report.resources_unreadable))
    yield ReportPart(
        "Files, lines and documents that could not be read",
        ("where", "how many", "why"),
        _reasons(report.files_unreadable),
        "Files are counted in the order of their names; a name may be a patient's, and is not shown.",
    )
    what = ("what", "how many")
    yield ReportPart("Left out, as the service does", what, list(report.left_out.items()))
    yield ReportPart("Types of resource that are not read", what, list(report.types_not_read.items()), in_a_line=True)
    yield ReportPart("Files of other kinds, not opened", what, list(report.files_not_opened.items()))


def unit_label(unit: str | None) -> str:
    return "none" if unit is None else unit


def _unmapped(rows: Sequence[UnmappedRow]) -> list[tuple[Cell, ...]]:
    return [(r.code, r.charts, r.times, r.source, " or ".join(r.looks_like), r.display, r.system) for r in rows]


def _reasons(rows: Sequence[ReasonRow]) -> list[tuple[Cell, ...]]:
    return [(row.what, row.count, row.why) for row in rows]
