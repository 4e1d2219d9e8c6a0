"""Which calculations look at dates, earlier readings or reasons is said in derived.toml, and nobody else gets to see them.

Every calculation is run for every answer to what it reads, so a look that it takes in one case alone is found too.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from cds_service.reasoning.facts import DateLookedAt, FactState, UndatedFact
from cds_service.reasoning.verdict_diagrams import VerdictDiagrams, verdict_diagrams
from cds_service.reasons import reason_of
from tests.support.strategies import KNOWN

DATED = sorted(name for name, derived in KNOWN.derived.items() if derived.dated)


@pytest.mark.parametrize("name", sorted(set(KNOWN.derived) - set(DATED)))
def test_a_calculation_that_is_not_dated_needs_no_date(name: str) -> None:
    assert verdict_diagrams(KNOWN).facts.fact(name)


@pytest.mark.parametrize("name", DATED)
def test_a_calculation_that_is_dated_looks_at_a_date(name: str) -> None:
    """Or at several answers at once, whose dates are all there is to tell them apart."""
    undated = {**KNOWN.derived, name: replace(KNOWN.derived[name], dated=False)}
    with pytest.raises((DateLookedAt, ValueError)):
        VerdictDiagrams(replace(KNOWN, derived=undated)).facts.fact(name)


@pytest.mark.parametrize("told", ["on", "seen", "history", "unread", "reason", "note_reason"])
def test_a_fact_without_dates_refuses_to_tell(told: str) -> None:
    with pytest.raises(DateLookedAt, match="dated = true"):
        getattr(UndatedFact(FactState.KNOWN, True), told)


def test_an_explanation_may_be_handed_on_but_not_read() -> None:
    why = UndatedFact(FactState.UNKNOWN).why
    assert why
    with pytest.raises(DateLookedAt):
        reason_of(why)
