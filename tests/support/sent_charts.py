"""Small charts as hospitals send them, and what the service reads in them."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

from cds_service import knowledge
from cds_service.cards.card import EXTENSION, Card
from cds_service.clinical_picture import ClinicalPicture, Nlm
from cds_service.fhir.chart import EVERYTHING_ARRIVED, Availability
from cds_service.fhir.chart_builder import ChartEntry, read_chart
from cds_service.fhir.reader import ChartReader
from cds_service.hooks.patient_view import cards_of_chart
from cds_service.reasoning.current_facts import determine_facts
from cds_service.reasoning.facts import Fact

KNOWLEDGE = knowledge.load()
READER = ChartReader(KNOWLEDGE)
TODAY = date(2026, 11, 2)
CM, GM, WHO = "http://hl7.org/fhir/sid/icd-10-cm", "http://fhir.de/CodeSystem/bfarm/icd-10-gm", "http://hl7.org/fhir/sid/icd-10"
ICD_O, SNOMED, LOINC = "http://terminology.hl7.org/CodeSystem/icd-o-3", "http://snomed.info/sct", "http://loinc.org"
UCUM, UCUM_OID = "http://unitsofmeasure.org", "urn:oid:2.16.840.1.113883.6.8"
IARC = "http://codes.iarc.fr/codegroup/2"
CERTAINTY = "http://fhir.de/StructureDefinition/icd-10-gm-diagnosesicherheit"
KBV = "https://fhir.kbv.de/CodeSystem/KBV_CS_SFHIR_ICD_DIAGNOSESICHERHEIT"
ME = {"reference": "Patient/p"}
Resource = dict[str, Any]


def coding(code: str, system: str | None = None, **more: Any) -> Resource:
    return {"coding": [{**({"system": system} if system else {}), "code": code, **more}]}


def condition(name: str, /, code: Resource, **more: Any) -> Resource:
    return {"resourceType": "Condition", "id": name, "subject": ME, "recordedDate": "2026-05-04", "code": code, **more}


def observation(name: str, code: Resource, **more: Any) -> Resource:
    return {"resourceType": "Observation", "id": name, "status": "final", "subject": ME, "code": code, **more}


def lab(name: str, loinc: str, value: float, unit: str, **more: Any) -> Resource:
    quantity = {"value": value, "unit": unit, "code": unit, "system": UCUM}
    return observation(name, coding(loinc, LOINC), valueQuantity=quantity, **more)


def histology(value: Resource | None = None, **more: Any) -> Resource:
    told = {"valueCodeableConcept": value} if value else {}
    return observation("h", coding("59847-4", LOINC), effectiveDateTime="2026-05-04", **{**told, **more})


def chart(*resources: Resource, availability: Availability = EVERYTHING_ARRIVED, patient: Resource | None = None) -> Any:
    first = {"resourceType": "Patient", "id": "p", "birthDate": "1964-03", "gender": "female"} | (patient or {})
    return read_chart([ChartEntry(json.dumps(part).encode()) for part in (first, *resources)], "p", availability)


def picture(*resources: Resource, **more: Any) -> ClinicalPicture:
    return READER.read(chart(*resources, **more), TODAY)


def gate(*resources: Resource, **more: Any) -> Nlm:
    return picture(*resources, **more).gate.answer


def fact(name: str, *resources: Resource, **more: Any) -> Fact:
    return determine_facts(picture(*resources, **more), KNOWLEDGE, TODAY)[name]


def cards(*resources: Resource, **more: Any) -> list[Card]:
    return cards_of_chart(chart(*resources, **more), KNOWLEDGE, TODAY, "test")


def details(*resources: Resource, **more: Any) -> str:
    """Return what the cards say, and the references in their extensions."""
    found = cards(*resources, **more)
    named = [part.get("reference", "") for card in found for part in card.extension[EXTENSION].get("provenance", ())]
    return "\n".join([*(card.detail for card in found), *named])


NEN, LIVER = condition("nen", coding("C7A.012", CM)), condition("liver", coding("C78.7", CM))
SITE_OF_TUMOUR = condition("site", coding("C17.2", GM))
OURS = (NEN, LIVER)
GASTRIC_CANCER = condition("other", coding("C16.9", CM))


HISTOLOGY = histology(coding("8240/3", ICD_O))


MII = "https://www.medizininformatik-initiative.de/fhir/ext/modul-onko/StructureDefinition/mii-ex-onko-histology-morphology-behavior-icdo3"


FERNMETASTASEN = "https://www.medizininformatik-initiative.de/fhir/ext/modul-onko/CodeSystem/mii-cs-onko-fernmetastasen"


NET, NET_G1_SNOMED = coding("8240/3", ICD_O), coding("81622000", SNOMED)


def distant(**more: Any) -> Resource:
    return observation("d", coding("385421009", SNOMED), effectiveDateTime="2026-05-04", **more)


def report(*inside: Resource, **more: Any) -> Resource:
    return {
        "resourceType": "DiagnosticReport",
        "id": "cbc",
        "status": "final",
        "subject": ME,
        "code": coding("58410-2", LOINC),
        "effectiveDateTime": "2026-10-29",
        "contained": list(inside),
        **more,
    }


def inside(value: float = 31, **more: Any) -> Resource:
    found = lab("r1", "777-3", value, "10*9/L", effectiveDateTime="2026-10-29") | more
    return {key: part for key, part in found.items() if part is not None}


def size(**more: Any) -> Resource:
    part = {"code": coding("33728-7", LOINC), "valueQuantity": {"value": 4.2, "code": "cm", "system": UCUM}}
    return observation("t", coding("21889-1", LOINC), effectiveDateTime="2026-09-01", component=[part], **more)


IN_LIVER = {"resourceType": "BodyStructure", "id": "l1", "patient": ME, "location": coding("10200004", SNOMED)}


FOCUS = {"focus": [{"reference": "BodyStructure/l1"}]}
