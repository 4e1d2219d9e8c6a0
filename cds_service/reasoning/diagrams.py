"""Decision diagrams: an outcome for every combination of answers to questions, without questions that make no difference.

Questions and answers are numbers. Along every path the numbers of the questions increase. An outcome is any hashable value.
Diagrams are immutable, so threads may share them. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from typing import Any

Outcome = Any


class Node:
    """A question, by its number, and the diagram that each answer leads to."""

    __slots__ = ("answers", "number", "outcomes")

    def __init__(self, number: int, answers: tuple[Diagram, ...]) -> None:
        self.number, self.answers = number, answers
        self.outcomes: tuple[Outcome, ...] = tuple(
            dict.fromkeys(outcome for answer in answers for outcome in outcomes_of(answer))
        )
        """Every outcome that can be reached."""


Diagram = Node | Outcome
number_of = attrgetter("number")


def outcomes_of(diagram: Diagram) -> tuple[Outcome, ...]:
    """Return every outcome that can be reached in a diagram."""
    return diagram.outcomes if isinstance(diagram, Node) else (diagram,)


def nodes_of(diagram: Diagram) -> Iterator[Node]:
    """Yield every node of a diagram once."""
    waiting, seen = [diagram], set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, Node) and node not in seen:
            seen.add(node)
            yield node
            waiting += node.answers


class Unanswered(Exception):
    """Raised where a function reads an input that has no answer yet."""

    def __init__(self, name: str) -> None:
        self.name = name


class Inputs(dict[str, Outcome]):
    """The assumed values of the inputs of a function. Raises Unanswered for any other input."""

    def __missing__(self, name: str) -> Outcome:
        raise Unanswered(name)


class Diagrams:
    """Builds diagrams. Two diagrams of one builder are the same object if and only if they are equivalent."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[object, ...], Node] = {}
        self._selected: dict[tuple[object, ...], Diagram] = {}

    def ask(self, number: int, answers: tuple[Diagram, ...]) -> Diagram:
        """Return the question with that number, or its answer if all answers are the same. `answers` may only contain questions
        with higher numbers."""
        if answers.count(answers[0]) == len(answers):
            return answers[0]
        key = (number, answers)
        return self._nodes.get(key) or self._nodes.setdefault(key, Node(number, answers))

    def select(self, test: Diagram, branches: Mapping[Outcome, Diagram]) -> Diagram:
        """Return the diagram that leads, for each outcome of `test`, to the branch of that outcome."""
        if not isinstance(test, Node):
            return branches[test]
        needed = tuple([branches[outcome] for outcome in test.outcomes])
        if needed.count(needed[0]) == len(needed):
            return needed[0]
        key = (test, needed)
        if (known := self._selected.get(key)) is None:
            known = self._selected[key] = self._select_by_question(test, branches, needed)
        return known

    def _select_by_question(self, test: Node, branches: Mapping[Outcome, Diagram], needed: tuple[Diagram, ...]) -> Diagram:
        """Apply `select` to each answer to the first question of the test and the branches."""
        first = min([node for node in (test, *needed) if isinstance(node, Node)], key=number_of)
        found = []
        for place in range(len(first.answers)):
            then = _answered(test, first.number, place)
            left = {outcome: _answered(branches[outcome], first.number, place) for outcome in outcomes_of(then)}
            found.append(self.select(then, left))
        return self.ask(first.number, tuple(found))

    def explore(self, function: Callable[[Inputs], Outcome], inputs: Mapping[str, Diagram]) -> Diagram:
        """Return the result of a function as a diagram. It is run once for each combination of the inputs that it reads."""
        settled = {name: diagram for name, diagram in inputs.items() if not isinstance(diagram, Node)}
        return self._explored(function, inputs, Inputs(settled))

    def _explored(self, function: Callable[[Inputs], Outcome], inputs: Mapping[str, Diagram], taken: Inputs) -> Diagram:
        try:
            return function(taken)
        except Unanswered as look:
            name = look.name
        test = inputs[name]
        ways = {outcome: Inputs({**taken, name: outcome}) for outcome in outcomes_of(test)}
        return self.select(test, {outcome: self._explored(function, inputs, way) for outcome, way in ways.items()})

    def replace(self, diagram: Diagram, tests: Mapping[int, Diagram]) -> Diagram:
        """Return the diagram with each question answered by the outcome of another diagram. `tests`: number of the question →
        that diagram."""
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
