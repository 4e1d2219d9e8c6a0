"""Units of other systems, results contained in reports, and body sites from other resources (issue 20, K7 to K9), each in
several shapes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from cds_service.cards.card import EXTENSION
from cds_service.clinical_picture import Nlm
from cds_service.fhir.chart import EVERYTHING_ARRIVED, Availability
from cds_service.hooks.prefetch import PrefetchState, read_key
from cds_service.reasons import Reason
from tests.support.sent_charts import (
    CM,
    FERNMETASTASEN,
    FOCUS,
    GM,
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
    cards,
    chart,
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
def test_a_contained_result_has_its_own_status_and_a_report_in_error_removes_its_results(status_: str) -> None:
    assert str(fact("platelets", *OURS, OLD, report(inside(status=status_))).value) == "245"
    assert str(fact("platelets", *OURS, OLD, report(inside(), status="entered-in-error")).value) == "245"


def test_a_contained_result_also_sent_by_itself_is_one_result_and_another_patients_does_not_count() -> None:
    def size(name: str, **more: Any) -> Resource:
        return lab(name, "21889-1", 2, "cm", bodySite=coding("10200004", SNOMED), effectiveDateTime="2026-10-29", **more)

    assert str(fact("lesion_count", *OURS, size("a"), report(size("a"))).value) == "≥ 1"
    assert str(fact("lesion_count", *OURS, size("a"), report(size("b"))).value) == "≥ 1"
    assert str(fact("platelets", *OURS, OLD, report(inside(subject={"reference": "Patient/q"}))).value) == "245"


def test_a_contained_result_that_cannot_be_read_is_reported() -> None:
    broken = report({**inside(), "valueQuantity": "thirty-one"})
    assert "DiagnosticReport/cbc r1" in details(*OURS, OLD, broken)
    assert fact("platelets", *OURS, OLD, broken).unknown


def test_equal_contained_results_with_two_ids_are_two_and_each_sent_by_itself_is_one_of_them() -> None:
    """Equal results with different ids: five lesions of 2 cm. In another report under the same id it is the same result."""

    def sizes(count: int) -> list[Resource]:
        more: Resource = {"bodySite": coding("10200004", SNOMED), "effectiveDateTime": "2026-10-29"}
        return [lab(f"s{i}", "21889-1", 2, "cm", **more) for i in range(count)]

    five, again = report(*sizes(5)), report(*reversed(sizes(5)), id="later")
    assert str(fact("lesion_count", *OURS, five).value) == "≥ 5"
    assert str(fact("lesion_count", *OURS, five, again).value) == "≥ 5"
    assert str(fact("lesion_count", *OURS, five, *sizes(5)).value) == "≥ 5"
    assert str(fact("lesion_count", *OURS, five, *sizes(1)).value) == "≥ 5"


@pytest.mark.parametrize("subject", [{"reference": "Patient/q"}, None])
def test_an_equal_result_of_another_patient_does_not_replace_the_patients_own(subject: Resource | None) -> None:
    theirs = lab("x", *PLATELETS[:1], 31, PLATELETS[1], effectiveDateTime="2026-10-29", subject=subject)
    assert str(fact("platelets", *OURS, OLD, report(inside())).value) == "31"
    beside = fact("platelets", *OURS, OLD, theirs, report(inside()))
    assert beside.unknown if subject is None else str(beside.value) == "31"
    inside_another = report(inside(subject=None), id="another", subject=subject)
    beside = fact("platelets", *OURS, OLD, inside_another, report(inside()))
    assert beside.unknown if subject is None else str(beside.value) == "31"


def test_a_contained_result_also_sent_by_itself_is_not_reported_as_missing() -> None:
    alone = lab("r9", *PLATELETS[:1], 31, PLATELETS[1], effectiveDateTime="2026-10-29")
    assert "not sent" not in details(*OURS, alone, report(inside(), result=[{"reference": "#r1"}]))


@pytest.mark.parametrize(
    ("result", "histology_"),
    [
        (report({**inside(), "valueQuantity": "thirty-one"}), report(HISTOLOGY | {"valueString": 5})),
        (report(inside(), code=7), report(HISTOLOGY, code=7)),
        (report(inside(), status=[7]), report(HISTOLOGY, status=[7])),
        (report(*[inside()] * 1_001), report(*[HISTOLOGY] * 1_001)),
        (report(inside(), modifierExtension=[{"url": "x"}]), report(HISTOLOGY, modifierExtension=[{"url": "x"}])),
        (report(inside(), implicitRules="x"), report(HISTOLOGY, implicitRules="x")),
        ({**OLD, "code": 7, "contained": [inside()]}, {**OLD, "code": 7, "contained": [HISTOLOGY]}),
    ],
    ids=["value", "report", "status of the report", "too many", "changed", "under other rules", "panel"],
)
def test_an_unreadable_contained_result_or_container_makes_the_fact_unknown(result: Resource, histology_: Resource) -> None:
    older = {**OLD, "id": "older"}
    assert fact("platelets", *OURS, older, result).reason is Reason.UNREADABLE
    assert gate(SITE_OF_TUMOUR, LIVER, histology_) is Nlm.CANNOT_TELL
    assert gate(SITE_OF_TUMOUR, LIVER, {**histology_, "subject": {"reference": "Patient/q"}}) is not Nlm.YES


def test_if_contained_resources_cannot_be_decoded_the_absence_of_results_is_no_evidence() -> None:
    assert fact("platelets", *OURS).silent
    assert fact("platelets", *OURS, report(code=7)).silent
    assert "Observation" not in chart(*OURS, report(contained="none")).absence_is_evidence


@pytest.mark.parametrize("odd", [{"issued": 7}, {"effectivePeriod": "2026"}, {"effectiveDateTime": ["2026"]}], ids=str)
def test_an_invalid_minor_element_of_a_report_does_not_affect_its_results(odd: Resource) -> None:
    assert str(fact("platelets", *OURS, OLD, report(inside(), **odd)).value) == "31"
    assert gate(SITE_OF_TUMOUR, LIVER, report(HISTOLOGY, **odd)) is Nlm.YES


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
def test_a_result_that_a_report_refers_to_and_was_not_sent_is_reported(result: Resource) -> None:
    sent = report(inside(), result=[{"reference": "#r1"}, result])
    told = details(*OURS, OLD, sent)
    assert "DiagnosticReport (29 Oct): a report, 1 of its results were not sent" in told
    # the report's other results were not requested
    by_code = Availability(EVERYTHING_ARRIVED.complete, codes=frozenset({"777-3"}))
    assert "not sent" not in details(*OURS, OLD, sent, availability=by_code)
    of_another_test = report(result=[result], code=coding("3016-3", LOINC))
    assert "not sent" in details(*OURS, OLD, of_another_test)
    assert "not sent" not in details(*OURS, OLD, of_another_test, availability=by_code)
    of_platelets = report(result=[result], code=coding("777-3", LOINC))
    assert "1 of its results were not sent" in details(*OURS, OLD, of_platelets, availability=by_code)


def test_of_several_reports_with_missing_results_the_newest_is_named() -> None:
    older = {**report(result=[{"reference": "Observation/8"}]), "id": "older", "effectiveDateTime": "2026-01-01"}
    told = details(*OURS, OLD, report(result=[{"reference": "Observation/7"}]), older)
    assert "the newest of 2 reports" in told
    assert "DiagnosticReport/older" not in told


# ── K9: body site from another resource ───────────────────────────────────────────────────────────────────────────


IN_PANCREAS = {**IN_LIVER, "location": coding("15776009", SNOMED)}
SPECIMEN = {"resourceType": "Specimen", "id": "s1", "subject": ME, "collection": {"bodySite": coding("10200004", SNOMED)}}


RESOLVED = {"clinicalStatus": {"coding": [{"code": "resolved"}]}}
PROVISIONAL = {"verificationStatus": {"coding": [{"code": "provisional"}]}}
DOUBTED = [
    condition("m", coding("C78.7", CM), **PROVISIONAL),
    condition("m", coding("C79.9", CM), bodySite=[coding("10200004", SNOMED)], **PROVISIONAL),
    condition("m", coding("C79.9", CM), bodySite=[{"text": "Leber"}], **RESOLVED),
    condition("m", coding("C78.7V", GM)),
    condition("m", coding("C78.7A", GM)),
    condition("m", coding("C78.7 RULED OUT", CM)),
    condition("m", coding("C78.7")),
    condition("m", coding("C78.7", CM), **RESOLVED),
]
"""Liver metastases that are suspected, excluded, past, or coded without a system."""


@pytest.mark.parametrize("doubted", DOUBTED)
def test_a_size_confirms_no_metastasis_that_is_in_doubt_or_of_the_past(doubted: Resource) -> None:
    alone = gate(NEN, doubted)
    assert alone in {Nlm.POSSIBLE, Nlm.NO}
    assert gate(NEN, doubted, size(focus=[{"reference": "Condition/m"}])) is alone


@pytest.mark.parametrize(
    "sent",
    [
        (size(**FOCUS), IN_LIVER),
        (IN_LIVER, size(focus=[{"reference": "http://f.example/BodyStructure/l1/_history/2"}])),
        (size(specimen={"reference": "Specimen/s1"}), SPECIMEN),
        (size(focus=[{"reference": "#l1"}], contained=[IN_LIVER]),),
        (size(specimen={"reference": "#s1"}, contained=[SPECIMEN]),),
        (report(size(specimen={"reference": "#s1"}), SPECIMEN),),
        (report(IN_LIVER, size(focus=[{"reference": "#l1"}])),),
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
        (
            size(focus=[{"reference": "Condition/m"}]),
            condition("m", coding("C79.9", CM), bodySite=[coding("10200004", SNOMED)] * 3),
        ),
    ],
)
def test_a_site_that_another_resource_names_is_resolved(sent: tuple[Resource, ...]) -> None:
    assert str(fact("largest_lesion", *OURS, *sent).value) == "4.2"
    assert gate(NEN, LIVER, *sent) is Nlm.YES


@pytest.mark.parametrize("sent", [(size(**FOCUS), IN_LIVER), (report(size(subject=None, **FOCUS)), IN_LIVER)])
def test_the_site_of_a_size_with_an_unclear_patient_is_resolved_too(sent: tuple[Resource, ...]) -> None:
    assert gate(NEN, *sent) is Nlm.YES
    assert gate(NEN, {**sent[0], "subject": None}, *sent[1:]) is Nlm.CANNOT_TELL


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
        (report(size(specimen={"reference": "#s1"}), {**SPECIMEN, "subject": {"reference": "Patient/q"}}),),
        (size(specimen={"reference": "#s1"}), report(SPECIMEN)),
        (size(focus=[{"reference": "Condition/m"}]), condition("m", coding("C79.9", CM))),
        (size(focus=[{"reference": "Condition/m"}]), condition("m", coding("C7B.8", CM))),
        (size(focus=[{"reference": "Condition/m"}]), condition("m", coding("55937004", SNOMED))),
        (size(focus=[{"reference": "Condition/m"}]), condition("m", coding("C79.9", CM), bodySite=[{}])),
        (size(focus=[{"reference": "Condition/m"}, {"reference": "Condition/nen"}]), condition("m", coding("C79.9", CM))),
        *((size(focus=[{"reference": "Condition/m"}]), doubted) for doubted in DOUBTED),
    ],
)
def test_a_size_whose_site_is_not_resolved_is_listed_as_unread(sent: tuple[Resource, ...]) -> None:
    assert fact("largest_lesion", *OURS, *sent).reason is Reason.UNREADABLE
    told = details(*OURS, *sent)
    assert "Observation/t" in told or "DiagnosticReport/cbc t" in told


@pytest.mark.parametrize(
    "sent",
    [
        (size(**FOCUS), IN_PANCREAS),
        (size(focus=[{"reference": "Condition/nen"}]),),
        (size(focus=[{"reference": "Condition/m"}]), condition("m", coding("C79.51", CM))),
        (size(focus=[{"reference": "Condition/m"}]), condition("m", coding("C7A.012", CM), **RESOLVED)),
        (size(bodySite=coding("15776009", SNOMED)),),
    ],
)
def test_a_size_outside_the_liver_is_ignored(sent: tuple[Resource, ...]) -> None:
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


# ── elements read since then must not make a resource unreadable if they are invalid ──────────────────────────────
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
def test_a_report_is_read_beside_an_element_that_is_not_valid(result: object) -> None:
    assert "DiagnosticReport" not in details(*OURS, OLD, report(result=result))


def test_a_diagnosis_and_a_patient_are_read_beside_an_element_that_is_not_valid() -> None:
    odd = [{"url": "x", "valueString": 7, "valueCode": [], "valueCoding": "y", "extension": "z"}]
    assert gate(NEN, {**LIVER, "extension": odd}, patient={"link": "Patient/old"}) is Nlm.YES


def test_the_extension_of_a_card_has_a_limit_and_counts_what_is_beyond_it() -> None:
    """The limit holds for any number of unreadable entries of one kind."""
    suspected = [condition(f"c{n}", coding("C78.7?", GM)) for n in range(300)]
    unread = [lab(f"p{n}", "777-3", 5, "furlong", effectiveDateTime="2026-10-29") for n in range(300)]
    for found, name in ((cards(NEN, *suspected), "diagnosis"), (cards(*OURS, *unread), "platelets")):
        told = [card.extension[EXTENSION] for card in found]
        assert all(len(json.dumps(part)) < 20_000 for part in told)
        counted = [entry["value"] for part in told for entry in part.get("provenance", ()) if entry["fact"] == name]
        assert any(re.fullmatch("29[0-9] more", value) for value in counted), counted
