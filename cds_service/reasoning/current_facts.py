"""Determines the facts of a clinical picture on one day: the readings that count (docs/knowledge.md, "Facts"). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from functools import cmp_to_key
from typing import NamedTuple

from cds_service.clinical_picture import (
    ClinicalPicture,
    Interval,
    Observed,
    PartialDate,
    Readings,
    Unreadable,
    largest_interval,
)
from cds_service.knowledge.model import FactDefinition, Knowledge
from cds_service.knowledge.vocabulary import Choice, FactKind
from cds_service.reasoning.calculations import CALCULATIONS
from cds_service.reasoning.facts import SILENT_FACT, Fact, Facts, FactState, unknown_fact
from cds_service.reasons import Explanation, Reason, reason_of


def determine_facts(picture: ClinicalPicture, knowledge: Knowledge, today: date) -> Facts:
    """Return the facts of `picture` on `today`. The window of imaging is shorter in G3 and NEC, so the grade, which rests on
    pathology and has no window, is determined first."""
    facts = _determine_all(picture, knowledge, today, strict_imaging=False)
    if facts["g3"].equals(True) or facts["nec"].equals(True):
        facts = _determine_all(picture, knowledge, today, strict_imaging=True)
    return facts


def _determine_all(picture: ClinicalPicture, knowledge: Knowledge, today: date, strict_imaging: bool) -> Facts:
    leaves = {
        name: determine_fact(
            definition, picture.readings_of(name), today, window_of(definition, picture, knowledge, strict_imaging)
        )
        for name, definition in knowledge.facts.items()
    }
    return Facts(leaves, knowledge, today, CALCULATIONS)


def window_of(definition: FactDefinition, picture: ClinicalPicture, knowledge: Knowledge, strict_imaging: bool) -> int | None:
    """Return the window of a fact in days, or None: shorter for laboratory values with an order, and for `strict_imaging`."""
    window = definition.window_days
    if window is not None and definition.laboratory and (picture.orders or picture.drafts):
        window = min(window, knowledge.laboratory_days_with_order)
    if window is not None and definition.imaging and strict_imaging:
        window = min(window, knowledge.strict_imaging_days)
    return window


def determine_fact(definition: FactDefinition, readings: Readings, today: date, window: int | None) -> Fact:
    """Return one fact from its readings: the newest, the highest or the union of them, as facts.toml says. `window`: days."""
    named = (replace(reading, fact=definition.id) for reading in readings.valid)
    asked = tuple(replace(reading, fact=definition.id) for reading in readings.open_question)
    readings = replace(readings, valid=sort_newest_first(named), open_question=asked)
    if definition.kind is FactKind.CODES:
        fact = _union(readings, today, window)
    elif definition.choose is Choice.HIGHEST:
        fact = _highest(readings)
    elif definition.kind is FactKind.PRESENCE:
        fact = _presence(readings, today, window)
    else:
        fact = _latest(definition, readings, today, window)
    return replace(fact, unread=readings.unreadable) if readings.unreadable else fact


def sort_newest_first(readings: Iterable[Observed]) -> tuple[Observed, ...]:
    """Return the readings by their recorded day, and two instants (which may be in different time zones) by time. Ties are
    sorted by reference, so that the order in the request has no effect."""
    written = sorted(readings, key=lambda reading: (_newest_first(reading), reading.seen_in))
    return tuple(sorted(written, key=cmp_to_key(_later)))


def _later(first: Observed, second: Observed) -> int:
    """Compare for a sort; negative if `first` is newer."""
    if first.on and second.on and first.on.instant and second.on.instant:
        return (first.on.instant < second.on.instant) - (first.on.instant > second.on.instant)
    one, other = _newest_first(first)[0], _newest_first(second)[0]
    return (one > other) - (one < other)


def _newest_first(reading: Observed | Unreadable) -> tuple[int, float]:
    """Return a sort key, newest first: a day without a time after its times, undated readings last, the latest issued first."""
    on = reading.on
    if on is None:
        issued = reading.issued if isinstance(reading, Observed) else None
        return (0, 0.0) if issued is None else (0, -float(issued.latest.toordinal()))
    return (-on.latest.toordinal(), -on.instant.timestamp() if on.instant else 0.0)


def may_be_simultaneous(first: PartialDate | None, second: PartialDate | None) -> bool:
    """Return whether two dates overlap. Two instants must be equal; a day overlaps with every instant of that day."""
    if first is None or second is None:
        return first is second
    if first.instant and second.instant:
        return first.instant == second.instant
    return first.earliest <= second.latest and second.earliest <= first.latest


def _unread(bad: Unreadable) -> Explanation:
    return Explanation(Reason.UNREADABLE, because=bad.why)


def _nothing(readings: Readings) -> Fact:
    return SILENT_FACT if readings.complete else unknown_fact(Reason.NOT_CONSULTED)


def _latest(definition: FactDefinition, readings: Readings, today: date, window: int | None) -> Fact:
    valid = readings.valid
    asks = sorted(readings.open_question, key=_newest_first)
    if not valid and not readings.unreadable and not asks:
        return _nothing(readings)
    top = valid[0] if valid else None
    for bad in readings.unreadable:
        if top is None or not _newer(top, bad):
            if _stands(definition, valid):
                break
            return Fact(FactState.UNKNOWN, seen=(top,) if top else (), history=valid, why=_unread(bad))
    live = [ask for ask in asks if top is None or ask.on is None or not _newer(top, ask)]
    if live:
        there = _worst(definition, (r for r in valid if top is not None and may_be_simultaneous(r.on, top.on))) or top
        if there is None or not _worst_of_all(definition, there):
            return _asked(definition, valid, there, live[0], _out_of_window(there, today, window) if there else None)
    assert top  # without a reading there is a question or an unreadable resource, and the function has returned
    newest = top
    ties = tuple(
        r for r in valid
        if (may_be_simultaneous(r.on, top.on) or _as_new_as_any(definition, r, window)) and not _issued_before(r, newest)
    )  # fmt: skip
    if definition.vague and any(r.value in definition.precise for r in ties):
        ties = tuple(r for r in ties if r.value != definition.vague)
        top = ties[0]
    note = top.note
    if any(reading.value != top.value for reading in ties):
        worst = _worst(definition, ties)
        if worst is None:
            of_one_date = all(may_be_simultaneous(reading.on, top.on) for reading in ties)
            why = Reason.CONFLICT_OF_ONE_DATE if of_one_date else Reason.CONFLICT_NONE_NEWER
            return Fact(FactState.UNKNOWN, seen=ties, history=valid, why=Explanation(why))
        top, note = worst, Explanation(Reason.CONFLICT_WORSE_COUNTS)
    if definition.vague and top.value == definition.vague:
        precise = [r for r in valid if r.value in definition.precise and not _out_of_window(r, today, window)]
        top = precise[0] if precise else top
    late = _out_of_window(top, today, window)
    undated = _undated_beside(definition, valid, top, window)
    denied_late = late is not None and definition.stale_denial_is_silent and not _adverse(definition, top)
    if late:
        if denied_late and readings.complete and not (undated and _adverse(definition, undated)):
            return Fact(FactState.SILENT, seen=(top,), history=valid, why=Explanation(late))
        return Fact(FactState.UNKNOWN, seen=(top, undated) if undated else (top,), history=valid, why=Explanation(late))
    if undated and not _adverse(definition, top):
        return Fact(FactState.UNKNOWN, seen=(top, undated), history=valid, why=Explanation(Reason.UNDATED_BESIDE_DATED))
    seen = ties if reason_of(note) is Reason.CONFLICT_WORSE_COUNTS else (top,)
    unrefined = definition.vague and top.value == definition.vague and not definition.vague_answers
    options = definition.precise if unrefined else ()
    return Fact(FactState.KNOWN, top.value, top.on, seen, valid, note=note, options=options)


def _undated_beside(
    definition: FactDefinition, valid: Iterable[Observed], top: Observed, window: int | None
) -> Observed | None:
    """Return an undated reading with another value that may be newer than `top`, an adverse one first. None without window."""
    if window is None:
        return None
    others = [r for r in valid if r.on is None and not r.ageless and r.value != top.value and not _issued_before(r, top)]
    return next((r for r in others if _adverse(definition, r)), others[0] if others else None)


def _issued_before(reading: Observed, other: Observed) -> bool:
    """Return whether an undated reading is older: it was issued before the other one was taken (or issued, if undated)."""
    until, since = reading.issued, other.on or other.issued
    if reading.on is not None or until is None or since is None or reading is other or may_be_simultaneous(until, since):
        return False
    if until.instant and since.instant:
        return until.instant < since.instant
    return until.latest < since.earliest


def _asked(
    definition: FactDefinition, valid: tuple[Observed, ...], there: Observed | None, ask: Observed, late: Reason | None
) -> Fact:
    """Return the fact where a question is at least as recent as the newest answer. It is unknown. But if that answer is
    adverse and in its window, a fact with a vague answer is known as that ("present"); only the precise answer is unknown."""
    if there is not None and definition.vague and _adverse(definition, there) and not late:
        return Fact(FactState.KNOWN, definition.vague, there.on, (there,), valid, note=ask.note, options=definition.precise)
    return Fact(FactState.UNKNOWN, seen=(ask,), history=valid, why=ask.note)


def _as_new_as_any(definition: FactDefinition, reading: Observed, window: int | None) -> bool:
    """Return whether a reading may be the most recent: it is undated and the fact has no window, or it is an active
    diagnosis of a fact with `diagnosis_stands`."""
    if reading.on is None:
        return reading.ageless or window is None
    return reading.ageless and definition.diagnosis_stands


def _stands(definition: FactDefinition, valid: tuple[Observed, ...]) -> bool:
    """Return whether the newest number counts beside an unreadable one that is as recent: if it is adverse, and the highest of
    one date counts. Otherwise the fact is unknown, because the unreadable number may be worse."""
    newest = [reading for reading in valid if may_be_simultaneous(reading.on, valid[0].on)]
    return definition.conflict is Choice.HIGHEST and any(_adverse(definition, reading) for reading in newest)


def _worst_of_all(definition: FactDefinition, reading: Observed) -> bool:
    """Return whether the reading is the worst possible answer."""
    return reading.value in (definition.adverse or ())[:1]


def _newer(first: Observed | Unreadable, second: Observed | Unreadable) -> bool:
    """Return whether `first` is dated and certainly newer. A dated reading counts as newer than an undated reading, but not as
    newer than an undated resource that could not be read."""
    if first.on is None:
        return False
    if second.on is None:
        return isinstance(second, Observed)
    if may_be_simultaneous(first.on, second.on):
        return False
    if first.on.instant and second.on.instant:
        return first.on.instant > second.on.instant
    return _newest_first(first) < _newest_first(second)


def _adverse(definition: FactDefinition, reading: Observed) -> bool:
    if definition.adverse_above is not None and isinstance(reading.value, Interval):
        return reading.value.at_most(definition.adverse_above) is not True
    return definition.adverse is not None and reading.value in definition.adverse


def _worst(definition: FactDefinition, ties: Iterable[Observed]) -> Observed | None:
    """Return the worst of contradicting answers of one date (`adverse` lists the worst first); None without a rule."""
    readings = tuple(ties)
    if definition.conflict is Choice.HIGHEST and readings:
        return max(readings, key=lambda r: r.value.low or 0 if isinstance(r.value, Interval) else 0)
    for value in definition.adverse or ():
        for reading in readings:
            if reading.value == value:
                return reading
    return None


def _out_of_window(reading: Observed, today: date, window: int | None) -> Reason | None:
    """Return why a reading is not in its window, or None. Windows include their last day; a month counts from its first."""
    if window is None or reading.ageless:
        return None
    if reading.on is None:
        return Reason.UNDATED
    return None if reading.on.earliest >= today - timedelta(days=window) else Reason.OUT_OF_DATE


def _highest(readings: Readings) -> Fact:
    if readings.unreadable:
        return Fact(FactState.UNKNOWN, seen=readings.valid, history=readings.valid, why=_unread(readings.unreadable[0]))
    if not readings.valid:
        return _nothing(readings)
    amounts = [(reading, reading.value) for reading in readings.valid if isinstance(reading.value, Interval)]
    top, value = max(amounts, key=lambda pair: pair[1].low if pair[1].low is not None else -1)
    differ = any(other != value for _, other in amounts)
    note = Explanation(Reason.SEVERAL_HIGHEST_COUNTS) if differ else None
    seen = readings.valid if note else (top,)
    return Fact(FactState.KNOWN, largest_interval(amount for _, amount in amounts), top.on, seen, readings.valid, note=note)


def _presence(readings: Readings, today: date, window: int | None) -> Fact:
    """Return whether a code is recorded. Several readings do not conflict; the newest one dates the fact."""
    current = [r for r in readings.valid if not _out_of_window(r, today, window)]
    undated = [r for r in readings.valid if window is not None and r.on is None]
    asked = _live_questions(readings, today, window)
    named = tuple(ask for ask in asked if ask.reason is Reason.BY_NAME)
    if current:
        return Fact(FactState.KNOWN, True, current[0].on, tuple(current), readings.valid)
    if undated:
        return Fact(FactState.UNKNOWN, seen=(*undated, *named), history=readings.valid, why=Explanation(Reason.UNDATED))
    if readings.unreadable:
        return Fact(FactState.UNKNOWN, history=readings.valid, why=_unread(readings.unreadable[0]))
    if asked:
        return Fact(FactState.UNKNOWN, seen=asked, history=readings.valid, why=asked[0].note)
    if not readings.complete:
        return unknown_fact(Reason.NOT_CONSULTED)
    late = Explanation(Reason.OUT_OF_DATE) if readings.valid else None
    return Fact(FactState.SILENT, seen=readings.valid, history=readings.valid, why=late)


DRUG_QUESTION_REASONS = frozenset({Reason.BY_NAME, Reason.PRODUCT_UNCERTAIN})
"""Reasons for a question about a drug that is given, but may not be the drug of the fact."""


def _live_questions(readings: Readings, today: date, window: int | None) -> tuple[Observed, ...]:
    """Return the questions that count today: drugs recorded by name first, then the newest first. The window applies to them
    as to coded drugs: one given before the window raises no question, and an undated one is reported as undated."""
    live = []
    for ask in readings.open_question:
        late = _out_of_window(ask, today, window) if ask.reason in DRUG_QUESTION_REASONS else None
        if late is not Reason.OUT_OF_DATE:
            live.append(replace(ask, note=Explanation(late)) if late else ask)
    return tuple(sorted(live, key=lambda ask: (ask.reason is not Reason.BY_NAME, _newest_first(ask), ask.seen_in)))


def _union(readings: Readings, today: date, window: int | None) -> Fact:
    """Return the union of all answers in the window. `seen` keeps their dates."""
    current = tuple(r for r in readings.valid if not _out_of_window(r, today, window))
    newest = current[0] if current else None
    for bad in readings.unreadable:
        if newest is None or not _newer(newest, bad):
            return Fact(FactState.UNKNOWN, seen=current, history=readings.valid, why=_unread(bad))
    if newest is not None:
        answers = frozenset(str(reading.value) for reading in current)
        for undated in readings.valid if window is not None else ():
            if undated.on is None and undated.value not in answers and not _issued_before(undated, newest):
                why = Explanation(Reason.UNDATED_BESIDE_DATED)
                return Fact(FactState.UNKNOWN, seen=(newest, undated), history=readings.valid, why=why)
        return Fact(FactState.KNOWN, answers, newest.on, current, readings.valid)
    if readings.valid:
        return Fact(FactState.UNKNOWN, seen=readings.valid[:1], history=readings.valid, why=Explanation(Reason.OUT_OF_DATE))
    return _nothing(readings)


class UnusableFact(NamedTuple):
    """A fact with a recorded value that cannot be used."""

    definition: FactDefinition
    fact: Fact


class DeniedDiagnosis(NamedTuple):
    """A fact whose newer answer counts, although an active diagnosis still says the adverse one."""

    definition: FactDefinition
    fact: Fact
    diagnosis: Observed


def unusable_facts(facts: Facts) -> Iterator[UnusableFact]:
    """Yield the facts with a recorded value that cannot be used, for the data-quality part of the cards."""
    for name, fact in facts.recorded.items():
        if fact.why is not None and (fact.seen or fact.reason is Reason.UNREADABLE):
            yield UnusableFact(facts.knowledge.facts[name], fact)


def denied_diagnoses(facts: Facts) -> Iterator[DeniedDiagnosis]:
    """Yield the facts whose newer answer counts, although an active diagnosis still says the adverse one."""
    for name, fact in facts.recorded.items():
        definition = facts.knowledge.facts[name]
        if fact.known and fact.seen and not _adverse(definition, fact.seen[0]):
            coded = (reading for reading in fact.history if reading.ageless and _adverse(definition, reading))
            if older := next(coded, None):
                yield DeniedDiagnosis(definition, fact, older)
