"""Two versions of one resource in one chart: the newer one counts, if it can be told which that is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from cds_service.fhir import dates
from cds_service.fhir.resources import Struct


class Meta(Struct):
    last_updated: str | None = None


class Versioned(Struct):
    meta: Meta | None = None


VERSIONED = msgspec.json.Decoder(Versioned)


def newest(versions: Sequence[bytes]) -> int | None:
    """The place of the version that was updated last; None where they do not all say when, or two say the same."""
    instants = [_updated(raw) for raw in versions]
    known = [instant for instant in instants if instant is not None]
    if len(known) < len(versions) or known.count(max(known)) > 1:
        return None
    return known.index(max(known))


def _updated(raw: bytes) -> datetime | None:
    try:
        meta = VERSIONED.decode(raw).meta
        return dates.parse(meta.last_updated).instant if meta and meta.last_updated else None
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None
