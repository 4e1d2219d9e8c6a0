"""CodeableConcepts in the terms of the terminology, and in the words they were recorded with."""

from __future__ import annotations

from collections.abc import Iterable

from cds_service.fhir.resources import CodeableConcept
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.terminology import StandardCoding


def codings(knowledge: Knowledge, concept: CodeableConcept | None) -> list[StandardCoding]:
    if concept is None:
        return []
    return [knowledge.terminology.coding(c.system, c.code, c.display) for c in concept.coding or []]


def text_of(concept: CodeableConcept | None) -> str:
    """How a concept was recorded: its text, else the first display, else the first code."""
    if concept is None:
        return ""
    texts = [concept.text, *(c.display for c in concept.coding or []), *(c.code for c in concept.coding or [])]
    return next((text.strip() for text in texts if text and text.strip()), "")


def has_text(concept: CodeableConcept | None) -> bool:
    """Whether a concept carries any words: a text or display with a letter in it."""
    if concept is None:
        return False
    texts = (concept.text, *(coding.display for coding in concept.coding or []))
    return any(character.isalpha() for text in texts if text for character in text)


def is_liver(knowledge: Knowledge, sites: Iterable[CodeableConcept | None]) -> bool:
    return any(
        meaning.concept == "site.liver" or meaning.concept.startswith("site.liver_segment")
        for site in sites
        for coding in codings(knowledge, site)
        for meaning in knowledge.terminology.meanings(coding)
    )
