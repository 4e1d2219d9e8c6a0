"""Which of two dates is later, when a date may be a day, a month or an instant, or missing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Protocol, TypeVar

from cds_service.clinical_picture import PartialDate
from cds_service.reasoning.facts import Fact


def newest_date(dates: Iterable[PartialDate | None]) -> PartialDate | None:
    found = [on for on in dates if on is not None]
    return max(found, key=lambda on: on.latest) if found else None


def is_newer(first: PartialDate | None, second: PartialDate | None) -> bool:
    """Certainly newer: an undated finding is neither newer nor older than anything."""
    if first is None or second is None:
        return False
    if first.instant and second.instant:
        return first.instant > second.instant
    return first.earliest > second.latest


def is_not_older(first: PartialDate | None, second: PartialDate | None) -> bool:
    """Certainly no older: two hours of one day by the hour, a month by the day it may have begun."""
    if first is None or second is None:
        return False
    if first.instant and second.instant:
        return first.instant >= second.instant
    return first.earliest >= second.latest


def is_newer_than_all(denial: PartialDate | None, findings: Iterable[PartialDate | None]) -> bool:
    return all(is_newer(denial, on) for on in findings)


def denial_holds_against(denial: PartialDate | None, findings: Iterable[PartialDate | None]) -> bool:
    """Whether a denial stands: it is dated, and certainly no older than any of the findings, of which none is undated."""
    return denial is not None and all(is_not_older(denial, on) for on in findings)


class Dated(Protocol):
    """A reading, or what could not be read."""

    @property
    def on(self) -> PartialDate | None: ...


Item = TypeVar("Item", bound=Dated)


def newest_of_each_kind(items: Iterable[Item]) -> tuple[Item, ...]:
    """The few of them that a denial has to be no older than to be no older than any: the last instant, the last day without
    one and with one, and one that is undated. There may be thousands, and thousands of denials to try."""
    newest: dict[str, tuple[date | datetime, Item]] = {}
    for item in items:
        on = item.on
        places: list[tuple[str, date | datetime]] = [("undated", date.min)]
        if on is not None:
            places = [("instant", on.instant), ("day of an instant", on.latest)] if on.instant else [("day", on.latest)]
        for kind, at in places:
            if kind not in newest or at > newest[kind][0]:  # of one kind: days with days, instants with instants
                newest[kind] = at, item
    return tuple(item for _, item in newest.values())


def reading_dates(fact: Fact) -> list[PartialDate | None]:
    """Of everything that a recorded fact rests on: its own date is that of the newest, and forgets an undated one."""
    return [reading.on for reading in fact.seen]
