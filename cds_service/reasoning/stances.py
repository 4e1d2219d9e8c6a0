"""Determines the stance of the review of 2010 on each treatment, by the table of knowledge/stances.toml. Pure.

A stance is shown with the verdict and does not replace it: a rule against a treatment is reported even if it decides
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cds_service.knowledge.shown import StanceRow, StanceWord
from cds_service.reasoning.facts import Facts
from cds_service.reasoning.judgement import all_of, any_of, judge_criterion, negated


@dataclass(frozen=True, slots=True)
class Stance:
    """A stance and the row of the table that applies. If the stance is open, `word` is None and `rows` holds all rows that may
    apply, in the order of the table."""

    word: StanceWord | None
    rows: tuple[StanceRow, ...]


def stance_of_2010(modality: str, facts: Facts) -> Stance:
    """Return the stance on a modality, by the first row of the table that applies."""
    may_hold: list[StanceRow] = []
    for row in facts.knowledge.stances:
        if row.modality != modality:
            continue
        holds = _holds(row, facts)
        if holds is not False:
            may_hold.append(row)
        if holds:
            break
    words = {row.stance for row in may_hold}
    if len(words) > 1:
        return Stance(None, tuple(may_hold))
    return Stance(may_hold[-1].stance, (may_hold[-1],))


def _holds(row: StanceRow, facts: Facts) -> bool | None:
    parts = [*_met(row.all, facts), *map(negated, _met(row.none, facts))]
    if row.any:
        parts.append(any_of(_met(row.any, facts)))
    return all_of(parts)


def _met(names: Iterable[str], facts: Facts) -> Sequence[bool | None]:
    return [judge_criterion(facts.knowledge.criteria[name], facts).met for name in names]
