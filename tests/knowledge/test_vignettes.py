"""Every vignette holds: patients as facts, verdicts and reasons as a clinician would say them (tests/vignettes/*.toml)."""

from __future__ import annotations

from collections import Counter

import pytest

from cds_service import knowledge
from tests.support.vignette import Vignette, disagreements, vignettes

ALL = list(vignettes())


@pytest.mark.parametrize("vignette", ALL, ids=lambda vignette: vignette.story)
def test_vignette(vignette: Vignette) -> None:
    known = knowledge.load()
    assert list(disagreements(vignette, vignette.facts(known), vignette.picture(known).orders)) == []


def test_every_vignette_has_a_sentence_of_its_own_as_name_and_there_are_enough_of_them() -> None:
    names = Counter(vignette.story for vignette in ALL)
    assert [name for name, count in names.items() if count > 1] == []
    assert [vignette.story for vignette in ALL if len(vignette.table["story"].split()) < 2] == []
    assert len(ALL) >= 250
