"""Parses FHIR date, dateTime and instant into `PartialDate`, and chooses the date of a resource."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

from cds_service.clinical_picture import PartialDate
from cds_service.fhir.resources import DiagnosticReport, Observation, Period, Procedure, Timing, parts_of

FHIR_DATE = re.compile(
    r"(?P<year>\d{4})(-(?P<month>\d\d)(-(?P<day>\d\d)(?P<time>[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(?P<zone>Z|[+-]\d\d:\d\d)?)?)?)?"
)


def parse_date(text: str) -> PartialDate:
    """Return the first and last day that a date, year or month can mean. Raises ValueError if it is not a valid FHIR date.

    A time without offset (not R4, but sent) counts as its day. The day is the one written, in the sender's zone.
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
"""A result from a time zone ahead may have tomorrow's date; any later date is an error."""


def is_future(on: PartialDate | None, today: date) -> bool:
    """Return True if the date is certainly later than today, with a tolerance of one day."""
    return on is not None and on.earliest > today + CLOCK_SKEW


def date_of_observation(observation: Observation) -> PartialDate | None:
    """Return the date of observation: of a period the end, since the result describes that day."""
    period = observation.effective_period
    return first_date(
        observation.effective_date_time, observation.effective_instant,
        period.end if period else None, period.start if period else None,
    )  # fmt: skip


def date_of_procedure(procedure: Procedure) -> PartialDate | None:
    """Return the date of the procedure: of a period the end, else the start."""
    period = procedure.performed_period
    return first_date(procedure.performed_date_time, period.end if period else None, period.start if period else None)


def date_of_report(report: DiagnosticReport) -> PartialDate | None:
    """Return the observation date of the report, of a period the start; else its date of issue."""
    starts = [period.start for period in parts_of(Period, report.effective_period)]
    texts = (report.effective_date_time, *starts, report.issued)
    return first_date(*(text for text in texts if isinstance(text, str)))


def first_date(*texts: str | None) -> PartialDate | None:
    """Return the first readable date, or None, which leaves the fact undated."""
    for text in texts:
        if text:
            try:
                return parse_date(text)
            except ValueError:
                continue
    return None


def latest_date_of_observation(observation: Observation) -> PartialDate | None:
    """Return the latest possible date of an undated Observation: the last time of a Timing, else the date of issue."""
    times: list[str | None] = []
    for timing in parts_of(Timing, observation.effective_timing):
        bounds = timing.repeat.bounds_period if timing.repeat else None
        times += [*(timing.event or ()), bounds.end if bounds else None]
    dates = [found for text in times if (found := first_date(text))]
    last = max(dates, key=lambda found: found.latest, default=None)
    return last if last is not None else first_date(observation.issued if isinstance(observation.issued, str) else None)
