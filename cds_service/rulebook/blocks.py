"""The parts of a rule book: sections of text, lists and tables, which markdown.py and html.py render.

Text may have **bold** words, ids of statements (S019, M001: links in HTML) and <https://…> addresses. An anchor is the HTML id
of a row or item; where several rows of a page have the same one, the first row gets it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    items: tuple[str, ...]
    anchors: tuple[str, ...] = ()
    """Anchors of the items; empty if no item has one."""


class Link(NamedTuple):
    """A link to another page of the rule book."""

    address: str
    """Relative to the page."""
    label: str
    text: str = ""
    """What is found there."""


@dataclass(frozen=True, slots=True)
class Links:
    items: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a head."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[int, ...]
    """Widths of the columns in per cent of the page."""
    anchors: tuple[str, ...] = ()
    """Anchors of the rows; empty if no row has one."""


Block = Text | Bullets | Links | Table


@dataclass(frozen=True, slots=True)
class Section:
    """A chapter or a part of one; `id` is its anchor in HTML."""

    id: str
    title: str
    blocks: tuple[Block, ...] = ()
    sections: tuple[Section, ...] = ()


@dataclass(frozen=True, slots=True)
class Book:
    """The whole rule book, or one of its pages."""

    title: str
    status: tuple[str, ...]
    """Paragraphs before the first chapter: who signed it, which knowledge it is."""
    sections: tuple[Section, ...]


def bullet_block(items: Iterable[str], anchors: Iterable[str] = ()) -> tuple[Block, ...]:
    """Return a list as a block, or no block if the list is empty."""
    found = tuple(items)
    return (Bullets(found, tuple(anchors)),) if found else ()


def table_block(
    head: str, rows: Iterable[Sequence[str]], widths: Sequence[int], anchors: Iterable[str] = ()
) -> tuple[Block, ...]:
    """Return a table as a block (`head`: titles separated by bars), or no block if it has no rows."""
    found = tuple(tuple(row) for row in rows)
    return (Table(tuple(head.split("|")), found, tuple(widths), tuple(anchors)),) if found else ()
