"""Turns counts into the rows of the report, in the order in which an integrator should look at them, and decides what may be
shown of a code."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import date
from typing import NamedTuple

from cds_service.cards import wording
from cds_service.clinical_picture import Nlm
from cds_service.coverage.parts import unit_label
from cds_service.coverage.report import (
    NO_SYSTEM,
    AnswerRow,
    CodeRow,
    DrugRow,
    FactRow,
    NamedDrugRow,
    ReasonRow,
    Report,
    UnitRow,
    UnmappedRow,
    WindowRow,
    WrittenRow,
)
from cds_service.coverage.sources import ReadCounts
from cds_service.coverage.tally import MAX_DISPLAYS, CodeCount, Count, FactTally, RefusedUnit, Tally
from cds_service.coverage.written_otherwise import Written, WrittenKey
from cds_service.knowledge.model import FactDefinition, Knowledge
from cds_service.knowledge.vocabulary import FactKind
from cds_service.reasons import Reason

MAX_DISPLAY_CHARS, MAX_SHOWN_CODE_CHARS, MAX_UNIT_CHARS = 60, 60, 25
NOT_SHOWN = "not shown: a long code, or one with spaces in one chart only"


def make_report(tally: Tally, read: ReadCounts, knowledge: Knowledge, today: date) -> Report:
    """Return the report on what was counted."""
    facts = knowledge.facts
    return Report(
        knowledge=knowledge.digest,
        as_of=today,
        files=read.files,
        resources=read.resources,
        charts=tally.charts,
        charts_without_patient=tally.without_patient,
        nlm={answer.value: tally.nlm[answer] for answer in Nlm},
        facts=sorted(
            (
                FactRow(n, facts[n].says, t.found.charts, t.found.times, t.usable, _codes(t, knowledge))
                for n, t in tally.facts.items()
                if t.found.charts
            ),
            key=lambda row: (-row.charts, row.says),
        ),
        never_found=[facts[name].says for name, t in tally.facts.items() if not t.found.charts],
        unmapped=sorted(
            (_unmapped(key, item, knowledge) for key, item in tally.unmapped.items()),
            key=lambda row: (row.own_system, -row.charts, -row.times, row.system, row.code),
        ),
        unmapped_not_listed=tally.not_listed,
        text_only=[ReasonRow(source, words, seen.times) for (source, words), seen in sorted(tally.text_only.items())],
        other_words=dict(sorted(tally.other_words.items())),
        drugs=[DrugRow(by.value, seen.charts, seen.times) for by, seen in tally.drugs.items() if seen.times],
        drugs_by_name=[NamedDrugRow(name, seen.charts, seen.times) for name, seen in sorted(tally.named_drugs.items())],
        answers_not_read=[
            _answer(name, key, item, knowledge) for name, t in tally.facts.items() for key, item in sorted(t.answers.items())
        ],
        units_refused=[
            _unit(knowledge.facts[name], unit, seen)
            for name, t in tally.facts.items()
            for unit, seen in sorted(t.refused.items(), key=lambda item: _place(item[0]))
        ],
        written_otherwise=[_written(key, seen, knowledge) for key, seen in sorted(tally.written.items())],
        out_of_window=[
            WindowRow(name, facts[name].says, facts[name].window_days or 0, t.out_of_window)
            for name, t in tally.facts.items()
            if t.out_of_window
        ],
        not_usable=_reasons((facts[n].says, t.not_usable) for n, t in tally.facts.items()),
        values_unreadable=_reasons((facts[n].says, t.unreadable) for n, t in tally.facts.items()),
        resources_unreadable=[ReasonRow(kind, wording.explain(why), n) for (kind, why), n in read.unreadable.most_common()],
        files_unreadable=[
            ReasonRow(f"first: {seen.first}", wording.explain(why), seen.times) for why, seen in read.faults.items()
        ],
        left_out=wording.describe_left_out(dict(read.left_out.most_common())),
        types_not_read=dict(read.types_not_read.most_common()),
        files_not_opened=dict(read.not_opened.most_common()),
        answers_skipped=read.answers,
    )


def _reasons(counted: Iterable[tuple[str, Mapping[wording.ReasonKey, int]]]) -> list[ReasonRow]:
    return [
        ReasonRow(says, why, count)
        for says, reasons in counted
        for why, count in sorted((wording.explain(key), count) for key, count in reasons.items())
    ]


def _codes(tally: FactTally, knowledge: Knowledge) -> list[CodeRow]:
    rows = []
    for (system, code), seen in sorted(tally.codes.items(), key=lambda item: (-item[1].charts, item[0])):
        uri = _system(system, knowledge).shown if system else ""
        display = _our_display(system, code, knowledge) if system else "no code; read from the resource itself"
        rows.append(
            CodeRow(
                uri,
                NOT_SHOWN if _typed(code, seen.charts) else shorten_text(code, MAX_SHOWN_CODE_CHARS),
                display,
                seen.charts,
                seen.times,
            )
        )
    return rows


def _our_display(system: str, code: str, knowledge: Knowledge) -> str:
    """Return the name of a code in the knowledge files, or "" if the code as sent is not there."""
    if system == knowledge.assessment_system:
        return next((d.says for d in knowledge.facts.values() if code in d.assessment), "")
    meanings = knowledge.terminology.meanings(knowledge.terminology.coding(system, code, ""))
    return meanings[0].display if meanings else ""


def _unmapped(key: tuple[str, str, str], item: CodeCount, knowledge: Knowledge) -> UnmappedRow:
    source, system, code = key
    shown, named = _code(code, item), _system(system, knowledge)
    return UnmappedRow(
        source,
        named.shown,
        shown.code,
        shown.display,
        item.found.charts,
        item.found.times,
        sorted(item.words),
        list(item.looks_like),
        shown.whole,
        system in knowledge.terminology.uris or system == knowledge.assessment_system,
        named.known,
    )


def _answer(name: str, key: tuple[str, str], item: CodeCount, knowledge: Knowledge) -> AnswerRow:
    system, code = key
    shown, named, seen = _code(code, item), _system(system, knowledge), item.found
    definition = knowledge.facts[name]
    allowed = list(definition.options) or (["true", "false"] if definition.kind is FactKind.BOOLEAN else ["a whole number"])
    return AnswerRow(
        name,
        definition.says,
        named.shown,
        shown.code,
        shown.display,
        seen.charts,
        seen.times,
        allowed,
        shown.whole,
        named.known,
    )


def _place(refused: RefusedUnit) -> tuple[str, bool, str]:
    """Return the sort key of a unit within its fact."""
    return unit_label(refused.unit), refused.unit is None, refused.reason.value


def _unit(definition: FactDefinition, refused: RefusedUnit, seen: Count) -> UnitRow:
    accepted, unit = list(definition.units), refused.unit
    if unit is None:
        return UnitRow(
            definition.id, definition.says, None, True, bool(definition.local_units), True, accepted, seen.charts, seen.times
        )
    show = len(unit) <= MAX_UNIT_CHARS and not _typed(unit.replace(", ", ","), seen.charts)
    said = shorten_text(unit, MAX_UNIT_CHARS) if show else "not shown: a long unit, or one with spaces in one chart only"
    said += UNIT_REJECTION_NOTES.get(refused.reason, "") if show else ""
    spelt = show and refused.reason not in UNIT_REJECTION_NOTES
    return UnitRow(
        definition.id, definition.says, said, show, bool(definition.local_units), spelt, accepted, seen.charts, seen.times
    )


UNIT_REJECTION_NOTES = {
    Reason.UNIT_OF_ANOTHER_SYSTEM: " (code of a system other than UCUM)",
    Reason.UNIT_CONTRADICTS_CODE: " (code and text contradict each other)",
}
"""Reasons to reject a unit whose spelling is accepted."""


WRITTEN = {
    Written.EQUAL_CODE: "a known code under another system or none: raises a question",
    Written.EXTENSION: "a morphology in an extension: read",
    Written.CERTAINTY: "a certainty of a diagnosis: read",
    Written.UNCONFIRMED: "a diagnosis that is not confirmed: raises a question",
    Written.CONTAINED: "a result contained in another resource: read",
    Written.UNDATED: "an undated number beside a dated one: the fact is unknown",
    Written.NO_DATE: "without a date, or with one that is not valid: it orders and dates nothing",
    Written.IN_FUTURE: "dated in the future: the date is not used",
    Written.NO_CODE: "neither a code nor a text: not read",
    Written.NOT_SENT: "a report whose results were not sent: reported on the card",
}
OF_A_SYSTEM = frozenset({Written.EQUAL_CODE, Written.EXTENSION})


def _written(key: WrittenKey, seen: Count, knowledge: Knowledge) -> WrittenRow:
    about = knowledge.facts[key.about].says if key.what is Written.UNDATED else key.about
    named = _system(key.system, knowledge) if key.what in OF_A_SYSTEM else _ShownSystem("", known=False)
    code = NOT_SHOWN if _typed(key.code, seen.charts) else shorten_text(key.code, MAX_SHOWN_CODE_CHARS)
    mapped = code == key.code and (named.known or not key.system)
    return WrittenRow(WRITTEN[key.what], about, code, named.shown, key.means if mapped else "", seen.charts, seen.times)


class _ShownCode(NamedTuple):
    """A code and its display as they may be shown."""

    code: str
    display: str
    whole: bool
    """True if `code` is the code as sent."""


def _code(code: str, item: CodeCount) -> _ShownCode:
    if len(code) > MAX_SHOWN_CODE_CHARS or _typed(code, item.found.charts):
        return _ShownCode(NOT_SHOWN, "", whole=False)
    displays = sorted(shorten_text(display, MAX_DISPLAY_CHARS) for display in item.displays)
    if len(displays) > MAX_DISPLAYS:
        displays = ["not shown: differs between charts"]
    return _ShownCode(shorten_text(code, MAX_SHOWN_CODE_CHARS), " | ".join(displays), whole=True)


def _typed(text: str, charts: int) -> bool:
    """Return True if a code or unit may have been typed for one patient: it contains a space and occurs in one chart only."""
    return charts < 2 and bool(re.search(r"\s", text))


class _ShownSystem(NamedTuple):
    """The URI of a code system, or words that say why there is none."""

    shown: str
    known: bool


def _system(name: str, knowledge: Knowledge) -> _ShownSystem:
    """Return what may be shown of a code system. Text that is not a URI could be anything and is not repeated."""
    uri = knowledge.terminology.uris.get(name, name)
    if not uri:
        return _ShownSystem(NO_SYSTEM, known=False)
    if not re.fullmatch(r"(https?://|urn:)[!-~]{1,150}", uri):
        return _ShownSystem("not shown: a system that is not a URI", known=False)
    return _ShownSystem(uri, known=True)


def shorten_text(text: str, longest: int) -> str:
    """Return one line of at most `longest` characters without control or direction characters."""
    line = " ".join("".join(c if unicodedata.category(c)[0] != "C" else " " for c in text).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
