"""What the EHR sent: six states for each key (present, null, empty, partial, error, missing), resources by what they
are and not by the name of their key (CH-45 to CH-53)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from cds_service.errors import Fault, TooLarge
from cds_service.fhir.chart import KIND, Entry
from cds_service.fhir.resources import READ, type_asked

MOST_RESOURCES = 50_000
"""A chart of 20 MB holds about 30,000."""


class State(StrEnum):
    PRESENT = "present"
    NULL = "null"
    EMPTY = "empty"
    PARTIAL = "partial"
    ERROR = "error"
    MISSING = "missing"

    @property
    def complete(self) -> bool:
        """Asked and answered whole: what is not in it is not in the record."""
        return self in {State.PRESENT, State.NULL, State.EMPTY}


class BundleEntry(msgspec.Struct, rename="camel"):
    resource: msgspec.Raw = msgspec.Raw()
    full_url: Any = None


class BundleLink(msgspec.Struct):
    relation: Any = None


class Sent(msgspec.Struct, rename="camel"):
    """A Bundle; its entries are decoded one by one, so that an odd one spoils no other."""

    entry: list[msgspec.Raw] | None = None
    link: list[BundleLink] | None = None
    total: Any = None


SENT = msgspec.json.Decoder(Sent)
ENTRY = msgspec.json.Decoder(BundleEntry)


@dataclass(frozen=True, slots=True)
class Read:
    """One key read: its state, its resources, the resource types among them."""

    state: State
    entries: tuple[Entry, ...] = ()
    types: frozenset[str] = frozenset()


def read_value(raw: bytes) -> Read:
    """Any JSON whatever under a key is some state, never a fault of the request; only its size may be one (TooLarge)."""
    if raw.strip() == b"null":
        return Read(State.NULL)
    try:
        kind = KIND.decode(raw)
        if kind.name != "Bundle":
            if kind.name in {"", "OperationOutcome"}:
                return Read(State.ERROR)
            return Read(State.PRESENT, (Entry(raw, kind=kind),), frozenset({kind.name}))
        bundle = SENT.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return Read(State.ERROR)
    return _read_bundle(bundle)


def _too_many() -> TooLarge:
    allowed = f"at most {MOST_RESOURCES} resources"
    return TooLarge("the body is too large", [Fault("prefetch", "more resources", allowed)])


def _read_bundle(bundle: Sent) -> Read:
    if len(bundle.entry or []) > MOST_RESOURCES:
        raise _too_many()
    entries: list[Entry] = []
    types: set[str] = set()
    failed, odd = False, False
    for sent in bundle.entry or []:
        try:
            entry = ENTRY.decode(sent)
            raw = bytes(entry.resource)
            kind = KIND.decode(raw)
        except (msgspec.MsgspecError, RecursionError):
            odd = True  # nobody knows what it was: the answer is not whole
            continue
        if kind.name == "OperationOutcome":
            # Epic says "nothing found" this way; a warning beside entries is none of ours, a failure is
            failed = failed or _is_failure(raw)
            continue
        types.add(kind.name)
        entries.append(Entry(raw, entry.full_url if isinstance(entry.full_url, str) else None, kind))
    if failed and not entries:
        return Read(State.ERROR)
    more = any(link.relation == "next" for link in bundle.link or [])
    promised = not entries and isinstance(bundle.total, int) and bundle.total > 0
    state = State.PARTIAL if failed or odd or more or promised else State.PRESENT if entries else State.EMPTY
    return Read(state, tuple(entries), frozenset(types))


class Issue(msgspec.Struct):
    severity: str | None = None


class Outcome(msgspec.Struct):
    issue: list[Issue] | None = None


def _is_failure(raw: bytes) -> bool:
    """An outcome of severity error or fatal. Epic's 4101 ("no results") is a warning or information."""
    try:
        outcome = msgspec.json.decode(raw, type=Outcome)
    except (msgspec.MsgspecError, RecursionError):
        return True
    return any(issue.severity in {"error", "fatal"} for issue in outcome.issue or [])


@dataclass(frozen=True, slots=True)
class Prefetched:
    entries: tuple[Entry, ...]
    states: Mapping[str, State]
    """Advertised key → its state."""
    complete: frozenset[str]
    """Resource types asked for and arrived whole."""


def read_prefetch(prefetch: Mapping[str, bytes], advertised: Mapping[str, str]) -> Prefetched:
    """`advertised`: key → query, as discovery lists them.

    A resource type is complete when the advertised key that asks for it is. A key of another name whose Bundle holds
    the Patient beside other resources is a whole chart; one that holds a single type answers for that type, except
    Observations, of which nobody knows which were asked for.
    """
    read = {key: read_value(raw) for key, raw in prefetch.items()}
    complete: set[str] = set()
    states: dict[str, State] = {}
    for key, query in advertised.items():
        asked = type_asked(query)
        states[key] = read[key].state if key in read else State.MISSING
        if states[key] is State.PRESENT and asked not in read[key].types:
            states[key] = State.ERROR  # an answer to another question
        if states[key].complete:
            complete.add(asked)
    for key, found in read.items():
        if key in advertised or found.state is not State.PRESENT:
            continue
        if "Patient" in found.types and len(found.types) > 1:
            complete |= set(READ)
        elif len(found.types) == 1 and found.types <= {"Condition", "Procedure", "MedicationRequest", "MedicationStatement"}:
            complete |= found.types
    failed = {type_asked(query) for key, query in advertised.items() if states[key] in {State.ERROR, State.PARTIAL}}
    if "MedicationStatement" in failed:
        failed.add("MedicationRequest")  # what was taken is half of what is known of drugs: none of it is whole
    entries = tuple(entry for found in read.values() for entry in found.entries)
    if len(entries) > MOST_RESOURCES:
        raise _too_many()
    return Prefetched(entries, states, frozenset(complete - failed))
