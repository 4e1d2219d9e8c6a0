"""Decides which codes that are not read look relevant, by the words of the knowledge's own facts and codes.

A word finds candidates and proves nothing: direct bilirubin is not total bilirubin. The person who maps a code decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from importlib import resources
from itertools import pairwise

from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.vocabulary import FactKind

GENERAL_WORDS = frozenset((resources.files("cds_service.coverage") / "general_words.txt").read_text("utf-8").split())
"""Words common in terminologies, and organs, which are not findings. Alone they indicate no fact."""
MIN_WORD_CHARS, STEM_CHARS = 4, 6
"""Minimum letters of a word to count, and to count as the beginning of a longer word (bilirubin: Bilirubingesamt)."""
MAX_TARGETS = 4
"""A text that indicates more facts than this equally, such as "liver" alone, indicates none."""
ALWAYS = ("cond.net", "cond.liver_mets", "morph.", "proc.")
"""Concepts by which the disease and ordered treatments are found. Others count only if a fact reads them."""
SOURCES = {"cond": "Condition", "morph": "Condition", "proc": "Procedure", "med": "Medication"}
"""Prefix of a concept → the resource type that has its codes."""
LOINC_AXES = re.compile(r" \[| in | by | of | from |/")
"""A LOINC name is component [property] in system by method; only the component says what is measured."""


def words_in(text: str) -> set[str]:
    """Return the words in lower case. Letters and the digits next to them also count as one word, so that Ki-67, Ki 67 and KI67
    are the same."""
    parts = re.findall(r"[^\W_\d]+|\d+", text.casefold())
    return {*parts, *(a + b for a, b in pairwise(parts))}


class Relevance:
    """Matches text to facts and concepts; built once for one `Knowledge`. Observation codes are matched to facts and all others
    to concepts, because those are what a site file maps a code to."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._words: dict[str, dict[str, frozenset[str]]] = {}
        displays: dict[str, list[str]] = {}
        for system, meaning in knowledge.terminology.all_rows():
            if meaning.use.may_state_a_fact:
                name = LOINC_AXES.split(meaning.display)[0] if system == "loinc" else meaning.display
                displays.setdefault(meaning.concept, [_spoken(meaning.concept)]).append(name)
        organs = set().union(*(words_in(site) for site in knowledge.facts["primary_site"].options))
        brands: dict[str, list[str]] = {}
        for name, concept in knowledge.drugs.names.items():
            brands.setdefault(concept, []).append(" ".join(name))
        asked = {concept for definition in knowledge.facts.values() for concept in definition.concepts}
        for definition in knowledge.facts.values():
            if definition.source == "Observation" and definition.kind is not FactKind.PERSON:
                texts = [definition.says, *definition.assessment]
                texts += [text for concept in definition.concepts for text in displays.get(concept, ())]
                self._add("Observation", definition.id, texts, organs)
        for concept, texts in displays.items():
            source = SOURCES.get(concept.split(".")[0])
            if source and (concept in asked or concept.startswith(ALWAYS)):
                self._add(source, concept, [*texts, *brands.get(concept, ())], organs)
        self.look = lru_cache(maxsize=20_000)(self._look)

    def _add(self, source: str, target: str, texts: Iterable[str], organs: set[str]) -> None:
        words = self._words.setdefault(source, {})
        for text in texts:
            for word in _telling(text) - organs:
                words[word] = words.get(word, frozenset()) | {target}

    def _look(self, source: str, text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the knowledge's words in a text, and the facts or concepts they indicate, or none if there are too many.
        `source`: as in facts.toml."""
        points: dict[str, int] = {}
        found: set[str] = set()
        words = self._words.get(source, {})
        for said in words_in(text):
            for word in {said, *(said[:end] for end in range(STEM_CHARS, len(said)))}:
                if targets := words.get(word):
                    found.add(word)
                    for target in targets:
                        points[target] = points.get(target, 0) + 1
        best = sorted(target for target, count in points.items() if count == max(points.values()))
        return tuple(sorted(found)), tuple(best) if len(best) <= MAX_TARGETS else ()


def _telling(text: str) -> set[str]:
    """Return the words of a name that indicate its fact: long ones that are not general, and Ki-67, 5-HIAA, Lu-177."""
    bound = {found.replace("-", "") for found in re.findall(r"\b(?:[^\W\d_]+-\d+|\d-[^\W\d_]+)\b", text.casefold())}
    plain = {part for part in re.findall(r"[^\W_\d]+", text.casefold()) if len(part) >= MIN_WORD_CHARS}
    return {word for word in bound if len(word) >= MIN_WORD_CHARS} | (plain - GENERAL_WORDS)


def _spoken(concept: str) -> str:
    return concept.split(".", 1)[1].replace("_", " ").replace(".", " ")
