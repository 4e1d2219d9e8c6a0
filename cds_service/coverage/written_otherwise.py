"""Finds content that is coded or sent irregularly. The service reads it or asks about it; sources should correct it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from cds_service.clinical_picture import ClinicalPicture
from cds_service.coverage.matched_codes import NamedConcept, is_known_coding
from cds_service.fhir.certainty import certainties_of
from cds_service.fhir.chart import Chart
from cds_service.fhir.concepts import codings
from cds_service.fhir.promised_results import reports_without_results
from cds_service.fhir.tumour_codes import codings_of_extension, extensions_of, is_morphology
from cds_service.knowledge.model import Knowledge


class Written(StrEnum):
    """A kind of irregularity."""

    EQUAL_CODE = "equal-code"
    """A known code under a system that does not have it."""
    EXTENSION = "extension"
    CERTAINTY = "certainty"
    CONTAINED = "contained"
    UNDATED = "undated"
    NOT_SENT = "not-sent"


class WrittenKey(NamedTuple):
    """`about`: a resource type, or a fact for undated numbers. `system`: the URL of the extension, for an extension."""

    what: Written
    about: str
    system: str = ""
    code: str = ""


def written_otherwise(
    chart: Chart, picture: ClinicalPicture, named: Iterable[NamedConcept], knowledge: Knowledge
) -> Counter[WrittenKey]:
    """Count each kind of irregularity. The codes are those of the knowledge and certainty letters, without patient data."""
    return Counter(
        [
            *_equal_codes(named, knowledge),
            *_of_diagnoses(chart, knowledge),
            *(WrittenKey(Written.CONTAINED, where.split("/")[0]) for where, _ in chart.observations if "#" in where),
            *_undated_numbers(picture, knowledge),
            *(WrittenKey(Written.NOT_SENT, "DiagnosticReport") for _ in reports_without_results(chart)),
        ]
    )


def _equal_codes(named: Iterable[NamedConcept], knowledge: Knowledge) -> Iterator[WrittenKey]:
    for item in named:
        for concept in (item.concept, *item.values):
            for coding in codings(knowledge, concept):
                if not is_known_coding(knowledge, coding) and knowledge.terminology.held_elsewhere(coding):
                    yield WrittenKey(Written.EQUAL_CODE, item.source, coding.system, coding.code)


def _of_diagnoses(chart: Chart, knowledge: Knowledge) -> Iterator[WrittenKey]:
    terms = knowledge.terminology
    for _, condition in (*chart.conditions, *chart.refuted):
        for extension in extensions_of(condition):
            for coding in codings_of_extension(extension, knowledge):
                if is_morphology(terms.meanings(coding)):
                    yield WrittenKey(Written.EXTENSION, "Condition", extension.url or "", coding.code)
        for certainty in certainties_of(condition, knowledge):
            yield WrittenKey(Written.CERTAINTY, "Condition", code=certainty)


def _undated_numbers(picture: ClinicalPicture, knowledge: Knowledge) -> Iterator[WrittenKey]:
    for name, readings in picture.readings.items():
        definition = knowledge.facts[name]
        if definition.kind.numeric and definition.window_days and any(reading.on for reading in readings.valid):
            for reading in readings.valid:
                if reading.on is None:
                    yield WrittenKey(Written.UNDATED, name)
