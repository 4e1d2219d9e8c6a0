"""The source and links of a card. Every link is that of a publication in the knowledge, or of an evidence page."""

from __future__ import annotations

from collections.abc import Iterable

from cds_service.cards.card import EXTENSION, Card, Link, Source, Topic
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


def link_evidence_pages(cards: list[Card], knowledge: Knowledge, address: str) -> list[Card]:
    """Return the cards, each with a link to an evidence page: to the rule that decided if it is about one treatment, else to
    the index. `address`: that of the pages, ending in a slash; "" for no links."""
    if address:
        for card in cards:
            card.links = [*card.links, _evidence_link(card, knowledge, address)]
    return cards


def _evidence_link(card: Card, knowledge: Knowledge, address: str) -> Link:
    content = card.extension[EXTENSION]
    if "modality" not in content:
        return Link("Evidence and rules", address)
    modality = knowledge.modality(content["modality"])
    rule = f"#{content['decided_by'][0]}" if content.get("decided_by") else ""
    return Link(f"Evidence and rules: {modality.face_name}", f"{address}{modality.id}{rule}")
