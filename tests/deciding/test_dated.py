"""Only calculations that are `dated` in derived.toml can read dates, earlier readings or reasons.

Every calculation is run for every combination of its inputs, so that a read in a single case is found too.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from cds_service.reasoning.facts import FactState, UndatedFact, UndeclaredRead
from cds_service.reasoning.verdict_diagrams import VerdictDiagrams, verdict_diagrams
from cds_service.reasons import reason_of
from tests.support.strategies import KNOWN

DATED = sorted(name for name, derived in KNOWN.derived.items() if derived.dated)


@pytest.mark.parametrize("name", sorted(set(KNOWN.derived) - set(DATED)))
def test_a_calculation_that_is_not_dated_needs_no_date(name: str) -> None:
    assert verdict_diagrams(KNOWN).facts.fact(name)


@pytest.mark.parametrize("name", DATED)
def test_a_calculation_that_is_dated_reads_a_date(name: str) -> None:
    """Or it reads a fact with several answers, which only their dates distinguish."""
    undated = {**KNOWN.derived, name: replace(KNOWN.derived[name], dated=False)}
    with pytest.raises((UndeclaredRead, ValueError)):
        VerdictDiagrams(replace(KNOWN, derived=undated)).facts.fact(name)


@pytest.mark.parametrize("member", ["on", "seen", "history", "unread", "reason", "note_reason"])
def test_a_fact_without_dates_raises_if_they_are_read(member: str) -> None:
    with pytest.raises(UndeclaredRead, match="dated = true"):
        getattr(UndatedFact(FactState.KNOWN, True), member)


def test_an_explanation_may_be_passed_on_but_not_read() -> None:
    why = UndatedFact(FactState.UNKNOWN).why
    assert why
    with pytest.raises(UndeclaredRead):
        reason_of(why)
