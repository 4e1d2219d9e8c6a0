"""The patient in a few lines of the overview: the disease, the person, what has been done."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from decimal import Decimal

from cds_service.cards.fact_words import say_day, say_fact, say_trend
from cds_service.cards.regimens import current_regimens, format_regimen
from cds_service.cards.text import Cut, Line, Phrase
from cds_service.cards.unchecked import facts_of_concern
from cds_service.reasoning.evaluation import Evaluation


def patient_lines(evaluation: Evaluation, told: Collection[str] = ()) -> list[Line]:
    """Those of which the chart says anything. `told`: facts whose values cautions of the overview say too."""
    board = evaluation.knowledge.board
    found = [
        _line("Disease:", _facts(evaluation, board.disease)),
        _line("Liver:", _facts(evaluation, board.liver), joins=True),
        _line("Patient:", _facts(evaluation, board.patient, usual=Cut.WORDING)),
        _line("Laboratory:", _laboratory(evaluation, told), joins=True),
        done_line(evaluation),
    ]
    return [line for line in found if line is not None]


def done_line(evaluation: Evaluation) -> Line | None:
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


DATED = frozenset(
    {"sstr_positive", "portal_vein", "disease_status", "cardiac_assessment", "primary_resected", "carcinoid_heart_disease"}
)
"""Facts whose day a reader asks for."""


def _facts(evaluation: Evaluation, names: tuple[str, ...], usual: Cut = Cut.KEPT) -> Iterator[Phrase]:
    """`usual`: when an answer that most patients have is left out ("no carcinoid heart disease")."""
    for name in names:
        fact = evaluation.facts[name]
        if fact.known:
            text = say_fact(evaluation.knowledge, name, fact)
            is_usual = isinstance(fact.value, str) and fact.value == evaluation.knowledge.facts[name].usual
            cut = Cut.DETAIL if name in evaluation.knowledge.board.spare else usual if is_usual else Cut.KEPT
            yield Phrase(f"{text} ({say_day(fact.on, evaluation.facts.today)})" if name in DATED else text, cut=cut)


def _laboratory(evaluation: Evaluation, told: Collection[str]) -> Iterator[Phrase]:
    """Each value with its day, which is said once for those of one day; a value on which nothing rests may be left out."""
    knowledge, facts = evaluation.knowledge, evaluation.facts
    deciding = {seen.fact for assessment in evaluation.assessments.values() for finding in assessment.decision.findings
                for fact in finding.facts for seen in fact.seen}  # fmt: skip
    bearing = deciding | facts_of_concern(evaluation)
    by_day: dict[str, list[tuple[str, bool]]] = {}
    untold: set[str] = set()
    """Days with a value that bears on something and that no caution says."""
    for name in knowledge.board.laboratory:
        fact = facts[name]
        if fact.known:
            day, bears = say_day(fact.on, facts.today), name in bearing or _is_abnormal(evaluation, name)
            by_day.setdefault(day, []).append((say_trend(knowledge, name, fact), bears))
            if bears and name not in told:
                untold.add(day)
    if facts["egfr_used"].known and not facts["egfr"].known:
        fact = facts["egfr_used"]
        by_day.setdefault(say_day(fact.on, facts.today), []).append((f"eGFR {fact.value} (computed)", False))
    for day, values in by_day.items():
        kept = ", ".join(text for text, bears in values if bears)
        text = ", ".join(text for text, _ in values)
        last = Cut.KEPT if day in untold else Cut.WORDING
        yield Phrase(f"{day}: {text}", cut=Cut.NORMAL_VALUE, brief=f"{day}: {kept}" if kept else "", last=last)


def _is_abnormal(evaluation: Evaluation, name: str) -> bool:
    """Above the upper limit that was sent with it, or a value whose trend is asked for and that has changed."""
    knowledge, facts = evaluation.knowledge, evaluation.facts
    fact = facts[name]
    if knowledge.facts[name].trend and len(fact.history) > 1 and fact.history[1].value != fact.value:
        return True
    multiples = [other for other in knowledge.facts.values() if other.upper_limit_of == name]
    return any((amount := facts[other.id].amount) is not None and amount.above(Decimal(1)) for other in multiples)
