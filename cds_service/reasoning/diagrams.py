"""Decision diagrams: an outcome for every way in which questions can be answered, with nothing asked that makes no difference.

Questions and their answers are numbers; along every way down a diagram the numbers of the questions rise. An outcome is any
value that can be hashed. Diagrams are immutable, so threads may share them. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from typing import Any

Outcome = Any


class Node:
    """A question by its number, and the diagram that each answer leads to."""

    __slots__ = ("answers", "number", "outcomes")

    def __init__(self, number: int, answers: tuple[Diagram, ...]) -> None:
        self.number, self.answers = number, answers
        self.outcomes: tuple[Outcome, ...] = tuple(dict.fromkeys(said for answer in answers for said in outcomes_of(answer)))
        """Every outcome that some answers lead to."""


Diagram = Node | Outcome
number_of = attrgetter("number")


def outcomes_of(diagram: Diagram) -> tuple[Outcome, ...]:
    return diagram.outcomes if isinstance(diagram, Node) else (diagram,)


def nodes_of(diagram: Diagram) -> Iterator[Node]:
    """Every question of a diagram, each place where it is asked once."""
    waiting, seen = [diagram], set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, Node) and node not in seen:
            seen.add(node)
            yield node
            waiting += node.answers


class Unanswered(Exception):
    """A function looked at an input that has no answer yet."""

    def __init__(self, name: str) -> None:
        self.name = name


class Inputs(dict[str, Outcome]):
    """What the inputs of a function are taken to be. Raises Unanswered for any other."""

    def __missing__(self, name: str) -> Outcome:
        raise Unanswered(name)


class Diagrams:
    """Builds diagrams. Two that one builder makes are the same object if, and only if, they say the same."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[object, ...], Node] = {}
        self._selected: dict[tuple[object, ...], Diagram] = {}

    def ask(self, number: int, answers: tuple[Diagram, ...]) -> Diagram:
        """The question of that number, or what all its answers say. `answers` ask later questions only."""
        if answers.count(answers[0]) == len(answers):
            return answers[0]
        key = (number, answers)
        return self._nodes.get(key) or self._nodes.setdefault(key, Node(number, answers))

    def select(self, test: Diagram, branches: Mapping[Outcome, Diagram]) -> Diagram:
        """The branch that belongs to the outcome of `test`, whichever that will be."""
        if not isinstance(test, Node):
            return branches[test]
        needed = tuple([branches[said] for said in test.outcomes])
        if needed.count(needed[0]) == len(needed):
            return needed[0]
        key = (test, needed)
        if (known := self._selected.get(key)) is None:
            known = self._selected[key] = self._select_by_question(test, branches, needed)
        return known

    def _select_by_question(self, test: Node, branches: Mapping[Outcome, Diagram], needed: tuple[Diagram, ...]) -> Diagram:
        """`select` for each answer to the first question that the test or a branch asks."""
        first = min([node for node in (test, *needed) if isinstance(node, Node)], key=number_of)
        found = []
        for place in range(len(first.answers)):
            then = _answered(test, first.number, place)
            left = {said: _answered(branches[said], first.number, place) for said in outcomes_of(then)}
            found.append(self.select(then, left))
        return self.ask(first.number, tuple(found))

    def explore(self, function: Callable[[Inputs], Outcome], inputs: Mapping[str, Diagram]) -> Diagram:
        """What a function makes of its inputs, run once for every way in which those that it looks at can turn out."""
        settled = {name: diagram for name, diagram in inputs.items() if not isinstance(diagram, Node)}
        return self._explored(function, inputs, Inputs(settled))

    def _explored(self, function: Callable[[Inputs], Outcome], inputs: Mapping[str, Diagram], taken: Inputs) -> Diagram:
        try:
            return function(taken)
        except Unanswered as look:
            name = look.name
        test = inputs[name]
        ways = {said: Inputs({**taken, name: said}) for said in outcomes_of(test)}
        return self.select(test, {said: self._explored(function, inputs, way) for said, way in ways.items()})

    def replace(self, diagram: Diagram, tests: Mapping[int, Diagram]) -> Diagram:
        """The diagram with each of its questions put to another diagram, whose outcome is the answer."""
        return self._replaced(diagram, tests, {})

    def _replaced(self, diagram: Diagram, tests: Mapping[int, Diagram], done: dict[Node, Diagram]) -> Diagram:
        if not isinstance(diagram, Node):
            return diagram
        if diagram not in done:
            test, answers = tests[diagram.number], diagram.answers
            branches = {place: self._replaced(answers[place], tests, done) for place in outcomes_of(test)}
            done[diagram] = self.select(test, branches)
        return done[diagram]


def _answered(diagram: Diagram, number: int, place: int) -> Diagram:
    if isinstance(diagram, Node) and diagram.number == number:
        return diagram.answers[place]
    return diagram
