"""Reads resources contained in others: a report's results, a panel's members, and the body sites and specimens of both."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from cds_service.fhir.plausibility import LongerThanRead, refuse_longer_than_read
from cds_service.fhir.resources import (
    BodyStructure,
    Condition,
    DiagnosticReport,
    Observation,
    Period,
    Specimen,
    UnreadContainer,
    parts_of,
)

Container = DiagnosticReport | Observation | Condition | UnreadContainer


class Kind(msgspec.Struct, rename="camel"):
    resource_type: object = None
    id: object = None


KIND = msgspec.json.Decoder(Kind)
READ_INSIDE: tuple[type[Observation | BodyStructure | Specimen], ...] = (Observation, BodyStructure, Specimen)
DECODERS = {kind.__name__: msgspec.json.Decoder(kind) for kind in READ_INSIDE}


class ContainedResource(NamedTuple):
    """`id`: its own id, else its position counted from 1. `resource`: None for an Observation that cannot be read."""

    id: str
    raw: bytes
    resource: Observation | BodyStructure | Specimen | None


def contained_resources(container: Container) -> Iterator[ContainedResource]:
    """Yield the Observations, BodyStructures and Specimens that a resource contains. Unreadable sites and specimens are
    skipped. A result without a date gets that of its report, which R4 defines as the date of the observed values."""
    dates = _dates(container)
    for place, sent in enumerate(container.contained or ()):
        raw = bytes(sent)
        name, kind = str(place + 1), Observation.__name__
        try:
            head = KIND.decode(raw)
            kind = str(head.resource_type)
            if kind not in DECODERS:
                continue
            name = str(head.id) if isinstance(head.id, str | int) and head.id else name
            found = DECODERS[kind].decode(raw)
            refuse_longer_than_read(found, raw)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, LongerThanRead):
            if kind == Observation.__name__:
                yield ContainedResource(name, raw, None)
            continue
        if isinstance(found, Observation):
            _date(found, dates)
        yield ContainedResource(name, raw, found)


class _ReportDates(NamedTuple):
    effective: str | None
    period: Period | None
    issued: object


def _dates(container: Container) -> _ReportDates:
    if not isinstance(container, DiagnosticReport):
        return _ReportDates(None, None, None)
    effective, periods = container.effective_date_time, parts_of(Period, container.effective_period)
    return _ReportDates(effective if isinstance(effective, str) else None, periods[0] if periods else None, container.issued)


def _date(found: Observation, dates: _ReportDates) -> None:
    dated = (found.effective_date_time, found.effective_instant, found.effective_period, found.effective_timing)
    if not any(dated):
        found.effective_date_time, found.effective_period = dates.effective, dates.period
    found.issued = found.issued or dates.issued
