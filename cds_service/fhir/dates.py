"""FHIR date, dateTime and instant → `PartialDate`; of which date a resource is."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

from cds_service.clinical_picture import PartialDate
from cds_service.fhir.resources import DiagnosticReport, Observation, Period, Procedure, Timing, parts_of

FHIR_DATE = re.compile(
    r"(?P<year>\d{4})(-(?P<month>\d\d)(-(?P<day>\d\d)(?P<time>[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(?P<zone>Z|[+-]\d\d:\d\d)?)?)?)?"
)


def parse_date(text: str) -> PartialDate:
    """Raises ValueError. A year or month stays one: the first and last day it can mean.

    A time without offset (not R4, but sent) counts as its day; the day is the one written, in the sender's zone.
    """
    found = FHIR_DATE.fullmatch(text.strip())
    if not found:
        raise ValueError("not a FHIR date")
    year = int(found["year"])
    if not found["month"]:
        return PartialDate(date(year, 1, 1), date(year, 12, 31))
    month = int(found["month"])
    if not found["day"]:
        following = date(year + month // 12, month % 12 + 1, 1)
        return PartialDate(date(year, month, 1), following - timedelta(days=1))
    day = date(year, month, int(found["day"]))
    instant = datetime.fromisoformat(text.strip()) if found["zone"] else None
    return PartialDate(day, day, instant)


CLOCK_SKEW = timedelta(days=1)
"""A result from a time zone ahead of ours may bear tomorrow's date; anything later is a mistake."""


def is_future(on: PartialDate | None, today: date) -> bool:
    return on is not None and on.earliest > today + CLOCK_SKEW


def date_of_observation(observation: Observation) -> PartialDate | None:
    """When it was observed: of a period its end, the day the result stands for."""
    period = observation.effective_period
    return first_date(
        observation.effective_date_time, observation.effective_instant,
        period.end if period else None, period.start if period else None,
    )  # fmt: skip


def date_of_procedure(procedure: Procedure) -> PartialDate | None:
    """When it was done: of a period its end, else its beginning."""
    period = procedure.performed_period
    return first_date(procedure.performed_date_time, period.end if period else None, period.start if period else None)


def date_of_report(report: DiagnosticReport) -> PartialDate | None:
    """When what it reports was observed, of a period its beginning; else when it was issued."""
    starts = [period.start for period in parts_of(Period, report.effective_period)]
    texts = (report.effective_date_time, *starts, report.issued)
    return first_date(*(text for text in texts if isinstance(text, str)))


def first_date(*texts: str | None) -> PartialDate | None:
    """The first date that is there. An unreadable one counts as none: the fact is then undated."""
    for text in texts:
        if text:
            try:
                return parse_date(text)
            except ValueError:
                continue
    return None


def latest_date_of_observation(observation: Observation) -> PartialDate | None:
    """Of one without a date: no later than what it was observed by. When it was issued, or the last time of a Timing."""
    times: list[str | None] = []
    for timing in parts_of(Timing, observation.effective_timing):
        bounds = timing.repeat.bounds_period if timing.repeat else None
        times += [*(timing.event or ()), bounds.end if bounds else None]
    dates = [found for text in times if (found := first_date(text))]
    last = max(dates, key=lambda found: found.latest, default=None)
    return last if last is not None else first_date(observation.issued if isinstance(observation.issued, str) else None)
