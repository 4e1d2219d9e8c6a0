"""The lines of the overview on the patient: the disease, the person, and what was done so far."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from decimal import Decimal

from cds_service.cards.fact_words import say_day, say_fact, say_trend
from cds_service.cards.regimens import current_regimens, format_regimen
from cds_service.cards.text import Cut, Line, Phrase
from cds_service.cards.unchecked import facts_of_concern
from cds_service.reasoning.evaluation import Evaluation


def patient_lines(evaluation: Evaluation, shown_elsewhere: Collection[str] = ()) -> list[Line]:
    """Return the lines for which the chart has data. `shown_elsewhere`: facts whose values the cautions of the overview show
    too."""
    board = evaluation.knowledge.board
    found = [
        _line("Disease:", _facts(evaluation, board.disease)),
        _line("Liver:", _facts(evaluation, board.liver), joins=True),
        _line("Patient:", _facts(evaluation, board.patient, usual=Cut.WORDING)),
        _line("Laboratory:", _laboratory(evaluation, shown_elsewhere), joins=True),
        done_line(evaluation),
    ]
    return [line for line in found if line is not None]


def done_line(evaluation: Evaluation) -> Line | None:
    """Return the line of treatments given and failed, or None without any."""
    facts, today = evaluation.facts, evaluation.facts.today
    phrases: list[Phrase] = []
    for name in evaluation.knowledge.board.done:
        fact = facts[name]
        if fact.equals(True) and (current := current_regimens(fact)):
            phrases.append(Phrase(", ".join(format_regimen(reading) for reading in current)))
        elif fact.equals(True):
            days = dict.fromkeys(say_day(seen.on, today) for seen in reversed(fact.history[:3]))
            phrases.append(Phrase(f"{say_fact(evaluation.knowledge, name, fact)} ({', '.join(days)})"))
    failed = facts["symptoms_refractory_to"]
    if isinstance(failed.value, frozenset) and failed.value - {"none", "controlled"}:
        said = f"{say_fact(evaluation.knowledge, 'symptoms_refractory_to', failed)} ({say_day(failed.on, today)})"
        phrases.append(Phrase(said, cut=Cut.DETAIL))
    return _line("Done so far:", phrases)


def _line(lead: str, phrases: list[Phrase] | Iterator[Phrase], joins: bool = False) -> Line | None:
    found = tuple(phrases)
    return Line(found, lead, listed=True, joins=joins, keep_whole=True) if found else None


FACTS_WITH_DAY = frozenset(
    {"sstr_positive", "portal_vein", "disease_status", "cardiac_assessment", "primary_resected", "carcinoid_heart_disease"}
)
"""Facts that are shown with their day."""


def _facts(evaluation: Evaluation, names: tuple[str, ...], usual: Cut = Cut.KEPT) -> Iterator[Phrase]:
    """Yield the known facts. `usual`: when the usual answer of a fact ("no carcinoid heart disease") is left out."""
    for name in names:
        fact = evaluation.facts[name]
        if fact.known:
            text = say_fact(evaluation.knowledge, name, fact)
            is_usual = isinstance(fact.value, str) and fact.value == evaluation.knowledge.facts[name].usual
            cut = Cut.DETAIL if name in evaluation.knowledge.board.spare else usual if is_usual else Cut.KEPT
            yield Phrase(f"{text} ({say_day(fact.on, evaluation.facts.today)})" if name in FACTS_WITH_DAY else text, cut=cut)


def _laboratory(evaluation: Evaluation, shown_elsewhere: Collection[str]) -> Iterator[Phrase]:
    """Yield the laboratory values of each day. A value that affects nothing may be left out."""
    knowledge, facts = evaluation.knowledge, evaluation.facts
    deciding = {seen.fact for assessment in evaluation.assessments.values() for finding in assessment.decision.findings
                for fact in finding.facts for seen in fact.seen}  # fmt: skip
    bearing = deciding | facts_of_concern(evaluation)
    by_day: dict[str, list[tuple[str, bool]]] = {}
    not_elsewhere: set[str] = set()
    """Days with a value that affects something and that no caution shows."""
    for name in knowledge.board.laboratory:
        fact = facts[name]
        if fact.known:
            day, bears = say_day(fact.on, facts.today), name in bearing or _is_abnormal(evaluation, name)
            by_day.setdefault(day, []).append((say_trend(knowledge, name, fact), bears))
            if bears and name not in shown_elsewhere:
                not_elsewhere.add(day)
    if facts["egfr_used"].known and not facts["egfr"].known:
        fact = facts["egfr_used"]
        by_day.setdefault(say_day(fact.on, facts.today), []).append((f"eGFR {fact.value} (computed)", False))
    for day, values in by_day.items():
        kept = ", ".join(text for text, bears in values if bears)
        text = ", ".join(text for text, _ in values)
        last = Cut.KEPT if day in not_elsewhere else Cut.WORDING
        yield Phrase(f"{day}: {text}", cut=Cut.NORMAL_VALUE, brief=f"{day}: {kept}" if kept else "", last=last)


def _is_abnormal(evaluation: Evaluation, name: str) -> bool:
    """Return whether a value is above the upper limit sent with it, or is a `trend` value that has changed."""
    knowledge, facts = evaluation.knowledge, evaluation.facts
    fact = facts[name]
    if knowledge.facts[name].trend and len(fact.history) > 1 and fact.history[1].value != fact.value:
        return True
    multiples = [other for other in knowledge.facts.values() if other.upper_limit_of == name]
    return any((amount := facts[other.id].amount) is not None and amount.above(Decimal(1)) for other in multiples)
