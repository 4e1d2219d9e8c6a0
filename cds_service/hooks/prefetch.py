"""What the EHR sent: six states for each key (present, null, empty, partial, error, missing), resources by what they
are and not by the name of their key (CH-45 to CH-53)."""

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
"""A chart of 20 MB holds about 30,000. Of a longer Bundle no more is read, and it is not whole."""


MAX_DIGITS = 12


class PrefetchState(StrEnum):
    PRESENT = "present"
    NULL = "null"
    EMPTY = "empty"
    PARTIAL = "partial"
    ERROR = "error"
    MISSING = "missing"

    @property
    def complete(self) -> bool:
        """Asked and answered whole: what is not in it is not in the record."""
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
    """A Bundle; its entries are decoded one by one, so that an odd one spoils no other."""

    entry: list[msgspec.Raw] | None = None
    link: list[BundleLink] | None = None
    total: Any = None


BUNDLE_DECODER = msgspec.json.Decoder(SentBundle)
ENTRY_DECODER = msgspec.json.Decoder(BundleEntry)


@dataclass(frozen=True, slots=True)
class KeyAnswer:
    """One key read: its state, its resources, the resource types among them."""

    state: PrefetchState
    entries: tuple[ChartEntry, ...] = ()
    types: frozenset[str] = frozenset()
    single: bool = False
    """A resource as it is, in no Bundle."""
    matches: int = 0
    total: int = 0
    """How many resources answer the query, and how many the server says there are."""


def read_key(raw: bytes, following: bool = False) -> KeyAnswer:
    """Any JSON whatever under a key is some state, never an error of the request. `following`: a page whose `next` is
    known and asked for."""
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
            odd = True  # nobody knows what it was: the answer is not whole
            continue
        if kind.name == "OperationOutcome":
            # Epic says "nothing found" this way; most warnings are none of ours, a failure or something lacking is
            failed = failed or _is_failure(raw)
            continue
        if entry.search is None or entry.search.mode != "include":  # what came along answers nothing
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
    """How many a server says there are, as a number or as its digits; nought where it says none."""
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
        """An error that is not Epic's way to say "nothing found", or a word, however mild, that something is lacking."""
        if self.code in WITHHOLDING_CODES or self.is_relevant(EPIC_WITHHELD):
            return True
        return self.severity in {"error", "fatal"} and not self.is_relevant(EPIC_NO_RESULTS)


WITHHOLDING_CODES = (
    *("security", "login", "unknown", "expired", "forbidden", "suppressed"),
    *("transient", "lock-error", "no-store", "exception", "timeout", "incomplete", "throttled"),
    *("too-costly", "too-long"),
)
"""Of R4's IssueType those that say, as a mere warning too, that something was not given or could not be reached: all of
`security` and `transient`, and what a server stops to protect itself. `incomplete`: "not all data sources … reached"."""
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
    entries: tuple[ChartEntry, ...]
    advertised: Mapping[str, str]
    """Key → query, as discovery lists them."""
    states: Mapping[str, PrefetchState]
    """Advertised key → its state."""
    complete: frozenset[str]
    """Resource types asked for and arrived whole."""
    failed: frozenset[str] = frozenset()
    """Those asked for in vain, or that came in part."""
    answered: Mapping[str, Explanation] = field(default_factory=dict)
    """Advertised key that is not whole → what the EHR's FHIR server said to it, where it was asked."""

    def came_under_another_name(self, key: str) -> bool:
        return self.states[key] is PrefetchState.MISSING and queried_type(self.advertised[key]) in self.complete

    def describe_gap(self, key: str) -> Explanation:
        """Why a key is not whole: its state, and what its FHIR server said where it was asked. For a card, and for a 412."""
        state = LACKING_STATES[self.states[key]]
        return Explanation(Reason.KEY_AND_SERVER, state=state, because=self.answered[key]) if key in self.answered else state


def read_prefetch(prefetch: Mapping[str, bytes]) -> dict[str, KeyAnswer]:
    """Raises TooLarge."""
    read = {key: read_key(raw) for key, raw in prefetch.items()}
    if sum(len(found.entries) for found in read.values()) >= MAX_RESOURCES:
        allowed = f"fewer than {MAX_RESOURCES}"
        raise TooLarge("the body is too large", [Fault("prefetch", "more resources", allowed)])
    return read


def read_pages(pages: Iterable[bytes], whole: bool) -> KeyAnswer:
    """The pages of one search as one answer. `whole`: no further page is known of."""
    read = [read_key(page, following=True) for page in pages]
    if len(read) == 1 and read[0].single:
        return read[0]
    entries = tuple(entry for page in read for entry in page.entries)
    types = frozenset().union(*(page.types for page in read))
    bad = [
        page for page in read if page.state in {PrefetchState.ERROR, PrefetchState.NULL}
    ]  # a server that says null has not answered
    if len(bad) == len(read):
        return KeyAnswer(PrefetchState.ERROR)
    promised = max(page.total for page in read) > sum(page.matches for page in read)
    if not whole or bad or promised or any(page.state is PrefetchState.PARTIAL for page in read):
        return KeyAnswer(PrefetchState.PARTIAL, entries, types)
    return KeyAnswer(PrefetchState.PRESENT if types else PrefetchState.EMPTY, entries, types)


def combine_answers(
    read: Mapping[str, KeyAnswer], advertised: Mapping[str, str], answered: Mapping[str, Explanation] | None = None
) -> PrefetchResult:
    """`advertised`: key → query, as discovery lists them. `answered`: what the FHIR server said to keys
    that it was asked for in vain.

    A resource type is complete when the advertised key that asks for it is, or when it came whole under another name.
    """
    complete: set[str] = set()
    states: dict[str, PrefetchState] = {}
    for key, query in advertised.items():
        asked = queried_type(query)
        states[key] = read[key].state if key in read else PrefetchState.MISSING
        if states[key] is PrefetchState.PRESENT and asked not in read[key].types:
            states[key] = PrefetchState.ERROR  # an answer to another question
        if states[key] is PrefetchState.PRESENT and read[key].single and "?" in query:
            states[key] = PrefetchState.PARTIAL  # one resource in answer to a search: nobody knows whether there are more
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
        complete.discard("MedicationRequest")  # what was taken is half of what is known of drugs: none of it is whole
    entries = tuple(entry for found in read.values() for entry in found.entries)
    return PrefetchResult(entries, advertised, states, frozenset(complete), frozenset(failed), answered or {})


def _under_other_names(read: Mapping[str, KeyAnswer]) -> tuple[set[str], set[str]]:
    """Types that came whole under keys of other names, and types of which a part came.

    A Bundle that holds Patient, Condition and Observation is a whole chart; one that holds a single type answers for
    that type, except Observations, of which nobody knows which were asked for. Where any other key failed, none of
    them vouches for a type: it may have been the other half of the question.
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
