"""Chooses the entries of a request on which it depends whether the chart shows the disease. The others are not decoded until
that is known: nearly every chart of a hospital shows no neuroendocrine liver metastases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from cds_service.fhir.asked_concepts import is_asked_by_gate
from cds_service.fhir.chart_builder import READ_IN_ANY_CASE, ChartEntry, reference_of
from cds_service.fhir.resources import Struct
from cds_service.knowledge.model import Knowledge

ALWAYS = frozenset({"Patient", "Condition", "BodyStructure", "Specimen"})
"""Resource types of which every resource is decoded."""


class Code(Struct):
    system: str | None = None
    code: str | None = None


class Codes(Struct):
    coding: list[Code] | None = None


class CodedPart(Struct):
    code: Codes | None = None


class ResultHead(Struct):
    """What an Observation is about, and whether other results are inside. The types are those of `resources.Observation`, so
    that what cannot be decoded as a head cannot be decoded at all."""

    code: Codes | None = None
    component: list[CodedPart] | None = None
    contained: list[msgspec.Raw] | None = None


class ReportHead(Struct):
    contained: list[msgspec.Raw] | None = None


OBSERVATION_HEAD = msgspec.json.Decoder(ResultHead)
REPORT_HEAD = msgspec.json.Decoder(ReportHead)


class GateEntries(NamedTuple):
    """The entries of a request. `telling`: those on which the gate may depend. `others`: all other entries."""

    telling: list[ChartEntry]
    others: list[ChartEntry]


def choose_gate_entries(entries: Sequence[ChartEntry], knowledge: Knowledge) -> GateEntries:
    """Return the entries on which the gate may depend, and the others.

    The gate depends on every Patient and Condition, on Observations with a code of a histology or of a finding in the liver, on
    results inside other resources, and on body sites. Other versions of these resources count with them.
    """
    codes = _GateCodes(knowledge)
    telling = [_is_telling(entry, codes) for entry in entries]
    if all(telling):
        return GateEntries(list(entries), [])
    names = {name for entry, tells in zip(entries, telling, strict=True) if tells for name in _names(entry)}
    chosen = GateEntries([], [])
    for entry, tells in zip(entries, telling, strict=True):
        (chosen.telling if tells or not names.isdisjoint(_names(entry)) else chosen.others).append(entry)
    return chosen


def _names(entry: ChartEntry) -> Iterable[str]:
    """Return the names under which other resources or versions may mean this entry."""
    reference = reference_of(entry)
    return (reference, entry.full_url) if entry.full_url else (reference,)


def _is_telling(entry: ChartEntry, codes: _GateCodes) -> bool:
    kind = READ_IN_ANY_CASE.get(entry.kind.name.casefold()) if entry.kind else None
    if kind in ALWAYS or entry.kind is None:
        return True
    try:
        if kind == "Observation":
            return _is_telling_result(OBSERVATION_HEAD.decode(entry.raw), codes)
        return kind == "DiagnosticReport" and bool(REPORT_HEAD.decode(entry.raw).contained)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return True


def _is_telling_result(head: ResultHead, codes: _GateCodes) -> bool:
    if head.contained:
        return True
    for part in (head, *(head.component or ())):
        for sent in (part.code.coding or ()) if part.code else ():
            if codes[sent.system, sent.code]:
                return True
    return False


class _GateCodes(dict[tuple[str | None, str | None], bool]):
    """(system, code) as sent → whether the gate may depend on an Observation with it; each looked up once."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge

    def __missing__(self, sent: tuple[str | None, str | None]) -> bool:
        coding = self._knowledge.terminology.coding(*sent, None)
        self[sent] = found = is_asked_by_gate(coding, self._knowledge)
        return found
