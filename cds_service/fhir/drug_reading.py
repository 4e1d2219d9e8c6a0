"""Reads which facts the drugs of a chart state: by code, by product or by name. Entries that name no identifiable drug are
counted.

A code decides what its concept states. A name alone raises a question, which says so. An entry whose drug cannot be identified
makes every drug fact unknown (docs/knowledge.md, "Facts").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from cds_service.clinical_picture import Observed, PartialDate, Regimen
from cds_service.fhir.concepts import codings, compute_once, has_text, names_of, text_of
from cds_service.fhir.dates import is_future
from cds_service.fhir.dosage import read_regimen
from cds_service.fhir.fact_readings import FactReadings
from cds_service.fhir.medication import Drug, Medicine
from cds_service.fhir.resources import CodeableConcept
from cds_service.knowledge.drugs import RXNORM
from cds_service.knowledge.model import FactDefinition, Knowledge
from cds_service.knowledge.terminology import ATC, Meaning, StandardCoding, Use
from cds_service.knowledge.vocabulary import FactKind
from cds_service.reasons import Explanation, Reason

ATC_SUBSTANCE = re.compile(r"[A-Z]\d\d[A-Z]{2}\d\d")
"""An ATC code of a substance; a shorter one is a group."""
BY_NAME, UNCERTAIN = Explanation(Reason.BY_NAME), Explanation(Reason.PRODUCT_UNCERTAIN)


class ReadBy(StrEnum):
    """How the drug of an entry was identified."""

    PRODUCT = "product"
    """By a code in the table of RxNorm products, ingredients, forms and brands."""
    CODE = "code"
    """By another known code, or by any RxNorm or ATC code with a name."""
    NAME = "name"
    """By a display or text, since the codes with it are unknown."""
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class DrugReading:
    """The drug concepts of a medicine or of one of its concepts. Each is in at most one of the four sets."""

    decides: frozenset[str] = frozenset()
    asks: frozenset[str] = frozenset()
    """Concepts of codes that may not decide, or of ambiguous text."""
    silent: frozenset[str] = frozenset()
    """Concepts in a form that states nothing."""
    named: frozenset[str] = frozenset()
    read_by: ReadBy = ReadBy.NOTHING
    recorded: Mapping[str, str] | None = None
    """Concept → the text as recorded."""


class DrugReader:
    """Reads the drugs of charts with one `Knowledge`. Built once and used for every request."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self._facts: dict[str, list[FactDefinition]] = {}
        for definition in knowledge.facts.values():
            if definition.kind is FactKind.PRESENCE and definition.source == "Medication":
                for concept in definition.concepts:
                    self._facts.setdefault(concept, []).append(definition)

    def read(self, drugs: Sequence[Drug], today: date, found: Mapping[str, FactReadings]) -> int:
        """Add the readings and questions of the drugs to `found`. Return the number of entries whose drug could not be
        identified."""
        done: dict[Medicine, tuple[DrugReading, list[tuple[FactDefinition, str, Explanation | None]]]] = {}
        unread_active, unread = 0, 0
        for drug in drugs:
            if drug.medicine not in done:
                told = self.reading_of(drug.medicine)
                done[drug.medicine] = (told, list(self._stated(told)))
            told, stated = done[drug.medicine]
            not_read = told.read_by is ReadBy.NOTHING
            regimen = read_regimen(drug, told.decides, today) if stated else None
            since, until = (None if is_future(on, today) else on for on in (drug.since, drug.until))
            for definition, text, question in stated:
                for reading in _readings(definition, drug, since, until, text, drug.doubt or question, regimen):
                    (found[definition.id].questions if reading.note else found[definition.id].valid).append(reading)
            unread += not_read
            unread_active += not_read and drug.active
        for definition in {part.id: part for parts in self._facts.values() for part in parts}.values():
            if count := unread_active if definition.active else unread:
                asks = Observed(True, None, "Medication", "", Explanation(Reason.ENTRIES_UNREADABLE, count=count))
                found[definition.id].questions.append(asks)
        return unread

    def _stated(self, reading: DrugReading) -> Iterator[tuple[FactDefinition, str, Explanation | None]]:
        """Yield each fact that a medicine states, once, with the recorded text and the reason if it only raises a question,
        else None."""
        told: set[str] = set()
        for concepts, question in ((reading.decides, None), (reading.named, BY_NAME), (reading.asks, UNCERTAIN)):
            for concept in sorted(concepts):
                for definition in self._facts.get(concept, ()):
                    if definition.id not in told:
                        told.add(definition.id)
                        yield definition, (reading.recorded or {}).get(concept, ""), question

    def reading_of(self, medicine: Medicine) -> DrugReading:
        """Return the reading of the drug's own concept, combined with that of its ingredients. What the own concept makes
        silent stays silent."""
        own = self._concept(medicine.concept)
        if not medicine.ingredients:
            return own
        parts = [self._concept(part) for part in medicine.ingredients]
        silent = own.silent
        decides = frozenset().union(own.decides, *(part.decides for part in parts)) - silent
        asks = frozenset().union(own.asks, *(part.asks for part in parts)) - silent - decides
        named = frozenset().union(own.named, *(part.named for part in parts)) - silent - decides
        recorded = {concept: text for part in (*reversed(parts), own) for concept, text in (part.recorded or {}).items()}
        read_by = own.read_by
        if read_by in {ReadBy.NAME, ReadBy.NOTHING} and all(part.read_by is not ReadBy.NOTHING for part in parts):
            read_by = max((part.read_by for part in parts), key=list(ReadBy).index)
        return DrugReading(decides, asks, silent, named, read_by, recorded)

    def _concept(self, concept: CodeableConcept | None) -> DrugReading:
        if concept is None:
            return DrugReading()
        return compute_once(self.knowledge, concept, "drug", lambda: self._work_out(concept))

    def _work_out(self, concept: CodeableConcept) -> DrugReading:
        sent, drugs = codings(self.knowledge, concept), self.knowledge.drugs
        held = {coding: self.knowledge.terminology.meanings(coding) for coding in sent}
        meant = [meaning for meanings in held.values() for meaning in meanings]
        silent = _with_use(meant, Use.CONTEXT)
        decides = _with_use(meant, Use.DECIDES) - silent
        texts = [drugs.read_text(text) for text in names_of(concept, (c for c in sent if not _is_group(c)))]
        named = frozenset().union(*(text.named for text in texts)) - silent - decides
        asked = frozenset().union(_with_use(meant, Use.QUESTION), *(text.asked for text in texts))
        asks = asked - silent - decides
        recorded = dict.fromkeys((*decides, *asks, *named), text_of(concept))
        if not has_text(concept):
            recorded |= {m.concept: f"{m.display} ({m.code})" for m in reversed(meant) if m.concept in recorded}
        if any(coding.system == RXNORM and meanings for coding, meanings in held.items()):
            read_by = ReadBy.PRODUCT
        elif meant or (any(_names_substance(coding) for coding in sent) and any(text.is_name for text in texts)):
            read_by = ReadBy.CODE
        elif any(text.names_a_drug for text in texts) or any(map(self._names_product, sent)):
            read_by = ReadBy.NAME
        else:
            read_by = ReadBy.NOTHING
        return DrugReading(decides, asks, silent, named, read_by, recorded)

    def _names_product(self, coding: StandardCoding) -> bool:
        """Return True if a code of a product list has the name of its product as display."""
        drugs = self.knowledge.drugs
        repeats_code = coding.display.casefold() == coding.code.casefold()
        return coding.system in drugs.product_lists and not repeats_code and drugs.read_text(coding.display).names_a_product


def _with_use(meant: Iterable[Meaning], use: Use) -> frozenset[str]:
    return frozenset(meaning.concept for meaning in meant if meaning.use is use)


def _is_group(coding: StandardCoding) -> bool:
    """Return True for an ATC code of a drug group; its display is not the name of a drug."""
    return coding.system == ATC and not ATC_SUBSTANCE.fullmatch(coding.code.upper())


def _names_substance(coding: StandardCoding) -> bool:
    return coding.code != "" and coding.system in {ATC, RXNORM} and not _is_group(coding)


def _readings(
    definition: FactDefinition,
    drug: Drug,
    since: PartialDate | None,
    until: PartialDate | None,
    text: str,
    note: Explanation | None,
    regimen: Regimen | None,
) -> Iterator[Observed]:
    """Yield the readings of one fact from one prescription; none if the fact counts active drugs only and this one is not
    active."""
    if definition.active and not drug.active:
        return
    on = (until or since) if definition.window_days else since
    reading = Observed(True, on, drug.where, text, note, regimen=regimen)
    yield reading
    if definition.window_days and not (drug.active or until or drug.doubt):
        yield replace(reading, on=None)  # ended on an unknown date
