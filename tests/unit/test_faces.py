"""No treatment is shown without a risk, even where every trial of it was in other patients."""

from __future__ import annotations

from datetime import date

import pytest

from cds_service import knowledge
from cds_service.knowledge.shown import Face
from cds_service.reasoning.current_facts import determine_facts
from tests.support.pictures import picture
from tests.support.vignette import VignetteResult

KNOWN, TODAY = knowledge.load(), date(2026, 11, 1)
PROGRESSIVE = {
    "differentiation": "well", "ki67_index": "5", "mitotic_count": "1", "hormonal_syndrome": "none", "sstr_positive": True,
    "somatostatin_analogue": "true 400 days ago", "disease_status": "progression 10 days ago", "resectability": "unresectable",
    "extrahepatic_disease": "none",
}  # fmt: skip


def result(**given: object) -> VignetteResult:
    return VignetteResult(determine_facts(picture(KNOWN, {**PROGRESSIVE, **given}, TODAY), KNOWN, TODAY), {})


def on_face(of: VignetteResult, line: str, face: Face) -> list[str]:
    (treatment,) = [t for t in of.of_modality("systemic-therapy") if t.line and t.line.id == line]
    return [part.statement for part in treatment.faces(face)]


def text_of(of: VignetteResult) -> str:
    return "\n".join(card.detail for card in of.cards if "PRRT" in card.detail and card.kind != "overview")


@pytest.mark.parametrize(
    ("primary", "claims", "risks"),
    [
        ("small-bowel", ["M053"], ["M054"]), ("pancreas", ["M056"], ["M056"]), ("unknown", ["M053"], ["M054"]),
        ("lung", [], ["M054"]), ("thymus", [], ["M054"]),
    ],
)  # fmt: skip
def test_radionuclide_therapy_has_a_risk_whatever_the_primary(primary: str, claims: list[str], risks: list[str]) -> None:
    found = result(primary_site=primary)
    assert on_face(found, "prrt", Face.FOR) == claims
    assert on_face(found, "prrt", Face.RISK) == risks


@pytest.mark.parametrize("primary", ["unknown", "lung"])
def test_a_risk_seen_in_other_patients_says_in_whom(primary: str) -> None:
    survival = KNOWN.statements["M054"].figures["survival"]
    (line,) = [line for line in text_of(result(primary_site=primary)).splitlines() if survival in line]
    assert "in progressive midgut tumours" in line


def test_a_risk_that_speaks_of_the_patient_keeps_those_of_others_away() -> None:
    """The trial of an analogue in midgut tumours: another risk of the analogue applies to every patient."""
    assert on_face(result(primary_site="pancreas", disease_status="stable"), "somatostatin-analogue", Face.RISK) == ["S006"]
