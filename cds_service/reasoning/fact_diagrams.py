"""Calculated facts and criteria as diagrams over the answers to open facts. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from cds_service.knowledge.modality import Criterion
from cds_service.knowledge.model import Knowledge
from cds_service.reasoning.diagrams import Diagram, Diagrams, Inputs
from cds_service.reasoning.facts import UNREAD_EXPLANATION, Calculation, Fact, Facts, UndatedFact, raise_undeclared_read
from cds_service.reasoning.judgement import judge_criterion


@dataclass(frozen=True, eq=False, slots=True)
class FactOutcome:
    """A fact as the outcome of a diagram, compared by identity."""

    fact: Fact


class FactDiagrams:
    """Calculates facts and criteria from facts given as diagrams.

    `given` returns the diagram of a fact, whose outcomes are FactOutcomes, or None if the fact has to be calculated. If `today`
    is None, no calculation may read dates: all facts are UndatedFacts.
    """

    def __init__(
        self,
        knowledge: Knowledge,
        calculations: Mapping[str, Calculation],
        given: Callable[[str], Diagram | None],
        diagrams: Diagrams,
        today: date | None = None,
    ) -> None:
        self._knowledge, self._calculations, self._today = knowledge, calculations, today
        self._given, self._diagrams = given, diagrams
        self._facts: dict[str, Diagram] = {}
        self._kept: dict[object, FactOutcome] = {}

    def fact(self, name: str) -> Diagram:
        """Return a fact as a diagram of FactOutcomes."""
        if name not in self._facts:
            given = self._given(name)
            self._facts[name] = self._calculated(name) if given is None else given
        return self._facts[name]

    def criterion(self, criterion: Criterion) -> Diagram:
        """Return a criterion as a diagram with the outcomes met (True), not met (False) and unknown (None)."""
        inputs = {name: self.fact(name) for name in criterion.facts}
        return self._diagrams.explore(lambda taken: judge_criterion(criterion, self._facts_of(taken)).met, inputs)

    def _calculated(self, name: str) -> Diagram:
        calculation = self._calculations[name]
        inputs = {read: self.fact(read) for read in self._knowledge.derived[name].reads}
        return self._diagrams.explore(lambda taken: self._outcome(calculation(self._facts_of(taken))), inputs)

    def _facts_of(self, taken: Inputs) -> Facts:
        return TakenFacts(taken, self._knowledge, self._today)

    def _outcome(self, new: Fact) -> FactOutcome:
        """Return the fact without its reason and the readings that it rests on, and without dates if `today` is None."""
        if self._today is None:
            undated = (new.state, new.value, new.options)
            return self._kept.get(undated) or self._kept.setdefault(undated, FactOutcome(UndatedFact(*undated)))
        fact = Fact(new.state, new.value, new.on, (), new.history, UNREAD_EXPLANATION, None, new.unread, new.options)
        return self._kept.get(fact) or self._kept.setdefault(fact, FactOutcome(fact))


class TakenFacts(Facts):
    """The assumed facts that a calculation reads. If `today` is None, reading the date raises UndeclaredRead."""

    def __init__(self, taken: Inputs, knowledge: Knowledge, today: date | None) -> None:
        self._taken, self.knowledge = taken, knowledge
        if today is not None:
            self.today = today

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            if name == "today":
                raise_undeclared_read(self)
            raise AttributeError(name)

    def __getitem__(self, name: str) -> Fact:
        outcome = self._taken[name]
        assert isinstance(outcome, FactOutcome)
        return outcome.fact
