"""What the cards say of ways of doing a treatment, of orders for them and of what stands beside a treatment."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cds_service import knowledge
from cds_service.cards.card import EXTENSION, Card
from cds_service.cards.compose import compose_cards
from cds_service.cards.missing_data import missing_data_card
from cds_service.cards.modality_card import modality_fields
from cds_service.cards.overview import overview_card
from cds_service.fhir.chart_files import ChartFile
from cds_service.hooks.patient_view import cards_of_chart
from cds_service.reasoning.evaluation import Evaluation
from cds_service.sites.loader import read_site
from tests.charts.test_cards import order, resources
from tests.support.vignette import Vignette, VignetteResult, without_search

DAY = date(2026, 11, 1)
PROGRESSIVE: dict[str, Any] = {
    "primary_site": "small-bowel", "differentiation": "well", "ki67_index": "5", "mitotic_count": "1",
    "hormonal_syndrome": "none", "sstr_positive": True, "somatostatin_analogue": "true 400 days ago",
    "disease_status": "progression 20 days ago", "resectability": "unresectable", "extrahepatic_disease": "none",
}  # fmt: skip
UNRESECTABLE = {
    "age": "63", "primary_site": "small-bowel", "who_grade": "G1", "hormonal_syndrome": "none", "resectability": "unresectable",
    "extrahepatic_disease": "none", "total_bilirubin": "0.8", "albumin": "4.1", "inr": "1.0", "platelets": "220", "egfr": "85",
    "portal_vein": "patent", "ecog": "1",
}  # fmt: skip

ALMOST = {name: value for name, value in UNRESECTABLE.items() if name != "portal_vein"} | {
    "threatens_biliary_or_bowel": False, "sstr_positive": False, "recurrence_after_resection": False,
    "disease_extent": "liver-dominant",
}  # fmt: skip
"""All that decides is known, but for the portal vein."""


def board(given: dict[str, Any], *ordered: str) -> Evaluation:
    found = Vignette("", {"ordered": ordered}, given, DAY)
    known = knowledge.load()
    said = VignetteResult(found.facts(known), found.picture(known).orders).evaluation
    return replace(said, assessments={name: without_search(assessment) for name, assessment in said.assessments.items()})


def line(card: Card, start: str) -> str:
    return next(text for text in card.detail.splitlines() if text.removeprefix("- ").startswith(start))


def option(given: dict[str, Any], modality: str, *ordered: str) -> Card:
    """The card on which a modality is discussed, alone or with others."""
    cards = [card for card in compose_cards(board(given, *ordered), ()) if card.kind == "modality"]
    return next(c for c in cards if modality in [c.extension[EXTENSION].get("modality"),
                                                 *c.extension[EXTENSION].get("modalities", [])])  # fmt: skip


def test_what_would_stop_radionuclide_therapy_and_nobody_looked_at_is_named_with_it_and_on_the_card() -> None:
    card = option(PROGRESSIVE | {"egfr": "85", "haemoglobin": "7 200 days ago"}, "systemic-therapy")
    told = line(card, "Radionuclide therapy (PRRT)").split("not checked: ")[1].split("; not looked at here")[0]
    assert "leukocytes" in told
    assert "haemoglobin (out of date, 7 g/dL (" in told
    assert "estimated GFR" not in told
    assert "leukocytes" in line(card, "**Not checked:**")


def test_what_would_stop_an_ordered_technique_is_named_as_not_checked_though_nothing_is_recommended() -> None:
    bare = {"primary_site": "small-bowel", "hormonal_syndrome": "none"}
    assert "lung shunt" not in overview_card(board(bare), ()).detail
    assert "leukocytes" not in overview_card(board(bare), ()).detail
    ordered = overview_card(board(bare, "proc.prrt", "proc.radioembolization"), ())
    assert "leukocytes" in line(ordered, "**Not checked:**")
    assert "hepatopulmonary shunt fraction" in line(ordered, "**Not checked:**")


def test_an_order_of_a_technique_in_a_sites_own_code_is_an_order_of_its_treatment(tmp_path: Path) -> None:
    site_file = tmp_path / "north.toml"
    site_file.write_text(
        '[site]\nid = "north"\ntitle = "North Hospital"\nauthenticated_by_proxy = true\n'
        '[[code]]\nsystem = "urn:oid:2.999.4711"\ncode = "SIRT-1"\nconcept = "proc.radioembolization"\n',
        "utf-8",
    )
    found, day = resources("arterial-portal-vein-occluded")
    site = read_site(site_file)
    chart = ChartFile(tuple((r, None) for r in [*found, order(found, "SIRT-1", day, "urn:oid:2.999.4711")])).chart()
    shown = [card for card in cards_of_chart(chart, site.knowledge, day, "test") if card.kind == "contraindication"]
    assert [(card.indicator, card.extension[EXTENSION]["modality"]) for card in shown] == [
        ("critical", "hepatic-arterial-therapy")
    ]
    assert ", ordered (" in shown[0].detail


def test_a_technique_that_is_ordered_without_its_indication_is_shown_as_ordered_with_what_stops_it() -> None:
    stable = PROGRESSIVE | {"disease_status": "stable 20 days ago", "egfr": "25"}
    told = line(
        option(stable, "systemic-therapy", "proc.prrt"), "Radionuclide therapy (PRRT), ordered (2026-11-01, ServiceRequest/1)"
    )
    assert "stopped by eGFR below 40" in told


OPERABLE = UNRESECTABLE | {
    "resectability": "complete", "remnant_sufficient": True, "drainage_intact": True, "liver_involvement": "20",
}  # fmt: skip
AGAINST_RESECTION: list[dict[str, Any]] = [
    {"ecog": "3"}, {"hepatic_failure": True}, {"carcinoid_heart_disease": "severe-untreated"},
]  # fmt: skip
EXCLUDED: list[dict[str, Any]] = [
    {"resectability": "debulkable"}, {"remnant_sufficient": False}, {"drainage_intact": False},
    {"extrahepatic_disease": "unresectable"}, {"who_grade": "NEC"},
]  # fmt: skip


def contraindicated(given: dict[str, Any]) -> list[str]:
    found = [card.extension[EXTENSION] for card in compose_cards(board(given), ()) if card.kind == "contraindication"]
    return [name for content in found for name in content.get("modalities", [content.get("modality")])]


@pytest.mark.parametrize("against", AGAINST_RESECTION)
def test_what_contraindicates_an_operable_resection_has_its_card_without_an_order(against: dict[str, Any]) -> None:
    assert "resection" in contraindicated(OPERABLE | against)
    assert "resection" not in contraindicated(OPERABLE)


@pytest.mark.parametrize("excluded", EXCLUDED)
def test_a_resection_that_the_liver_or_the_grade_excludes_has_no_contraindication_card(excluded: dict[str, Any]) -> None:
    assert "resection" not in contraindicated(OPERABLE | {"ecog": "3"} | excluded)


def test_a_debulking_that_its_own_exclusion_rules_out_has_no_contraindication_card() -> None:
    quiet = UNRESECTABLE | {"resectability": "debulkable", "removable_fraction": "85", "threatens_biliary_or_bowel": False}
    assert "debulking" in contraindicated(quiet | {"ecog": "3"})
    assert "debulking" not in contraindicated(quiet | {"ecog": "3", "disease_extent": "widespread"})


@pytest.mark.parametrize("site", ["small-bowel", "lung"])
def test_widespread_beside_nothing_outside_the_liver_is_shown_as_a_conflict_where_the_stage_is(site: str) -> None:
    told = line(overview_card(board(UNRESECTABLE | {"primary_site": site, "disease_extent": "widespread"}), ()), "**Stage.**")
    assert "conflict: judged widespread, with nothing outside the liver recorded" in told
    assert "Treatment group: widespread" in told
    assert "…" not in told
    assert "conflict" not in line(overview_card(board(UNRESECTABLE | {"primary_site": site}), ()), "**Stage.**")


def test_a_local_convention_is_not_called_the_review() -> None:
    closed = UNRESECTABLE | {"hepatic_failure": True, "threatens_biliary_or_bowel": False}
    told = line(option(closed, "systemic-therapy"), "**Systemic therapy")
    assert "criteria of a local convention are met" in told
    widespread = closed | {"disease_extent": "widespread"}
    assert "criteria of the review of 2010 are met" in line(option(widespread, "systemic-therapy"), "**Systemic therapy")


def test_a_card_on_one_treatment_names_it_and_one_on_several_lists_them() -> None:
    pregnant = UNRESECTABLE | {"pregnancy": True}
    stops = [
        c.extension[EXTENSION]
        for c in compose_cards(board(pregnant, "proc.radioembolization"), ())
        if c.indicator == "critical"
    ]
    assert [(s.get("modality"), s.get("modalities")) for s in stops] == [("hepatic-arterial-therapy", None)]
    both = board(pregnant, "proc.radioembolization", "proc.prrt")
    stops = [c.extension[EXTENSION] for c in compose_cards(both, ()) if c.indicator == "critical"]
    assert [s.get("modalities") for s in stops] == [["hepatic-arterial-therapy", "systemic-therapy"]]
    assert "modality" not in stops[0]
    assert modality_fields(["resection", "resection"]) == {"modality": "resection"}
    assert modality_fields([]) == {}


def test_missing_data_of_one_treatment_names_it() -> None:
    searched = VignetteResult(Vignette("", {}, ALMOST, DAY).facts(knowledge.load()), {}).evaluation
    card = missing_data_card(searched)
    assert card is not None
    content = card.extension[EXTENSION]
    assert [name for name, assessment in searched.assessments.items() if assessment.missing] == [content["modality"]]
    assert "modalities" not in content


TRANSPLANTABLE = UNRESECTABLE | {
    "sstr_positive": True, "primary_resected": True, "liver_involvement": "30", "disease_status": "stable",
    "months_since_status": "8", "age": "50",
}  # fmt: skip


def test_what_always_stands_beside_transplantation_stands_there_also_on_a_card_with_others() -> None:
    card = option(TRANSPLANTABLE, "transplantation")
    assert len(card.extension[EXTENSION]["modalities"]) > 1
    told = card.detail[card.detail.index("**Liver transplantation") :]
    for part in ("in one centre and not randomized", "unselected practice", "14% had died by 60 days", "42% were alive without",
                 "6 of 11 recurred (Routley)", "no workable option", "rules transplantation out"):  # fmt: skip
        assert part in told


def test_an_insulinoma_rests_on_what_speaks_of_insulinoma_and_not_on_the_trial_of_telotristat() -> None:
    insulinoma = UNRESECTABLE | {"primary_site": "pancreas", "hormonal_syndrome": "insulinoma"}
    known = knowledge.load()
    reason = known.modality("hormonal-suppression").indications[0].says
    told = line(option(insulinoma, "hormonal-suppression"), f"{reason} [N1")
    assert "M073" in told
    assert "M063" not in option(insulinoma, "hormonal-suppression").detail


def test_what_stops_an_ordered_technique_stands_on_the_overview_where_its_treatment_has_no_card() -> None:
    counts = OPERABLE | {"platelets": "30", "egfr": "20", "haemoglobin": "7", "sstr_positive": False}
    told = line(overview_card(board(counts, "proc.prrt"), ()), "Radionuclide therapy (PRRT), ordered")
    for part in ("Platelets below 75", "eGFR below 40", "Haemoglobin below 8"):
        assert part in told
    assert "Radionuclide" not in overview_card(board(counts), ()).detail
