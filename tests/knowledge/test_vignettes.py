"""Every vignette passes: patients as facts, verdicts and reasons in the words of a clinician (tests/vignettes/*.toml)."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from cds_service import knowledge
from tests.support.told_differently import FILE, as_a_clinician, numbers_before, numbers_of
from tests.support.vignette import Vignette, disagreements, vignettes

ALL = list(vignettes())


@pytest.mark.parametrize("vignette", ALL, ids=lambda vignette: vignette.story)
def test_vignette(vignette: Vignette) -> None:
    known = knowledge.load()
    facts = vignette.facts(known)
    wrong = list(disagreements(vignette, facts, vignette.picture(known).orders))
    assert wrong == [], "\n".join([f"of “{vignette.table['story']}”:", *as_a_clinician(facts, numbers_before()), *wrong])


def test_the_numbers_with_which_the_vignettes_held_last_are_those_of_the_knowledge(request: pytest.FixtureRequest) -> None:
    """The former numbers that a failing vignette names; `pytest --update-golden` writes them once all vignettes pass."""
    now = numbers_of(knowledge.load())
    if request.config.getoption("--update-golden"):
        FILE.write_text(json.dumps(now, indent=1) + "\n", "utf-8")
    assert numbers_before() == now, "numbers changed; once the vignettes hold: pytest --update-golden"


def test_every_vignette_has_a_sentence_of_its_own_as_name_and_there_are_enough_of_them() -> None:
    names = Counter(vignette.story for vignette in ALL)
    assert [name for name, count in names.items() if count > 1] == []
    assert [vignette.story for vignette in ALL if len(vignette.table["story"].split()) < 2] == []
    assert len(ALL) >= 250
