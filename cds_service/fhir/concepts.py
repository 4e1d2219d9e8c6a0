"""CodeableConcepts in the terms of the terminology, and in the words they were recorded with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import TypeVar

from cds_service.fhir.resources import CodeableConcept
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.terminology import Meaning, StandardCoding

T = TypeVar("T")


def remembered(knowledge: Knowledge, concept: CodeableConcept, name: str, work_out: Callable[[], T]) -> T:
    """What `work_out` makes of a concept, once for each: many questions are put to it, and many resources may share one."""
    memory = concept.__dict__
    if memory.get("by") is not knowledge:
        memory.clear()
        memory["by"] = knowledge
    if name not in memory:
        memory[name] = work_out()
    found: T = memory[name]
    return found


def codings(knowledge: Knowledge, concept: CodeableConcept | None) -> tuple[StandardCoding, ...]:
    if concept is None or not concept.coding:
        return ()
    coding, sent = knowledge.terminology.coding, concept.coding
    return remembered(knowledge, concept, "codings", lambda: tuple(coding(c.system, c.code, c.display) for c in sent))


def meanings(knowledge: Knowledge, concept: CodeableConcept | None) -> tuple[Meaning, ...]:
    """Each once, however many codings say it."""
    if concept is None or not concept.coding:
        return ()
    meant = knowledge.terminology.meanings
    return remembered(
        knowledge,
        concept,
        "meanings",
        lambda: tuple(dict.fromkeys(meaning for coding in codings(knowledge, concept) for meaning in meant(coding))),
    )


def meanings_elsewhere(knowledge: Knowledge, concept: CodeableConcept | None) -> tuple[Meaning, ...]:
    """What the codes of a concept would mean in systems that hold them, where their own does not; each once."""
    if concept is None or not concept.coding:
        return ()
    meant = knowledge.terminology.meanings_elsewhere
    return remembered(
        knowledge,
        concept,
        "meanings elsewhere",
        lambda: tuple(dict.fromkeys(meaning for coding in codings(knowledge, concept) for meaning in meant(coding))),
    )


def text_of(concept: CodeableConcept | None) -> str:
    """How a concept was recorded: its text, else the first display, else the first code."""
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
    """Whether a concept carries any words: a text or display with a letter in it."""
    if concept is None:
        return False
    memory = concept.__dict__
    if "has text" not in memory:
        texts = (concept.text, *(coding.display for coding in concept.coding or []))
        memory["has text"] = any(character.isalpha() for text in texts if text for character in text)
    return bool(memory["has text"])


def names_of(concept: CodeableConcept, sent: Iterable[StandardCoding]) -> list[str]:
    """Its text and the displays of the codings, but for what only repeats a code, as some servers send without a name."""
    codes = {(coding.code or "").strip().casefold() for coding in concept.coding or ()}
    texts = (text.strip() for text in (concept.text, *(coding.display for coding in sent)) if text)
    return [text for text in texts if text and text.casefold() not in codes]


def is_liver(knowledge: Knowledge, sites: Iterable[CodeableConcept | None]) -> bool:
    return any(
        meaning.concept == "site.liver" or meaning.concept.startswith("site.liver_segment")
        for site in sites
        for meaning in meanings(knowledge, site)
    )
