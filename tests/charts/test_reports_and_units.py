"""Units of other systems, results inside of reports, sites by other resources (issue 20, K7 to K9): each in several shapes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cds_service.clinical_picture import Nlm
from cds_service.fhir.chart import EVERYTHING_ARRIVED, Availability
from cds_service.hooks.prefetch import PrefetchState, read_key
from cds_service.reasons import Reason
from tests.support.sent_charts import (
    CM,
    FERNMETASTASEN,
    FOCUS,
    HISTOLOGY,
    IN_LIVER,
    LIVER,
    LOINC,
    ME,
    NEN,
    OURS,
    SITE_OF_TUMOUR,
    SNOMED,
    UCUM,
    UCUM_OID,
    Resource,
    coding,
    condition,
    details,
    distant,
    fact,
    gate,
    inside,
    lab,
    observation,
    report,
    size,
)


# ── K7: the system of a unit ──────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "system",
    [
        UCUM,
        UCUM_OID,
        "2.16.840.1.113883.6.8",
        "https://unitsofmeasure.org",
        "http://unitsofmeasure.org/",
        "HTTP://UnitsOfMeasure.org",
        "http://www.unitsofmeasure.org",
        "UCUM",
        " http://unitsofmeasure.org ",
    ],
)
def test_ucum_is_ucum_however_its_uri_is_spelt(system: str) -> None:
    def sent(loinc: str, value: float, code: str) -> Resource:
        quantity = {"value": value, "code": code, "system": system}
        return observation("o", coding(loinc, LOINC), valueQuantity=quantity, effectiveDateTime="2026-10-20")

    assert str(fact("total_bilirubin", *OURS, sent("1975-2", 34.2, "umol/L")).value) == "2"
    assert str(fact("platelets", *OURS, sent("777-3", 31, "10*9/L")).value) == "31"
    assert fact("inr", *OURS, sent("6301-6", 17, "s")).reason is Reason.UNREADABLE


@pytest.mark.parametrize(
    "system", ["urn:oid:2.999.1", "http://snomed.info/sct", "http://hospital.example/units", "urn:iso:std:iso:11240"]
)
@pytest.mark.parametrize(
    ("name", "loinc", "code"),
    [
        ("inr", "6301-6", "s"),
        ("inr", "6301-6", "258702006"),
        ("ecog", "89247-1", "Pkt"),
        ("total_bilirubin", "1975-2", "mg/dL"),
        ("platelets", "777-3", "G/l"),
    ],
)
def test_a_unit_of_a_foreign_system_forbids_the_bare_number(name: str, loinc: str, code: str, system: str) -> None:
    quantity = {"value": 1, "code": code, "system": system}
    sent = observation("o", coding(loinc, LOINC), valueQuantity=quantity, effectiveDateTime="2026-10-20")
    assert fact(name, *OURS, sent).reason is Reason.UNREADABLE
    assert "Observation/o" in details(*OURS, sent)


# ── K8: results contained in a report ─────────────────────────────────────────────────────────────────────────────
PLATELETS = ("777-3", "10*9/L")
OLD = lab("old", "777-3", 245, "10*9/L", effectiveDateTime="2026-10-19")


@pytest.mark.parametrize(
    "sent",
    [
        report(inside()),
        report(inside(subject=None)),
        report(inside(effectiveDateTime=None)),
        report(inside(), result=[{"reference": "#r1"}]),
        report(inside(), status="amended"),
        report(inside(id=None)),
        report(inside(), effectiveDateTime=None),
        observation("panel", coding("58410-2", LOINC), contained=[inside()], hasMember=[{"reference": "#r1"}]),
        report(inside(subject=None, effectiveDateTime=None), effectiveDateTime=None, effectivePeriod={"end": "2026-10-29"}),
    ],
)
def test_a_contained_result_is_read_like_any_other(sent: Resource) -> None:
    found = fact("platelets", *OURS, OLD, sent)
    assert str(found.value) == "31"
    assert str(found.on) == "2026-10-29"


@pytest.mark.parametrize("status_", ["preliminary", "entered-in-error", "registered"])
def test_its_own_status_counts_and_a_report_in_error_takes_its_results_with_it(status_: str) -> None:
    assert str(fact("platelets", *OURS, OLD, report(inside(status=status_))).value) == "245"
    assert str(fact("platelets", *OURS, OLD, report(inside(), status="entered-in-error")).value) == "245"


def test_one_that_was_sent_by_itself_too_is_one_result_and_another_patients_is_none() -> None:
    def size(name: str, **more: Any) -> Resource:
        return lab(name, "21889-1", 2, "cm", bodySite=coding("10200004", SNOMED), effectiveDateTime="2026-10-29", **more)

    assert str(fact("lesion_count", *OURS, size("a"), report(size("a"))).value) == "≥ 1"
    assert str(fact("lesion_count", *OURS, size("a"), report(size("b"))).value) == "≥ 1"
    assert str(fact("platelets", *OURS, OLD, report(inside(subject={"reference": "Patient/q"}))).value) == "245"


def test_a_contained_one_that_cannot_be_read_is_said() -> None:
    broken = report({**inside(), "valueQuantity": "thirty-one"})
    assert "DiagnosticReport/cbc r1" in details(*OURS, OLD, broken)


def test_contained_histology_and_liver_finding_count() -> None:
    assert gate(SITE_OF_TUMOUR, LIVER, report(HISTOLOGY)) is Nlm.YES
    assert gate(NEN, report(distant(valueCodeableConcept=coding("HEP", FERNMETASTASEN)))) is Nlm.YES


@pytest.mark.parametrize(
    "result",
    [
        {"reference": "Observation/7"},
        {"reference": "#r2"},
        {"identifier": {"value": "7"}},
        {"reference": "http://other.example/fhir/Observation/7"},
    ],
)
def test_a_result_that_was_promised_and_not_sent_is_said(result: Resource) -> None:
    sent = report(inside(), result=[{"reference": "#r1"}, result])
    assert "DiagnosticReport/cbc could not be read: a report, 1 of its results were not sent" in details(*OURS, OLD, sent)
    by_code = Availability(EVERYTHING_ARRIVED.complete, by_code=True)  # what it names beside was not asked for
    assert "not sent" not in details(*OURS, OLD, sent, availability=by_code)
    assert "1 of its results were not sent" in details(*OURS, OLD, report(result=[result]), availability=by_code)


def test_of_several_such_reports_the_newest_is_named() -> None:
    older = {**report(result=[{"reference": "Observation/8"}]), "id": "older", "effectiveDateTime": "2026-01-01"}
    told = details(*OURS, OLD, report(result=[{"reference": "Observation/7"}]), older)
    assert "the newest of 2 reports" in told
    assert "DiagnosticReport/older" not in told


# ── K9: the site by another resource ──────────────────────────────────────────────────────────────────────────────


IN_PANCREAS = {**IN_LIVER, "location": coding("15776009", SNOMED)}
SPECIMEN = {"resourceType": "Specimen", "id": "s1", "subject": ME, "collection": {"bodySite": coding("10200004", SNOMED)}}


@pytest.mark.parametrize(
    "sent",
    [
        (size(**FOCUS), IN_LIVER),
        (IN_LIVER, size(focus=[{"reference": "http://f.example/BodyStructure/l1/_history/2"}])),
        (size(specimen={"reference": "Specimen/s1"}), SPECIMEN),
        (size(focus=[{"reference": "#l1"}], contained=[IN_LIVER]),),
        (size(specimen={"reference": "#s1"}, contained=[SPECIMEN]),),
        (size(focus=[{"reference": "Condition/liver"}]),),
        (
            size(
                extension=[
                    {
                        "url": "http://hl7.org/fhir/StructureDefinition/bodySite",
                        "valueReference": {"reference": "BodyStructure/l1"},
                    }
                ]
            ),
            IN_LIVER,
        ),
        (
            size(focus=[{"reference": "Condition/m"}]),
            condition("m", coding("C79.9", CM), bodySite=[coding("10200004", SNOMED)]),
        ),
    ],
)
def test_a_site_that_another_resource_names_is_resolved(sent: tuple[Resource, ...]) -> None:
    assert str(fact("largest_lesion", *OURS, *sent).value) == "4.2"
    assert gate(NEN, LIVER, *sent) is Nlm.YES


@pytest.mark.parametrize(
    "sent",
    [
        (size(**FOCUS),),
        (size(),),
        (size(**FOCUS), {**IN_LIVER, "patient": {"reference": "Patient/q"}}),
        (size(**FOCUS), {**IN_LIVER, "location": None}),
        (size(specimen={"reference": "Specimen/s1"}), {**SPECIMEN, "status": "entered-in-error"}),
        (
            size(focus=[{"reference": "BodyStructure/l1"}, {"reference": "BodyStructure/l2"}]),
            IN_LIVER,
            {**IN_PANCREAS, "id": "l2"},
        ),
    ],
)
def test_else_the_size_is_listed_as_unread(sent: tuple[Resource, ...]) -> None:
    assert fact("largest_lesion", *OURS, *sent).reason is Reason.UNREADABLE
    assert "Observation/t" in details(*OURS, *sent)


@pytest.mark.parametrize(
    "sent",
    [
        (size(**FOCUS), IN_PANCREAS),
        (size(focus=[{"reference": "Condition/nen"}]),),
        (size(bodySite=coding("15776009", SNOMED)),),
    ],
)
def test_a_size_elsewhere_is_passed_over(sent: tuple[Resource, ...]) -> None:
    assert fact("largest_lesion", *OURS, *sent).reason is not Reason.UNREADABLE


# ── Bundle.total ──────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("total", "state"),
    [
        ("1", PrefetchState.PRESENT),
        ("7", PrefetchState.PARTIAL),
        (" 7 ", PrefetchState.PARTIAL),
        (7, PrefetchState.PARTIAL),
        ("many", PrefetchState.PRESENT),
        (True, PrefetchState.PRESENT),
    ],
)
def test_a_total_as_a_string_is_a_number(total: object, state: PrefetchState) -> None:
    bundle = {"resourceType": "Bundle", "total": total, "entry": [{"resource": NEN}]}
    assert read_key(json.dumps(bundle).encode()).state is state


# ── what is new to be read spoils nothing where it is not valid ───────────────────────────────────────────────────
@pytest.mark.parametrize(
    "odd",
    [
        {"issued": 7},
        {"effectiveTiming": "daily"},
        {"specimen": [SPECIMEN]},
        {"extension": {"url": 3}},
        {"extension": [{"url": "x", "valueReference": "y"}]},
        {"code": coding("777-3", LOINC, extension={"url": "x", "valueCode": {"a": 1}})},
    ],
    ids=str,
)
def test_a_value_is_read_beside_an_element_that_is_not_valid(odd: Resource) -> None:
    assert str(fact("platelets", *OURS, {**OLD, **odd}).value) == "245"


@pytest.mark.parametrize("result", [{"reference": "Observation/old"}, "Observation/old", [7, {"reference": "Observation/old"}]])
def test_so_is_a_report(result: object) -> None:
    assert "DiagnosticReport" not in details(*OURS, OLD, report(result=result))


def test_so_are_a_diagnosis_and_a_patient() -> None:
    odd = [{"url": "x", "valueString": 7, "valueCode": [], "valueCoding": "y", "extension": "z"}]
    assert gate(NEN, {**LIVER, "extension": odd}, patient={"link": "Patient/old"}) is Nlm.YES
