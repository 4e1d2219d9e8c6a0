"""Finds results that a report refers to and that did not arrive."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from cds_service.clinical_picture import PartialDate, Unreadable
from cds_service.fhir.chart import Chart
from cds_service.fhir.observation_reader import result_name
from cds_service.fhir.resources import codes
from cds_service.reasons import Explanation, Reason


def results_not_sent(chart: Chart) -> Iterator[Unreadable]:
    """Yield at most one line: the number of missing results of the newest incomplete report, and the number of such reports.

    If Observations were searched by code, a report's other results were never requested. Then a report counts as incomplete
    only if its own code was searched for and none of its results arrived.
    """
    lacking = reports_without_results(chart)
    if not lacking:
        return
    newest = max(lacking, key=lambda report: (report.on.latest if report.on else date.min, report.reference))
    why = Explanation(Reason.REPORT_RESULTS_NOT_SENT, count=newest.missing)
    if len(lacking) > 1:
        why = Explanation(Reason.REPORTS_RESULTS_NOT_SENT, reports=len(lacking), count=newest.missing)
    yield Unreadable(newest.on, newest.reference, why)


class IncompleteReport(NamedTuple):
    """A report with results that did not arrive."""

    reference: str
    on: PartialDate | None
    missing: int
    """Number of its results that did not arrive."""


def reports_without_results(chart: Chart) -> list[IncompleteReport]:
    """Return the reports with results that did not arrive, by the rule of `results_not_sent`."""
    found = []
    asked = chart.availability.codes
    called = {study.reference: codes(study.code) for study in chart.studies}
    for where, on, results in chart.promised:
        missing = sum((name := result_name(where, result, chart)) is None or name not in chart.sources for result in results)
        if missing and (asked is None or (missing == len(results) and asked & called.get(where, set()))):
            found.append(IncompleteReport(where, on, missing))
    return found
