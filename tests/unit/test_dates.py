"""Dates that an adverse answer is compared with: a few stand for thousands of findings."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta, timezone

from cds_service.clinical_picture import PartialDate, Unreadable
from cds_service.reasoning.calculations.dates import denial_holds_against, newest_of_each_kind
from cds_service.reasons import Explanation, Reason


def some_date(chance: random.Random) -> PartialDate | None:
    """Return a day, a month, an instant in some zone, or None."""
    day = date(2026, chance.randint(1, 3), chance.randint(1, 28))
    zone = timezone(timedelta(hours=chance.randint(-12, 14)))
    instant = datetime(day.year, day.month, day.day, chance.randint(0, 23), tzinfo=zone)
    month = PartialDate(day.replace(day=1), day.replace(day=28))
    return chance.choice([None, PartialDate(day, day), PartialDate(day, day), month, *[PartialDate(day, day, instant)] * 3])


def test_a_denial_holds_against_the_newest_of_each_kind_exactly_where_it_holds_against_all() -> None:
    chance, held = random.Random(20261130), 0
    for _ in range(5_000):
        why = Explanation(Reason.NO_VALUE)
        findings = [Unreadable(some_date(chance), "", why) for _ in range(chance.randint(0, 8))]
        few, denial = newest_of_each_kind(findings), some_date(chance)
        answer = denial_holds_against(denial, [finding.on for finding in findings])
        assert answer == denial_holds_against(denial, [finding.on for finding in few])
        assert len(few) <= 4
        held += answer
    assert 500 < held < 4_500
