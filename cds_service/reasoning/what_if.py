"""A chart with answers supposed for its open facts: what the search for what is missing asks, judged quickly. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cds_service.clinical_picture import Observed, Value, When
from cds_service.knowledge.model import Criterion
from cds_service.reasoning.facts import Fact, Facts, State, leaves_of
from cds_service.reasoning.judgement import Finding, judge
from cds_service.reasoning.undecided import candidates

Context = Mapping[str, int]
"""Facts supposed to be answered: fact -> place among its candidate values."""


@dataclass(frozen=True, slots=True)
class Beneath:
    """What a criterion or a calculated fact rests on: `inputs` are the plain facts at the very bottom that anybody may
    answer; `plain` and `calculated` those that it looks at itself."""

    inputs: tuple[str, ...]
    plain: tuple[str, ...]
    calculated: tuple[str, ...]


class Suppositions:
    """One chart with answers supposed for open facts; what was calculated once is kept, for all modalities.

    A calculated fact is looked up twice: by the answers beneath it, and by what it reads, as many answers beneath give the
    same reading. Its own readings and note are left out: no calculation looks at them in what another one calculated.
    """

    def __init__(self, facts: Facts) -> None:
        self.facts, self.knowledge = facts, facts.knowledge
        self._on = When.day(facts.today)
        self._values: dict[str, tuple[Value, ...]] = {}
        self._supposed: dict[tuple[str, int], Fact] = {}
        self._facts: dict[tuple[object, ...], Fact] = {}
        self._calculated: dict[tuple[object, ...], Fact] = {}
        self._findings: dict[tuple[object, ...], Finding] = {}
        self._swayed: dict[tuple[object, ...], bool] = {}
        self._beneath: dict[str, Beneath] = {}

    def values(self, name: str) -> tuple[Value, ...]:
        if name not in self._values:
            self._values[name] = candidates(self.knowledge, name, self.facts.leaves[name])
        return self._values[name]

    def supposed(self, name: str, place: int) -> Fact:
        if (name, place) not in self._supposed:
            value = self.values(name)[place]
            self._supposed[name, place] = supposed(self.facts.leaves[name], value, self._on)
        return self._supposed[name, place]

    def beneath(self, of: Criterion | str) -> Beneath:
        """Of a criterion, or of a calculated fact by its name."""
        key = of if isinstance(of, str) else of.key
        if (known := self._beneath.get(key)) is None:
            names = self.knowledge.derived[of].reads if isinstance(of, str) else of.facts
            leaves = frozenset().union(*(leaves_of(self.knowledge, name) for name in names))
            known = self._beneath[key] = Beneath(
                tuple(sorted(n for n in leaves if self.knowledge.facts[n].supposable)),
                tuple(name for name in names if name in self.facts.leaves),
                tuple(name for name in names if name not in self.facts.leaves),
            )
        return known

    def fact(self, name: str, context: Context) -> Fact:
        if (place := context.get(name)) is not None:
            return self.supposed(name, place)
        if name in self.facts.leaves:
            return self.facts.leaves[name]
        beneath = self.beneath(name)
        key = (name, *map(context.get, beneath.inputs))
        if (known := self._facts.get(key)) is None:
            read = self._read(name, beneath, context)
            if (known := self._facts.get(read)) is None:
                known = self._facts[read] = self._kept(self.facts.calculations[name](_View(self, context)))
            self._facts[key] = known
        return known

    def finding(self, criterion: Criterion, context: Context) -> Finding:
        beneath = self.beneath(criterion)
        key = (criterion.key, *map(context.get, beneath.inputs))
        if (known := self._findings.get(key)) is None:
            known = self._findings[key] = self._judged(criterion, beneath, context)
        return known

    def _judged(self, criterion: Criterion, beneath: Beneath, context: Context) -> Finding:
        read = self._read(criterion.key, beneath, context)
        if (known := self._findings.get(read)) is None:
            known = self._findings[read] = judge(criterion, _View(self, context))
        return known

    def _read(self, key: str, beneath: Beneath, context: Context) -> tuple[object, ...]:
        """Of a plain fact the answer in a context, of a calculated one which of those kept it is."""
        calculated = [id(self.fact(name, context)) for name in beneath.calculated]
        return ("read", key, *map(context.get, beneath.plain), *calculated)

    def _kept(self, new: Fact) -> Fact:
        same = (new.state, new.value, new.on, new.reason, new.options)
        return self._calculated.setdefault(same, Fact(new.state, new.value, new.on, why=new.why, options=new.options))

    def sways(self, name: str, criterion: Criterion, context: Context) -> bool:
        """Whether two values of the fact give two answers of the criterion; what changes none changes no verdict."""
        beneath = self.beneath(criterion)
        key = (criterion.key, name, *[context.get(other) for other in beneath.inputs if other != name])
        if (known := self._swayed.get(key)) is None:
            answers = ({**context, name: place} for place in range(len(self.values(name))))
            known = self._swayed[key] = len({self._judged(criterion, beneath, answer).met for answer in answers}) > 1
        return known


class _View(Facts):
    """The facts as they would be in one context."""

    def __init__(self, suppositions: Suppositions, context: Context) -> None:
        facts = suppositions.facts
        super().__init__(facts.leaves, facts.knowledge, facts.today, facts.calculations)
        self._suppositions, self._context = suppositions, context

    def __getitem__(self, name: str) -> Fact:
        return self._suppositions.fact(name, self._context)


def supposed(leaf: Fact, value: Value, on: When) -> Fact:
    values: Iterable[Value] = sorted(value) if isinstance(value, frozenset) else [value]
    seen = tuple(Observed(part, on, "supposed", "") for part in values)
    if isinstance(value, frozenset) and leaf.known and isinstance(leaf.value, frozenset):
        value, seen = value | leaf.value, (*seen, *leaf.seen)
    return Fact(State.KNOWN, value, on, seen, (*seen, *leaf.history))
