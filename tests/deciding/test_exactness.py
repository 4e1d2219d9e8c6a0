"""The deciding facts and the best possible verdict are exactly those that brute force finds.

The short form tries a tenth of the cases, `make prove-deciding` all (docs/proofs.md).
"""

from __future__ import annotations

import random
import time
from itertools import islice

from cds_service import knowledge
from cds_service.knowledge.modality import Verdict
from cds_service.reasoning.assessment import assess_modalities
from cds_service.reasoning.current_facts import determine_facts
from cds_service.sites.overlay import lay_over
from tests.conftest import PROOF, Record
from tests.deciding.comparison import complete, difference, differences, large_cases, small_cases
from tests.support.completions import draw_picture
from tests.support.pictures import picture
from tests.support.strategies import FIT, KNOWN, TODAY

VERDICTS, COMPLETIONS, RANDOM_COMPLETIONS = 1_100, 250_000, 15_000
MOST_COMPLETIONS = 3_000
STRICTER = {
    "contraindication.ecog-3-or-worse": {"limit": 2, "says": "ECOG performance status 2 or worse"},
    "exclusion.involvement-above-half": {"limit": 30, "says": "More than 30 % of the liver replaced"},
    "exclusion.age-limit": {"limit": 57, "says": "57 years or older"},
}


def test_the_deciding_facts_are_exactly_those_that_brute_force_finds(full: bool, record_property: Record) -> None:
    began, tried, completions, wrong = time.monotonic(), 0, 0, list[str]()
    part = 1 if full else 10
    for case in small_cases(9, MOST_COMPLETIONS):
        wrong += filter(None, [difference(case, *case.deciding())])
        tried, completions = tried + 1, completions + case.completions
        if tried * part >= VERDICTS and completions * part >= COMPLETIONS:
            break
    record_property(
        PROOF,
        f"deciding: {tried} undetermined verdicts in all {completions} completions, {len(wrong)} differences, "
        f"{time.monotonic() - began:.0f} s",
    )
    assert wrong == []


def test_every_completion_of_a_chart_is_judged_as_if_it_were_recorded(full: bool, record_property: Record) -> None:
    began, tried, rnd, wrong = time.monotonic(), 0, random.Random(4), list[str]()
    for case in large_cases(5):
        some = [complete(case, rnd) for _ in range(5)]
        wrong += differences(case, some)
        tried += len(some)
        if tried >= RANDOM_COMPLETIONS / (1 if full else 10):
            break
    seconds = time.monotonic() - began
    record_property(
        PROOF, f"deciding: {tried} random completions of charts with much open, {len(wrong)} differences, {seconds:.0f} s"
    )
    assert wrong == []


def test_a_site_s_own_limits_decide_where_it_has_set_them() -> None:
    known, faults = lay_over(knowledge.load(), {"limits": STRICTER})
    assert not faults
    touched = (c for c in small_cases(3, MOST_COMPLETIONS, known) if {"age", "ecog", "liver_involvement"} & set(c.answers))
    assert list(filter(None, (difference(case, *case.deciding()) for case in islice(touched, 20)))) == []


def test_an_age_between_a_site_s_limit_and_ours_is_too_old_there_alone() -> None:
    suited = {**FIT, "age": 58, "resectability": "unresectable", "remnant_sufficient": False, "disease_status": "stable"}
    suited |= {"months_since_status": 9, "hormonal_symptoms_extreme": False}
    del suited["sstr_positive"]
    stricter, _ = lay_over(knowledge.load(), {"limits": STRICTER})
    ours, theirs = (
        assess_modalities(determine_facts(picture(known, suited, TODAY), known, TODAY))["transplantation"]
        for known in (KNOWN, stricter)
    )
    assert (ours.missing, ours.best_possible) == (("sstr_positive",), Verdict.CONSIDER)
    assert (theirs.verdict, theirs.missing) == (Verdict.NOT_INDICATED, ())


def test_only_an_undetermined_verdict_has_deciding_facts() -> None:
    rnd, seen = random.Random(1), set()
    for _ in range(30):
        for said in assess_modalities(determine_facts(draw_picture(rnd), KNOWN, TODAY)).values():
            seen.add(said.verdict)
            assert (said.verdict is Verdict.UNDETERMINED) is (said.best_possible is not None)
            assert not said.missing or said.verdict is Verdict.UNDETERMINED
    assert len(seen) > 3
