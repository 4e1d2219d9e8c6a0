"""What a rule book is made of: sections of text, lists and tables, told once and set as Markdown or as HTML.

Text may hold **bold** words, ids of statements (S019, M001: links in HTML) and <https://…> addresses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """`widths` are shares of the page in per cent; `anchors` names each row for links, where a row has a name."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[int, ...]
    anchors: tuple[str, ...] = ()


Block = Text | Bullets | Table


@dataclass(frozen=True, slots=True)
class Section:
    id: str
    title: str
    blocks: tuple[Block, ...] = ()
    sections: tuple[Section, ...] = ()


@dataclass(frozen=True, slots=True)
class Book:
    title: str
    status: tuple[str, ...]
    """What has to be known before the first page: who signed it, which knowledge it is."""
    sections: tuple[Section, ...]


def bullet_block(items: Iterable[str]) -> tuple[Block, ...]:
    """A list, or nothing where it would be empty."""
    found = tuple(items)
    return (Bullets(found),) if found else ()


def table_block(
    head: str, rows: Iterable[Sequence[str]], widths: Sequence[int], anchors: Iterable[str] = ()
) -> tuple[Block, ...]:
    """A table (head: titles between bars), or nothing where it would be empty."""
    found = tuple(tuple(row) for row in rows)
    return (Table(tuple(head.split("|")), found, tuple(widths), tuple(anchors)),) if found else ()
