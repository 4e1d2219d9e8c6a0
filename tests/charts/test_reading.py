"""How charts are read: values, units, dates, statuses, patients, and what a code may decide."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from cds_service import knowledge
from cds_service.clinical_picture import ClinicalPicture, Interval, Nlm
from cds_service.fhir import dates, units
from cds_service.fhir.chart import EVERYTHING_ARRIVED
from cds_service.fhir.chart_builder import ChartEntry, read_chart
from cds_service.fhir.medication import referenced_medications
from cds_service.fhir.reader import ChartReader
from cds_service.reasoning.current_facts import determine_facts
from cds_service.reasoning.facts import Fact, Facts
from cds_service.reasons import Explanation, Reason
from tests.support.pictures import outline

TODAY = date(2026, 11, 1)
KNOWN = knowledge.load()
READER = ChartReader(KNOWN)
OWN = KNOWN.assessment_system
CM, WHO = "http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-10"
SNOMED, LOINC = "http://snomed.info/sct", "http://loinc.org"
ICD_O = "http://terminology.hl7.org/CodeSystem/icd-o-3"
MINE = {"reference": "Patient/p"}
PATIENT = {"resourceType": "Patient", "id": "p", "birthDate": "1970-06-01", "gender": "female"}


def condition(code: str, system: str = CM, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Condition", "id": f"c-{code}", "subject": MINE,
            "code": {"coding": [{"system": system, "code": code}]}} | more  # fmt: skip


def observation(code: str, system: str = OWN, on: str | None = "2026-10-20", **more: Any) -> dict[str, Any]:
    made = {"resourceType": "Observation", "id": f"o-{code}", "status": "final", "subject": MINE,
            "code": {"coding": [{"system": system, "code": code}]}}  # fmt: skip
    return made | ({"effectiveDateTime": on} if on else {}) | more


def quantity(value: float, unit: str) -> dict[str, Any]:
    return {"valueQuantity": {"value": value, "unit": unit, "system": units.UCUM, "code": unit}}


def coded(code: str) -> dict[str, Any]:
    return {"valueCodeableConcept": {"coding": [{"system": OWN, "code": code}]}}


def picture(*resources: dict[str, Any]) -> ClinicalPicture:
    chart = read_chart([ChartEntry(json.dumps(r).encode()) for r in (PATIENT, *resources)], "p", EVERYTHING_ARRIVED)
    return READER.read(chart, TODAY)


def facts(*resources: dict[str, Any]) -> Facts:
    return determine_facts(picture(*resources), KNOWN, TODAY)


def fact(name: str, *resources: dict[str, Any]) -> Fact:
    return facts(*resources)[name]


NEN = condition("C7A.012")
LIVER = condition("C78.7")


@pytest.mark.parametrize(
    ("resources", "answer"),
    [
        ([condition("C7B.02")], Nlm.YES),
        ([NEN, LIVER], Nlm.YES),
        ([NEN, condition("C787")], Nlm.YES),
        ([condition("255046005", SNOMED), condition("94381002", SNOMED)], Nlm.YES),
        ([condition("C17.2", WHO), condition("C78.7", WHO)], Nlm.NO),
        ([condition("C25.4"), LIVER], Nlm.NO),
        ([condition("C7B.1"), LIVER], Nlm.NO),
        ([condition("C18.7"), LIVER], Nlm.NO),
        ([NEN], Nlm.NO),
        ([LIVER], Nlm.NO),
        ([NEN, LIVER, condition("C18.7")], Nlm.POSSIBLE),
        ([condition("C7B.02"), condition("C18.7")], Nlm.YES),
        ([condition("D3A.012"), LIVER], Nlm.POSSIBLE),
        ([condition("D3A.012"), LIVER, condition("C18.7")], Nlm.NO),
        ([condition("Z85.060"), LIVER], Nlm.POSSIBLE),
        ([NEN | {"clinicalStatus": {"coding": [{"code": "resolved"}]}}, LIVER], Nlm.YES),
        ([NEN, LIVER | {"clinicalStatus": {"coding": [{"code": "resolved"}]}}], Nlm.NO),
        ([NEN | {"verificationStatus": {"coding": [{"code": "provisional"}]}}, LIVER], Nlm.POSSIBLE),
        ([NEN | {"verificationStatus": {"coding": [{"code": "refuted"}]}}, LIVER], Nlm.NO),
        ([condition("C7B.8"), condition("E11.9")], Nlm.NO),
        ([condition("C7B.8", bodySite=[{"coding": [{"system": SNOMED, "code": "10200004"}]}])], Nlm.YES),
    ],
    ids=str,
)
def test_neuroendocrine_liver_metastases_need_both_halves(resources: list[dict[str, Any]], answer: Nlm) -> None:
    assert picture(*[r | {"id": f"{r['id']}-{n}"} for n, r in enumerate(resources)]).gate.answer is answer


@pytest.mark.parametrize(
    ("morphology", "site", "answer"),
    [("8240/3", "C17.2", Nlm.YES), ("8244/3", "C17.2", Nlm.NO), ("8041/3", "C34.1", Nlm.NO), ("8041/3", "C17.2", Nlm.YES)],
)
def test_a_site_code_with_a_neuroendocrine_histology_is_the_tumour(morphology: str, site: str, answer: Nlm) -> None:
    histology = observation("59847-4", LOINC) | {"valueCodeableConcept": {"coding": [{"system": ICD_O, "code": morphology}]}}
    assert picture(condition(site, WHO), condition("C78.7", WHO), histology).gate.answer is answer


@pytest.mark.parametrize(
    ("resource", "name", "value"),
    [
        (observation("1975-2", LOINC, **quantity(1.2, "mg/dL")), "total_bilirubin", "1.2"),
        (observation("14631-6", LOINC, **quantity(51.3, "umol/L")), "total_bilirubin", "3.00"),
        (observation("1751-7", LOINC, **quantity(38, "g/L")), "albumin", "3.8"),
        (observation("777-3", LOINC, **quantity(210, "10*3/uL")), "platelets", "210"),
        (observation("777-3", LOINC, **quantity(210, "K/uL")), "platelets", "210"),
        (observation("14682-9", LOINC, **quantity(177, "umol/L")), "creatinine", "2.00"),
        (observation("6301-6", LOINC, **quantity(1.1, "{INR}")), "inr", "1.1"),
        (observation("89247-1", LOINC, valueInteger=2), "ecog", "2"),
        (observation("liver-involvement", **quantity(35, "%")), "liver_involvement", "35"),
        (observation("lesion-count", valueInteger=4), "lesion_count", "4"),
    ],
    ids=lambda part: str(part)[:60],
)
def test_a_value_is_read_in_its_unit(resource: dict[str, Any], name: str, value: str) -> None:
    amount = fact(name, resource).amount
    assert amount is not None
    assert amount.exact == Decimal(value)


@pytest.mark.parametrize(
    "more",
    [
        quantity(1.2, "furlong"),
        quantity(-3, "mg/dL"),
        {"valueString": "not measured"},
        {"dataAbsentReason": {"text": "unknown"}},
        {},
        {"valueQuantity": {"value": "high", "unit": "mg/dL"}},
        {"valueQuantity": {"value": 1.0, "comparator": "about", "code": "mg/dL"}},
    ],
    ids=str,
)
def test_a_value_that_cannot_be_read_leaves_its_fact_unknown(more: dict[str, Any]) -> None:
    old = observation("1975-2", LOINC, on="2026-09-01", **quantity(0.8, "mg/dL")) | {"id": "old"}
    found = fact("total_bilirubin", old, observation("1975-2", LOINC, **more))
    assert found.unknown
    assert found.reason is Reason.UNREADABLE


@pytest.mark.parametrize("status", ["preliminary", "registered", "entered-in-error", "cancelled", "unknown"])
def test_only_final_amended_and_corrected_observations_count(status: str) -> None:
    assert fact("inr", observation("6301-6", LOINC, **quantity(1.1, "1")) | {"status": status}).silent


NOT_FHIR = ["unknown", "weird", "", None, "Final", "appended"]


@pytest.mark.parametrize("status", NOT_FHIR[1:])
def test_an_observation_whose_status_fhir_does_not_define_is_named_and_asks(status: str | None) -> None:
    newer = observation("1975-2", LOINC, **quantity(9, "mg/dL")) | {"id": "newer", "status": status}
    older = observation("1975-2", LOINC, on="2026-09-01", **quantity(0.7, "mg/dL"))
    assert fact("total_bilirubin", older, newer).unknown
    assert [what.seen_in for what in picture(older, newer).unreadable] == ["Observation/newer"]
    assert fact("total_bilirubin", older | {"status": status}, newer | {"status": "final "}).known


def entry(kind: str, status: str | None, **more: Any) -> dict[str, Any]:
    return {"resourceType": kind, "id": "x", "status": status, "subject": MINE} | more


RESECTION = {"code": {"coding": [{"system": SNOMED, "code": "71273005"}]}, "performedDateTime": "2026-08-01"}
OCTREOTIDE = {"medicationCodeableConcept": {"coding": [{"system": "http://www.whocc.no/atc", "code": "H01CB02"}]}}


@pytest.mark.parametrize("status", NOT_FHIR)
@pytest.mark.parametrize(
    ("kind", "name", "more"),
    [
        ("Procedure", "liver_resection", RESECTION),
        ("MedicationRequest", "somatostatin_analogue", OCTREOTIDE | {"intent": "order"}),
        ("MedicationStatement", "somatostatin_analogue", OCTREOTIDE),
    ],
)
def test_a_treatment_whose_status_fhir_does_not_define_is_named_and_denies_nothing(
    kind: str, name: str, more: dict[str, Any], status: str | None
) -> None:
    assert fact(name, entry(kind, status, **more)).unknown
    assert [what.seen_in for what in picture(entry(kind, status, **more)).unreadable] == [f"{kind}/x"]


@pytest.mark.parametrize("status", NOT_FHIR)
def test_an_order_whose_status_fhir_does_not_define_is_named_and_stays_an_order(status: str | None) -> None:
    """A warning too many is better than a missing one."""
    order = entry("ServiceRequest", status, intent="order", code=RESECTION["code"])
    assert [what.seen_in for what in picture(order).unreadable] == ["ServiceRequest/x"]
    assert picture(order).orders["resection"].recorded == "71273005"


@pytest.mark.parametrize("changed", [{}, {"implicitRules": "http://example.org/rules"}])
@pytest.mark.parametrize(
    "against",
    [{"status": s} for s in ("draft", "on-hold", "revoked", "completed", "entered-in-error")]
    + [{"intent": "proposal"}, {"intent": "plan"}, {"doNotPerform": True}],
)
def test_an_order_that_does_not_count_does_not_count_when_untrusted_either(
    against: dict[str, Any], changed: dict[str, Any]
) -> None:
    order = entry("ServiceRequest", None, intent="order", code=RESECTION["code"]) | changed
    assert picture(order).orders
    assert not picture(order | against).orders


def test_an_order_in_doubt_does_not_say_that_a_test_was_asked_for() -> None:
    inr = entry("ServiceRequest", "active", intent="order", code={"coding": [{"system": LOINC, "code": "6301-6"}]})
    assert picture(inr).ordered_tests == {"6301-6"}
    assert not picture(inr | {"status": None}).ordered_tests


def test_of_two_orders_of_a_treatment_the_one_beyond_doubt_is_shown() -> None:
    sure = entry("ServiceRequest", "active", intent="order", code=RESECTION["code"]) | {"id": "y"}
    assert picture(sure | {"id": "a", "status": None}, sure).orders["resection"].seen_in == "ServiceRequest/y"


def test_a_scheduled_procedure_in_doubt_stays_an_order() -> None:
    assert picture(entry("Procedure", "preparation", **RESECTION) | MODIFIERS[0]).orders["resection"].seen_in == "Procedure/x"


@pytest.mark.parametrize("subject", [None, {"identifier": {"value": "4711"}}, {"display": "p"}], ids=str)
def test_an_order_that_does_not_say_whose_it_is_stays_an_order_and_is_named(subject: dict[str, Any] | None) -> None:
    order = entry("ServiceRequest", "active", intent="order", code=RESECTION["code"], subject=subject)
    planned = entry("Procedure", "preparation", **RESECTION, subject=subject)
    for sent in (order, planned):
        found = picture(sent)
        assert [what.seen_in for what in found.unreadable] == [f"{sent['resourceType']}/x"]
        assert found.orders["resection"].seen_in == f"{sent['resourceType']}/x"
    assert not picture(order | {"status": "revoked"}).orders
    assert not picture(order | {"intent": "plan"}).orders
    assert not picture(order | {"subject": {"reference": "Patient/q"}}).orders


def test_a_drug_or_procedure_in_doubt_is_asked_about_by_its_own_name() -> None:
    capecitabine = {"coding": [{"system": "http://www.whocc.no/atc", "code": "L01BC06"}], "text": "Xeloda"}
    drug: dict[str, Any] = {"resourceType": "Medication", "id": "m", "code": capecitabine}
    referred = {"medicationReference": {"reference": "Medication/m"}}
    given = entry("MedicationRequest", None, intent="order", authoredOn="2026-10-20", **referred)
    taken = entry("MedicationStatement", "completed", medicationCodeableConcept=capecitabine) | MODIFIERS[0]
    for resources, why in (((drug, given), Reason.STATUS_NOT_OF_FHIR), ((taken,), Reason.MODIFIED)):
        for name in ("capecitabine", "capecitabine_recent"):  # completed, unless the extension says otherwise
            found = fact(name, *resources)
            assert (found.unknown, found.reason, [seen.recorded for seen in found.seen]) == (True, why, ["Xeloda"])
    done = fact("liver_resection", entry("Procedure", "unknown", **RESECTION))
    assert [(str(seen.on), seen.seen_in) for seen in done.seen] == [("2026-08-01", "Procedure/x")]


def test_a_medication_that_a_request_in_doubt_refers_to_is_looked_up() -> None:
    given = entry("MedicationRequest", None, intent="order", medicationReference={"reference": "Medication/m"})
    assert referenced_medications(read_chart([ChartEntry(json.dumps(given).encode())], "p", EVERYTHING_ARRIVED)) == {
        "Medication/m"
    }


@pytest.mark.parametrize("status", ["completed ", " completed"])
def test_blanks_around_the_status_of_a_procedure_say_nothing(status: str) -> None:
    assert fact("liver_resection", entry("Procedure", status, **RESECTION)).known


@pytest.mark.parametrize("status", ["not-done", "on-hold", "stopped", "entered-in-error"])
def test_a_procedure_that_was_not_done_is_left_out(status: str) -> None:
    assert fact("liver_resection", entry("Procedure", status, **RESECTION)).silent


@pytest.mark.parametrize("when", ["2026-11-20T24:00:00Z", "10/25/2026", "yesterday"])
@pytest.mark.parametrize("field", ["effectiveDateTime", "effectiveInstant", "effectivePeriod"])
def test_an_invalid_date_does_not_make_a_value_the_oldest(field: str, when: str) -> None:
    older = observation("1975-2", LOINC, on="2026-09-01", **quantity(0.7, "mg/dL"))
    odd = {field: {"end": when} if field == "effectivePeriod" else when}
    newer = observation("1975-2", LOINC, None, **quantity(9, "mg/dL"), **odd) | {"id": "newer"}
    assert fact("total_bilirubin", older, newer).unknown
    unread = picture(older, newer).unreadable
    assert [(what.seen_in, what.why.reason) for what in unread] == [("Observation/newer", Reason.DATE_NOT_VALID)]


def test_a_diagnosis_or_procedure_with_an_invalid_date_counts_and_is_named() -> None:
    """An unknown date is no reason to ignore a failing liver or a graft."""
    failing = condition("K72.90", recordedDate="11/20/2026")
    graft = entry("Procedure", "completed", code={"coding": [{"system": SNOMED, "code": "18027006"}]}, performedDateTime="?")
    found = facts(failing, graft)
    assert found["hepatic_failure_found"].equals(True)
    assert found["transplanted"].equals(True)
    assert {what.seen_in for what in picture(failing, graft).unreadable} == {"Condition/c-K72.90", "Procedure/x"}


def test_a_tumour_with_an_invalid_date_does_not_get_the_first_date_of_another() -> None:
    recent, odd = condition("C7A.012", recordedDate="2026-10-01"), condition("C7A.020", recordedDate="03/01/2019")
    assert fact("nen_diagnosis", recent).known
    assert fact("nen_diagnosis", recent, odd).unknown


MODIFIERS: list[dict[str, Any]] = [
    {"modifierExtension": [{"url": "http://example.org/negated", "valueBoolean": True}]},
    {"implicitRules": "http://example.org/rules"},
]


@pytest.mark.parametrize("modifier", MODIFIERS, ids=lambda modifier: next(iter(modifier)))
def test_what_is_changed_by_something_not_understood_is_never_processed(modifier: dict[str, Any]) -> None:
    """R4, DomainResource.modifierExtension and Resource.implicitRules: what modifies the meaning has to be understood."""
    resources: list[tuple[str, dict[str, Any]]] = [
        ("inr", observation("6301-6", LOINC, **quantity(1.1, "1"))),
        ("hepatic_failure_coded", condition("K72.90")),
        ("liver_resection", entry("Procedure", "completed", **RESECTION)),
        ("somatostatin_analogue", entry("MedicationRequest", "active", intent="order", **OCTREOTIDE)),
        ("somatostatin_analogue", entry("MedicationStatement", "active", **OCTREOTIDE)),
    ]
    for name, resource in resources:
        assert fact(name, resource).known
        seen = picture(resource | modifier)
        assert [what.why.reason for what in seen.unreadable] == [Reason.MODIFIED], name
        assert fact(name, resource | modifier).unknown, name
    study = entry("ImagingStudy", "available", procedureCode=[{"text": "MRI"}]) | modifier
    report = entry("DiagnosticReport", "final") | modifier
    order = entry("ServiceRequest", "active", intent="order", code=RESECTION["code"]) | modifier
    assert len(picture(study, report, order).unreadable) == 3
    assert not picture(study, report).orders
    assert picture(order).orders  # the one exception, because it can only add a warning
    chart = read_chart([ChartEntry(json.dumps(PATIENT | modifier).encode())], "p", EVERYTHING_ARRIVED)
    assert chart.patient is None
    assert [what.seen_in for _, what in chart.unreadable] == ["Patient/p"]


def test_a_changed_component_leaves_its_fact_open() -> None:
    part = {"code": {"coding": [{"system": LOINC, "code": "6301-6"}]}, **quantity(1.1, "1")}
    panel = observation("panel", LOINC, component=[part])
    assert fact("inr", panel).known
    assert fact("inr", panel | {"component": [part | MODIFIERS[0]]}).unknown
    assert fact("inr", panel | {"component": [part, {"valueInteger": "undecodable"}]}).unknown


@pytest.mark.parametrize("modifier", MODIFIERS, ids=lambda modifier: next(iter(modifier)))
def test_a_changed_medication_names_no_drug(modifier: dict[str, Any]) -> None:
    drug: dict[str, Any] = {"resourceType": "Medication", "id": "m", "code": OCTREOTIDE["medicationCodeableConcept"]}
    given = entry("MedicationRequest", "active", intent="order", medicationReference={"reference": "Medication/m"})
    assert fact("somatostatin_analogue", drug, given).known
    assert fact("somatostatin_analogue", drug | modifier, given).unknown
    inside = given | {"medicationReference": {"reference": "#m"}}
    assert fact("somatostatin_analogue", inside | {"contained": [drug]}).known
    assert fact("somatostatin_analogue", inside | {"contained": [drug | modifier]}).unknown


@pytest.mark.parametrize(
    "system",
    ["urn:oid:2.16.840.1.113883.6.96", "https://snomed.info/sct", "http://snomed.info/sct/", "http://snomed.info/sct/731000124108",
     "http://snomed.info/sct/900000000000207008/version/20260131", " https://snomed.info/sct/ "],
)  # fmt: skip
def test_a_code_system_is_known_by_its_other_spellings(system: str) -> None:
    assert picture(condition("255046005", system), condition("94381002", system)).gate.answer is Nlm.YES


@pytest.mark.parametrize(
    "system", ["http://snomed.info/sct/x", "http://snomed.info/xsct/731000124108", "http://snomed.info/id"]
)
def test_codes_of_a_similar_but_unknown_system_uri_raise_a_question(system: str) -> None:
    assert picture(condition("255046005", system), condition("94381002", system)).gate.answer is Nlm.POSSIBLE


@pytest.mark.parametrize(
    ("oid", "name"),
    [("90", "icd-10-cm"), ("3", "icd-10"), ("1", "loinc"), ("96", "snomed-ct"), ("88", "rxnorm"), ("73", "atc"),
     ("43.1", "icd-o-3"), ("4", "icd-10-pcs")],
)  # fmt: skip
def test_a_registered_oid_names_its_code_system(oid: str, name: str) -> None:
    assert KNOWN.terminology.coding(f"urn:oid:2.16.840.1.113883.6.{oid}", "1", None).system == name


def test_a_code_that_names_no_system_decides_nothing_and_asks() -> None:
    older = observation("1975-2", LOINC, on="2026-09-01", **quantity(0.7, "mg/dL"))
    bare = observation("1975-2", "", **quantity(9, "mg/dL")) | {"id": "bare"}
    found = fact("total_bilirubin", older, bare)
    assert found.unknown
    assert [bad.why.reason for bad in found.unread] == [Reason.CODE_WITHOUT_SYSTEM]
    both = bare | {"code": {"coding": [{"code": "1975-2"}, {"system": LOINC, "code": "1975-2"}]}}
    assert fact("total_bilirubin", older, both).known


STATUSES: list[dict[str, Any]] = [
    {"verificationStatus": {"text": "Entered in error"}},
    {"verificationStatus": {"coding": [{"code": "Refuted"}]}},
    {"verificationStatus": {"coding": [{"display": "confirmed"}]}},
    {"clinicalStatus": {"coding": [{"code": "Resolved"}]}},
    {"clinicalStatus": {"text": "resolved"}},
    {"clinicalStatus": "active"},
    {"abatementDateTime": "01/02/2026"},
]


@pytest.mark.parametrize("status", STATUSES, ids=str)
def test_a_diagnosis_whose_status_is_none_of_fhir_asks_and_never_decides(status: dict[str, Any]) -> None:
    failing = fact("hepatic_failure_coded", condition("K72.90", **status))
    assert failing.unknown
    assert failing.reason is Reason.RESOURCE_UNREADABLE
    gate = picture(condition("C7B.02", **status)).gate
    one = Explanation(Reason.CONFIRM_UNREADABLE, unread=Explanation(Reason.ONE_DIAGNOSIS_UNREADABLE))
    assert (gate.answer, outline(gate.because)) == (Nlm.POSSIBLE, outline(one))
    assert [reading.seen_in for reading in gate.seen] == ["Condition/c-C7B.02"]


def test_diagnoses_that_could_not_be_read_are_not_called_provisional() -> None:
    odd = {"clinicalStatus": "active"}
    gate = picture(NEN | odd, LIVER | odd).gate
    two = Explanation(Reason.CONFIRM_UNREADABLE, unread=Explanation(Reason.DIAGNOSES_UNREADABLE, count=2))
    assert (gate.answer, outline(gate.because)) == (Nlm.POSSIBLE, outline(two))
    assert [reading.seen_in for reading in gate.seen] == ["Condition/c-C7A.012", "Condition/c-C78.7"]


def test_another_malignancy_that_could_not_be_read_is_still_another_malignancy() -> None:
    colon = condition("C18.7", clinicalStatus={"text": "Active"})
    assert picture(NEN, LIVER, condition("C18.7")).gate.answer is Nlm.POSSIBLE
    gate = picture(NEN, LIVER, colon).gate
    assert gate.answer is Nlm.POSSIBLE
    assert gate.seen[-1].seen_in == "Condition/c-C18.7"


def test_a_histology_or_a_liver_finding_that_could_not_be_read_is_no_empty_answer() -> None:
    histology = observation("59847-4", LOINC, valueCodeableConcept={"coding": [{"system": ICD_O, "code": "8240/3"}]})
    count = observation("lesion-count", valueInteger=4)
    for half, other in ((LIVER, histology), (NEN, count)):
        assert picture(half, other).gate.answer is Nlm.YES
        gate = picture(half, other | {"status": "Final"}).gate
        assert gate.answer is Nlm.CANNOT_TELL
        assert gate.seen[-1].seen_in == f"Observation/{other['id']}"
        assert picture(half, other | {"status": "preliminary"}).gate.answer is Nlm.NO


@pytest.mark.parametrize(
    ("abatement", "ended"),
    [
        ({"abatementDateTime": "2026-10"}, True),
        ({"abatementDateTime": "2027-03-01"}, False),
        ({"abatementPeriod": {"start": "2026-01", "end": "2026-02"}}, True),
        ({"abatementPeriod": {"start": "2026-01", "end": "2027-02"}}, False),
        ({"abatementPeriod": {"start": "2026-01"}}, False),
        ({"abatementAge": {"value": 52, "code": "a"}}, True),
        ({"abatementRange": {"low": {"value": 50, "code": "a"}}}, True),
        ({"abatementString": "in spring"}, True),
        ({}, False),
    ],
    ids=str,
)
def test_a_diagnosis_that_has_ended_is_history_where_no_status_says_so(abatement: dict[str, Any], ended: bool) -> None:
    assert picture(NEN, LIVER | abatement).gate.answer is (Nlm.NO if ended else Nlm.YES)
    active = {"clinicalStatus": {"coding": [{"code": "active"}]}}
    assert picture(NEN, LIVER | abatement | active).gate.answer is Nlm.YES


def test_a_resource_that_does_not_say_of_whom_it_is_leaves_a_question() -> None:
    assert fact("inr", observation("6301-6", LOINC, **quantity(1.1, "1")) | {"subject": {"display": "p"}}).unknown


@pytest.mark.parametrize("subject", [{"reference": "Patient/other"}, {"reference": "Group/p"}])
def test_a_resource_of_another_patient_is_left_out(subject: dict[str, str]) -> None:
    assert fact("inr", observation("6301-6", LOINC, **quantity(1.1, "1")) | {"subject": subject}).silent


@pytest.mark.parametrize("reference", ["Patient/p", "https://ehr.example/fhir/Patient/p", "Patient/p/_history/2"])
def test_a_reference_may_be_relative_absolute_or_versioned(reference: str) -> None:
    inr = observation("6301-6", LOINC, **quantity(1.1, "1")) | {"subject": {"reference": reference}}
    assert fact("inr", inr).known


@pytest.mark.parametrize(
    ("on", "state"),
    [("2026-05-05", "known"), ("2026-05-04", "unknown"), (None, "unknown"), ("2026-11-02", "known"), ("2026-11-03", "unknown"),
     ("2026-10", "known"), ("2026", "unknown"), ("2026-10-20T08:00:00+02:00", "known"), ("yesterday", "unknown")],
)  # fmt: skip
def test_a_laboratory_value_counts_for_180_days_and_not_from_the_future(on: str | None, state: str) -> None:
    assert fact("inr", observation("6301-6", LOINC, on=on, **quantity(1.1, "1"))).state.value == state


def test_two_values_of_one_day_that_disagree_are_unknown_and_both_are_named() -> None:
    first = observation("6301-6", LOINC, **quantity(1.1, "1"))
    found = fact("inr", first, observation("6301-6", LOINC, **quantity(2.4, "1")) | {"id": "second"})
    assert found.unknown
    assert len(found.seen) == 2


def test_a_comparator_says_no_more_than_it_knows() -> None:
    below = Interval.from_comparator("<", Decimal(5))
    assert below.at_least(Decimal(5)) is False
    assert below.above(Decimal(3)) is None
    above = Interval.from_comparator(">", Decimal(60))
    assert above.below(Decimal(15)) is False
    assert str(above) == "> 60"


def test_portal_vein_thrombosis_without_its_extent_asks_and_an_assessment_answers() -> None:
    thrombosis = condition("I81", recordedDate="2026-09-01")
    assert fact("portal_vein", thrombosis).unknown
    assert fact("portal_vein", thrombosis, observation("portal-vein", **coded("patent"))).equals("patent")
    assert fact("portal_vein", thrombosis, observation("portal-vein", on="2026-08-01", **coded("patent"))).unknown


def test_nodal_metastases_ask_and_bone_metastases_answer() -> None:
    assert fact("extrahepatic_disease", condition("C77.2")).unknown
    assert fact("extrahepatic_disease", condition("C79.51")).equals("present")
    assert fact("extrahepatic_disease", condition("C79.51"), observation("extrahepatic-disease", **coded("resectable"))).equals(
        "resectable"
    )


@pytest.mark.parametrize(
    ("code", "met"),
    [("N18.5", True), ("N18.6", True), ("Z99.2", True), ("N18.4", None), ("N18.30", None), ("N18.9", None)],
)
def test_kidney_disease_short_of_failure_is_never_renal_failure(code: str, met: bool | None) -> None:
    found = fact("renal_failure_found", condition(code))
    assert (found.value if found.known else None) is met


@pytest.mark.parametrize(
    ("on", "egfr_on", "met"),
    [("2026-10-01", None, True), ("2026-07-01", "2026-10-20", False), ("2026-10-01", "2026-10-20", False),
     ("2026-10-01", "2026-09-20", True), (None, "2026-10-20", None)],
)  # fmt: skip
def test_an_acute_kidney_failure_counts_for_90_days_unless_a_later_egfr_denies_it(
    on: str | None, egfr_on: str | None, met: bool | None
) -> None:
    resources = [condition("N17.9", **({"onsetDateTime": on} if on else {}))]
    if egfr_on:
        resources.append(observation("98979-8", LOINC, on=egfr_on, **quantity(64, "mL/min/{1.73_m2}")))
    found = fact("renal_failure_found", *resources)
    assert (found.value if found.known else None) is met


def test_a_missing_egfr_is_calculated_and_says_so() -> None:
    found = fact("egfr_used", observation("2160-0", LOINC, **quantity(1.0, "mg/dL")))
    assert found.amount is not None
    assert found.amount.exact == 66  # a woman of 56: 142 × (1/0.7)^-1.2 × 0.9938^56 × 1.012 = 66.1
    assert found.note_reason is Reason.EGFR_FROM_CREATININE


def test_a_drug_known_by_its_name_only_asks_and_never_decides() -> None:
    by_name = {"resourceType": "MedicationRequest", "id": "m", "status": "active", "intent": "order", "subject": MINE,
               "authoredOn": "2026-01-01", "medicationCodeableConcept": {"text": "Octreotide LAR 30 mg"}}  # fmt: skip
    found = fact("somatostatin_analogue", by_name)
    assert (found.unknown, found.reason) == (True, Reason.BY_NAME)


def test_lesions_are_counted_from_tumour_sizes_as_at_least_so_many() -> None:
    segment = {"bodySite": {"coding": [{"system": SNOMED, "code": "277959000"}]}}
    sizes = [observation("21889-1", LOINC, **quantity(n, "mm")) | segment | {"id": f"s{n}"} for n in (12, 31, 45)]
    found = facts(*sizes)
    assert str(found["lesion_count"].value) == "≥ 3"
    assert str(found["largest_lesion"].value) == "4.5"
    assert found["lobes_involved"].equals("right")


def test_what_an_unreadable_resource_spoke_of_is_a_question() -> None:
    broken = observation("portal-vein") | {"valueCodeableConcept": "occluded"}
    found = picture(broken)
    assert len(found.unreadable) == 1
    assert fact("portal_vein", broken).unknown


def test_a_fhir_date_is_a_day_a_month_a_year_or_an_instant() -> None:
    assert str(dates.parse_date("2026-02")) == "2026-02"
    assert dates.parse_date("2026-02").latest == date(2026, 2, 28)
    assert dates.parse_date("2026-10-20T08:00:00Z").instant is not None
    with pytest.raises(ValueError, match="not a FHIR date"):
        dates.parse_date("20.10.2026")


def test_a_new_liver_metastasis_after_a_resection_that_cleared_the_old_ones_is_a_recurrence() -> None:
    resection = {"resourceType": "Procedure", "id": "op", "status": "completed", "subject": MINE,
                 "performedDateTime": "2024-03-01", "code": {"coding": [{"system": SNOMED, "code": "71273005"}]}}  # fmt: skip
    before = condition("C78.7", onsetDateTime="2023-12-01") | {
        "id": "old",
        "clinicalStatus": {"coding": [{"code": "resolved"}]},
    }
    now = condition("C78.7", onsetDateTime="2026-08-01")
    assert fact("recurrence", NEN, resection, before, now).equals(True)
    assert fact("recurrence", NEN, resection, now).unknown
    assert fact("recurrence", NEN, now).equals(False)


def test_a_finding_inside_of_a_diagnosis_is_no_diagnosis() -> None:
    """A size is not a new metastasis after a resection, neither by itself nor contained in a Condition."""
    lesion = observation("21889-1", LOINC, "2026-10-01", **quantity(2, "cm")) | {"bodySite": LIVER_SITE}
    resection = {"resourceType": "Procedure", "id": "op", "status": "completed", "subject": MINE,
                 "performedDateTime": "2025-03-01", "code": {"coding": [{"system": SNOMED, "code": "71273005"}]}}  # fmt: skip
    before = condition("C78.7", clinicalStatus={"coding": [{"code": "resolved"}]})
    for sent in ((NEN, lesion), (NEN | {"contained": [lesion]},)):
        assert picture(*sent, resection, before).gate.answer is Nlm.YES
        assert fact("recurrence", *sent, resection, before).unknown


@pytest.mark.parametrize(("on", "state"), [("2026-10-02", "known"), ("2026-10-01", "unknown")])
def test_with_an_active_order_a_laboratory_value_counts_for_30_days(on: str, state: str) -> None:
    platelets = observation("777-3", LOINC, on, **quantity(200, "10*9/L"))
    order = {"resourceType": "ServiceRequest", "id": "r", "status": "active", "intent": "order", "subject": MINE,
             "code": {"coding": [{"system": SNOMED, "code": "107963000"}]}}  # fmt: skip
    assert fact("platelets", platelets).state == "known"
    assert picture(platelets, order).orders
    assert fact("platelets", platelets, order).state == state


LIVER_SITE = {"coding": [{"system": SNOMED, "code": "10200004", "display": "Liver structure"}]}
BONE_SITE = {"coding": [{"system": SNOMED, "code": "272673000", "display": "Bone structure"}]}


def named(code: str, display: str, system: str = CM) -> dict[str, Any]:
    made = condition(code, system)
    made["code"]["coding"][0]["display"] = display
    return made


@pytest.mark.parametrize(
    "beside",
    [
        named("C78.01", "Secondary malignant neoplasm of right lung"),
        named("J18.9", "Pneumonia with pulmonary infiltrate"),
        named("94391000", "Secondary malignant neoplasm of lung", SNOMED),
        named("427359005", "Solitary pulmonary nodule", SNOMED),
    ],
)
def test_lung_findings_other_than_a_primary_do_not_make_a_small_cell_carcinoma_a_lung_tumour(
    beside: dict[str, Any],
) -> None:
    small_cell = observation("59847-4", LOINC)
    small_cell["valueCodeableConcept"] = {"coding": [{"system": ICD_O, "code": "8041/3"}]}
    assert picture(condition("C15.9"), LIVER, small_cell, beside).gate.answer is Nlm.YES
    lung = named("254632001", "Small cell carcinoma of lung", SNOMED)
    assert picture(condition("C15.9"), LIVER, small_cell, lung).gate.answer is Nlm.NO


def test_a_benign_tumour_beside_provisional_liver_metastases_is_a_question() -> None:
    status = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": "provisional"}]}
    assert picture(condition("D3A.012"), condition("C78.7", verificationStatus=status)).gate.answer is Nlm.POSSIBLE


@pytest.mark.parametrize(("text", "answer"), [("2.3 cm", Nlm.YES), ("0 cm", Nlm.NO), ("not seen", Nlm.NO)])
def test_a_size_written_as_text_is_a_lesion_of_the_liver_as_well(text: str, answer: Nlm) -> None:
    size = observation("21889-1", LOINC, valueString=text, bodySite=LIVER_SITE)
    assert picture(NEN, size).gate.answer is answer


def test_of_a_metastasis_in_liver_and_bone_the_bone_is_outside_the_liver() -> None:
    both = condition("C7B.8", bodySite=[LIVER_SITE, BONE_SITE])
    assert fact("extrahepatic_disease", NEN, both).equals("present")
    assert not fact("extrahepatic_disease", NEN, condition("C7B.8", bodySite=[LIVER_SITE])).equals("present")


def statement(status: str, **period: str) -> dict[str, Any]:
    return {"resourceType": "MedicationStatement", "id": "m", "subject": MINE, "status": status, "effectivePeriod": period,
            "medicationCodeableConcept": {"coding": [{"system": "http://www.whocc.no/atc", "code": "L01BC06"}]}}  # fmt: skip


@pytest.mark.parametrize(
    ("drug", "state"),
    [
        (statement("completed", start="2026-04-01", end="2026-10-20"), "known"),
        (statement("stopped", start="2026-04-01", end="2026-08-01"), "silent"),
        (statement("stopped", start="2026-10-01"), "known"),
        (statement("stopped", start="2026-04-01"), "unknown"),
        (statement("stopped", end="2026-10-20"), "known"),
    ],
)
def test_a_drug_counts_by_the_end_of_its_treatment(drug: dict[str, Any], state: str) -> None:
    assert fact("capecitabine_recent", NEN, LIVER, drug).state == state


@pytest.mark.parametrize(("status", "met"), [("in-progress", True), ("completed", False)])
def test_a_dialysis_that_goes_on_is_of_today_whenever_it_began(status: str, met: bool) -> None:
    dialysis = {"resourceType": "Procedure", "id": "d", "subject": MINE, "status": status,
                "performedPeriod": {"start": "2024-10-01"},
                "code": {"coding": [{"system": SNOMED, "code": "302497006"}]}}  # fmt: skip
    assert fact(
        "renal_failure_found", NEN, LIVER, dialysis, observation("98979-8", LOINC, **quantity(91, "mL/min/{1.73_m2}"))
    ).equals(met)


def test_a_carcinoma_that_is_coded_leaves_a_newer_well_differentiated_tumour_a_question() -> None:
    well = observation("differentiation", **coded("well"))
    assert facts(condition("C7A.1", onsetDateTime="2024-01-01"), LIVER)["nec"].equals(True)
    onset = {"onsetDateTime": "2024-01-01"}
    for dated in (onset, onset | {"recordedDate": "2026-10-28"}, {}):
        assert facts(condition("C7A.1", **dated), LIVER, well)["nec"].unknown
    assert facts(condition("C7A.1", recordedDate="2026-10-28"), LIVER, well)["nec"].equals(True)


def test_a_tumour_without_a_date_may_be_older_than_those_with_one() -> None:
    recent = condition("C7B.02", onsetDateTime="2026-10-12")
    assert fact("newly_diagnosed", recent).equals(True)
    assert fact("newly_diagnosed", NEN, recent).unknown
    assert fact("newly_diagnosed", NEN | {"onsetDateTime": "2020-01-01"}, recent).equals(False)


def test_a_resection_still_in_progress_has_the_date_on_which_it_began() -> None:
    begun = entry("Procedure", "in-progress", **RESECTION | {"performedDateTime": "2019-01-01"})
    assert fact("recent_liver_surgery", NEN, LIVER, begun).equals(False)
    to_come = entry("Procedure", "in-progress", **RESECTION | {"performedDateTime": "2027-01-01"})
    assert fact("recent_liver_surgery", NEN, LIVER, to_come).unknown


def test_a_transplant_in_doubt_is_open_and_one_that_is_assessed_stands_beside_an_undated_denial() -> None:
    status = condition("Z94.4", clinicalStatus={"text": "Active"})
    assert fact("transplanted", NEN, LIVER, status).unknown
    done = observation("liver-transplant", valueBoolean=True)
    denied = observation("liver-transplant", on=None, valueBoolean=False) | {"id": "denied"}
    assert fact("transplanted", NEN, LIVER, done, denied).equals(True)


def test_a_diagnosis_in_doubt_takes_nothing_back_that_another_says_for_certain() -> None:
    syndrome = condition("E34.00")
    doubtful = condition("E34.00", clinicalStatus={"text": "Active"}) | {"id": "doubtful"}
    assert fact("hormonal_syndrome", NEN, LIVER, syndrome, doubtful).equals("carcinoid")
    assert fact("hormonal_syndrome", NEN, LIVER, doubtful).unknown
