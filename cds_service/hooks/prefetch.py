"""Reads the prefetch of a request. Each key has one of six states; resources count by their type, not by the name of their
key (CH-45 to CH-53)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from cds_service.errors import Fault, TooLarge
from cds_service.fhir.chart_builder import KIND_DECODER, ChartEntry
from cds_service.fhir.resources import READ_TYPES, queried_type
from cds_service.reasons import Explanation, Reason

MAX_RESOURCES = 50_000
"""A chart of 20 MB has about 30,000. Entries beyond this number are not read, and the Bundle counts as partial."""


MAX_DIGITS = 12
"""Longest `total` that is read if a server sends it as a string."""


class PrefetchState(StrEnum):
    """What came under a prefetch key."""

    PRESENT = "present"
    NULL = "null"
    EMPTY = "empty"
    PARTIAL = "partial"
    ERROR = "error"
    MISSING = "missing"

    @property
    def complete(self) -> bool:
        """Return whether the query was answered completely, so that what the answer does not contain is not on record."""
        return self in {PrefetchState.PRESENT, PrefetchState.NULL, PrefetchState.EMPTY}


LACKING_STATES = {
    PrefetchState.PARTIAL: Explanation(Reason.KEY_PARTIAL),
    PrefetchState.ERROR: Explanation(Reason.KEY_ERROR),
    PrefetchState.MISSING: Explanation(Reason.KEY_MISSING),
}


class EntrySearch(msgspec.Struct):
    mode: Any = None


class BundleEntry(msgspec.Struct, rename="camel"):
    resource: msgspec.Raw = msgspec.Raw()
    full_url: Any = None
    search: EntrySearch | None = None


class BundleLink(msgspec.Struct):
    relation: Any = None


class SentBundle(msgspec.Struct, rename="camel"):
    """A Bundle. Its entries are decoded one by one, so that an invalid entry does not affect the others."""

    entry: list[msgspec.Raw] | None = None
    link: list[BundleLink] | None = None
    total: Any = None


BUNDLE_DECODER = msgspec.json.Decoder(SentBundle)
ENTRY_DECODER = msgspec.json.Decoder(BundleEntry)


@dataclass(frozen=True, slots=True)
class KeyAnswer:
    """The content of one prefetch key: its state, its resources and their types."""

    state: PrefetchState
    entries: tuple[ChartEntry, ...] = ()
    types: frozenset[str] = frozenset()
    single: bool = False
    """True for a resource that is not in a Bundle."""
    matches: int = 0
    """Resources that match the query; included resources do not count."""
    total: int = 0
    """Matches that exist according to the server; 0 if it does not say."""


def read_key(raw: bytes, following: bool = False) -> KeyAnswer:
    """Return the content of one prefetch key. Any JSON value gives some state and never an error. `following`: the page is one
    of a search whose further pages are fetched, so its `next` link and `total` do not make it partial."""
    if raw.strip() == b"null":
        return KeyAnswer(PrefetchState.NULL)
    try:
        kind = KIND_DECODER.decode(raw)
        if kind.name != "Bundle":
            if kind.name in {"", "OperationOutcome"}:
                return KeyAnswer(PrefetchState.ERROR)
            return KeyAnswer(PrefetchState.PRESENT, (ChartEntry(raw, kind=kind),), frozenset({kind.name}), single=True)
        bundle = BUNDLE_DECODER.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return KeyAnswer(PrefetchState.ERROR)
    return _read_bundle(bundle, following)


def _read_bundle(bundle: SentBundle, following: bool) -> KeyAnswer:
    entries: list[ChartEntry] = []
    types: set[str] = set()
    failed, odd, matches = False, len(bundle.entry or []) > MAX_RESOURCES, 0
    for sent in (bundle.entry or [])[:MAX_RESOURCES]:
        try:
            entry = ENTRY_DECODER.decode(sent)
            raw = bytes(entry.resource)
            kind = KIND_DECODER.decode(raw)
        except (msgspec.MsgspecError, RecursionError):
            odd = True  # an unreadable entry may be any resource, so the answer is partial
            continue
        if kind.name == "OperationOutcome":
            # Epic reports "nothing found" this way; most warnings do not matter, but failures and missing data do
            failed = failed or _is_failure(raw)
            continue
        if entry.search is None or entry.search.mode != "include":  # an included resource does not answer the query
            types.add(kind.name)
            matches += 1
        entries.append(ChartEntry(raw, entry.full_url if isinstance(entry.full_url, str) else None, kind))
    if failed and not entries:
        return KeyAnswer(PrefetchState.ERROR)
    more = not following and any(link.relation == "next" for link in bundle.link or [])
    total = _count(bundle.total)
    promised = not following and total > matches
    state = (
        PrefetchState.PARTIAL if failed or odd or more or promised else PrefetchState.PRESENT if types else PrefetchState.EMPTY
    )
    return KeyAnswer(state, tuple(entries), frozenset(types), matches=matches, total=total)


def _count(total: object) -> int:
    """Return a Bundle's total, sent as a number or as digits; 0 if it has none."""
    if isinstance(total, str) and len(total) <= MAX_DIGITS and total.strip().isdecimal():
        return int(total)
    return total if isinstance(total, int) and not isinstance(total, bool) else 0


class OutcomeCoding(msgspec.Struct):
    code: Any = None


class Details(msgspec.Struct):
    coding: list[OutcomeCoding] | None = None


class Issue(msgspec.Struct):
    severity: str | None = None
    code: Any = None
    details: Details | None = None

    def is_relevant(self, code: str) -> bool:
        return any(coding.code == code for coding in (self.details.coding or [] if self.details else []))

    @property
    def is_failure(self) -> bool:
        """Return whether the issue is an error (except Epic's code for "nothing found"), or reports missing data with any
        severity."""
        if self.code in WITHHOLDING_CODES or self.is_relevant(EPIC_WITHHELD):
            return True
        return self.severity in {"error", "fatal"} and not self.is_relevant(EPIC_NO_RESULTS)


WITHHOLDING_CODES = (
    *("security", "login", "unknown", "expired", "forbidden", "suppressed"),
    *("transient", "lock-error", "no-store", "exception", "timeout", "incomplete", "throttled"),
    *("too-costly", "too-long"),
)
"""R4 IssueType codes that report data as withheld or unreachable, even with severity warning: all of `security` and
`transient`, and those for a query that was too expensive. `incomplete`: "not all data sources … reached"."""
EPIC_NO_RESULTS = "4101"
"""Epic's code for "Resource request returns no results": an empty answer, whatever severity it carries."""
EPIC_WITHHELD = "59204"
"""Epic's code for results of a sub-type that the client is not authorized for: only a warning, and half an answer."""


class SentOutcome(msgspec.Struct):
    issue: list[Issue] | None = None


def _is_failure(raw: bytes) -> bool:
    try:
        outcome = msgspec.json.decode(raw, type=SentOutcome)
    except (msgspec.MsgspecError, RecursionError):
        return True
    return any(issue.is_failure for issue in outcome.issue or [])


@dataclass(frozen=True, slots=True)
class PrefetchResult:
    """All data of a request: from prefetch, and from the FHIR server if it was queried."""

    entries: tuple[ChartEntry, ...]
    advertised: Mapping[str, str]
    """Key → query, as discovery lists them."""
    states: Mapping[str, PrefetchState]
    """Advertised key → its state."""
    complete: frozenset[str]
    """Resource types that were queried and answered completely."""
    failed: frozenset[str] = frozenset()
    """Resource types whose query failed or was answered in part."""
    answered: Mapping[str, Explanation] = field(default_factory=dict)
    """Advertised key that is not complete → the FHIR server's answer or the reason why it was not called."""

    def came_under_another_name(self, key: str) -> bool:
        """Return whether a missing key's resource type came completely under another key."""
        return self.states[key] is PrefetchState.MISSING and queried_type(self.advertised[key]) in self.complete

    def describe_gap(self, key: str) -> Explanation:
        """Return why a key is not complete, for a card: its state, and the FHIR server's answer if there is one."""
        state = LACKING_STATES[self.states[key]]
        return Explanation(Reason.KEY_AND_SERVER, state=state, because=self.answered[key]) if key in self.answered else state


def read_prefetch(prefetch: Mapping[str, bytes]) -> dict[str, KeyAnswer]:
    """Return the content of every prefetch key. Raises TooLarge if they have MAX_RESOURCES resources or more."""
    read = {key: read_key(raw) for key, raw in prefetch.items()}
    if sum(len(found.entries) for found in read.values()) >= MAX_RESOURCES:
        raise TooLarge("the body is too large", [Fault("prefetch", f"must have fewer than {MAX_RESOURCES} resources")])
    return read


def read_pages(pages: Iterable[bytes], whole: bool) -> KeyAnswer:
    """Return the pages of one search as one answer. `whole`: no further page is known."""
    read = [read_key(page, following=True) for page in pages]
    if len(read) == 1 and read[0].single:
        return read[0]
    entries = tuple(entry for page in read for entry in page.entries)
    types = frozenset().union(*(page.types for page in read))
    bad = [
        page for page in read if page.state in {PrefetchState.ERROR, PrefetchState.NULL}
    ]  # null is not an answer of a FHIR server
    if len(bad) == len(read):
        return KeyAnswer(PrefetchState.ERROR)
    promised = max(page.total for page in read) > sum(page.matches for page in read)
    if not whole or bad or promised or any(page.state is PrefetchState.PARTIAL for page in read):
        return KeyAnswer(PrefetchState.PARTIAL, entries, types)
    return KeyAnswer(PrefetchState.PRESENT if types else PrefetchState.EMPTY, entries, types)


def combine_answers(
    read: Mapping[str, KeyAnswer], advertised: Mapping[str, str], answered: Mapping[str, Explanation] | None = None
) -> PrefetchResult:
    """Return the content of all keys as one result.

    `advertised`: key → query, as discovery lists them. `answered`: key → why the FHIR server did not complete it.

    A resource type is complete if its advertised key is complete, or if it came completely under another key.
    """
    complete: set[str] = set()
    states: dict[str, PrefetchState] = {}
    for key, query in advertised.items():
        asked = queried_type(query)
        states[key] = read[key].state if key in read else PrefetchState.MISSING
        if states[key] is PrefetchState.PRESENT and asked not in read[key].types:
            states[key] = PrefetchState.ERROR  # the resources are of another type than the query's
        if states[key] is PrefetchState.PRESENT and read[key].single and "?" in query:
            states[key] = PrefetchState.PARTIAL  # a search may have more results than this one
        if states[key].complete:
            complete.add(asked)
    others, failed = _under_other_names({key: found for key, found in read.items() if key not in advertised})
    complete |= others
    failed |= {
        queried_type(query) for key, query in advertised.items() if states[key] in {PrefetchState.ERROR, PrefetchState.PARTIAL}
    }
    failed |= {queried_type(advertised[key]) for key in answered or {}}
    complete -= failed
    if "MedicationStatement" not in complete:
        complete.discard("MedicationRequest")  # without statements of drugs taken, the record of drugs is incomplete
    entries = tuple(entry for found in read.values() for entry in found.entries)
    return PrefetchResult(entries, advertised, states, frozenset(complete), frozenset(failed), answered or {})


def _under_other_names(read: Mapping[str, KeyAnswer]) -> tuple[set[str], set[str]]:
    """Return the resource types that came completely, and those that came in part, under keys that discovery does not list.

    A Bundle with Patient, Condition and Observation counts as a complete chart. A Bundle with a single type completes that
    type, except Observation, as the query may have asked for some codes only. If one of these keys reports an error, no type
    but Patient counts as complete under these keys, as the failed key may have been meant to bring the rest of the same data.
    """
    whole: set[str] = set()
    part = {kind for found in read.values() if found.state is PrefetchState.PARTIAL for kind in found.types}
    for found in read.values():
        if found.state is not PrefetchState.PRESENT:
            continue
        if found.single:
            whole |= found.types & {"Patient"}
        elif {"Patient", "Condition", "Observation"} <= found.types:
            whole |= set(READ_TYPES)
        elif len(found.types) == 1 and found.types <= {"Condition", "Procedure", "MedicationRequest", "MedicationStatement"}:
            whole |= found.types
    if any(found.state is PrefetchState.ERROR for found in read.values()):
        whole &= {"Patient"}
    return whole, part
