"""Letters after codes of other editions, words that resemble liver metastases, and classifications of other owners."""

from __future__ import annotations

import pytest

from cds_service.clinical_picture import LeftOut, Nlm, Omission
from cds_service.fhir.resources import Coding
from cds_service.knowledge.terminology import plain_uri
from tests.support.sent_charts import (
    GM,
    KNOWLEDGE,
    LIVER,
    NEN,
    OURS,
    SNOMED,
    WHO,
    Resource,
    chart,
    coding,
    condition,
    fact,
    gate,
    picture,
)

SWEDISH = "http://hl7.org/fhir/sid/icd-10-se"
ICPC_2 = "http://hl7.org/fhir/sid/icpc-2"


@pytest.mark.parametrize("letter", ["A", "V", "Z", "G", "X"])
@pytest.mark.parametrize("system", [SWEDISH, WHO, "http://hl7.org/fhir/sid/icd-10-nl", "urn:oid:2.16.840.1.113883.6.3"])
def test_a_letter_behind_a_code_of_another_edition_is_no_certainty_and_asks(system: str, letter: str) -> None:
    assert gate(NEN, condition("liver", coding(f"C78.7{letter}", system))) is Nlm.POSSIBLE
    assert fact("hepatic_failure_coded", *OURS, condition("x", coding(f"K72.9{letter}", system))).unknown


@pytest.mark.parametrize("system", [GM, f"{GM}|2026", "https" + GM[4:] + "/", "http://hl7.org/fhir/sid/icd-10-gm"])
def test_an_excluded_diagnosis_is_counted_as_left_out(system: str) -> None:
    excluded = condition("x", coding("K72.9A", system))
    assert fact("hepatic_failure_coded", *OURS, excluded).silent
    assert picture(*OURS, excluded).left_out == {LeftOut(Omission.REFUTED, "Condition"): 1}


def test_a_diagnosis_refuted_by_its_status_is_counted_once() -> None:
    refuted = condition("x", coding("K72.9A", GM), verificationStatus=coding("refuted"))
    assert picture(*OURS, refuted).left_out == {LeftOut(Omission.REFUTED, "Condition"): 1}
    assert chart(*OURS, refuted).left_out == {LeftOut(Omission.REFUTED, "Condition"): 1}


@pytest.mark.parametrize(
    "code",
    [
        {"text": "Thrombocytopenia secondary to chronic liver disease"},
        coding("74973004", SNOMED, display="Thrombocytopenia secondary to chronic liver disease"),
        {"text": "Anaemia secondary to hepatitis C"},
        {"text": "secondary hepatic fibrosis"},
    ],
)
def test_what_is_secondary_to_a_disease_of_the_liver_is_no_metastasis(code: Resource) -> None:
    assert gate(NEN, condition("x", code)) is Nlm.NO


@pytest.mark.parametrize(
    "text",
    ["Secondary malignant neoplasm of liver", "secondary liver tumour", "sekundärer Lebertumor", "secondary liver cancer"],
)
def test_a_secondary_tumour_of_the_liver_in_words_asks(text: str) -> None:
    assert gate(NEN, condition("x", {"text": text})) is Nlm.POSSIBLE


@pytest.mark.parametrize("system", [ICPC_2, "https" + ICPC_2[4:], "urn:oid:2.16.840.1.113883.6.139"])
def test_a_code_of_a_named_other_classification_is_not_read_as_one_of_ours(system: str) -> None:
    vertigo = condition("x", coding("N17", system, display="Vertigo/dizziness"))
    assert fact("acute_renal_failure_coded", *OURS, vertigo).silent
    assert fact("acute_renal_failure_coded", *OURS, condition("x", coding("N17", "http://hospital.example"))).unknown
    assert gate(LIVER, condition("x", coding("C7A.012", system))) is Nlm.NO


def test_one_function_normalises_the_spelling_of_uris() -> None:
    spelt = [Coding(system=system, code="C78.7") for system in (GM, f" {GM}/ ", f"https{GM[4:]}|2026", f"{GM}/|2026")]
    assert {plain_uri(sent.system) for sent in spelt} == {GM}
    assert {KNOWLEDGE.terminology.system_name(sent.system) for sent in spelt} == {"icd-10"}
