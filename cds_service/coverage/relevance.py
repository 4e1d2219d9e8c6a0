"""Which words make a code that we do not read look like one that we should: words of the knowledge's own facts and codes.

A word finds candidates and proves nothing: direct bilirubin is no total bilirubin. Who maps a code decides.
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
"""Words that half of a terminology carries, and organs that are no finding; alone they point to nothing of ours."""
MIN_WORD_CHARS, STEM_CHARS = 4, 6
"""Letters a word needs to count, and to count as the beginning of a longer one (bilirubin: Bilirubingesamt)."""
TOO_MANY = 4
"""Facts that a text points to equally: "liver" alone suggests nothing."""
ALWAYS = ("cond.net", "cond.liver_mets", "morph.", "proc.")
"""Concepts by which the disease and ordered treatments are found; every other one counts where a fact reads it."""
SOURCES = {"cond": "Condition", "morph": "Condition", "proc": "Procedure", "med": "Medication"}
"""Which resources the codes of a concept stand in, by how its name begins."""
LOINC_AXES = re.compile(r" \[| in | by | of | from |/")
"""A LOINC name is component [property] in system by method; the component alone says what is measured."""


def words_in(text: str) -> set[str]:
    """Words in lower case, and letters with the digits beside them as one: Ki-67, Ki 67 and KI67 are the same."""
    parts = re.findall(r"[^\W_\d]+|\d+", text.casefold())
    return {*parts, *(a + b for a, b in pairwise(parts))}


class Relevance:
    """Built once for one body of knowledge. An Observation states a fact; the code of any other resource belongs to a
    concept of the terminology: those are what a site file maps a code to."""

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
        """Words of ours in a text, and the facts or concepts they point to, unless too many. `source`: as in facts.toml."""
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
        return tuple(sorted(found)), tuple(best) if len(best) <= TOO_MANY else ()


def _telling(text: str) -> set[str]:
    """The words of a name of ours that point to it: long ones that are not general, and Ki-67, 5-HIAA, Lu-177."""
    bound = {found.replace("-", "") for found in re.findall(r"\b(?:[^\W\d_]+-\d+|\d-[^\W\d_]+)\b", text.casefold())}
    plain = {part for part in re.findall(r"[^\W_\d]+", text.casefold()) if len(part) >= MIN_WORD_CHARS}
    return {word for word in bound if len(word) >= MIN_WORD_CHARS} | (plain - GENERAL_WORDS)


def _spoken(concept: str) -> str:
    return concept.split(".", 1)[1].replace("_", " ").replace(".", " ")
