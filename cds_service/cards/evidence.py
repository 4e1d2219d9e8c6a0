"""Statements → source and links of a card. Every link is that of a publication in the knowledge."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cds_service.cards.card import Link, Source, Topic
from cds_service.knowledge.evidence import Publication
from cds_service.knowledge.model import Knowledge

REVIEW = "reddy-clary-2010"
MAX_LABEL_CHARS = 100


def cited_publications(knowledge: Knowledge, statements: Iterable[str]) -> list[Publication]:
    """The publications behind the statements, each once, in their order."""
    names = dict.fromkeys(p for s in statements for p in knowledge.statements[s].publications)
    return [knowledge.publications[name] for name in names]


def publication_links(knowledge: Knowledge, statements: Iterable[str]) -> list[Link]:
    """A link for every publication relied on that has an address; the others are cited in words (`unlinked_labels`)."""
    return [Link(publication_label(p), p.url) for p in cited_publications(knowledge, statements) if p.url]


def unlinked_labels(knowledge: Knowledge, statements: Iterable[str]) -> list[str]:
    return [publication_label(p) for p in cited_publications(knowledge, statements) if not p.url]


def primary_source(knowledge: Knowledge, statements: Iterable[str], topic: str, display: str) -> Source:
    """The primary publication of what decided: the first with an address, else the review itself."""
    found = [p for p in cited_publications(knowledge, statements) if p.url]
    primary = found[0] if found else knowledge.publications[REVIEW]
    return Source(publication_label(primary), Topic(topic, display), primary.url)


def publication_label(publication: Publication) -> str:
    """First author, title, journal: shortened in the title, at a word."""
    parts = re.split(r"(?<=[.?]) (?=[A-Z\[(])", publication.citation.rstrip("."))
    author, journal = parts[0].split(",")[0].rstrip("."), parts[-1] if len(parts) > 1 else ""
    room = MAX_LABEL_CHARS - len(author) - len(journal) - 5
    title = " ".join(parts[1:-1]).rstrip(".")
    if len(title) > room:
        title = title[: max(room - 1, 0)].rsplit(" ", 1)[0] + "…"
    return f"{author}: {title} ({journal})" if title.strip("…") else f"{author}, {journal}".strip(", ")
