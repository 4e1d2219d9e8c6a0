"""What would decide an undetermined verdict: the facts to ask for, and the best verdict still possible. Exact, and pure.

A fact is asked for when, with the other open facts at some value or left open, two of its values give different verdicts
(CLINICAL section 9). The verdict of a modality is at hand as a diagram over questions (verdict_diagrams.py). On a chart every
question becomes a diagram over the open facts, and so does the verdict: the facts whose values lead apart in it decide.

What was worked out is kept, whole charts are not: a verdict by the answers to its questions, a calculation by the values and
dates beneath it, without references, words or names.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from cds_service.clinical_picture import Observed, PartialDate, Unreadable, Value
from cds_service.knowledge.modality import RANK, Modality, Verdict
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.vocabulary import Supplier
from cds_service.reasoning.calculations import CALCULATIONS
from cds_service.reasoning.diagrams import Diagram, Diagrams, Node, nodes_of, outcomes_of
from cds_service.reasoning.fact_diagrams import FactDiagrams, FactOutcome
from cds_service.reasoning.facts import Fact, Facts, FactState
from cds_service.reasoning.judgement import CriterionJudge
from cds_service.reasoning.undecided import trial_values, undecided_facts
from cds_service.reasoning.verdict_diagrams import VerdictDiagrams, verdict_diagrams
from cds_service.reasons import Explanation, Reason

KEPT_CALCULATIONS, KEPT_VERDICTS, KEPT_QUESTIONS = 1024, 4096, 4096
"""How many results stay in memory, of all charts together; the longest unused goes first."""
KEPT_READINGS = 200
"""Readings beneath a calculation whose result is kept: those of a chart of tens of thousands would fill the memory."""
UNREAD = Explanation(Reason.NO_VALUE)


class Decisive(NamedTuple):
    """What decides a verdict, and the best it can be."""

    facts: frozenset[int]
    """Their numbers in VerdictDiagrams."""
    best: Verdict


class Leaf(NamedTuple):
    """A recorded fact beneath a calculated one, as its calculation may look at it."""

    name: str
    fact: Fact
    reason: Reason | None
    """Of the fact: facts are equal whatever explains them."""
    is_open: bool


class DecidingFacts:
    """What would decide the verdicts of one chart."""

    def __init__(self, facts: Facts) -> None:
        self._facts, self._knowledge = facts, facts.knowledge
        self._verdicts = verdict_diagrams(facts.knowledge)
        self._bare: dict[str, Fact] = {}

    def find(self, modality: Modality, judged: CriterionJudge, ruled_out: bool | None) -> tuple[tuple[str, ...], Verdict]:
        """The deciding facts, most decisive first, and the best verdict still possible."""
        open_facts = undecided_facts(modality, self._facts, judged, ruled_out)
        found = self._decisive(modality, ruled_out, open_facts)
        best = found.best
        if ruled_out is None:  # whichever way the other modalities turn out
            best = max(best, self._decisive(modality, True, open_facts).best, key=RANK.__getitem__)
        names = (name for name, number in self._verdicts.numbers.items() if number in found.facts)
        asked = [name for name in names if self._knowledge.facts[name].ask is not Supplier.NEVER]
        order = self._knowledge.missing_order
        return tuple(sorted(asked, key=lambda name: (order.index(name) if name in order else len(order), name))), best

    def _decisive(self, modality: Modality, ruled_out: bool | None, open_facts: frozenset[str]) -> Decisive:
        return find_decisive(*self.answer_questions(modality, ruled_out, open_facts))

    def answer_questions(
        self, modality: Modality, ruled_out: bool | None, open_facts: frozenset[str]
    ) -> tuple[Diagram, tuple[tuple[int, Diagram], ...]]:
        """The verdict as a diagram over questions, and of each question by its number the place of the answer."""
        verdict, questions = self._verdicts.of(modality, ruled_out)
        return verdict, tuple([(number, self._answer(name, open_facts)) for number, name in questions.items()])

    def _answer(self, name: str, open_facts: frozenset[str]) -> Diagram:
        """The place of the answer to a question, as it depends on the open facts."""
        verdicts, recorded = self._verdicts, self._facts.recorded
        if name in open_facts:
            place = verdicts.place_of(name, recorded[name])
            return ask_for_place(verdicts.numbers[name], (place, *verdicts.places_of_values(name, place)))
        inputs = verdicts.inputs_of(name)
        if open_facts.isdisjoint(inputs):
            return verdicts.place_of(name, self._facts[name])
        leaves = tuple([Leaf(leaf, self._bare_fact(leaf), recorded[leaf].reason, leaf in open_facts) for leaf in inputs])
        readings = sum(len(leaf.fact.history) + len(leaf.fact.unread) for leaf in leaves)
        calculate = calculate_place if readings <= KEPT_READINGS else calculate_place.__wrapped__
        return calculate(verdicts, name, self._facts.today, leaves)

    def _bare_fact(self, name: str) -> Fact:
        if name not in self._bare:
            self._bare[name] = without_references(self._facts.recorded[name])
        return self._bare[name]


def possible_answers(knowledge: Knowledge, name: str, fact: Fact, today: date) -> tuple[Fact, ...]:
    """An open fact left as it is, and with each value worth trying, recorded today."""
    on = PartialDate.from_day(today)
    return (fact, *(answered_fact(fact, value, on) for value in trial_values(knowledge, name, fact)))


def answered_fact(fact: Fact, value: Value, on: PartialDate) -> Fact:
    """The fact with a new answer. Of one with several answers, a new one stands beside those there are."""
    values: Iterable[Value] = sorted(value) if isinstance(value, frozenset) else [value]
    seen = tuple(Observed(part, on, "", "") for part in values)
    if isinstance(value, frozenset) and fact.known and isinstance(fact.value, frozenset):
        value, seen = value | fact.value, (*seen, *fact.seen)
    return Fact(FactState.KNOWN, value, on, seen, (*seen, *fact.history))


def without_references(fact: Fact) -> Fact:
    """All that a calculation may look at: values, dates and reason; nothing that leads to a patient."""
    why = Explanation(fact.reason) if fact.reason is not None else None
    unread = tuple(dict.fromkeys(Unreadable(bad.on, "", UNREAD) for bad in fact.unread))
    return Fact(fact.state, fact.value, fact.on, _bare(fact.seen), _bare(fact.history), why, None, unread, fact.options)


def _bare(readings: tuple[Observed, ...]) -> tuple[Observed, ...]:
    return tuple([Observed(r.value, r.on, "", "", None, r.ageless) for r in readings])


@lru_cache(maxsize=KEPT_QUESTIONS)
def ask_for_place(number: int, places: tuple[int, ...]) -> Diagram:
    """The question after an open fact. One object for equal ones: what rests on it is kept by its identity."""
    return Diagrams().ask(number, places)


@lru_cache(maxsize=KEPT_CALCULATIONS)
def calculate_place(verdicts: VerdictDiagrams, name: str, today: date, leaves: tuple[Leaf, ...]) -> Diagram:
    """The place of a dated fact among the answers to its question, as it depends on the open facts beneath."""
    knowledge, diagrams, known = verdicts.knowledge, Diagrams(), {leaf.name: leaf for leaf in leaves}

    def given(fact: str) -> Diagram | None:
        if (leaf := known.get(fact)) is None:
            return None
        if not leaf.is_open:
            return FactOutcome(leaf.fact)
        answers = possible_answers(knowledge, fact, leaf.fact, today)
        return diagrams.ask(verdicts.numbers[fact], tuple([FactOutcome(answer) for answer in answers]))

    found = FactDiagrams(knowledge, CALCULATIONS, given, diagrams, today).fact(name)
    places = {said: verdicts.place_of(name, said.fact) for said in outcomes_of(found) if isinstance(said, FactOutcome)}
    return diagrams.select(found, places)


@lru_cache(maxsize=KEPT_VERDICTS)
def find_decisive(verdict: Diagram, answers: tuple[tuple[int, Diagram], ...]) -> Decisive:
    """What decides a verdict. Arguments: see `answer_questions`."""
    on_chart = judge_answers(verdict, answers)
    deciding = frozenset(node.number for node in nodes_of(on_chart) if _values_lead_apart(node))
    return Decisive(deciding, max(outcomes_of(on_chart), key=RANK.__getitem__))


def judge_answers(verdict: Diagram, answers: tuple[tuple[int, Diagram], ...]) -> Diagram:
    """The verdict as it depends on the open facts: each left open (its first answer), or at one of its trial values."""
    return Diagrams().replace(verdict, dict(answers))


def _values_lead_apart(node: Node) -> bool:
    """Whether two values of an open fact lead apart; to leave it open is none."""
    values = node.answers[1:]
    return values.count(values[0]) != len(values)
