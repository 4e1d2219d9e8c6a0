"""The tables of the coverage report, the same on the terminal and the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cds_service.coverage.report import ReasonRow, Report, UnmappedRow

Cell = str | int
DRUG_READ_BY = {
    "product": "known RxNorm code",
    "code": "another code: ATC, or RxNorm with a name",
    "name": "name only",
    "nothing": "not identified: neither a known code nor a drug name",
}
"""The label of DrugRow.read_by."""


@dataclass(frozen=True, slots=True)
class ReportPart:
    """One table of the report, with its title and an explanation."""

    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    about: str = ""
    in_a_line: bool = False
    """On a terminal: list the rows in a line instead of a table, since they are many and short."""


def report_parts(report: Report) -> Iterator[ReportPart]:
    """Yield the parts of the report: first what needs a decision, then what was found, then the rest."""
    unmapped = ("code", "charts", "times", "type", "perhaps", "display", "system")
    yield ReportPart(
        "Relevant-looking codes of systems that are not read",
        unmapped,
        _unmapped(report.local),
        "Their display or text contains a word of a fact or of a known code. A word is not proof.",
    )
    yield ReportPart(
        "Unknown codes of systems that are read",
        unmapped,
        _unmapped(report.standard),
        "Most are for another test or organ and are correctly left out.",
    )
    yield ReportPart(
        "Unknown codes without a display or text in Latin letters",
        ("code", "charts", "times", "type", "display", "system"),
        [(row.code, row.charts, row.times, row.source, row.display, row.system) for row in report.wordless],
        "They may mean anything. Ask the source what they mean, or for displays.",
    )
    yield ReportPart(
        "Entries with relevant words and no code",
        ("type", "times", "words"),
        [(row.what, row.count, row.why) for row in report.text_only],
        "Text without a code is not read, except for drug names. Only the relevant words are shown.",
    )
    yield ReportPart(
        "How drugs were identified",
        ("by", "charts", "entries"),
        [(DRUG_READ_BY[row.read_by], row.charts, row.times) for row in report.drugs],
        "A drug identified by name never decides; it raises a question or a caution. One unidentified drug makes every "
        "drug fact unknown.",
    )
    yield ReportPart(
        "Drugs identified by name alone",
        ("concept", "charts", "entries"),
        [(row.concept, row.charts, row.times) for row in report.drugs_by_name],
        "Send the RxNorm or ATC code with them, or map your code to the concept.",
    )
    yield ReportPart(
        "Unknown coded answers",
        ("fact", "code", "charts", "times", "display", "system"),
        [(row.says, row.code, row.charts, row.times, row.display, row.system) for row in report.answers_not_read],
    )
    yield ReportPart(
        "Rejected units",
        ("fact", "unit", "charts", "times", "accepted"),
        [(row.says, unit_label(row.unit), row.charts, row.times, ", ".join(row.accepted)) for row in report.units_refused],
    )
    yield ReportPart(
        "Not coded or sent as standards require",
        ("what", "type or fact", "code", "charts", "times", "system"),
        [(row.what, row.about, row.code, row.charts, row.times, row.system) for row in report.written_otherwise],
    )
    yield ReportPart(
        f"Values too old on {report.as_of}",
        ("fact", "charts", "window"),
        [(row.says, row.charts, f"{row.days} days") for row in report.out_of_window],
    )
    yield ReportPart(
        "Facts found",
        ("fact", "charts", "readings", "charts with a usable value"),
        [(row.says, row.charts, row.readings, row.usable_charts) for row in report.facts],
    )
    yield ReportPart(
        "Codes of the facts found",
        ("fact", "code", "charts", "times", "name of the code in the knowledge files", "system"),
        [
            (fact.says, row.code if row.system else f"({row.code})", row.charts, row.times, row.display, row.system or "-")
            for fact in report.facts
            for row in fact.codes
        ],
    )
    yield ReportPart("Facts never found", ("fact",), [(says,) for says in report.never_found], in_a_line=True)
    yield ReportPart("Facts without a usable value for other reasons", ("fact", "charts", "why"), _reasons(report.not_usable))
    yield ReportPart("Values that could not be read", ("fact", "values", "why"), _reasons(report.values_unreadable))
    yield ReportPart("Resources that could not be read", ("type", "resources", "why"), _reasons(report.resources_unreadable))
    yield ReportPart(
        "Files, lines and documents that could not be read",
        ("where", "how many", "why"),
        _reasons(report.files_unreadable),
        "Files are numbered in the order of their names. Names are not shown, since they may be patients' names.",
    )
    what = ("what", "how many")
    yield ReportPart("Left out, as in the service", what, list(report.left_out.items()))
    yield ReportPart("Entries whose words name nothing that is read", what, list(report.other_words.items()), in_a_line=True)
    yield ReportPart("Resource types that are not read", what, list(report.types_not_read.items()), in_a_line=True)
    yield ReportPart("Files of other kinds, not opened", what, list(report.files_not_opened.items()))


def unit_label(unit: str | None) -> str:
    """Return the unit, or "none" if none was sent."""
    return "none" if unit is None else unit


def _unmapped(rows: Sequence[UnmappedRow]) -> list[tuple[Cell, ...]]:
    return [(r.code, r.charts, r.times, r.source, " or ".join(r.looks_like), r.display, r.system) for r in rows]


def _reasons(rows: Sequence[ReasonRow]) -> list[tuple[Cell, ...]]:
    return [(row.what, row.count, row.why) for row in rows]
