"""The source and links of a card. Every link is that of a publication in the knowledge."""

from __future__ import annotations

from collections.abc import Iterable

from cds_service.cards.card import Source, Topic
from cds_service.knowledge.evidence import Publication
from cds_service.knowledge.model import Knowledge

REVIEW = "reddy-clary-2010"


def cited_publications(knowledge: Knowledge, statements: Iterable[str]) -> list[Publication]:
    """Return the publications of the statements, each once, in their order."""
    names = dict.fromkeys(p for s in statements for p in knowledge.statements[s].publications)
    return [knowledge.publications[name] for name in names]


def primary_source(knowledge: Knowledge, statements: Iterable[str], topic: str, display: str) -> Source:
    """Return the first publication of the statements that has an identifier, else the review."""
    found = [p for p in cited_publications(knowledge, statements) if p.url]
    primary = found[0] if found else knowledge.publications[REVIEW]
    return Source(primary.label, Topic(topic, display), primary.url)
