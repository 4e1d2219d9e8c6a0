"""Which cards are returned, in what order, and with which indicator (docs/knowledge.md, "Which cards")."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from fhir.resources.R4B.servicerequest import ServiceRequest

from cds_service import knowledge
from cds_service.cards.card import EXTENSION, Card
from cds_service.cards.treatments import list_treatments
from cds_service.cards.unchecked import split_unrecorded, unchecked_of
from cds_service.cards.wording import safe_text
from cds_service.fhir.chart import Availability
from cds_service.fhir.chart_files import ChartFile, read_file, story_date
from cds_service.hooks.patient_view import cards_of_chart, reader_for
from cds_service.reasoning.current_facts import determine_facts
from cds_service.reasoning.evaluation import evaluate
from tests.conftest import ROOT

FIXTURES = ROOT / "fhir_fixtures"
SNOMED = "http://snomed.info/sct"


def resources(case: str) -> tuple[list[dict[str, Any]], date]:
    path = FIXTURES / case / "chart.json"
    chart, day = read_file(path), story_date(path)
    assert isinstance(chart, ChartFile)
    assert day is not None
    return [copy.deepcopy(resource) for resource, _ in chart.resources], day


def cards(found: list[dict[str, Any]], day: date) -> list[Card]:
    return cards_of_chart(ChartFile(tuple((resource, None) for resource in found)).chart(), knowledge.load(), day, "test")


def patient_of(found: list[dict[str, Any]]) -> str:
    return next(str(r["id"]) for r in found if r["resourceType"] == "Patient")


def order(found: list[dict[str, Any]], code: str, day: date, system: str = SNOMED) -> dict[str, Any]:
    return {"resourceType": "ServiceRequest", "id": "order", "status": "active", "intent": "order",
            "authoredOn": day.isoformat(), "subject": {"reference": f"Patient/{patient_of(found)}"},
            "code": {"coding": [{"system": system, "code": code}]}}  # fmt: skip


def without(found: list[dict[str, Any]], *codes: str) -> list[dict[str, Any]]:
    """Return the chart without the Observations of these codes."""
    return [r for r in found if not {c.get("code") for c in r.get("code", {}).get("coding", [])} & set(codes)]


def kinds(found: list[Card]) -> list[str]:
    return [card.kind for card in found]


def test_a_contraindication_to_what_is_ordered_is_critical_and_comes_first() -> None:
    found, day = resources("arterial-portal-vein-occluded")
    assert [card.indicator for card in cards(found, day) if card.kind == "contraindication"] == ["warning"]
    ordered = cards([*found, order(found, "314617008", day)], day)
    assert [card.indicator for card in ordered if card.kind == "contraindication"] == ["critical"]
    assert kinds(ordered)[:2] == ["overview", "contraindication"]
    assert len(ordered) <= 5


def test_an_ordered_transplantation_with_disease_elsewhere_gets_its_card_and_an_unordered_one_a_line() -> None:
    found, day = resources("arterial-candidate")
    assert "contraindication" not in kinds(cards(found, day))
    ordered = cards([*found, order(found, "18027006", day)], day)
    warned = [card for card in ordered if card.kind == "contraindication"]
    assert [card.extension[EXTENSION]["modality"] for card in warned] == ["transplantation"]
    assert [card.indicator for card in warned] == ["critical"]


PCS = "http://www.cms.gov/Medicare/Coding/ICD10"


def fact(found: list[dict[str, Any]], day: date, concept: str, **value: Any) -> dict[str, Any]:
    code = {"coding": [{"system": "https://nlm-cds.example/fhir/CodeSystem/nlm-assessment", "code": concept}]}
    return {"resourceType": "Observation", "id": concept, "status": "final", "effectiveDateTime": day.isoformat(),
            "subject": {"reference": f"Patient/{patient_of(found)}"}, "code": code, **value}  # fmt: skip


def test_an_ordered_radioembolization_with_a_lung_shunt_above_twenty_percent_is_critical() -> None:
    found, day = resources("arterial-candidate")
    spheres = order(found, "3E053HZ", day, PCS)
    limits: tuple[tuple[float, list[str]], ...] = ((20, []), (20.5, ["critical"]))
    for shunt, expected in limits:
        percent: dict[str, Any] = {"value": shunt, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"}
        shown = cards([*found, spheres, fact(found, day, "lung-shunt-fraction", valueQuantity=percent)], day)
        against = [card for card in shown if "lung shunt" in card.detail and card.kind == "contraindication"]
        assert [card.indicator for card in against] == expected
        assert len(shown) <= 5
    assert [card.kind for card in cards([*found, order(found, "314617008", day)], day)].count("contraindication") == 0


@pytest.mark.parametrize(("code", "system"), [("399315003", SNOMED), ("3E053HZ", PCS)])
def test_an_ordered_radionuclide_in_pregnancy_is_critical_and_comes_before_all_but_the_overview(code: str, system: str) -> None:
    found, day = resources("arterial-candidate")
    pregnant = {"resourceType": "Condition", "id": "pregnant", "subject": {"reference": f"Patient/{patient_of(found)}"},
                "code": {"coding": [{"system": SNOMED, "code": "77386006"}]}, "recordedDate": day.isoformat()}  # fmt: skip
    shown = cards([*found, pregnant, order(found, code, day, system)], day)
    assert (shown[1].kind, shown[1].indicator) == ("contraindication", "critical")
    assert "pregnancy" in shown[1].summary
    assert not [card for card in cards([*found, pregnant], day) if card.indicator == "critical"]


MODIFIED = {"modifierExtension": [{"url": "http://example.org/changed", "valueBoolean": True}]}


def capecitabine(found: list[dict[str, Any]], day: date) -> dict[str, Any]:
    return {"resourceType": "MedicationRequest", "id": "drug", "status": "active", "intent": "order",
            "authoredOn": day.isoformat(), "subject": {"reference": f"Patient/{patient_of(found)}"},
            "medicationCodeableConcept": {"coding": [{"system": "http://www.whocc.no/atc", "code": "L01BC06"}]}}  # fmt: skip


@pytest.mark.parametrize(
    "doubt",
    [MODIFIED, {"status": None}, {"status": "unknown"}, {"status": "Active"}, {"subject": None}, {"subject": {"display": "p"}}],
)
def test_an_order_in_doubt_silences_no_critical_card_and_is_named_as_doubted(doubt: dict[str, Any]) -> None:
    found, day = resources("arterial-candidate")
    shown = cards([*found, capecitabine(found, day), order(found, "3E053HZ", day, PCS) | doubt], day)
    assert ["capecitabine" in card.detail for card in shown if card.indicator == "critical"] == [True]
    assert any("ServiceRequest could not be read" in card.detail for card in shown)
    assert "ServiceRequest/order" in places_named(shown)


def places_named(found: list[Card]) -> set[str]:
    """Return the resources named by the extension."""
    return {place["reference"] for card in found for place in card.extension[EXTENSION].get("provenance", [])}


def test_an_order_in_doubt_shortens_the_window_of_laboratory_values() -> None:
    found, day = resources("arterial-candidate")
    spheres = order(found, "3E053HZ", day, PCS) | MODIFIED
    before, ordered = ({place["fact"]: place["value"] for place in card.extension[EXTENSION]["provenance"]}
                       for card in (cards(found, day)[0], cards([*found, spheres], day)[0]))  # fmt: skip
    assert before["nt_probnp"] == "118 pg/mL"  # two months earlier
    assert "nt_probnp" not in ordered or ordered["nt_probnp"] == "out of date"


@pytest.mark.parametrize("doubt", [MODIFIED, {"status": None}, {"status": "unknown"}, {"status": "Active"}])
def test_a_drug_in_doubt_that_would_stop_what_is_ordered_is_named_as_not_checked(doubt: dict[str, Any]) -> None:
    found, day = resources("arterial-candidate")
    spheres = order(found, "3E053HZ", day, PCS)
    shown = cards([*found, capecitabine(found, day) | doubt, spheres], day)
    unusable = [line for card in shown for line in card.detail.splitlines() if "Out of date or unreadable:" in line]
    on_overview, *in_blocks = ["capecitabine now (" in line for line in unusable]
    assert on_overview
    assert any(in_blocks)
    assert "MedicationRequest/drug" in places_named(shown)
    assert not any("apecitabine" in card.detail for card in cards([*found, spheres], day))


def test_what_is_not_known_is_named_once_and_not_again_as_its_coded_diagnosis() -> None:
    found, day = resources("arterial-candidate")
    whole = ChartFile(tuple((r, None) for r in [*found, order(found, "3E053HZ", day, PCS)])).chart()
    unknown = replace(whole, availability=Availability(failed=whole.availability.complete))
    picture = reader_for(knowledge.load()).read(unknown, day)
    evaluation = evaluate(picture, knowledge.load(), day)
    shown = [treatment for treatment in list_treatments(evaluation) if treatment.on_face]
    silent, unusable = split_unrecorded(evaluation, unchecked_of(evaluation, shown))
    assert {"capecitabine now", "recent capecitabine", "lung shunt", "ascites"} <= set(silent)
    assert "pregnancy" not in silent, "at 64 years it is not asked for"
    assert unusable == []
    assert not [name for name in silent if "pregnant" in name or "coded" in name]
    told = cards_of_chart(unknown, knowledge.load(), day, "test")[0].detail
    (line,) = [line for line in told.splitlines() if line.startswith("**Not recorded, bears on the above:**")]
    assert silent[0] in line


def test_every_hard_fact_against_every_ordered_technique_fits_one_card() -> None:
    found, day = resources("arterial-candidate")
    spheres, lutetium = order(found, "3E053HZ", day, PCS), order(found, "399315003", day) | {"id": "lutetium"}
    percent = {"value": 30, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"}
    against = [
        fact(found, day, "lung-shunt-fraction", valueQuantity=percent),
        fact(found, day, "pregnancy", valueBoolean=True),
        {"resourceType": "MedicationRequest", "id": "drug", "status": "active", "intent": "order",
         "authoredOn": day.isoformat(), "subject": {"reference": f"Patient/{patient_of(found)}"},
         "medicationCodeableConcept": {"coding": [{"system": "http://www.whocc.no/atc", "code": "L01BC06"}]}},
    ]  # fmt: skip
    one = cards([*found, *against, spheres], day)[1]
    both = cards([*found, *against, spheres, lutetium], day)[1]
    assert (one.indicator, both.indicator) == ("critical", "critical")
    for card, names in ((one, ["adioembolization"]), (both, ["adioembolization", "adionuclide therapy (PRRT)"])):
        assert "contraindicated" in card.summary
        assert "lung shunt 30 %" in card.summary
        for told in (*names, "lung shunt 30 %, limit 20 %", "capecitabine now", "pregnancy"):
            assert told in card.detail.replace("Pregnancy", "pregnancy"), told


def test_with_an_active_order_laboratory_values_count_for_thirty_days_only() -> None:
    found, day = resources("arterial-candidate")
    for resource in found:
        if any(c.get("code") == "6301-6" for c in resource.get("code", {}).get("coding", [])):
            resource["effectiveDateTime"] = date.fromordinal(day.toordinal() - 31).isoformat()
    assert "inr" not in str(cards(found, day)[0].extension[EXTENSION]["modalities"]["hepatic-arterial-therapy"])
    late = without(found, "coagulopathy-uncorrectable")
    ordered = cards([*late, order(late, "314617008", day)], day)[0].extension[EXTENSION]["modalities"]
    assert "inr" in ordered["hepatic-arterial-therapy"]["missing"]


def test_tests_that_would_decide_are_offered_as_draft_orders_unless_ordered_already() -> None:
    found, day = resources("snomed-and-own-codes")
    bare = without(found, "6301-6", "777-3", "coagulopathy-uncorrectable")
    (offered,) = [card for card in cards(bare, day) if card.suggestions]
    assert offered.selection_behavior == "any"
    assert offered.kind in {"overview", "missing-data"}, "without a place of its own what is missing stands on the overview"
    drafts = [suggestion.actions[0].resource for suggestion in offered.suggestions]
    assert {draft["code"]["coding"][0]["code"] for draft in drafts} == {"6301-6", "777-3"}
    for draft in drafts:
        ServiceRequest.model_validate(draft)
    ordered = [*bare, order(bare, "6301-6", day, "http://loinc.org")]
    (again,) = [card for card in cards(ordered, day) if card.suggestions]
    assert [s.actions[0].resource["code"]["coding"][0]["code"] for s in again.suggestions] == ["777-3"]


def test_carcinoid_heart_disease_without_an_echo_is_critical_once_an_operation_is_ordered() -> None:
    found, day = resources("carcinoid-heart-before-resection")
    assert [c.indicator for c in cards(found, day) if c.kind == "safety"] == ["warning"]
    ordered = cards([*found, order(found, "107963000", day)], day)
    assert [c.indicator for c in ordered if c.kind == "safety"] == ["critical"]


def test_a_chart_that_says_almost_nothing_gets_one_card_with_the_questions_of_the_board() -> None:
    found = cards(*resources("almost-nothing-known"))
    assert kinds(found) == ["overview"]
    numbered = re.findall(r"^(\d)\. \*\*(.+?)\*\*", found[0].detail, re.MULTILINE)
    asked = [question.short for question in knowledge.load().board_questions]
    assert numbered == [(str(number), question) for number, question in enumerate(asked, 1)]


def test_nothing_is_ever_called_free_of_contraindications() -> None:
    for case in sorted(FIXTURES.iterdir()):
        for card in cards(*resources(case.name)):
            assert "no contraindication" not in f"{card.summary} {card.detail}".lower()


def test_a_deciding_resource_that_is_not_valid_r4_is_told_and_still_decides() -> None:
    found, day = resources("arterial-portal-vein-occluded")
    for resource in found:
        if any(c.get("code") == "portal-vein" for c in resource.get("code", {}).get("coding", [])):
            resource["issued"] = "sometime"
    answer = cards(found, day)
    assert "contraindication" in kinds(answer)
    assert any("could not be used" in card.detail for card in answer)
    reasons = [place["value"] for card in answer for place in card.extension[EXTENSION].get("provenance", [])]
    assert any("not-valid-r4" in reason for reason in reasons)


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "[click](https://evil.example)", "**bold** `code` # title", "a|b"]
)
def test_recorded_text_cannot_become_markup(text: str) -> None:
    assert not set(safe_text(text)) & set("<>[]*`#|_!\\")


def test_grades_that_disagree_are_told() -> None:
    found, day = resources("resectable")
    index: dict[str, Any] = {"value": 30, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"}
    ki67 = fact(found, day, "ki67-index", valueQuantity=index)
    ki67["code"] = {"coding": [{"system": "http://loinc.org", "code": "29593-1"}]}
    shown = cards([*found, ki67], day)
    assert "NET G3" in shown[0].summary
    assert any("onflict: the grades disagree, the worst counts" in card.detail for card in shown)
    assert not any("onflict" in card.detail for card in cards(found, day))


def test_a_grade_that_is_not_ruled_out_is_named_as_what_holds_a_recommendation_back() -> None:
    found, day = resources("resectable")
    ungraded = without(found, "29593-1", "ki-67-index", "mitotic-count", "who-grade")
    overview, *rest = cards(ungraded, day)
    for text in (overview.detail, rest[0].detail):
        assert "consider (would be recommended but for grade 3 neuroendocrine tumour, not ruled out)" in text
    assert "not ruled out" not in cards(found, day)[0].detail


def test_an_active_diagnosis_that_a_newer_answer_denies_is_shown_beside_it() -> None:
    found, day = resources("resectable")
    status = "http://terminology.hl7.org/CodeSystem/condition-clinical"
    bone = {
        "resourceType": "Condition", "id": "bone", "recordedDate": "2024-01-01",
        "subject": {"reference": f"Patient/{patient_of(found)}"},
        "clinicalStatus": {"coding": [{"system": status, "code": "active"}]},
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C7B.03"}]},
    }  # fmt: skip
    (quality,) = [card for card in cards([*found, bone], day) if card.kind == "data-quality"]
    assert "None outside the liver (3 Oct)" in quality.detail
    assert "an active diagnosis still says disease outside the liver (Jan 2024)" in quality.detail
    assert "data-quality" not in kinds(cards(found, day))


def test_one_contraindication_beside_six_open_treatments_is_not_summarised_as_nothing_possible() -> None:
    patient = {"resourceType": "Patient", "id": "p"}
    tumours = [
        {"resourceType": "Condition", "id": code.replace(".", "-"), "subject": {"reference": "Patient/p"},
         "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code}]}}
        for code in ("C7B.02", "C7B.03")
    ]  # fmt: skip
    (shown,) = cards([patient, *tumours], date(2026, 11, 30))
    verdicts = [modality["verdict"] for modality in shown.extension[EXTENSION]["modalities"].values()]
    assert sorted(verdicts) == ["contraindicated", *["undetermined"] * 6]
    assert shown.summary.endswith("?"), "it asks what would open something"
    assert not re.search(r"\b(none|nothing else|no treatment|no criterion)\b", shown.summary)
    assert "**Contraindicated:** transplant referral" in shown.detail
    assert "**Open:**" in shown.detail


@pytest.mark.parametrize("active", [True, False])
def test_a_drug_entry_without_known_code_or_name_leaves_drugs_unknown_and_is_counted_on_a_card(active: bool) -> None:
    found, day = resources("arterial-candidate")
    drug = {
        "resourceType": "MedicationRequest", "id": "product", "status": "active" if active else "stopped", "intent": "order",
        "subject": {"reference": f"Patient/{patient_of(found)}"},
        "medicationCodeableConcept": {
            "coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "999999"}]
        },
    }  # fmt: skip
    told = "1 drug entry could not be read"
    assert not any(told in card.detail for card in cards(found, day))
    assert any(told in card.detail for card in cards([*found, drug], day))
    chart = ChartFile(tuple((resource, None) for resource in [*found, drug])).chart()
    known = knowledge.load()
    picture = reader_for(known).read(chart, day)
    facts = determine_facts(picture, known, day)
    drugs = [name for name, d in known.facts.items() if d.kind == "presence" and d.source == "Medication"]
    absent = [name for name in drugs if facts[name].silent]
    assert absent == ([] if active else [name for name in drugs if known.facts[name].active])


def test_every_reason_against_one_treatment_fits_its_summary_or_stands_in_the_detail_alone() -> None:
    found, day = resources("resectable")
    status = {"system": "http://loinc.org", "code": "89247-1"}
    ecog = fact(found, day, "ecog", valueInteger=4) | {"code": {"coding": [status]}}
    heart = fact(found, day, "carcinoid-heart-disease", valueCodeableConcept=coded("severe-untreated"))
    outside = fact(found, day, "extrahepatic-disease", valueCodeableConcept=coded("unresectable"))
    ordered = order(found, "18027006", day)
    shown = cards([*found, ecog, heart, outside, ordered], day)
    assert any(card.kind == "contraindication" and "ECOG" in card.detail for card in shown)


def coded(answer: str) -> dict[str, Any]:
    return {"coding": [{"system": "https://nlm-cds.example/fhir/CodeSystem/nlm-assessment", "code": answer}]}


@pytest.mark.parametrize("transplanted", [False, True])
def test_a_liver_that_could_be_resected_beside_disease_that_could_not_gets_its_cards(transplanted: bool) -> None:
    found, day = resources("resectable")
    outside = fact(found, day, "extrahepatic-disease", valueCodeableConcept=coded("unresectable"))
    more = [outside]
    if transplanted:
        more = [{
            "resourceType": "Condition", "id": "graft", "subject": {"reference": f"Patient/{patient_of(found)}"},
            "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "Z94.4"}]},
        }]  # fmt: skip
    kept = without(found, "6301-6", "777-3") if not transplanted else found
    shown = cards([*kept, *more], day)
    assert shown[0].kind == "overview"
    group = "after-transplant" if transplanted else "liver-resectable-extrahepatic-not"
    assert ("liver only" in shown[0].summary) == transplanted
    assert shown[0].extension[EXTENSION]["staging"]["treatment_group"] == group


def test_a_dissent_of_the_review_on_which_its_stance_does_not_rest_is_on_the_card() -> None:
    found, day = resources("milan-net")
    extent = fact(found, day, "disease-extent", valueCodeableConcept=coded("widespread"))
    detail = "\n".join(card.detail for card in cards([*found, extent], day))
    assert "2010 **against:** No liver-directed treatment when unresectable disease is widespread" in detail
    assert "2010 **against:** No workable option in its text" in detail
