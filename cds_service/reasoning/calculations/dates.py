"""Comparison of dates that may be a day, a month, a year or an instant, or missing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Protocol, TypeVar

from cds_service.clinical_picture import PartialDate
from cds_service.reasoning.facts import Fact


def newest_date(dates: Iterable[PartialDate | None]) -> PartialDate | None:
    """Return the date that ends last, or None if all are missing."""
    found = [on for on in dates if on is not None]
    return max(found, key=lambda on: on.latest) if found else None


def is_newer(first: PartialDate | None, second: PartialDate | None) -> bool:
    """Return whether `first` is certainly newer. A missing date is neither newer nor older than another."""
    if first is None or second is None:
        return False
    if first.instant and second.instant:
        return first.instant > second.instant
    return first.earliest > second.latest


def is_not_older(first: PartialDate | None, second: PartialDate | None) -> bool:
    """Return whether `first` is certainly not older. Two instants are compared by time; else the first day that `first` can
    mean with the last day that `second` can mean."""
    if first is None or second is None:
        return False
    if first.instant and second.instant:
        return first.instant >= second.instant
    return first.earliest >= second.latest


def is_newer_than_all(denial: PartialDate | None, findings: Iterable[PartialDate | None]) -> bool:
    """Return whether a denial is certainly newer than every finding."""
    return all(is_newer(denial, on) for on in findings)


def denial_holds_against(denial: PartialDate | None, findings: Iterable[PartialDate | None]) -> bool:
    """Return whether a denial counts: it is dated and certainly not older than any finding, and every finding is dated."""
    return denial is not None and all(is_not_older(denial, on) for on in findings)


class HasDate(Protocol):
    """A reading or an unreadable resource."""

    @property
    def on(self) -> PartialDate | None: ...


Item = TypeVar("Item", bound=HasDate)


def newest_of_each_kind(items: Iterable[Item]) -> tuple[Item, ...]:
    """Return the at most four items with which a denial has to be compared. Of the items with a time these are the one with the
    latest time and the one with the latest day as written, which time zones can make differ. Of the items without a time it is
    the one with the latest day; of the undated items, any. A denial that is not older than these is not older than any item.
    There may be thousands of items and thousands of denials to try."""
    newest: dict[str, tuple[date | datetime, Item]] = {}
    for item in items:
        on = item.on
        places: list[tuple[str, date | datetime]] = [("undated", date.min)]
        if on is not None:
            places = [("instant", on.instant), ("day of an instant", on.latest)] if on.instant else [("day", on.latest)]
        for kind, at in places:
            if kind not in newest or at > newest[kind][0]:  # within one kind, days meet days and instants meet instants
                newest[kind] = at, item
    return tuple(item for _, item in newest.values())


def reading_dates(fact: Fact) -> list[PartialDate | None]:
    """Return the dates of all readings on which a fact rests. Its own date is the newest and would hide an undated reading."""
    return [reading.on for reading in fact.seen]
