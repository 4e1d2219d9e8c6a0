"""A chart with answers supposed for its open facts: what the search for what is missing asks, judged quickly. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cds_service.clinical_picture import Observed, PartialDate, Value
from cds_service.knowledge.model import Criterion
from cds_service.reasoning.facts import Fact, Facts, FactState, recorded_inputs
from cds_service.reasoning.judgement import Finding, judge_criterion
from cds_service.reasoning.undecided import trial_values

Context = Mapping[str, int]
"""Facts supposed to be answered: fact -> place among its candidate values."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a criterion or a calculated fact rests on: `answerable` are the plain facts at the very bottom that anybody may
    answer; `recorded` and `calculated` those that it looks at itself."""

    answerable: tuple[str, ...]
    recorded: tuple[str, ...]
    calculated: tuple[str, ...]


class WhatIf:
    """One chart with answers supposed for open facts; what was calculated once is kept, for all modalities.

    A calculated fact is looked up twice: by the answers beneath it, and by what it reads, as many answers beneath give the
    same reading. Its own readings and note are left out: no calculation looks at them in what another one calculated.
    """

    def __init__(self, facts: Facts) -> None:
        self.facts, self.knowledge = facts, facts.knowledge
        self._on = PartialDate.from_day(facts.today)
        self._values: dict[str, tuple[Value, ...]] = {}
        self._hypothetical: dict[tuple[str, int], Fact] = {}
        self._facts: dict[tuple[object, ...], Fact] = {}
        self._calculated: dict[tuple[object, ...], Fact] = {}
        self._findings: dict[tuple[object, ...], Finding] = {}
        self._can_change: dict[tuple[object, ...], bool] = {}
        self._inputs: dict[str, Inputs] = {}

    def trial_values(self, name: str) -> tuple[Value, ...]:
        if name not in self._values:
            self._values[name] = trial_values(self.knowledge, name, self.facts.recorded[name])
        return self._values[name]

    def hypothetical(self, name: str, place: int) -> Fact:
        if (name, place) not in self._hypothetical:
            value = self.trial_values(name)[place]
            self._hypothetical[name, place] = hypothetical_fact(self.facts.recorded[name], value, self._on)
        return self._hypothetical[name, place]

    def inputs_of(self, of: Criterion | str) -> Inputs:
        """Of a criterion, or of a calculated fact by its name."""
        key = of if isinstance(of, str) else of.key
        if (known := self._inputs.get(key)) is None:
            names = self.knowledge.derived[of].reads if isinstance(of, str) else of.facts
            leaves = frozenset().union(*(recorded_inputs(self.knowledge, name) for name in names))
            known = self._inputs[key] = Inputs(
                tuple(sorted(n for n in leaves if self.knowledge.facts[n].supposable)),
                tuple(name for name in names if name in self.facts.recorded),
                tuple(name for name in names if name not in self.facts.recorded),
            )
        return known

    def fact(self, name: str, context: Context) -> Fact:
        if (place := context.get(name)) is not None:
            return self.hypothetical(name, place)
        if name in self.facts.recorded:
            return self.facts.recorded[name]
        inputs = self.inputs_of(name)
        key = (name, *map(context.get, inputs.answerable))
        if (known := self._facts.get(key)) is None:
            read = self._read(name, inputs, context)
            if (known := self._facts.get(read)) is None:
                known = self._facts[read] = self._kept(self.facts.calculations[name](_View(self, context)))
            self._facts[key] = known
        return known

    def finding(self, criterion: Criterion, context: Context) -> Finding:
        inputs = self.inputs_of(criterion)
        key = (criterion.key, *map(context.get, inputs.answerable))
        if (known := self._findings.get(key)) is None:
            known = self._findings[key] = self._judged(criterion, inputs, context)
        return known

    def _judged(self, criterion: Criterion, inputs: Inputs, context: Context) -> Finding:
        read = self._read(criterion.key, inputs, context)
        if (known := self._findings.get(read)) is None:
            known = self._findings[read] = judge_criterion(criterion, _View(self, context))
        return known

    def _read(self, key: str, inputs: Inputs, context: Context) -> tuple[object, ...]:
        """Of a plain fact the answer in a context, of a calculated one which of those kept it is."""
        calculated = [id(self.fact(name, context)) for name in inputs.calculated]
        return ("read", key, *map(context.get, inputs.recorded), *calculated)

    def _kept(self, new: Fact) -> Fact:
        same = (new.state, new.value, new.on, new.reason, new.options)
        return self._calculated.setdefault(same, Fact(new.state, new.value, new.on, why=new.why, options=new.options))

    def can_change(self, name: str, criterion: Criterion, context: Context) -> bool:
        """Whether two values of the fact give two answers of the criterion; what changes none changes no verdict."""
        inputs = self.inputs_of(criterion)
        key = (criterion.key, name, *[context.get(other) for other in inputs.answerable if other != name])
        if (known := self._can_change.get(key)) is None:
            answers = ({**context, name: place} for place in range(len(self.trial_values(name))))
            known = self._can_change[key] = len({self._judged(criterion, inputs, answer).met for answer in answers}) > 1
        return known


class _View(Facts):
    """The facts as they would be in one context."""

    def __init__(self, what_if: WhatIf, context: Context) -> None:
        facts = what_if.facts
        super().__init__(facts.recorded, facts.knowledge, facts.today, facts.calculations)
        self._what_if, self._context = what_if, context

    def __getitem__(self, name: str) -> Fact:
        return self._what_if.fact(name, self._context)


def hypothetical_fact(leaf: Fact, value: Value, on: PartialDate) -> Fact:
    values: Iterable[Value] = sorted(value) if isinstance(value, frozenset) else [value]
    seen = tuple(Observed(part, on, "supposed", "") for part in values)
    if isinstance(value, frozenset) and leaf.known and isinstance(leaf.value, frozenset):
        value, seen = value | leaf.value, (*seen, *leaf.seen)
    return Fact(FactState.KNOWN, value, on, seen, (*seen, *leaf.history))
