"""The mutants that mutmut makes of the reasoning code, with their places and changes."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

QUOTED = re.compile(r'"[^"]*"')


@dataclass(frozen=True, slots=True)
class Place:
    """A function of the code, with its lines."""

    path: str
    function: str
    first: int
    last: int
    text: tuple[str, ...]

    def lines(self, wanted: str) -> list[int]:
        """Return the numbers of its lines with this text."""
        return [self.first + place for place, line in enumerate(self.text) if line.strip() == wanted]

    @property
    def digest(self) -> str:
        return hashlib.sha256("\n".join(self.text).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Mutant:
    name: str
    """The name that mutmut gives it; it changes with every edit of the function."""
    place: Place
    was: str
    becomes: str

    @property
    def only_words(self) -> bool:
        """Return whether it changes only a sentence for people or the case of letters; code words have other mutants."""
        return _without_sentences(self.was) == _without_sentences(self.becomes) or self.was.lower() == self.becomes.lower()


def _without_sentences(code: str) -> str:
    """Return code in which each quoted string with a space is empty: such a string is a sentence for people.

    The pattern matches strings without a space, too. Else it would take the code between two of them for a string.
    """
    return QUOTED.sub(lambda found: '""' if " " in found[0] else found[0], code)


def places(path: Path) -> Iterator[Place]:
    """Yield every function of a module; a method as Class.method."""
    source = path.read_text("utf-8")
    lines = source.splitlines()
    for node in ast.parse(source).body:
        methods = node.body if isinstance(node, ast.ClassDef) else [node]
        for part in methods:
            if isinstance(part, ast.FunctionDef):
                name = f"{node.name}.{part.name}" if isinstance(node, ast.ClassDef) else part.name
                last = part.end_lineno or part.lineno
                yield Place(path.as_posix(), name, part.lineno, last, tuple(lines[part.lineno - 1 : last]))


@cache
def statements(path: Path) -> dict[int, range]:
    """Return line → the lines of its statement: all of a simple statement, the head of a statement with a block."""
    found: dict[int, range] = {}
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):  # outer ones come first
        if isinstance(node, ast.stmt):
            body = node.cases[0].body if isinstance(node, ast.Match) else getattr(node, "body", None)
            end = body[0].lineno - 1 if body else node.end_lineno or node.lineno
            found |= dict.fromkeys(range(node.lineno, end + 1), range(node.lineno, end + 1))
    return found
