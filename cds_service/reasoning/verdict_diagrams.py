"""The verdict of every modality as a diagram over facts, calculated once for each knowledge. Pure.

A question is a recorded fact whose dates do not matter, or a fact that is `dated` in derived.toml and calculated on each
chart. The answers to a question are numbered: first unknown and silent, then the values that the knowledge distinguishes. For a
number these are each limit, each range beside or between the limits, and each run of neighbouring ranges, as "< 5" covers
several. The number of an answer is its *place*.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import cache, lru_cache, reduce
from itertools import combinations_with_replacement, pairwise, starmap
from typing import Any

from cds_service.clinical_picture import Interval, Value
from cds_service.knowledge.modality import Indication, Modality, Verdict
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.vocabulary import FactKind
from cds_service.reasoning.calculations import CALCULATIONS
from cds_service.reasoning.diagrams import Diagram, Diagrams, Outcome, nodes_of, outcomes_of
from cds_service.reasoning.fact_diagrams import FactDiagrams, FactOutcome
from cds_service.reasoning.facts import Fact, FactState, UndatedFact, recorded_inputs
from cds_service.reasoning.judgement import (
    Finding,
    all_of,
    any_of,
    closing_gates,
    is_held_down,
    negated,
    strength_of,
    strongest,
    weigh,
)
from cds_service.reasoning.undecided import trial_values

MAX_CACHED_KNOWLEDGES = 64
"""The number of sites whose compiled knowledge is cached."""
Answer = tuple[FactState, Value | None, tuple[str, ...]]


@lru_cache(maxsize=MAX_CACHED_KNOWLEDGES)
def verdict_diagrams(knowledge: Knowledge) -> VerdictDiagrams:
    """Return the diagrams of a knowledge, cached."""
    return VerdictDiagrams(knowledge)


class VerdictDiagrams:
    """The diagrams of one knowledge: `of` returns that of a modality, `place_of` the answer that a fact gives to a question,
    `facts` the calculated facts as diagrams."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self._diagrams = Diagrams()
        self.facts = FactDiagrams(knowledge, CALCULATIONS, self._given, self._diagrams)
        self._places: dict[str, dict[Answer, int]] = {}
        self.numbers: dict[str, int] = {}
        """Name → number of every question and of the recorded facts that it rests on. Related facts have close numbers."""
        self._values: dict[tuple[str, int], tuple[int, ...]] = {}
        self._inputs: dict[str, tuple[str, ...]] = {}
        self._of: dict[tuple[str, bool | None], tuple[Diagram, Mapping[int, str]]] = {}

    def of(self, modality: Modality, ruled_out: bool | None) -> tuple[Diagram, Mapping[int, str]]:
        """Return the verdict of a modality as a diagram, and number → fact for every question in it. `ruled_out`: see
        `judge_indication`."""
        key = (modality.id, ruled_out)
        if key not in self._of:
            diagram = self._verdict(modality, ruled_out)
            names = {number: name for name, number in self.numbers.items()}
            asked = sorted({node.number for node in nodes_of(diagram)})
            self._of[key] = diagram, {number: names[number] for number in asked}
        return self._of[key]

    def work_out_all(self) -> None:
        """Calculate all diagrams now, so that no request has to."""
        for modality in self.knowledge.modalities:
            depends = any(indication.when_closed for indication in modality.indications)
            for ruled_out in (None, True, False) if depends else (False,):
                self.of(modality, ruled_out)

    def inputs_of(self, name: str) -> tuple[str, ...]:
        """Return the names of the recorded facts on which a question rests."""
        if name not in self._inputs:
            self._inputs[name] = tuple(sorted(recorded_inputs(self.knowledge, name)))
        return self._inputs[name]

    def place_of(self, name: str, fact: Fact) -> int:
        """Return the place of a fact among the answers to the question of that name."""
        value = fact.value
        if isinstance(value, Interval):
            value = stretch_of(value, self.knowledge.cuts.get(name, ()))
        return self._places[name][fact.state, value, fact.options]

    def places_of_values(self, name: str, place: int) -> tuple[int, ...]:
        """Return the places of the trial values of an open fact. `place` is its place while it is left open."""
        known = self._values.get((name, place))
        if known is None:
            options = next(options for (_, _, options), number in self._places[name].items() if number == place)
            fact = UndatedFact(FactState.UNKNOWN, None, options)
            values = (UndatedFact(FactState.KNOWN, value) for value in trial_values(self.knowledge, name, fact))
            known = self._values[name, place] = tuple(self.place_of(name, value) for value in values)
        return known

    def _given(self, name: str) -> Diagram | None:
        derived = self.knowledge.derived.get(name)
        if derived is not None and not derived.dated:
            return None
        answers = list(_answers(self.knowledge, name))
        self._places[name] = {answer: place for place, answer in enumerate(answers)}
        for known in (name, *self.inputs_of(name)):
            self.numbers.setdefault(known, len(self.numbers))
        number = self.numbers[name]
        cuts = self.knowledge.cuts.get(name, ())
        return self._diagrams.ask(number, tuple(FactOutcome(_fact(answer, cuts)) for answer in answers))

    def _verdict(self, modality: Modality, ruled_out: bool | None) -> Diagram:
        """Take the same steps as `decide`, with diagrams."""
        criteria, met = self.knowledge.criteria, self.facts.criterion
        downgrades = [criterion for criterion in modality.cautions if criterion.id in modality.downgraded_by]
        held_down = [criteria["gate.g3"], criteria["gate.nec"], *downgrades]
        exclusions = [*closing_gates(modality, criteria), *(criterion for criterion, only in modality.exclusions if not only)]
        steps = {
            "graft": met(criteria["gate.transplanted-liver"]) if modality.liver_directed else False,
            "contraindicated": self._folded(any_of, map(met, modality.contraindications), False),
            "excluded": self._folded(any_of, map(met, exclusions), False),
            "indicated": self._folded(
                strongest, [self._strength(i, modality, ruled_out) for i in modality.indications], Verdict.NOT_INDICATED
            ),
            "held_down": self._diagrams.explore(
                lambda taken: is_held_down(modality, criteria, lambda c: Finding(c, taken[c.key], ())),
                {criterion.key: met(criterion) for criterion in held_down},
            ),
        }
        return self._diagrams.explore(lambda taken: weigh(**{step: taken[step] for step in steps}), steps)

    def _strength(self, indication: Indication, modality: Modality, ruled_out: bool | None) -> Diagram:
        met = self.facts.criterion
        against = [criterion for criterion, only in modality.exclusions if indication.id in only]
        answers = [met(criterion) for criterion in (*indication.requires, *indication.update_requires)]
        answers += [self._changed(negated, met(criterion)) for criterion in against]
        answers += [ruled_out] if indication.when_closed else []
        return self._changed(lambda answer: strength_of(indication, answer), self._folded(all_of, answers, True))

    def _folded(self, together: Callable[[Any], Outcome], diagrams: Iterable[Diagram], none: Outcome) -> Diagram:
        """Combine several diagrams, two at a time; `none` is the result without any."""

        def both(first: Diagram, second: Diagram) -> Diagram:
            inputs = {"first": first, "second": second}
            return self._diagrams.explore(lambda taken: together((taken["first"], taken["second"])), inputs)

        return reduce(both, diagrams, none)

    def _changed(self, change: Callable[[Any], Outcome], diagram: Diagram) -> Diagram:
        return self._diagrams.select(diagram, {outcome: change(outcome) for outcome in outcomes_of(diagram)})


def _answers(knowledge: Knowledge, name: str) -> Iterator[Answer]:
    """Yield every answer that a chart can give to a question."""
    yield FactState.UNKNOWN, None, ()
    yield FactState.SILENT, None, ()
    definition = knowledge.facts.get(name)
    if definition is None or definition.kind is FactKind.BOOLEAN:
        values: Iterable[Value] = (True, False)
    elif definition.kind is FactKind.PRESENCE:
        values = (True,)
    elif definition.kind is FactKind.CODE:
        values = definition.options
    elif definition.kind is FactKind.CODES:
        raise ValueError(f"{name} can have several answers at once; only a dated calculation may read it")
    else:
        values = stretches(knowledge.cuts.get(name, ()))
    for value in values:
        if definition is not None and definition.vague and value == definition.vague:
            yield FactState.KNOWN, value, definition.precise
            if not definition.vague_answers:
                continue
        yield FactState.KNOWN, value, ()


class Stretch(Interval):
    """A stretch of numbers between limits, which represents all numbers in it. Raises ValueError if it is compared with any
    other limit."""

    __slots__ = ("_cuts",)
    _cuts: tuple[Decimal, ...]

    def __init__(self, stretch: Interval, cuts: tuple[Decimal, ...]) -> None:
        super().__init__(stretch.low, stretch.high)
        object.__setattr__(self, "_cuts", cuts)

    def above(self, limit: Decimal) -> bool | None:
        return Interval.above(self, self._known(limit))

    def at_least(self, limit: Decimal) -> bool | None:
        return Interval.at_least(self, self._known(limit))

    def _known(self, limit: Decimal) -> Decimal:
        if limit not in self._cuts:
            raise ValueError(f"{limit} is not among the limits of this fact (Knowledge.cuts): {self._cuts}")
        return limit

    @property
    def exact(self) -> Decimal | None:
        raise ValueError("only a dated calculation may calculate with a number")


def _fact(answer: Answer, cuts: tuple[Decimal, ...]) -> UndatedFact:
    state, value, options = answer
    return UndatedFact(state, Stretch(value, cuts) if isinstance(value, Interval) else value, options)


def stretches(cuts: tuple[Decimal, ...]) -> Iterator[Interval]:
    """Yield every stretch of numbers that the limits distinguish, each as the interval between two marks (see `_marks`)."""
    return starmap(Interval, combinations_with_replacement(_marks(cuts), 2))


def stretch_of(value: Interval, cuts: tuple[Decimal, ...]) -> Interval:
    """Return the stretch that holds a number, which may be imprecise ("< 5")."""
    low, high = 0, 2 * len(cuts)
    if value.low is not None:
        place = bisect_left(cuts, value.low)
        on_limit = value.low in cuts[place : place + 1]
        low = 2 * place + (0 if not on_limit else 1 if value.low_included else 2)
    if value.high is not None:
        place = bisect_left(cuts, value.high)
        high = 2 * place + (1 if value.high in cuts[place : place + 1] and value.high_included else 0)
    marks = _marks(cuts)
    return Interval(marks[low], marks[high])


@cache
def _marks(cuts: tuple[Decimal, ...]) -> tuple[Decimal, ...]:
    """Return a number below, on, between and above the limits."""
    if not cuts:
        return (Decimal(0),)
    between = ((low + high) / 2 for low, high in pairwise(cuts))
    return tuple(sorted([cuts[0] - 1, *cuts, *between, cuts[-1] + 1]))
