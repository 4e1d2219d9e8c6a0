"""Finds the facts that would decide an undetermined verdict, and the best verdict still possible. Exact, and pure.

An open fact is asked for if it can change the verdict: the other open facts can be filled in or left open so that two values
of this fact give different verdicts (docs/knowledge.md, "Verdicts"). The verdict of a modality is a prepared diagram over
questions (verdict_diagrams.py). On a chart every question becomes a diagram over the open facts, and so does the verdict. The
facts whose values lead to different verdicts in it decide.

Results are cached, whole charts are not. The key of a verdict is the answers to its questions; the key of a calculation is
the values and dates of its inputs, without references, text or names.
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

MAX_CACHED_CALCULATIONS, MAX_CACHED_VERDICTS, MAX_CACHED_QUESTIONS = 1024, 4096, 4096
"""The numbers of cached results, for all charts together; the least recently used is dropped first."""
MAX_READINGS_TO_CACHE = 200
"""The most readings that the inputs of a cached calculation may have; a chart with tens of thousands would fill the memory."""
UNREAD = Explanation(Reason.NO_VALUE)


class Decisive(NamedTuple):
    """The facts that decide a verdict, and the best verdict still possible."""

    facts: frozenset[int]
    """Numbers of facts in `VerdictDiagrams.numbers`."""
    best: Verdict


class Leaf(NamedTuple):
    """A recorded fact that a calculation rests on, reduced to what the calculation may read."""

    name: str
    fact: Fact
    reason: Reason | None
    """The reason of the fact, which the comparison of facts ignores."""
    is_open: bool


class DecidingFacts:
    """Finds the facts that would decide the verdicts of one chart."""

    def __init__(self, facts: Facts) -> None:
        self._facts, self._knowledge = facts, facts.knowledge
        self._verdicts = verdict_diagrams(facts.knowledge)
        self._bare: dict[str, Fact] = {}
        self._answers: dict[tuple[str, frozenset[str]], Diagram] = {}

    def find(self, modality: Modality, judged: CriterionJudge, ruled_out: bool | None) -> tuple[tuple[str, ...], Verdict]:
        """Return the deciding facts, most decisive first, and the best verdict still possible. `ruled_out`: see
        `judge_indication`."""
        open_facts = undecided_facts(modality, self._facts, judged, ruled_out)
        found = self._decisive(modality, ruled_out, open_facts)
        best = found.best
        if ruled_out is None:  # the verdict depends on other undetermined modalities: take the better case
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
        """Return the verdict as a diagram over questions; and for each question its number and a diagram over the open facts
        that leads to the place of its answer."""
        verdict, questions = self._verdicts.of(modality, ruled_out)
        return verdict, tuple([(number, self._answer(name, open_facts)) for number, name in questions.items()])

    def _answer(self, name: str, open_facts: frozenset[str]) -> Diagram:
        """Return the place of the answer to a question, as a diagram over the open facts."""
        verdicts, recorded = self._verdicts, self._facts.recorded
        if name in open_facts:
            place = verdicts.place_of(name, recorded[name])
            return ask_for_place(verdicts.numbers[name], (place, *verdicts.places_of_values(name, place)))
        inputs = verdicts.inputs_of(name)
        if open_facts.isdisjoint(inputs):
            return verdicts.place_of(name, self._facts[name])
        key = name, open_facts.intersection(inputs)
        if key not in self._answers:
            self._answers[key] = self._calculate(*key, inputs)
        return self._answers[key]

    def _calculate(self, name: str, open_facts: frozenset[str], inputs: Iterable[str]) -> Diagram:
        recorded = self._facts.recorded
        leaves = tuple([Leaf(leaf, self._bare_fact(leaf), recorded[leaf].reason, leaf in open_facts) for leaf in inputs])
        readings = sum(len(leaf.fact.history) + len(leaf.fact.unread) for leaf in leaves)
        calculate = calculate_place if readings <= MAX_READINGS_TO_CACHE else calculate_place.__wrapped__
        return calculate(self._verdicts, name, self._facts.today, leaves)

    def _bare_fact(self, name: str) -> Fact:
        if name not in self._bare:
            self._bare[name] = without_references(self._facts.recorded[name])
        return self._bare[name]


def possible_answers(knowledge: Knowledge, name: str, fact: Fact, today: date) -> tuple[Fact, ...]:
    """Return an open fact left open, then with each of its trial values, recorded today."""
    on = PartialDate.from_day(today)
    return (fact, *(answered_fact(fact, value, on) for value in trial_values(knowledge, name, fact)))


def answered_fact(fact: Fact, value: Value, on: PartialDate) -> Fact:
    """Return the fact with a new answer, which is added to the earlier ones if the fact can have several."""
    values: Iterable[Value] = sorted(value) if isinstance(value, frozenset) else [value]
    seen = tuple(Observed(part, on, "", "") for part in values)
    if isinstance(value, frozenset) and fact.known and isinstance(fact.value, frozenset):
        value, seen = value | fact.value, (*seen, *fact.seen)
    return Fact(FactState.KNOWN, value, on, seen, (*seen, *fact.history))


def without_references(fact: Fact) -> Fact:
    """Return the fact with only what a calculation may read (values, dates and reason), so without any link to a patient."""
    why = Explanation(fact.reason) if fact.reason is not None else None
    unread = tuple(dict.fromkeys(Unreadable(bad.on, "", UNREAD) for bad in fact.unread))
    return Fact(fact.state, fact.value, fact.on, _bare(fact.seen), _bare(fact.history), why, None, unread, fact.options)


def _bare(readings: tuple[Observed, ...]) -> tuple[Observed, ...]:
    return tuple([Observed(r.value, r.on, "", "", None, r.ageless) for r in readings])


@lru_cache(maxsize=MAX_CACHED_QUESTIONS)
def ask_for_place(number: int, places: tuple[int, ...]) -> Diagram:
    """Return the question for an open fact. Equal questions are one object, because caches compare them by identity."""
    return Diagrams().ask(number, places)


@lru_cache(maxsize=MAX_CACHED_CALCULATIONS)
def calculate_place(verdicts: VerdictDiagrams, name: str, today: date, leaves: tuple[Leaf, ...]) -> Diagram:
    """Return the place of a dated fact among the answers to its question, as a diagram over the open facts in `leaves`."""
    knowledge, diagrams, known = verdicts.knowledge, Diagrams(), {leaf.name: leaf for leaf in leaves}

    def given(fact: str) -> Diagram | None:
        if (leaf := known.get(fact)) is None:
            return None
        if not leaf.is_open:
            return FactOutcome(leaf.fact)
        answers = possible_answers(knowledge, fact, leaf.fact, today)
        return diagrams.ask(verdicts.numbers[fact], tuple([FactOutcome(answer) for answer in answers]))

    found = FactDiagrams(knowledge, CALCULATIONS, given, diagrams, today).fact(name)
    places = {
        outcome: verdicts.place_of(name, outcome.fact) for outcome in outcomes_of(found) if isinstance(outcome, FactOutcome)
    }
    return diagrams.select(found, places)


@lru_cache(maxsize=MAX_CACHED_VERDICTS)
def find_decisive(verdict: Diagram, answers: tuple[tuple[int, Diagram], ...]) -> Decisive:
    """Return the facts that decide a verdict. The arguments are the result of `answer_questions`."""
    on_chart = judge_answers(verdict, answers)
    deciding = frozenset(node.number for node in nodes_of(on_chart) if _values_lead_apart(node))
    return Decisive(deciding, max(outcomes_of(on_chart), key=RANK.__getitem__))


def judge_answers(verdict: Diagram, answers: tuple[tuple[int, Diagram], ...]) -> Diagram:
    """Return the verdict as a diagram over the open facts, each left open (its first answer) or at one of its trial values."""
    return Diagrams().replace(verdict, dict(answers))


def _values_lead_apart(node: Node) -> bool:
    """Return whether two values of an open fact lead to different verdicts. Leaving it open is not a value."""
    values = node.answers[1:]
    return values.count(values[0]) != len(values)
