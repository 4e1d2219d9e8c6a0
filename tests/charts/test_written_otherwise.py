"""Certainties, codes of other systems, and shapes used by registries (issue 20, K4 to K6), each in several shapes."""

from __future__ import annotations

from typing import Any

import pytest

from cds_service.clinical_picture import Nlm
from cds_service.reasons import Reason
from tests.support.sent_charts import (
    CERTAINTY,
    CM,
    FERNMETASTASEN,
    GASTRIC_CANCER,
    GM,
    IARC,
    ICD_O,
    KBV,
    LIVER,
    LOINC,
    MII,
    NEN,
    NET,
    NET_G1_SNOMED,
    OURS,
    SITE_OF_TUMOUR,
    SNOMED,
    WHO,
    Resource,
    cards,
    coding,
    condition,
    details,
    distant,
    fact,
    gate,
    histology,
    lab,
    observation,
    picture,
)


# ── K4: the certainty of ICD-10-GM ────────────────────────────────────────────────────────────────────────────────
def marks(letter: str) -> dict[str, Resource]:
    """Return a liver metastasis with its certainty, in each shape in which it is sent."""
    extension = {"url": CERTAINTY, "valueCoding": {"system": KBV, "code": letter}}
    return {
        "extension of the coding": {"code": coding("C78.7", GM, extension=[extension])},
        "as a code": {"code": coding("C78.7", GM, extension=[{"url": CERTAINTY, "valueCode": letter}])},
        "by its code system": {"code": coding("C78.7", GM, extension=[{**extension, "url": "http://other.example/certainty"}])},
        "https and a version": {
            "code": coding("C78.7", GM, extension=[{**extension, "url": "https" + CERTAINTY[4:] + "|1.5.0"}])
        },
        "extension of the concept": {"code": {**coding("C78.7", GM), "extension": [extension]}},
        "extension of the diagnosis": {"code": coding("C78.7", GM), "extension": [extension]},
        "behind the code": {"code": coding(f"C78.7{letter}", GM)},
        "behind a blank": {"code": coding(f"C78.7 {letter}", GM)},
        "behind an undotted code": {"code": coding(f"C787{letter}", GM)},
        "in lower case": {"code": coding(f"c78.7{letter.lower()}", GM)},
        "behind a mark": {"code": coding(f"C78.7+{letter}", GM)},
        "of the former publisher": {"code": coding(f"C78.7{letter}", "http://fhir.de/CodeSystem/dimdi/icd-10-gm")},
    }


@pytest.mark.parametrize("shape", marks("A"))
def test_the_certainty_of_a_diagnosis_is_read_in_every_shape(shape: str) -> None:
    def answer(letter: str, **more: Any) -> Nlm:
        return gate(NEN, condition("liver", **marks(letter)[shape], **more))

    assert answer("A") is Nlm.NO
    assert answer("V") is Nlm.POSSIBLE
    assert answer("Z") is Nlm.NO
    assert answer("G") is Nlm.YES


def status(code: str) -> Resource:
    return {"verificationStatus": coding(code)}


@pytest.mark.parametrize(
    ("letter", "said"),
    [
        ("A", "confirmed"),
        ("A", "provisional"),
        ("V", "confirmed"),
        ("G", "provisional"),
        ("G", "differential"),
        ("Z", "unconfirmed"),
        ("G", "refuted"),
        ("V", "refuted"),
        ("Z", "refuted"),
    ],
)
def test_a_certainty_against_the_status_is_a_conflict_that_is_named(letter: str, said: str) -> None:
    liver = condition("liver", **marks(letter)["extension of the coding"], **status(said))
    assert gate(NEN, liver) is Nlm.POSSIBLE
    (card,) = cards(NEN, liver)
    assert "conflict: its certainty says" in card.detail
    failure = condition("x", coding(f"K72.9{letter}", GM), **status(said))
    assert fact("hepatic_failure_coded", *OURS, failure).unknown
    assert "conflict: its certainty says" in details(*OURS, failure)


@pytest.mark.parametrize(
    ("letter", "said"), [("A", "refuted"), ("V", "unconfirmed"), ("V", "differential"), ("G", "confirmed")]
)
def test_a_certainty_that_agrees_with_the_status_is_no_conflict(letter: str, said: str) -> None:
    assert "conflict" not in details(*OURS, condition("x", coding(f"K72.9{letter}", GM), **status(said)))


def test_a_state_after_a_disease_that_is_recorded_as_active_is_a_conflict() -> None:
    liver = condition("liver", coding("C78.7Z", GM), clinicalStatus=coding("active"))
    assert gate(NEN, liver) is Nlm.POSSIBLE
    assert gate(NEN, {**liver, "clinicalStatus": coding("resolved")}) is Nlm.NO


@pytest.mark.parametrize("letter", ["A", "Z"])
@pytest.mark.parametrize("code", ["K72.9", "K72.1", "N18.5"])
def test_an_excluded_or_a_former_failure_contraindicates_nothing(code: str, letter: str) -> None:
    name = "hepatic_failure_coded" if code.startswith("K") else "renal_failure_coded"
    assert fact(name, *OURS, condition("x", coding(code, GM))).equals(True)
    assert not fact(name, *OURS, condition("x", coding(f"{code}{letter}", GM))).known


def test_a_suspected_failure_asks() -> None:
    assert fact("hepatic_failure_coded", *OURS, condition("x", coding("K72.9V", GM))).unknown


def test_an_unknown_certainty_or_two_that_disagree_ask() -> None:
    assert gate(NEN, condition("liver", coding("C78.7X", GM))) is Nlm.POSSIBLE
    two = {"coding": [*coding("C78.7A", GM)["coding"], *coding("C78.7G", GM)["coding"]]}
    assert gate(NEN, condition("liver", two)) is Nlm.POSSIBLE


@pytest.mark.parametrize(
    "code",
    ["C78.7 RULED OUT", "C78.7?", "C78.7RO", "C78.7 V?", "?C78.7", "C78.7 nicht", "C78.7-R/O", "C78.7(A)", "C78.7 susp."],
)
@pytest.mark.parametrize("system", [GM, WHO, CM, "http://hl7.org/fhir/sid/icd-10-nl", "urn:oid:2.16.840.1.113883.6.94"])
def test_any_other_text_behind_a_code_asks_at_most(code: str, system: str) -> None:
    assert gate(NEN, condition("liver", coding(code, system))) in {Nlm.POSSIBLE, Nlm.CANNOT_TELL}
    assert not fact("hepatic_failure_coded", *OURS, condition("x", coding(code.replace("C78.7", "K72.9"), system))).known


@pytest.mark.parametrize("letter", ["A", "V", "Z", "RO", " V", "\u00a0x", " A"])
def test_a_letter_behind_an_american_code_is_no_certainty_and_asks(letter: str) -> None:
    assert gate(NEN, condition("liver", coding(f"C78.7{letter}", CM))) is Nlm.POSSIBLE
    assert gate(NEN, condition("liver", coding(f"C78.7{letter}"))) is Nlm.POSSIBLE


@pytest.mark.parametrize("code", ["S72.001A", "C83.0A", "F32.A", "D47.Z1"])
def test_an_american_code_that_ends_in_a_letter_of_its_own_is_no_fault(code: str) -> None:
    assert "could not be read" not in details(*OURS, condition("x", coding(code, CM)))


# ── K5: another system, a bare OID, a national edition, none ──────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "system",
    [
        WHO,
        GM,
        CM,
        "http://hl7.org/fhir/sid/icd-10-nl",
        "http://hl7.org/fhir/sid/icd-10-ca",
        "http://hl7.org/fhir/sid/icd-10-am",
        "http://hl7.org/fhir/sid/icd-10-ch",
        "https://hl7.org/fhir/sid/icd-10-fr/",
        "https://smt.esante.gouv.fr/terminologie-cim-10",
        "https://smt.esante.gouv.fr/terminologie-cim-10/",
        "urn:oid:2.16.840.1.113883.6.3.2",
        "urn:oid:2.16.840.1.113883.6.94",
    ],
)
def test_an_american_code_is_read_as_such_under_any_edition_and_a_site_code_under_each(system: str) -> None:
    found = picture(condition("a", coding("C7A.012", system)), condition("b", coding("C78.7", system)))
    assert found.gate.answer is Nlm.YES
    assert [reading.value for reading in found.readings_of("primary_site").valid] == ["small-bowel"]
    assert gate(condition("b", coding("C7B.02", system))) is Nlm.YES
    assert gate(condition("a", coding("D3A.012", system)), condition("b", coding("C78.7", system))) is Nlm.POSSIBLE
    assert fact("renal_failure_coded", *OURS, condition("x", coding("N18.5", system))).equals(True)


@pytest.mark.parametrize(
    "system",
    [None, "2.16.840.1.113883.6.90", "urn:oid:2.999.4", "http://hospital.example/codes", SNOMED, LOINC, "ICD-10", ICD_O],
)
@pytest.mark.parametrize("code", ["C7B.02", "C7B02", "c7b.02", "209.72"])
def test_a_code_of_the_disease_under_another_system_or_none_asks(system: str | None, code: str) -> None:
    assert gate(condition("a", coding(code, system))) is Nlm.POSSIBLE


@pytest.mark.parametrize("system", [None, "http://hospital.example/codes", "2.16.840.1.113883.6.96", GM])
@pytest.mark.parametrize(("nen", "liver"), [("255046005", "94381002"), ("C7A.012", "C78.7"), ("8240/3", "C787")])
def test_either_half_may_be_the_one_that_names_no_system(system: str | None, nen: str, liver: str) -> None:
    of_the_edition = system == GM and nen.startswith("C7A")
    assert gate(condition("a", coding(nen, system)), LIVER) is (Nlm.YES if of_the_edition else Nlm.POSSIBLE)
    if of_the_edition:
        assert gate(NEN, condition("b", coding(liver, system))) is Nlm.YES
    elif system != GM or liver == "94381002":
        assert gate(NEN, condition("b", coding(liver, system))) is Nlm.POSSIBLE


def test_the_card_says_why_it_asks() -> None:
    (card,) = cards(condition("a", coding("C7B.02")))
    assert "please confirm" in card.summary
    assert "names no system that has it" in card.detail


@pytest.mark.parametrize("code", ["209.03", "209.30", "209.20", "209.70"])
@pytest.mark.parametrize(
    "system", ["http://hl7.org/fhir/sid/icd-9-cm", "http://hl7.org/fhir/sid/icd-9", "urn:oid:2.16.840.1.113883.6.103"]
)
def test_icd_9_cm_asks(code: str, system: str) -> None:
    assert gate(condition("a", coding(code, system)), LIVER) is Nlm.POSSIBLE
    assert gate(condition("a", coding(code.replace(".", ""), system)), LIVER) is Nlm.POSSIBLE
    assert gate(condition("a", coding("209.72", system))) is Nlm.POSSIBLE
    assert gate(condition("a", coding("209.72", system)), GASTRIC_CANCER) is Nlm.POSSIBLE


@pytest.mark.parametrize("code", ["209.31", "209.36", "209.75"])
def test_merkel_cell_carcinoma_of_icd_9_cm_does_not(code: str) -> None:
    assert gate(condition("a", coding(code, "http://hl7.org/fhir/sid/icd-9-cm")), LIVER) is Nlm.NO


def test_a_code_that_is_only_a_number_like_one_of_ours_does_not_ask() -> None:
    assert gate(condition("a", coding("20972", "http://hospital.example/codes"))) is Nlm.NO
    assert gate(condition("a", coding("8240", None)), LIVER) is Nlm.NO


def test_liver_metastases_beside_another_tumour_stay_an_empty_answer() -> None:
    colon = condition("c", coding("C18.7", "http://hospital.example/codes", display="Malignant neoplasm of sigmoid colon"))
    assert gate(colon, LIVER) is Nlm.NO
    assert gate(condition("c", coding("8140/3", None)), LIVER) is Nlm.NO


@pytest.mark.parametrize("system", ["2.16.840.1.113883.6.1", None])
def test_a_laboratory_value_under_a_bare_oid_is_a_question(system: str | None) -> None:
    old = lab("old", "777-3", 245, "10*9/L", effectiveDateTime="2026-10-19")
    new = {**lab("new", "777-3", 31, "10*9/L", effectiveDateTime="2026-10-29"), "code": coding("777-3", system)}
    assert fact("platelets", *OURS, old, new).reason is Reason.UNREADABLE


def test_a_failing_liver_without_a_system_asks() -> None:
    assert fact("hepatic_failure_coded", *OURS, condition("x", coding("K72.9"))).unknown


# ── K6: shapes of registries ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "extension",
    [
        {"url": MII, "valueCodeableConcept": NET},
        {"url": "http://registry.example/morphology", "valueCodeableConcept": NET},
        {"url": "http://registry.example/morphology", "valueCodeableConcept": NET_G1_SNOMED},
        {"url": "http://registry.example/morphology", "valueCoding": NET["coding"][0]},
        {"url": "http://registry.example/tumour", "extension": [{"url": "morphology", "valueCodeableConcept": NET}]},
        {"url": "http://registry.example/tumour", "extension": [{"url": "morphology", "valueCoding": NET["coding"][0]}]},
        {"url": MII, "valueCodeableConcept": coding("8240/3", "urn:oid:2.16.840.1.113883.6.43.1")},
    ],
)
def test_a_morphology_in_any_extension_of_the_diagnosis_counts(extension: Resource) -> None:
    tumour = {**SITE_OF_TUMOUR, "extension": [extension]}
    found = picture(tumour, LIVER)
    assert found.gate.answer is Nlm.YES
    assert [reading.value for reading in found.readings_of("primary_site").valid] == ["small-bowel"]


@pytest.mark.parametrize(
    "extension",
    [
        {"url": MII, "valueCodeableConcept": coding("8240/3", IARC)},
        {"url": MII, "valueString": "8240/3"},
        {"url": MII, "valueCodeableConcept": {"text": "M8240/3 NET G1"}},
        {"url": MII, "valueCode": "8240/3"},
        {"url": "x", "extension": [{"url": "y", "valueCodeableConcept": coding("8240/3")}]},
    ],
)
def test_one_under_an_older_uri_or_as_text_asks(extension: Resource) -> None:
    assert gate({**SITE_OF_TUMOUR, "extension": [extension]}, LIVER) is Nlm.POSSIBLE


def test_a_mixed_tumour_or_another_histology_in_an_extension_is_none() -> None:
    for code in ("8244/3", "8140/3"):
        assert (
            gate({**SITE_OF_TUMOUR, "extension": [{"url": MII, "valueCodeableConcept": coding(code, ICD_O)}]}, LIVER) is Nlm.NO
        )


@pytest.mark.parametrize(
    "value",
    [
        {"valueCodeableConcept": coding("8240/3", IARC)},
        {"valueCodeableConcept": coding("8240/3", "http://hl7.org/fhir/sid/icd-o")},
        {"valueCodeableConcept": coding("8240/3")},
        {"valueString": "8240/3"},
        {"valueString": "M-8240/3: NET"},
        {"valueCodeableConcept": {"text": "8249/3"}},
        {"valueCodeableConcept": coding("X", "http://local.example", display="8240/3 NET")},
        {"valueCodeableConcept": coding("81622000", "2.16.840.1.113883.6.96")},
    ],
)
@pytest.mark.parametrize("focus", [{}, {"focus": [{"reference": "Condition/site"}]}])
def test_a_histology_that_is_written_otherwise_asks(value: Resource, focus: Resource) -> None:
    assert gate(SITE_OF_TUMOUR, LIVER, histology(**value, **focus)) is Nlm.POSSIBLE
    assert gate(SITE_OF_TUMOUR, LIVER, histology(**value, **focus), GASTRIC_CANCER) is Nlm.POSSIBLE


@pytest.mark.parametrize("text", ["8140/3", "18240/3", "8240/31", "8240", "8244/3", "no tumour"])
def test_any_other_text_of_a_histology_asks_nothing(text: str) -> None:
    assert gate(SITE_OF_TUMOUR, LIVER, histology(valueString=text)) is Nlm.NO


def test_a_histology_in_a_component_is_read() -> None:
    part = {"code": coding("59847-4", LOINC), "valueCodeableConcept": NET}
    panel = observation("panel", coding("60568-3", LOINC), component=[part])
    assert gate(SITE_OF_TUMOUR, LIVER, panel) is Nlm.YES


@pytest.mark.parametrize(
    ("site", "answer"),
    [
        ({"valueCodeableConcept": coding("10200004", SNOMED)}, Nlm.YES),
        ({"bodySite": coding("10200004", SNOMED)}, Nlm.YES),
        ({"valueCodeableConcept": coding("HEP", FERNMETASTASEN)}, Nlm.YES),
        ({"bodySite": coding("HEP", FERNMETASTASEN)}, Nlm.YES),
        ({"valueCodeableConcept": coding("71133005", SNOMED)}, Nlm.YES),
        ({"valueCodeableConcept": coding("10200004")}, Nlm.POSSIBLE),
        ({"valueCodeableConcept": {"text": "Leber"}}, Nlm.POSSIBLE),
        ({"valueString": "liver"}, Nlm.POSSIBLE),
        ({"valueCodeableConcept": coding("HEP", "http://dktk.example/FM")}, Nlm.POSSIBLE),
        ({"valueCodeableConcept": coding("PUL", FERNMETASTASEN)}, Nlm.NO),
        ({"valueString": "bone"}, Nlm.NO),
        ({}, Nlm.NO),
    ],
)
def test_the_liver_as_site_of_a_distant_metastasis_is_the_liver_part(site: Resource, answer: Nlm) -> None:
    assert gate(NEN, distant(**site)) is answer
    if answer is Nlm.YES:
        assert gate(NEN, {**distant(**site), "status": "preliminary"}) is Nlm.NO


def test_a_distant_metastasis_elsewhere_asks_about_disease_outside_the_liver() -> None:
    assert fact("extrahepatic_disease", *OURS, distant(valueCodeableConcept=coding("PUL", FERNMETASTASEN))).unknown
    assert fact("extrahepatic_disease", *OURS, distant(valueCodeableConcept=coding("PUL", FERNMETASTASEN))).seen
    assert not fact("extrahepatic_disease", *OURS, distant(valueCodeableConcept=coding("HEP", FERNMETASTASEN))).seen


@pytest.mark.parametrize(
    "code",
    [
        {"text": "Liver metastases"},
        {"text": "multiple Lebermetastasen"},
        {"text": "hepatic metastasis, segment VI"},
        {"text": "Métastases hépatiques"},
        {"text": "Levermetastasen"},
        {"text": "Leberfiliae"},
        {"text": "metastasi epatiche"},
        {"text": "metástasis hepáticas"},
        coding("X1", "http://local.example", display="Metastases to liver"),
        {**coding("C79.9", CM), "text": "liver metastases"},
    ],
)
def test_a_coded_tumour_beside_liver_metastases_as_text_alone_asks(code: Resource) -> None:
    assert gate(NEN, condition("b", code)) is Nlm.POSSIBLE
    assert gate(GASTRIC_CANCER, condition("b", code)) is Nlm.NO


@pytest.mark.parametrize("text", ["liver cyst", "bone metastases", "Leberzirrhose"])
def test_other_texts_beside_a_coded_tumour_ask_nothing(text: str) -> None:
    assert gate(NEN, condition("b", {"text": text})) is Nlm.NO


def test_a_metastasis_whose_site_is_the_liver_in_words_asks() -> None:
    assert gate(NEN, condition("b", coding("C79.9", CM), bodySite=[{"text": "Leber"}])) is Nlm.POSSIBLE
