"""The coverage report: what was counted, in an order that tells an integrator what to do next. Nothing of a patient in it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from datetime import date

import msgspec

from cds_service.coverage.sources import Read
from cds_service.coverage.tally import MOST_DISPLAYS, FactTally, Tally, Unmapped
from cds_service.knowledge.model import Knowledge
from cds_service.picture import Nlm

LONGEST_DISPLAY, LONGEST_CODE, LONGEST_UNIT = 60, 60, 25

NO_SYSTEM = ("no system", "a system that is no URI")


class CodeRow(msgspec.Struct, frozen=True):
    system: str
    code: str
    display: str
    charts: int
    times: int


class FactRow(msgspec.Struct, frozen=True):
    fact: str
    says: str
    charts: int
    readings: int
    usable_charts: int
    codes: list[CodeRow]


class UnmappedRow(msgspec.Struct, frozen=True):
    source: str
    system: str
    code: str
    display: str
    charts: int
    times: int
    words: list[str]
    looks_like: list[str]
    """Facts for an Observation, concepts of the terminology for any other type."""
    code_shown: bool
    own_system: bool
    """Of a code system that the service reads: it holds other codes of it, not this one."""


class UnitRow(msgspec.Struct, frozen=True):
    fact: str
    says: str
    unit: str
    accepted: list[str]
    charts: int
    times: int


class WindowRow(msgspec.Struct, frozen=True):
    fact: str
    says: str
    days: int
    charts: int


class Reason(msgspec.Struct, frozen=True):
    """What, why, how many; `what` is a fact or a type of resource."""

    what: str
    why: str
    count: int


class Report(msgspec.Struct, frozen=True):
    knowledge: str
    as_of: date
    files: int
    resources: int
    charts: int
    charts_without_patient: int
    """Charts whose Patient is not among the files: nobody knows their age and sex."""
    nlm: dict[str, int]
    facts: list[FactRow]
    never_found: list[str]
    unmapped: list[UnmappedRow]
    unmapped_not_listed: int
    text_only: list[Reason]
    units_refused: list[UnitRow]
    out_of_window: list[WindowRow]
    not_usable: list[Reason]
    values_unreadable: list[Reason]
    resources_unreadable: list[Reason]
    files_unreadable: list[Reason]
    """`what`: where the first is, by number and never by name."""
    left_out: dict[str, int]
    types_not_read: dict[str, int]
    files_not_opened: dict[str, int]

    @property
    def local(self) -> list[UnmappedRow]:
        """Codes of systems the service does not read: a site's own, for the most part."""
        return [row for row in self.unmapped if not row.own_system]

    @property
    def standard(self) -> list[UnmappedRow]:
        return [row for row in self.unmapped if row.own_system]

    @property
    def to_map(self) -> list[UnmappedRow]:
        """Codes worth a line in the site file. Another LOINC code is another test, and not offered: whoever knows better
        writes it by hand. Of drug products and procedures the knowledge holds but a part."""
        fit = [row for row in self.unmapped if row.code_shown and row.system not in NO_SYSTEM]
        return [row for row in fit if not row.own_system or row.source in {"Medication", "Procedure"}]

    @property
    def possible(self) -> int:
        return self.nlm[Nlm.POSSIBLE] + self.nlm[Nlm.CANNOT_TELL]

    @property
    def without(self) -> int:
        return self.nlm[Nlm.NO]


def make_report(tally: Tally, read: Read, knowledge: Knowledge, today: date) -> Report:
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
        text_only=[Reason(source, words, seen.times) for (source, words), seen in sorted(tally.text_only.items())],
        units_refused=[
            UnitRow(
                n,
                facts[n].says,
                "a unit with blanks, in one chart: not shown" if _typed(unit, seen.charts) else shown(unit, LONGEST_UNIT),
                list(facts[n].units),
                seen.charts,
                seen.times,
            )
            for n, t in tally.facts.items()
            for unit, seen in sorted(t.refused.items())
        ],
        out_of_window=[
            WindowRow(name, facts[name].says, facts[name].window_days or 0, t.not_usable["out of date"])
            for name, t in tally.facts.items()
            if t.not_usable["out of date"]
        ],
        not_usable=_reasons((facts[n].says, t.not_usable) for n, t in tally.facts.items()),
        values_unreadable=_reasons((facts[n].says, t.unreadable) for n, t in tally.facts.items()),
        resources_unreadable=[Reason(kind, why, count) for (kind, why), count in read.unreadable.most_common()],
        files_unreadable=[Reason(f"first: {first}", why, count) for why, (count, first) in read.faults.items()],
        left_out=dict(read.left_out.most_common()),
        types_not_read=dict(read.types_not_read.most_common()),
        files_not_opened=dict(read.not_opened.most_common()),
    )


def _reasons(counted: Iterable[tuple[str, dict[str, int]]]) -> list[Reason]:
    return [
        Reason(says, why, count)
        for says, reasons in counted
        for why, count in sorted(reasons.items())
        if why != "out of date" and not why.startswith("unreadable: ")
    ]


def _codes(tally: FactTally, knowledge: Knowledge) -> list[CodeRow]:
    return [
        CodeRow(
            _system(system, knowledge) if system else "",
            shown(code, LONGEST_CODE),
            _our_display(system, code, knowledge) if system else "no code: read from the resource itself",
            seen.charts,
            seen.times,
        )
        for (system, code), seen in sorted(tally.codes.items(), key=lambda item: (-item[1].charts, item[0]))
    ]


def _our_display(system: str, code: str, knowledge: Knowledge) -> str:
    """The name of a code in our own files, where a code is in them as it was sent."""
    if system == knowledge.assessment_system:
        return next((d.says for d in knowledge.facts.values() if code in d.assessment), "")
    meanings = knowledge.terminology.meanings(knowledge.terminology.coding(system, code, ""))
    return meanings[0].display if meanings else ""


def _unmapped(key: tuple[str, str, str], item: Unmapped, knowledge: Knowledge) -> UnmappedRow:
    source, system, code = key
    show = len(code) <= LONGEST_CODE and not _typed(code, item.found.charts)
    displays = sorted(shown(display, LONGEST_DISPLAY) for display in item.displays)
    if len(displays) > MOST_DISPLAYS:
        displays = ["differs from chart to chart: not shown"]
    return UnmappedRow(
        source,
        _system(system, knowledge),
        shown(code, LONGEST_CODE) if show else "a code with blanks, in one chart: not shown",
        " | ".join(displays) if show else "",
        item.found.charts,
        item.found.times,
        sorted(item.words),
        list(item.looks_like),
        show,
        system in knowledge.terminology.uris or system == knowledge.assessment_system,
    )


def _typed(text: str, charts: int) -> bool:
    """A code or a unit with a blank may be what somebody typed about one patient: it is shown once two charts share it."""
    return charts < 2 and bool(re.search(r"\s", text))


def _system(name: str, knowledge: Knowledge) -> str:
    """The URI of a code system. What is no URI may be anything, and is not repeated."""
    uri = knowledge.terminology.uris.get(name, name)
    if not uri:
        return NO_SYSTEM[0]
    return uri if re.fullmatch(r"(https?://|urn:)[!-~]{1,150}", uri) else NO_SYSTEM[1]


def shown(text: str, longest: int) -> str:
    """One short line without control or direction characters, whatever was sent."""
    line = " ".join("".join(c if unicodedata.category(c)[0] != "C" else " " for c in text).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def as_json(report: Report) -> bytes:
    return msgspec.json.format(msgspec.json.encode(report), indent=1)
