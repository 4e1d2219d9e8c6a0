"""CodeableConcepts as codings and meanings of the terminology, and as recorded text."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import TypeVar

from cds_service.fhir.resources import CodeableConcept, Coding
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.terminology import Meaning, StandardCoding

T = TypeVar("T")


def compute_once(knowledge: Knowledge, concept: CodeableConcept, name: str, work_out: Callable[[], T]) -> T:
    """Return what `work_out` computes for a concept, cached on the concept, because many facts and resources may share it."""
    memory = concept.__dict__
    if memory.get("by") is not knowledge:
        memory.clear()
        memory["by"] = knowledge
    if name not in memory:
        memory[name] = work_out()
    found: T = memory[name]
    return found


def codings(knowledge: Knowledge, concept: CodeableConcept | None) -> tuple[StandardCoding, ...]:
    """Return the codings of a concept under the terminology's system names, without duplicates."""
    if concept is None or not concept.coding:
        return ()
    coding, sent = knowledge.terminology.coding, concept.coding
    return compute_once(
        knowledge, concept, "codings", lambda: tuple(dict.fromkeys(coding(c.system, c.code, c.display) for c in sent))
    )


def meanings(knowledge: Knowledge, concept: CodeableConcept | None) -> tuple[Meaning, ...]:
    """Return the meanings of a concept's codes, without duplicates."""
    if concept is None or not concept.coding:
        return ()
    meant = knowledge.terminology.meanings
    return compute_once(
        knowledge,
        concept,
        "meanings",
        lambda: tuple(dict.fromkeys(meaning for coding in codings(knowledge, concept) for meaning in meant(coding))),
    )


def held_elsewhere(knowledge: Knowledge, concept: CodeableConcept | None) -> dict[StandardCoding, tuple[StandardCoding, ...]]:
    """Return, for each coding of a concept, the same code in the systems that have it, if its own system does not."""
    if concept is None or not concept.coding:
        return {}
    held = knowledge.terminology.held_elsewhere
    return compute_once(
        knowledge, concept, "held elsewhere", lambda: {coding: held(coding) for coding in codings(knowledge, concept)}
    )


def meanings_elsewhere(knowledge: Knowledge, concept: CodeableConcept | None) -> tuple[Meaning, ...]:
    """Return what a concept's codes would mean in the systems that have them, if their own system does not; without
    duplicates."""
    if concept is None or not concept.coding:
        return ()
    meant = knowledge.terminology.meanings

    def work_out() -> tuple[Meaning, ...]:
        held = dict.fromkeys(each for found in held_elsewhere(knowledge, concept).values() for each in found)
        return tuple(dict.fromkeys(meaning for coding in held for meaning in meant(coding)))

    return compute_once(knowledge, concept, "meanings elsewhere", work_out)


def text_of(concept: CodeableConcept | None) -> str:
    """Return the text of a concept, else its first display, else its first code, else ""."""
    if concept is None:
        return ""
    memory = concept.__dict__
    if "text" not in memory:
        sent = concept.coding or ()
        texts = (text.strip() for text in chain((concept.text,), (c.display for c in sent), (c.code for c in sent)) if text)
        memory["text"] = next(filter(None, texts), "")
    text: str = memory["text"]
    return text


def has_text(concept: CodeableConcept | None) -> bool:
    """Return True if the text or a display of the concept contains a letter."""
    if concept is None:
        return False
    memory = concept.__dict__
    if "has text" not in memory:
        texts = (concept.text, *(coding.display for coding in concept.coding or []))
        memory["has text"] = any(character.isalpha() for text in texts if text for character in text)
    return bool(memory["has text"])


def names_of(concept: CodeableConcept, sent: Iterable[StandardCoding | Coding]) -> list[str]:
    """Return the text of a concept and the displays of its codings. Leave out those that only repeat a code, as some servers
    send."""
    codes = {(coding.code or "").strip().casefold() for coding in concept.coding or ()}
    texts = (text.strip() for text in (concept.text, *(coding.display for coding in sent)) if text)
    return [text for text in texts if text and text.casefold() not in codes]


def is_liver(knowledge: Knowledge, sites: Iterable[CodeableConcept | None]) -> bool:
    """Return True if any of the body sites is the liver or a part of it."""
    return any(
        meaning.concept == "site.liver" or meaning.concept.startswith("site.liver_segment")
        for site in sites
        for meaning in meanings(knowledge, site)
    )
