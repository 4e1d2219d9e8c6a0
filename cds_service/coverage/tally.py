"""Counts, chart by chart, what the service read and what it ignored. Only codes, units, reasons and numbers are kept: no name,
id, value or text of a patient. Memory does not grow with the number of charts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

from cds_service.cards.wording import ReasonKey, reason_key
from cds_service.clinical_picture import ClinicalPicture, Nlm, Observed, Readings, Unreadable
from cds_service.coverage.matched_codes import NamedConcept, is_known_coding, matched_codes, named_concepts
from cds_service.coverage.relevance import Relevance
from cds_service.coverage.written_otherwise import WrittenKey, written_otherwise
from cds_service.fhir.chart import Chart
from cds_service.fhir.concepts import codings
from cds_service.fhir.drug_reading import DrugReader, ReadBy
from cds_service.fhir.medication import read_medication
from cds_service.fhir.reader import ChartReader
from cds_service.fhir.resources import Component, Observation
from cds_service.fhir.tumour_codes import TUMOUR
from cds_service.knowledge.model import FactDefinition, Knowledge
from cds_service.knowledge.terminology import StandardCoding
from cds_service.reasoning.current_facts import determine_facts
from cds_service.reasons import WRITTEN_OTHERWISE, Reason

UNIT_REFUSALS = frozenset(
    {Reason.UNIT_NOT_ACCEPTED, Reason.UNIT_AMBIGUOUS, Reason.UNIT_CONTRADICTS_CODE, Reason.UNIT_OF_ANOTHER_SYSTEM,
     Reason.NO_UNIT}
)  # fmt: skip
ANY_NUMBER = "some"
"""Replaces each number in a reason, so that equal reasons are counted together."""
MAX_CODES = 20_000
"""Maximum number of different codes kept. More means that text is sent as codes; the rest is only counted."""
MAX_DISPLAYS = 3
"""A code with more displays than this has free text in them."""


@dataclass
class Count:
    """A number of charts and of occurrences."""

    charts: int = 0
    times: int = 0


@dataclass
class CodeCount:
    """A code that is not read: of an answer, or one with relevant words."""

    found: Count = field(default_factory=Count)
    displays: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    looks_like: tuple[str, ...] = ()

    def add_display(self, display: str) -> None:
        """Add a display, up to one more than MAX_DISPLAYS."""
        if display and len(self.displays) <= MAX_DISPLAYS:
            self.displays.add(display)


class RefusedUnit(NamedTuple):
    """A rejected unit (None if none was sent) and the reason."""

    unit: str | None
    reason: Reason


@dataclass
class FactTally:
    """The counts of one fact."""

    found: Count = field(default_factory=Count)
    usable: int = 0
    """Charts in which the fact has a value on the day."""
    out_of_window: int = 0
    """Charts in which its value is out of date."""
    not_usable: Counter[ReasonKey] = field(default_factory=Counter)
    """Reason → charts that mention the fact but have no value on the day, except for out-of-date and unreadable values."""
    codes: dict[tuple[str, str], Count] = field(default_factory=dict)
    """(system, code) that gave a reading; ("", resource type) for readings without a code, such as a birth date."""
    refused: dict[RefusedUnit, Count] = field(default_factory=dict)
    answers: dict[tuple[str, str], CodeCount] = field(default_factory=dict)
    """(system, code) of answers that are not an option of the fact."""
    unreadable: Counter[ReasonKey] = field(default_factory=Counter)
    """Reason → values that could not be read, except for units."""


NOT_BY_CODE = WRITTEN_OTHERWISE | {Reason.CODE_WITHOUT_SYSTEM}
"""Reasons of unreadable values whose code was not read."""


@dataclass
class Tally:
    """All counts."""

    charts: int = 0
    without_patient: int = 0
    nlm: Counter[Nlm] = field(default_factory=Counter)
    facts: dict[str, FactTally] = field(default_factory=dict)
    unmapped: dict[tuple[str, str, str], CodeCount] = field(default_factory=dict)
    """(source, system, code) → its counts; source as in facts.toml."""
    drugs: dict[ReadBy, Count] = field(default_factory=lambda: {by: Count() for by in ReadBy})
    """Drug entries, by how their drug was identified."""
    named_drugs: dict[str, Count] = field(default_factory=dict)
    """Concept of a drug → entries in which it was found by name alone."""
    other_words: Counter[str] = field(default_factory=Counter)
    """Type → entries that are not read, and whose words name nothing of the knowledge."""
    not_listed: int = 0
    """Codings and units beyond MAX_CODES."""
    written: dict[WrittenKey, Count] = field(default_factory=dict)
    """Content that is coded or sent irregularly."""
    text_only: dict[tuple[str, str], Count] = field(default_factory=dict)
    """(source, relevant words) → entries with those words and without a code."""


class Surveyor:
    """Reads charts as the service does, and counts."""

    def __init__(self, knowledge: Knowledge, today: date) -> None:
        self.knowledge, self.today = knowledge, today
        self.tally = Tally(facts={name: FactTally() for name in knowledge.facts})
        self._reader, self._relevance, self._drugs = ChartReader(knowledge), Relevance(knowledge), DrugReader(knowledge)

    def add_chart(self, chart: Chart) -> None:
        """Read one chart and count it."""
        self.tally.charts += 1
        self.tally.without_patient += chart.patient is None
        picture = self._reader.read(chart, self.today)
        named, observations = named_concepts(chart), dict(chart.observations)
        self.tally.nlm[picture.gate.answer] += 1
        about: dict[str, list[NamedConcept]] = {}
        for concept in named:
            about.setdefault(concept.where, []).append(concept)
        read: set[tuple[str, str]] = set()
        for name, readings in picture.readings.items():
            if readings.valid or readings.unreadable:
                read |= self._add_fact(self.knowledge.facts[name], readings, about, observations)
        self._add_current_facts(picture)
        self._add_drugs(chart)
        self._add_unmapped(named, read)
        for key, times in written_otherwise(chart, picture, named, self.knowledge, self.today).items():
            if self._listed(key, self.tally.written):
                _count(self.tally.written.setdefault(key, Count()), times)

    def _add_fact(
        self,
        definition: FactDefinition,
        readings: Readings,
        about: dict[str, list[NamedConcept]],
        observations: dict[str, Observation],
    ) -> set[tuple[str, str]]:
        """Count the readings of one fact. Return the codes that led to readings, valid or unreadable."""
        counted = self.tally.facts[definition.id]
        _count(counted.found, len(readings.valid))
        codes, spoke = Counter[tuple[str, str]](), set[tuple[str, str]]()
        everything: list[Observed | Unreadable] = [*readings.valid, *readings.unreadable]
        units, answers = Counter[RefusedUnit](), Counter[StandardCoding]()
        for reading in everything:
            found = matched_codes(self.knowledge, definition, about.get(reading.seen_in, ()))
            keys = [(coding.system, coding.code) for coding in found] or [("", reading.seen_in.split("/")[0])]
            if not isinstance(reading, Unreadable) or reading.why.reason not in NOT_BY_CODE:
                spoke.update(keys)
            if not isinstance(reading, Unreadable):
                codes.update(keys)
                continue
            if reading.why.reason in UNIT_REFUSALS:
                units[RefusedUnit(reading.unit.strip() or None, reading.why.reason)] += 1
                continue
            parts = self._parts(observations.get(reading.seen_in), found)
            counted.unreadable[reason_key(reading.why, numbers=ANY_NUMBER)] += 1
            said = {coding for part in parts for coding in codings(self.knowledge, part.value_codeable_concept)}
            answers.update(c for c in said if c.code and self.knowledge.terminology.value(definition.id, c) is None)
        for code, times in codes.items():
            if self._listed(code, counted.codes):
                _count(counted.codes.setdefault(code, Count()), times)
        for unit, times in units.items():
            if self._listed(unit, counted.refused):
                _count(counted.refused.setdefault(unit, Count()), times)
        for coding, times in answers.items():
            if self._listed((coding.system, coding.code), counted.answers):
                held = counted.answers.setdefault((coding.system, coding.code), CodeCount())
                held.add_display(coding.display)
                _count(held.found, times)
        return spoke

    def _parts(self, observation: Observation | None, spoke: Sequence[StandardCoding]) -> list[Observation | Component]:
        """Return the parts of an Observation with one of the codes that led to a reading."""
        parts: list[Observation | Component] = [observation, *(observation.component or ())] if observation else []
        return [
            part
            for part in parts
            if {(c.system, c.code) for c in codings(self.knowledge, part.code)} & {(c.system, c.code) for c in spoke}
        ]

    def _listed(self, key: Hashable, held: Mapping[Any, object]) -> bool:
        """Return True if there is room for this key; otherwise only count it."""
        if key in held or len(held) < MAX_CODES:
            return True
        self.tally.not_listed += 1
        return False

    def _add_current_facts(self, picture: ClinicalPicture) -> None:
        facts = determine_facts(picture, self.knowledge, self.today)
        for name, fact in facts.recorded.items():
            readings = picture.readings_of(name)
            if fact.known:
                self.tally.facts[name].usable += 1
            elif fact.why is not None and (readings.valid or readings.unreadable or readings.open_question):
                if fact.reason is Reason.OUT_OF_DATE:
                    self.tally.facts[name].out_of_window += 1
                elif fact.reason is not Reason.UNREADABLE:
                    self.tally.facts[name].not_usable[reason_key(fact.why, numbers=ANY_NUMBER)] += 1

    def _add_drugs(self, chart: Chart) -> None:
        found = [self._drugs.reading_of(drug.medicine) for drug in read_medication(chart)]
        for read_by, count in Counter(reading.read_by for reading in found).items():
            _count(self.tally.drugs[read_by], count)
        for concept, count in Counter(concept for reading in found for concept in reading.named).items():
            _count(self.tally.named_drugs.setdefault(concept, Count()), count)

    def _add_unmapped(self, named: list[NamedConcept], read: set[tuple[str, str]]) -> None:
        unknown: dict[tuple[str, str, str], list[str]] = {}
        texts: Counter[tuple[str, str]] = Counter()
        for item in named:
            source = "Procedure" if item.source == "Order" else item.source
            everything = codings(self.knowledge, item.concept)
            if any(is_known_coding(self.knowledge, c) or (c.system, c.code) in read for c in everything):
                continue
            said, coded = _words_of(item, everything), [coding for coding in everything if coding.code]
            words, _ = self._relevance.look(source, said)
            if not words and item.source == "Order":  # the order of a test
                source = "Observation"
                words, _ = self._relevance.look(source, said)
            if not words and source == "Condition" and (tumour := TUMOUR.search(said)):
                words = (tumour.group().casefold(),)
            if not words and said.strip(" /"):
                self.tally.other_words[item.source] += 1
            if not words and (any(sign.isascii() and sign.isalpha() for sign in said) or not coded):
                continue  # its words name something else; words without a Latin letter cannot be judged
            for coding in coded:
                unknown.setdefault((source, coding.system, coding.code), []).append(coding.display)
                self._remember(source, coding, said, words)
            if not coded:
                texts[source, ", ".join(words)] += 1
        for key, displays in unknown.items():
            if key in self.tally.unmapped:
                _count(self.tally.unmapped[key].found, len(displays))
        for text, times in texts.items():
            _count(self.tally.text_only.setdefault(text, Count()), times)

    def _remember(self, source: str, coding: StandardCoding, text: str, words: Sequence[str]) -> None:
        key = (source, coding.system, coding.code)
        if not self._listed(key, self.tally.unmapped):
            return
        held = self.tally.unmapped.setdefault(key, CodeCount())
        _, looks_like = self._relevance.look(source, text)
        held.words.update(words)
        held.looks_like = held.looks_like or looks_like
        held.add_display(coding.display)


def _words_of(item: NamedConcept, everything: Sequence[StandardCoding]) -> str:
    """Return text and displays together. The text is searched for words and never kept."""
    return " / ".join([item.concept.text or "", *(coding.display for coding in everything)])


def _count(seen: Count, times: int) -> None:
    seen.charts += times > 0
    seen.times += times
