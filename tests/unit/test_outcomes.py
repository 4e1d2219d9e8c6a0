"""Tables 1 to 3 of the review: faithful to its statements, and on a card the series that tell most of its patient."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest

from cds_service import knowledge
from cds_service.cards.outcomes import nearest_outcomes, outcome_line
from cds_service.reasoning.assessment import assess_modalities
from cds_service.reasoning.current_facts import determine_facts
from cds_service.reasoning.evaluation import Evaluation
from cds_service.reasoning.staging import determine_stage
from tests.support.pictures import picture

TODAY = date(2026, 11, 1)
KNOWN = knowledge.load()
NUMBER = re.compile(r"\d+(?:\.\d+)?")


def board(**given: Any) -> Evaluation:
    found = picture(KNOWN, given, TODAY, ())
    facts = determine_facts(found, KNOWN, TODAY)
    return Evaluation(found, facts, determine_stage(facts), assess_modalities(facts))


def series(of: Evaluation, modality: str, folded: bool = False) -> list[str]:
    return [row.series for row in nearest_outcomes(of, of.assessments[modality], folded)]


def test_there_are_the_21_rows_of_the_review() -> None:
    rows = [row.id for row in KNOWN.outcomes]
    expected = [f"T{table}-{row}" for table, count in ((1, 8), (2, 7), (3, 6)) for row in range(1, count + 1)]
    assert rows == expected
    assert [KNOWN.publications[row.publication].reference for row in KNOWN.outcomes] == [*range(10, 18), *range(26, 39)]


@pytest.mark.parametrize("row", KNOWN.outcomes, ids=lambda row: row.series)
def test_every_figure_of_a_row_stands_in_a_statement_it_cites(row: Any) -> None:
    statements = [KNOWN.statements[name] for name in row.statements]
    told = set(NUMBER.findall(" ".join(f"{s.says} {s.numbers} {s.caution}" for s in statements)))
    figures = set(NUMBER.findall(f"{row.survival} {row.symptoms} {row.course}"))
    left_out = [KNOWN.statements[name] for name in row.withheld]
    if row.statements:
        assert figures - told == set()
        assert str(row.n) in told | {str(sum(map(int, NUMBER.findall(row.groups))))}
    assert not [statement for statement in left_out if statement.display]
    assert row.defect or not left_out


def test_misprinted_figures_are_in_no_row() -> None:
    sarmiento, vogl, le_treut = (next(row for row in KNOWN.outcomes if row.id == name) for name in ("T1-3", "T2-3", "T3-3"))
    told = [" ".join((r.survival, r.symptoms, r.course, r.patients, r.note)) for r in (sarmiento, vogl, le_treut)]
    assert not {"84", "59"} & set(NUMBER.findall(told[0]))
    assert not {"72", "80", "32.9", "42.8"} & set(NUMBER.findall(told[1]))
    assert "35" not in NUMBER.findall(told[2])
    assert vogl.modalities == ()


def test_a_series_of_other_patients_is_not_shown() -> None:
    for site, own, other in (("small-bowel", "Swärd 2009", "Lang 1999"), ("pancreas", "Lang 1999", "Swärd 2009")):
        of = board(primary_site=site)
        shown = [name for modality in of.assessments for name in series(of, modality)]
        assert own in shown
        assert other not in shown


def test_liver_only_series_are_for_liver_only_disease() -> None:
    assert "Chen 1998" in series(board(primary_site="pancreas", disease_extent="liver-only"), "resection")
    assert "Chen 1998" not in series(board(primary_site="pancreas", disease_extent="liver-dominant"), "resection")


def test_what_tells_of_this_patient_comes_first_and_the_largest_series_is_always_among_them() -> None:
    for given, first in (({"lesion_count": "7"}, "Reddy 2007"), ({"lesion_count": "3"}, "Yao 2001"), ({}, "Sarmiento 2003")):
        shown = series(board(primary_site="lung", **given), "resection")
        assert shown[0] == first
        assert "Sarmiento 2003" in shown
        assert len(shown) == 3
    assert len(series(board(primary_site="lung"), "resection", folded=True)) == 2


def test_treatments_without_a_table_show_none() -> None:
    of = board(primary_site="pancreas")
    for modality in ("ablation", "systemic-therapy", "hormonal-suppression"):
        assert series(of, modality) == []


def test_a_row_the_card_shows_as_a_statement_already_is_not_shown_twice() -> None:
    of = board(primary_site="lung")
    assert "S085" in of.knowledge.modality("hepatic-arterial-therapy").support
    assert "Pitt 2008" not in series(of, "hepatic-arterial-therapy")
    assert "Gupta 2005" in series(of, "hepatic-arterial-therapy")


def test_each_line_says_how_many_patients_and_how_they_were_looked_at() -> None:
    of = board(primary_site="lung")
    for row in KNOWN.outcomes:
        if row.modalities:
            said = outcome_line(of, row)
            assert f"n = {row.n}," in said
            assert "retrospective" in said
            assert all(name in said for name in row.statements)
            assert len(said) < 330
    low = next(row for row in KNOWN.outcomes if row.id == "T3-3")
    assert "low confidence" in outcome_line(of, low)
