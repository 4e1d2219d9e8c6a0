"""What the cards say about techniques of a treatment, orders for them, and notes next to a treatment."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cds_service import knowledge
from cds_service.cards.card import EXTENSION, Card
from cds_service.cards.compose import compose_cards, modality_fields
from cds_service.cards.orders import ordered_options
from cds_service.cards.unchecked import split_unrecorded, unchecked_of
from cds_service.fhir.chart_files import ChartFile
from cds_service.hooks.patient_view import cards_of_chart
from cds_service.reasoning.evaluation import Evaluation
from cds_service.reasoning.judgement import judge_criterion
from cds_service.sites.loader import read_site
from tests.charts.test_cards import order, resources
from tests.support.card_limits import is_ordered, is_said, named_techniques, stop_wordings, told_against
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
"""Every deciding fact is known except for the portal vein."""


def board(given: dict[str, Any], *ordered: str) -> Evaluation:
    found = Vignette("", {"ordered": ordered}, given, DAY)
    known = knowledge.load()
    said = VignetteResult(found.facts(known), found.picture(known).orders).evaluation
    return replace(said, assessments={name: without_search(assessment) for name, assessment in said.assessments.items()})


def line(card: Card, start: str) -> str:
    return next(text for text in card.detail.splitlines() if text.removeprefix("- ").startswith(start))


def overview(given: dict[str, Any], *ordered: str) -> Card:
    return compose_cards(board(given, *ordered), ())[0]


def block(card: Card, title: str) -> str:
    """Return the lines of the treatment whose title begins with this text."""
    parts = card.detail.split("\n\n**")
    return next(part for part in parts if part.removeprefix("**").startswith(title))


def option(given: dict[str, Any], modality: str, *ordered: str) -> Card:
    """Return the card that discusses a modality, alone or with others."""
    cards = [card for card in compose_cards(board(given, *ordered), ()) if card.kind == "modality"]
    return next(c for c in cards if modality in [c.extension[EXTENSION].get("modality"),
                                                 *c.extension[EXTENSION].get("modalities", [])])  # fmt: skip


def test_what_would_stop_radionuclide_therapy_and_is_not_known_is_named_in_its_block_and_on_the_overview() -> None:
    given = PROGRESSIVE | {"egfr": "85", "haemoglobin": "7 200 days ago"}
    cards = compose_cards(board(given), ())
    (with_block,) = [card for card in cards if card.kind == "modality" and "**PRRT: " in card.detail]
    told = line(with_block, "Stops looked at, none met: eGFR 85.")
    assert "Out of date or unreadable: Hb (out of date)" in told
    silent = told.split("Not recorded: ")[1]
    assert "leukocytes" in silent
    assert "Hb" not in silent
    assert "eGFR" not in silent
    assert "**Out of date or unreadable:** Hb (out of date)" in cards[0].detail


def test_what_would_stop_an_ordered_technique_is_named_as_not_recorded_though_nothing_is_recommended() -> None:
    bare = {"primary_site": "small-bowel", "hormonal_syndrome": "none", "age": "40", "sex": "female"}
    assert "**Not recorded, bears on the above:**" not in overview(bare).detail
    for ordered, named in (("proc.prrt", ["leukocytes", "Hb", "pregnancy"]), ("proc.radioembolization", ["lung shunt"])):
        evaluation = board(bare, ordered)
        of_order = [finding for option in ordered_options(evaluation) for finding in option.not_checked]
        silent, _ = split_unrecorded(evaluation, unchecked_of(evaluation, (), of_order))
        assert set(named) <= set(silent)
        assert silent[0] in line(overview(bare, ordered), "**Not recorded, bears on the above:**")


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
    assert f"ordered {day.day} " in shown[0].detail


def test_a_technique_that_is_ordered_without_its_indication_is_shown_as_ordered_with_what_stops_it() -> None:
    stable = PROGRESSIVE | {"disease_status": "stable 20 days ago", "egfr": "25"}
    told = line(overview(stable, "proc.prrt"), "**Ordered, and stopped by:**")
    assert "Radionuclide therapy (PRRT): eGFR 25, below 40" in told
    assert "**Ordered, and stopped by:**" not in overview(stable).detail


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
def test_widespread_beside_nothing_outside_the_liver_is_told_as_a_conflict(site: str) -> None:
    cards = compose_cards(board(UNRESECTABLE | {"primary_site": site, "disease_extent": "widespread"}), ())
    assert cards[0].summary.startswith("NET G1, widespread: ")
    told = [text for card in cards for text in card.detail.splitlines() if "onflict: " in text]
    assert len(told) == 1
    assert "onflict: judged widespread, with nothing outside the liver recorded" in told[0]
    without = compose_cards(board(UNRESECTABLE | {"primary_site": site}), ())
    assert not [card for card in without if "onflict" in card.detail]


def test_a_local_convention_is_not_called_the_review() -> None:
    closed = UNRESECTABLE | {"hepatic_failure": True, "threatens_biliary_or_bowel": False}
    told = block(option(closed, "systemic-therapy"), "Systemic therapy: consider")
    assert "(local convention)" in told
    assert "2010 **silent**" in told
    widespread = block(option(closed | {"disease_extent": "widespread"}, "systemic-therapy"), "Systemic therapy: recommended")
    assert "**Why:** widespread disease" in widespread
    assert "2010 **for:**" in widespread


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
    found = Vignette("", {}, ALMOST | {"sex": "male"}, DAY)
    searched = VignetteResult(found.facts(knowledge.load()), found.picture(knowledge.load()).orders).evaluation
    contents = [card.extension[EXTENSION] for card in compose_cards(searched, ()) if card.kind == "missing-data"]
    assert [name for name, assessment in searched.assessments.items() if assessment.missing] == ["hepatic-arterial-therapy"]
    (content,) = contents
    assert content["modality"] == "hepatic-arterial-therapy"
    assert "modalities" not in content


TRANSPLANTABLE = UNRESECTABLE | {
    "sstr_positive": True, "primary_resected": True, "liver_involvement": "30", "disease_status": "stable",
    "months_since_status": "8", "age": "50",
}  # fmt: skip


def test_what_always_stands_beside_transplantation_stands_in_its_block() -> None:
    told = block(option(TRANSPLANTABLE, "transplantation"), "Transplant referral: consider")
    for part in ("one centre, not randomized", "transplanted patients younger", "2010 **against:**", "14 % dead at 60 days",
                 "42 % alive without recurrence", "10 % dead at 3 months", "any disease outside the liver"):  # fmt: skip
        assert part in told
    assert re.search(r"\. [23] more: rule book", told), "risks that find no place are counted"


def test_an_insulinoma_is_offered_a_glucose_plan_and_never_an_analogue_or_telotristat() -> None:
    insulinoma = UNRESECTABLE | {"primary_site": "pancreas", "hormonal_syndrome": "insulinoma"}
    cards = compose_cards(board(insulinoma), ())
    assert "glucose plan" in cards[0].summary
    told = block(option(insulinoma, "hormonal-suppression"), "Hypoglycaemia: glucose plan")
    assert "insulinoma" in told
    statements = option(insulinoma, "hormonal-suppression").extension[EXTENSION]["statements"]
    assert "M073" in statements
    assert "M063" not in statements
    assert not [card for card in cards if "telotristat" in f"{card.summary} {card.detail}".lower()]
    assert not [card for card in cards if "analogue" in card.summary.lower()]


def test_what_stops_an_ordered_technique_stands_on_the_overview_where_its_treatment_has_no_card() -> None:
    counts = OPERABLE | {"platelets": "30", "egfr": "20", "haemoglobin": "7", "sstr_positive": False}
    told = line(overview(counts, "proc.prrt"), "**Ordered, and stopped by:** Radionuclide therapy (PRRT)")
    for part in ("platelets 30, below 75", "eGFR 20, below 40", "Hb 7, below 8"):
        assert part in told
    assert "Radionuclide" not in overview(counts).detail


BAD_COUNTS = {"platelets": "30", "egfr": "20", "haemoglobin": "7", "leukocytes": "1"}


@pytest.mark.parametrize("ordered", [["proc.prrt"], ["proc.radioembolization"], ["proc.prrt", "proc.radioembolization"]])
@pytest.mark.parametrize("bad", [BAD_COUNTS, BAD_COUNTS | {"lung_shunt_fraction": "25"}], ids=["soft", "with a lung shunt"])
def test_every_stop_of_what_is_ordered_is_said_on_some_card_whatever_the_verdict(
    bad: dict[str, str], ordered: list[str]
) -> None:
    """docs/cards.md, limit 8. For radionuclide therapy and radioembolization, over verdicts from contraindicated to
    recommended; radioembolization has a critical card only with a lung shunt."""
    bases: list[dict[str, Any]] = [
        UNRESECTABLE, OPERABLE, PROGRESSIVE, PROGRESSIVE | {"disease_status": "stable"}, {"hormonal_syndrome": "none"},
        UNRESECTABLE | {"disease_extent": "widespread"}, UNRESECTABLE | {"hepatic_failure": True},
    ]  # fmt: skip
    lost: list[tuple[str, dict[str, Any]]] = []
    for base in bases:
        evaluation = board(base | bad, *ordered)
        stops = {(technique.short, stop_wordings(evaluation, modality, finding))
                 for modality, technique in named_techniques(evaluation) if is_ordered(evaluation, technique)
                 for criterion in technique.stopped_by
                 if (finding := judge_criterion(criterion, evaluation.facts)).met}  # fmt: skip
        assert {name for name, _ in stops} == {option.technique.short for option in ordered_options(evaluation)}, base
        said = told_against(compose_cards(evaluation, ()))
        lost += [(f"{name}: {words[0]}", base) for name, words in sorted(stops) if not any(is_said(w, said) for w in words)]
    assert not lost
