"""Search in the rules and statements of the evidence pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cds_service.rulebook.blocks import Book, Bullets, Link, Links, Section, Table
from cds_service.rulebook.html import MAX_SEARCH_CHARS, STATEMENT
from cds_service.rulebook.prose import text

MAX_RESULTS = 50


@dataclass(frozen=True, slots=True)
class Entry:
    """A row or item with an anchor."""

    anchor: str
    address: str
    """Of its first page, relative to the pages."""
    text: str


def list_entries(pages: Mapping[str, Book]) -> tuple[Entry, ...]:
    """Return one entry for each anchor, rules before statements. `pages`: name → page; of several pages with the same anchor
    the first counts."""
    found: dict[str, Entry] = {}
    for name, book in pages.items():
        for anchor, words in _rows(book.sections):
            found.setdefault(anchor, Entry(anchor, f"{name}#{anchor}", words))
    return tuple(sorted(found.values(), key=lambda entry: STATEMENT.fullmatch(entry.anchor) is not None))


def _rows(sections: Sequence[Section]) -> Iterator[tuple[str, str]]:
    for section in sections:
        for block in section.blocks:
            match block:
                case Table(anchors=anchors, rows=rows) if anchors:
                    yield from ((anchor, " · ".join(filter(None, row))) for anchor, row in zip(anchors, rows, strict=True))
                case Bullets(anchors=anchors, items=items) if anchors:
                    yield from zip(anchors, items, strict=True)
        yield from _rows(section.sections)


def search_page(entries: Sequence[Entry], query: str) -> Book:
    """Return the page of results: the entries that have every word of the query, in any order."""
    if len(query) > MAX_SEARCH_CHARS:
        return Book(text("pages", "too_long", most=MAX_SEARCH_CHARS), (), ())
    words = query.casefold().split()
    found = [entry for entry in entries if all(word in f"{entry.anchor} {entry.text}".casefold() for word in words)]
    found.sort(key=lambda entry: [entry.anchor.casefold()] != words)  # the rule or statement of that id comes first
    if not found:
        return Book(text("pages", "found_none", words=query), (text("pages", "found_intro"),), ())
    told = [text("pages", "found_intro")]
    if len(found) > MAX_RESULTS:
        told.append(text("pages", "found_first", count=MAX_RESULTS))
    links = Links(tuple(Link(entry.address, entry.anchor, entry.text) for entry in found[:MAX_RESULTS]))
    title = text("pages", "found", count=len(found), words=query)
    return Book(title, tuple(told), (Section("found", text("pages", "results"), (links,)),))
