"""Undated values beside dated ones, and resources whose patient is unclear (issue 20, K1 and K3), each in several shapes."""

from __future__ import annotations

from typing import Any

import pytest

from cds_service.clinical_picture import Nlm
from cds_service.reasons import Reason
from tests.support.sent_charts import (
    CM,
    GM,
    HISTOLOGY,
    KNOWLEDGE,
    LIVER,
    NEN,
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
    lab,
    observation,
    picture,
)

# ── K1: an undated number beside a dated one ──────────────────────────────────────────────────────────────────────
UNDATED: dict[str, Resource] = {
    "issued alone": {"issued": "2026-10-29T08:00:00+01:00"},
    "no date": {},
    "a timing": {"effectiveTiming": {"event": ["2026-10-29T08:00:00+01:00"]}},
    "a timing with its period": {"effectiveTiming": {"repeat": {"boundsPeriod": {"end": "2026-10-29"}}}},
    "a date that is absent, with a reason": {"_effectiveDateTime": {"extension": [{"url": "x", "valueCode": "unknown"}]}},
    "a timing without times": {"effectiveTiming": {"code": {"text": "daily"}}},
}
ANALYTES = {
    "platelets": ("777-3", 245, 31, "10*9/L"),
    "inr": ("6301-6", 1.0, 2.9, "{INR}"),
    "total_bilirubin": ("1975-2", 0.8, 4.2, "mg/dL"),
    "egfr": ("98979-8", 80, 9, "mL/min/{1.73_m2}"),
    "albumin": ("1751-7", 4.2, 1.9, "g/dL"),
}


@pytest.mark.parametrize("how", UNDATED)
@pytest.mark.parametrize("name", ANALYTES)
def test_an_undated_number_beside_an_older_dated_one_leaves_the_fact_open_and_both_are_named(name: str, how: str) -> None:
    loinc, good, bad, unit = ANALYTES[name]
    sent = (*OURS, lab("old", loinc, good, unit, effectiveDateTime="2026-10-19"), lab("new", loinc, bad, unit, **UNDATED[how]))
    found = fact(name, *sent)
    assert found.unknown
    assert {reading.seen_in for reading in found.seen} == {"Observation/old", "Observation/new"}
    told = details(*sent)
    assert "Observation/old" in told
    assert "Observation/new" in told


@pytest.mark.parametrize(
    "date_of",
    [
        {"effectiveInstant": "2026-10-29T08:00:00Z"},
        {"effectivePeriod": {"start": "2026-10-28", "end": "2026-10-29"}},
        {"effectivePeriod": {"start": "2026-10-29"}},
        {"effectiveDateTime": "2026-10"},
    ],
)
def test_each_way_to_date_a_specimen_counts_as_a_date(date_of: Resource) -> None:
    old = lab("old", "777-3", 245, "10*9/L", effectiveDateTime="2026-09-19")
    assert str(fact("platelets", *OURS, old, lab("new", "777-3", 31, "10*9/L", **date_of)).value) == "31"


def test_an_undated_result_that_was_issued_before_the_dated_one_was_taken_is_older_and_asks_nothing() -> None:
    old = lab("old", "777-3", 31, "10*9/L", issued="2026-09-01T08:00:00Z")
    assert str(fact("platelets", *OURS, old, lab("new", "777-3", 245, "10*9/L", effectiveDateTime="2026-10-19")).value) == "245"


def test_an_undated_size_beside_a_dated_one_is_named() -> None:
    def size(name: str, centimetres: float, **more: Any) -> Resource:
        return lab(name, "21889-1", centimetres, "cm", bodySite=coding("10200004", SNOMED), **more)

    found = fact("largest_lesion", *OURS, size("a", 2, effectiveDateTime="2026-10-01"), size("b", 6, issued="2026-10-20"))
    assert found.unknown
    assert len(found.seen) == 2


# ── K3: unclear patients ─────────────────────────────────────────────────────────────────────────────────────────
UNTOLD: dict[str, Resource] = {
    "an identifier": {"subject": {"type": "Patient", "identifier": {"system": "urn:oid:2.999.7", "value": "0815"}}},
    "none": {"subject": None},
    "a name alone": {"subject": {"display": "Erika M."}},
    "a search": {"subject": {"reference": "Patient?identifier=0815"}},
    "a urn of nobody": {"subject": {"reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"}},
    "a contained patient": {"subject": {"reference": "#me"}},
}
MERGED: Resource = {"subject": {"reference": "Patient/old"}}


def linked(kind: str) -> Resource:
    return {"link": [{"other": {"reference": "Patient/old"}, "type": kind}]}


@pytest.mark.parametrize("whose", UNTOLD)
def test_a_histology_or_liver_finding_with_an_unclear_patient_never_gives_an_empty_answer(whose: str) -> None:
    focus: Resource = {"focus": [{"reference": "Condition/site"}]}
    count = observation(
        "n", coding("lesion-count", KNOWLEDGE.assessment_system), valueInteger=3, effectiveDateTime="2026-10-01"
    )
    for sent in (
        (SITE_OF_TUMOUR, LIVER, HISTOLOGY | focus | UNTOLD[whose]),
        (NEN, LIVER | UNTOLD[whose]),
        (NEN, count | UNTOLD[whose]),
        (condition("both", coding("C7B.02", CM)) | UNTOLD[whose],),
        (condition("site", coding("C78.7", GM)) | UNTOLD[whose], NEN | UNTOLD[whose]),
    ):
        found = picture(*sent)
        assert found.gate.answer is Nlm.CANNOT_TELL, sent
        (card,) = cards(*sent)
        assert "does not say whose it is" in card.detail
        named = str(card.extension)
        assert any(part["id"] in named for part in sent if part["id"] in {"h", "n", "both", "liver", "site"})


@pytest.mark.parametrize("kind", ["replaces", "replaced-by", "refer", "seealso"])
def test_a_finding_of_a_record_merged_with_this_one_leaves_it_open(kind: str) -> None:
    assert gate(NEN, LIVER | MERGED, patient=linked(kind)) is Nlm.CANNOT_TELL
    assert gate(SITE_OF_TUMOUR, LIVER, HISTOLOGY | MERGED, patient=linked(kind)) is Nlm.CANNOT_TELL
    assert gate(NEN, LIVER | MERGED) is Nlm.NO  # of another patient, to whom no link leads


def test_a_link_from_the_other_record_or_by_a_third_counts_as_well() -> None:
    def patient(name: str, other: str) -> Resource:
        return {
            "resourceType": "Patient",
            "id": name,
            "link": [{"other": {"reference": f"Patient/{other}"}, "type": "replaced-by"}],
        }

    assert gate(NEN, LIVER | MERGED, patient("old", "p")) is Nlm.CANNOT_TELL
    assert gate(NEN, LIVER | MERGED, patient("old", "older"), patient("older", "p")) is Nlm.CANNOT_TELL
    assert gate(NEN, LIVER | MERGED, patient("old", "somebody")) is Nlm.NO


@pytest.mark.parametrize("whose", [*UNTOLD, "merged"])
def test_a_lone_laboratory_value_with_an_unclear_patient_is_reported_on_the_card(whose: str) -> None:
    merged = linked("replaces")
    value = lab("lone", "6301-6", 2.9, "{INR}", effectiveDateTime="2026-10-20") | (UNTOLD.get(whose) or MERGED)
    assert fact("inr", *OURS, value, patient=merged).reason is Reason.UNREADABLE
    told = details(*OURS, value, patient=merged)
    assert "Observation/lone" in told
    assert "2.9" not in told
    assert ("merged" if whose == "merged" else "whose it is") in told


def test_an_older_value_with_an_unclear_patient_and_a_value_of_another_patient_change_nothing() -> None:
    own = lab("own", "777-3", 245, "10*9/L", effectiveDateTime="2026-10-19")
    older = lab("x", "777-3", 31, "10*9/L", effectiveDateTime="2026-09-19") | UNTOLD["none"]
    other = lab("x", "777-3", 31, "10*9/L", effectiveDateTime="2026-10-29") | {"subject": {"reference": "Patient/q"}}
    assert str(fact("platelets", *OURS, own, older).value) == str(fact("platelets", *OURS, own, other).value) == "245"


def test_hepatic_failure_with_an_unclear_patient_raises_a_question() -> None:
    assert fact("hepatic_failure_coded", *OURS, condition("x", coding("K72.9", GM)) | UNTOLD["none"]).unknown


def test_a_histology_in_a_report_with_an_unclear_patient_leaves_the_disease_open() -> None:
    inner = {key: part for key, part in HISTOLOGY.items() if key != "subject"}
    told: Resource = {
        "resourceType": "DiagnosticReport",
        "id": "r",
        "status": "final",
        "contained": [inner],
        **UNTOLD["an identifier"],
    }
    assert gate(SITE_OF_TUMOUR, LIVER, told) is Nlm.CANNOT_TELL
