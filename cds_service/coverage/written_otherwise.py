"""Finds content that is coded or sent irregularly. The service reads it or asks about it; sources should correct it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from cds_service.clinical_picture import ClinicalPicture
from cds_service.coverage.matched_codes import NamedConcept, is_known_coding
from cds_service.fhir.certainty import certainties_of
from cds_service.fhir.chart import Chart, is_unconfirmed
from cds_service.fhir.concepts import codings, text_of
from cds_service.fhir.dates import date_of_observation, date_of_procedure, is_future
from cds_service.fhir.gate import date_of_condition
from cds_service.fhir.medication import read_medication
from cds_service.fhir.promised_results import reports_without_results
from cds_service.fhir.resources import CodeableConcept
from cds_service.fhir.tumour_codes import codings_of_extension, extensions_of, is_morphology
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.terminology import StandardCoding

OWN_SYSTEM = "nlm-assessment"
"""How a site file names the project's own CodeSystem."""


class Written(StrEnum):
    """A kind of irregularity."""

    EQUAL_CODE = "equal-code"
    """A known code under a system that does not have it."""
    EXTENSION = "extension"
    CERTAINTY = "certainty"
    UNCONFIRMED = "unconfirmed"
    CONTAINED = "contained"
    UNDATED = "undated"
    NO_DATE = "no-date"
    IN_FUTURE = "in-future"
    NO_CODE = "no-code"
    NOT_SENT = "not-sent"


class WrittenKey(NamedTuple):
    """`about`: a resource type, or a fact for undated numbers. `system`: the URL of the extension, for an extension."""

    what: Written
    about: str
    system: str = ""
    code: str = ""
    means: str = ""
    """For an equal code: the one standard code that it equals, as system|code; empty if there are several."""


def written_otherwise(
    chart: Chart, picture: ClinicalPicture, named: Iterable[NamedConcept], knowledge: Knowledge, today: date
) -> Counter[WrittenKey]:
    """Count each kind of irregularity. The codes are those of the knowledge and certainty letters, without patient data."""
    return Counter(
        [
            *_equal_codes(named, knowledge),
            *_of_diagnoses(chart, knowledge),
            *(WrittenKey(Written.CONTAINED, where.split("/")[0]) for where, _ in chart.observations if "#" in where),
            *_undated_numbers(picture, knowledge),
            *_dates(chart, today),
            *(
                WrittenKey(Written.NO_CODE, kind)
                for kind, concept in _concepts(chart)
                if not (codings(knowledge, concept) or text_of(concept))
            ),
            *(WrittenKey(Written.NOT_SENT, "DiagnosticReport") for _ in reports_without_results(chart)),
        ]
    )


def _equal_codes(named: Iterable[NamedConcept], knowledge: Knowledge) -> Iterator[WrittenKey]:
    for item in named:
        for concept in (item.concept, *item.values):
            for coding in codings(knowledge, concept):
                if not is_known_coding(knowledge, coding) and (equal := _equal_to(coding, knowledge)):
                    means = equal[0] if len(equal) == 1 else ""
                    yield WrittenKey(Written.EQUAL_CODE, item.source, coding.system, coding.code, means)


def _equal_to(coding: StandardCoding, knowledge: Knowledge) -> list[str]:
    """Return the codes that are known under another system, as a site file names them."""
    own = any(coding.code in definition.assessment for definition in knowledge.facts.values())
    held = [f"{found.system}|{found.code}" for found in knowledge.terminology.held_elsewhere(coding)]
    return [*held, *([f"{OWN_SYSTEM}|{coding.code}"] if own else [])]


def _concepts(chart: Chart) -> Iterator[tuple[str, CodeableConcept | None]]:
    """Yield the type and code of each diagnosis, Observation, procedure, order and study."""
    yield from (("Condition", condition.code) for _, condition in chart.conditions)
    yield from (("Observation", observation.code) for _, observation in chart.observations)
    yield from (("Procedure", procedure.code) for _, procedure in chart.procedures)
    yield from (("Order", order.code) for order in chart.orders)
    yield from (("Study", study.code) for study in chart.studies)


def _dates(chart: Chart, today: date) -> Iterator[WrittenKey]:
    dates = [
        *(("Condition", date_of_condition(condition)) for _, condition in chart.conditions),
        *(("Observation", date_of_observation(observation)) for _, observation in chart.observations),
        *(("Procedure", date_of_procedure(procedure)) for _, procedure in chart.procedures),
        *(("Medication", drug.since or drug.until) for drug in read_medication(chart)),
        *(("Order", order.on) for order in chart.orders),
        *(("Study", study.on) for study in chart.studies),
    ]
    for kind, on in dates:
        if on is None:
            yield WrittenKey(Written.NO_DATE, kind)
        elif is_future(on, today) and kind != "Order":
            yield WrittenKey(Written.IN_FUTURE, kind)


def _of_diagnoses(chart: Chart, knowledge: Knowledge) -> Iterator[WrittenKey]:
    terms = knowledge.terminology
    yield from (WrittenKey(Written.UNCONFIRMED, "Condition") for _, it in chart.conditions if is_unconfirmed(it))
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
