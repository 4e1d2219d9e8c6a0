"""Findings coded in another system, beside other codes, or of an unclear patient raise questions and remove nothing."""

from __future__ import annotations

import pytest

from cds_service.clinical_picture import Nlm
from tests.support.sent_charts import (
    CM,
    GASTRIC_CANCER,
    GM,
    IARC,
    ICD_O,
    LIVER,
    LOINC,
    NEN,
    NET,
    OURS,
    SITE_OF_TUMOUR,
    SNOMED,
    Resource,
    cards,
    coding,
    condition,
    details,
    fact,
    gate,
    histology,
    observation,
    picture,
    size,
)

UNTOLD = {"subject": None}
IN_THE_LIVER = coding("10200004", SNOMED)


def coded(*codes: tuple[str, str]) -> Resource:
    return {"coding": [{"code": code, "system": system} for code, system in codes]}


@pytest.mark.parametrize("code", [coding("385421009", SNOMED), coding("33732-9", LOINC)])
def test_a_value_is_no_histology_because_a_component_asks_for_one(code: Resource) -> None:
    part = {"code": coding("59847-4", LOINC), "valueCodeableConcept": coding("8140/3", ICD_O)}
    beside = observation("h", code, effectiveDateTime="2026-05-04", valueCodeableConcept=NET, component=[part])
    assert gate(SITE_OF_TUMOUR, LIVER, beside) is Nlm.NO


def test_a_code_of_another_system_does_not_take_the_place_of_one_that_is_known() -> None:
    colon = condition("x", coded(("C18.7", CM), ("N17.9", "http://hospital.example")))
    assert gate(*OURS, colon) is Nlm.POSSIBLE
    lung = condition("x", coded(("C34.1", GM), ("8041/3", IARC)))
    assert gate(lung, LIVER) is Nlm.NO
    assert fact("hepatic_failure_coded", *OURS, condition("x", coding("K72.9", SNOMED))).unknown


@pytest.mark.parametrize(
    "beside",
    [
        GASTRIC_CANCER | UNTOLD,
        histology(coding("8244/3", ICD_O)) | UNTOLD,
    ],
)
def test_what_may_be_the_patients_and_would_be_another_tumour_asks_and_is_named(beside: Resource) -> None:
    found = picture(*OURS, beside)
    assert found.gate.answer is Nlm.POSSIBLE
    where = f"{beside['resourceType']}/{beside['id']}"
    assert where in {reading.seen_in for reading in found.gate.seen}
    assert where in details(*OURS, beside)
    assert "does not say whose it is" in cards(*OURS, beside)[0].detail


def test_another_tumour_of_a_record_that_was_merged_asks_too() -> None:
    merged = {"link": [{"other": {"reference": "Patient/old"}, "type": "replaces"}]}
    other = GASTRIC_CANCER | {"subject": {"reference": "Patient/old"}}
    assert gate(*OURS, other, patient=merged) is Nlm.POSSIBLE


def test_what_may_be_the_patients_and_changes_nothing_leaves_the_answer() -> None:
    assert gate(*OURS, condition("x", coding("I10", CM)) | UNTOLD) is Nlm.YES
    assert gate(*OURS, histology(NET) | UNTOLD) is Nlm.YES


@pytest.mark.parametrize("system", [None, "2.16.840.1.113883.6.1"])
def test_a_question_without_its_system_asks(system: str | None) -> None:
    asked = histology(NET) | {"code": coding("59847-4", system)}
    assert gate(SITE_OF_TUMOUR, LIVER, asked) is Nlm.POSSIBLE
    (card,) = cards(SITE_OF_TUMOUR, LIVER, asked)
    assert "names no system that has it" in card.detail
    assert gate(NEN, size(bodySite=IN_THE_LIVER) | {"code": coding("21889-1", system)}) is Nlm.POSSIBLE
    metastatic = histology(coding("8240/6", ICD_O), bodySite=IN_THE_LIVER) | {"code": coding("59847-4", system)}
    assert gate(NEN, metastatic) is Nlm.POSSIBLE


@pytest.mark.parametrize("system", [None, "2.16.840.1.113883.6.96"])
def test_the_site_of_a_distant_metastasis_without_its_system_asks(system: str | None) -> None:
    site = observation("d", coding("385421009", system), effectiveDateTime="2026-05-04", valueCodeableConcept=IN_THE_LIVER)
    assert gate(NEN, site) is Nlm.POSSIBLE
    assert gate(NEN, site | {"valueCodeableConcept": coding("39607008", SNOMED)}) is Nlm.NO


def test_a_question_without_its_system_takes_nothing_away() -> None:
    mixed = histology(coding("8244/3", ICD_O)) | {"code": coding("59847-4")}
    assert gate(*OURS, mixed) is Nlm.YES


def test_a_diagnosis_that_may_be_the_patients_and_has_ended_asks_nothing() -> None:
    failure = condition("x", coding("K72.9", GM)) | UNTOLD
    asked = picture(*OURS, failure).readings_of("hepatic_failure_coded").open_question
    assert [reading.seen_in for reading in asked] == ["Condition/x"]
    ended = failure | {"clinicalStatus": coding("resolved")}
    assert picture(*OURS, ended).readings_of("hepatic_failure_coded").open_question == ()
