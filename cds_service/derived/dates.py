"""Which of two dates is later, when a date may be a day, a month or an instant, or missing."""

from __future__ import annotations

from collections.abc import Iterable

from cds_service.picture import When


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
    """Whether a denial of the first date stands against a finding of the second. An undated denial denies nothing."""
    if first is None:
        return False
    return second is None or first.latest >= second.latest
