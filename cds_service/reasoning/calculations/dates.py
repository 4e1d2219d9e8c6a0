"""Which of two dates is later, when a date may be a day, a month or an instant, or missing."""

from __future__ import annotations

from collections.abc import Iterable

from cds_service.clinical_picture import When
from cds_service.reasoning.facts import Fact


def newest(dates: Iterable[When | None]) -> When | None:
    found = [on for on in dates if on is not None]
    return max(found, key=lambda on: on.latest) if found else None


def newer(first: When | None, second: When | None) -> bool:
    """Certainly newer: an undated finding is neither newer nor older than anything."""
    if first is None or second is None:
        return False
    if first.instant and second.instant:
        return first.instant > second.instant
    return first.earliest > second.latest


def not_older(first: When | None, second: When | None) -> bool:
    """Certainly no older: two hours of one day by the hour, a month by the day it may have begun."""
    if first is None or second is None:
        return False
    if first.instant and second.instant:
        return first.instant >= second.instant
    return first.earliest >= second.latest


def newer_than_all(denial: When | None, findings: Iterable[When | None]) -> bool:
    return all(newer(denial, on) for on in findings)


def stands_against(denial: When | None, findings: Iterable[When | None]) -> bool:
    """Whether a denial stands: it is dated, and certainly no older than any of the findings, of which none is undated."""
    return denial is not None and all(not_older(denial, on) for on in findings)


def dates_of(fact: Fact) -> list[When | None]:
    """Of everything that a recorded fact rests on: its own date is that of the newest, and forgets an undated one."""
    return [reading.on for reading in fact.seen]
