"""Observations sent inside of another resource: a report with its results, a panel with its members."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from cds_service.fhir.plausibility import LongerThanRead, refuse_longer_than_read
from cds_service.fhir.resources import Condition, DiagnosticReport, Observation


class Kind(msgspec.Struct, rename="camel"):
    resource_type: object = None
    id: object = None


KIND = msgspec.json.Decoder(Kind)
OBSERVATION = msgspec.json.Decoder(Observation)


class ContainedObservation(NamedTuple):
    """`reference`: that of the resource around it, "#", and its own id. `observation`: None where it cannot be read."""

    reference: str
    raw: bytes
    observation: Observation | None


def contained_observations(
    reference: str, container: DiagnosticReport | Observation | Condition
) -> Iterator[ContainedObservation]:
    """The Observations that a resource contains. One without a date in a report is of the date that the report has, which R4
    gives as that of the observed values; one without a subject is about whom the resource around it is about."""
    for place, sent in enumerate(container.contained or ()):
        raw = bytes(sent)
        name = f"{reference}#{place + 1}"
        try:
            kind = KIND.decode(raw)
            if kind.resource_type != Observation.__name__:
                continue
            name = f"{reference}#{kind.id}" if isinstance(kind.id, str) and kind.id else name
            found = OBSERVATION.decode(raw)
            refuse_longer_than_read(found, raw)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, LongerThanRead):
            yield ContainedObservation(name, raw, None)
            continue
        if isinstance(container, DiagnosticReport):
            _date_by_report(found, container)
        yield ContainedObservation(name, raw, found)


def _date_by_report(found: Observation, report: DiagnosticReport) -> None:
    dated = (found.effective_date_time, found.effective_instant, found.effective_period, found.effective_timing)
    if not any(dated):
        found.effective_date_time, found.effective_period = report.effective_date_time, report.effective_period
    found.issued = found.issued or report.issued
