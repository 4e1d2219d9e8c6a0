"""Deduplicates resources that share a reference. Identical copies are merged. Of differing versions the latest
`meta.lastUpdated` wins; if that cannot be determined, the reference is listed as unreadable."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from cds_service.clinical_picture import LeftOut, Omission, Unreadable, number_key
from cds_service.fhir import dates
from cds_service.fhir.plausibility import LongerThanRead, refuse_longer_than_read
from cds_service.fhir.resources import (
    CodeableConcept,
    Component,
    Extension,
    Observation,
    Reference,
    Resource,
    Struct,
    UnreadCondition,
    UnreadContainer,
    UnreadObservation,
    codes,
    parts_of,
)
from cds_service.reasons import Explanation, Reason


class Meta(Struct):
    last_updated: str | None = None


class WithMeta(Struct):
    meta: Meta | None = None


class ComponentHead(Struct):
    code: CodeableConcept | None = None


class ObservationHead(Struct):
    id: Any = None
    status: str | None = None
    code: CodeableConcept | None = None
    subject: Reference | None = None
    body_site: CodeableConcept | None = None
    component: list[ComponentHead] | None = None


class ContainerHead(Struct):
    id: Any = None
    status: Any = None
    subject: Any = None
    contained: list[msgspec.Raw] | None = None


class ConditionHead(Struct):
    id: Any = None
    code: CodeableConcept | None = None
    subject: Reference | None = None
    body_site: list[CodeableConcept] | None = None
    extension: list[Extension] | None = None


VERSION_DECODER = msgspec.json.Decoder(WithMeta)
OBSERVATION_HEAD = msgspec.json.Decoder(ObservationHead)
CONDITION_HEAD = msgspec.json.Decoder(ConditionHead)
CONTAINER_HEAD = msgspec.json.Decoder(ContainerHead)
SENT_TWICE = LeftOut(Omission.SENT_TWICE)
UNDECIDED_VERSIONS = Explanation(Reason.NEWER_VERSION_UNDECIDED)
SentResource = tuple[bytes, Resource]
TYPE = re.compile(r"[A-Z][A-Za-z]+")
MAX_FULL_URL_CHARS = 2000
"""Maximum characters of a fullUrl; no server uses longer ones."""
SAME_ON_EVERY_SERVER = frozenset({"Patient", "Medication"})
"""Looked up by reference alone, so one reference has to mean one resource on all servers."""


@dataclass
class Resolved:
    """The resources of one reference that count, and those that do not."""

    counting: Sequence[SentResource]
    left_out: Counter[LeftOut] = field(default_factory=Counter)
    unreadable: tuple[Unreadable, ...] = ()


def server_of(full_url: str | None) -> str:
    """Return the base URL of a Bundle entry's fullUrl, or "" if it names no server (a urn, or none)."""
    scheme, _, place = (full_url or "").partition("://")
    if scheme not in {"http", "https"} or len(full_url or "") > MAX_FULL_URL_CHARS:
        return ""
    resource, _, version = place.rpartition("/_history/")
    parts = (resource if resource and "/" not in version else place).rsplit("/", 2)
    known = len(parts) == 3 and TYPE.fullmatch(parts[1]) and parts[2]
    return parts[0].rstrip("/").casefold() if known else ""


def resolve_by_server(where: str, sent: Sequence[SentResource], servers: Mapping[bytes, set[str]]) -> Resolved:
    """Resolve each server's versions separately, since ids are unique only within a server: the same id on two servers is two
    resources, and both count. `servers`: resource → the servers that its entries name."""
    bases = set().union(*(servers[raw] for raw, _ in sent))
    if len(bases - {""}) < 2 or where.split("/")[0] in SAME_ON_EVERY_SERVER:
        return resolve(where, sent)
    by_base: defaultdict[str, list[SentResource]] = defaultdict(list)
    for part in sent:
        for base in servers[part[0]]:
            by_base[base].append(part)
    found = [resolve(where, by_base[base]) for base in sorted(by_base)]
    counting = _different(part for one in found for part in one.counting)  # equal resources are one server under two names
    left_out = sum((one.left_out for one in found), Counter[LeftOut]())
    left_out[SENT_TWICE] += sum(len(one.counting) for one in found) - len(counting)
    return Resolved(counting, +left_out, tuple(what for one in found for what in one.unreadable))


def resolve(where: str, sent: Sequence[SentResource]) -> Resolved:
    """Return the version that counts: the newest, else the only one not entered in error. If there is no such version,
    Observations and Conditions become stubs that make their facts unknown, other types count in every version, and the
    reference is listed as unreadable."""
    if len(sent) == 1 or where.endswith("/?"):
        return Resolved(sent)
    different = _different(sent)
    left_out = Counter({SENT_TWICE: len(sent) - len(different)} if len(sent) > len(different) else {})
    if len(different) == 1:
        return Resolved(different, left_out)
    place = _newest([raw for raw, _ in different])
    if place is not None:
        left_out[LeftOut(Omission.OLDER_VERSION)] = len(different) - 1
        return Resolved([different[place]], left_out)
    standing = [part for part in different if not _in_error(part[1])]
    if len(standing) <= 1:
        left_out[LeftOut(Omission.VERSION_IN_ERROR)] = len(different) - 1
        return Resolved(standing or different[:1], left_out)
    kind = where.split("/")[0]
    heads: list[SentResource] = [
        (raw, found) for raw, _ in different if (found := stub(raw, kind, UNDECIDED_VERSIONS)) is not None
    ]
    return Resolved(heads or different, left_out, (Unreadable(None, where, UNDECIDED_VERSIONS),))


def _different(sent: Iterable[SentResource]) -> list[SentResource]:
    """Return the first resource of each content."""
    by_content: dict[Any, SentResource] = {}
    for part in sent:
        by_content.setdefault(_content(part[1]), part)
    return list(by_content.values())


def content_without_id(found: Observation) -> Any:
    """Return a hashable key of an Observation's content without its id and subject."""
    plain = msgspec.structs.replace(found, id=None, subject=None, status=(found.status or "").strip())
    return _content(plain)


def _content(found: Any) -> Any:
    """Return a hashable key of the fields that are read: equal for equal resources (1.0 is 1.00). Comparing pairs would take
    minutes for the tens of thousands of versions that one body can hold."""
    if isinstance(found, Struct):
        return (type(found), *(_content(getattr(found, name)) for name in found.__struct_fields__))
    if isinstance(found, Explanation):
        return found.reason  # unreadable for the same reason and otherwise equal: duplicates
    if isinstance(found, list) and found and isinstance(found[0], Struct):
        return tuple(map(_content, found))
    if isinstance(found, list | dict):  # unparsed content, kept as bytes, since it may be deeply nested
        try:
            return msgspec.json.encode(found, order="sorted")
        except RecursionError:
            return id(found)  # unequal to all others
    if isinstance(found, msgspec.Raw):
        return bytes(found)
    return number_key(found) if isinstance(found, Decimal | float | int) and not isinstance(found, bool) else found


def stub(raw: bytes, name: str, why: Explanation) -> UnreadObservation | UnreadCondition | None:
    """Return what is readable of an Observation or Condition that is not: codes, sites, patient and status. It makes facts
    unknown. Return None for other types, if even these cannot be decoded, or if they are longer than allowed."""
    try:
        found = _head(raw, name, why)
        if found is not None:
            refuse_longer_than_read(found, raw)
    except (msgspec.MsgspecError, RecursionError, LongerThanRead):
        return None
    if found is not None:
        inside = unread_container(raw, why)
        found.contained = inside.contained if inside is not None else None
    return found


def unread_container(raw: bytes, why: Explanation) -> UnreadContainer | None:
    """Return the patient, status and contained resources of an unreadable resource, each contained one to be read separately.
    None if even these cannot be decoded."""
    try:
        seen = CONTAINER_HEAD.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return None
    status, subjects = seen.status if isinstance(seen.status, str) else None, [*parts_of(Reference, seen.subject), None]
    return UnreadContainer(id=seen.id, status=status, subject=subjects[0], contained=seen.contained, why=why)


def _head(raw: bytes, name: str, why: Explanation) -> UnreadObservation | UnreadCondition | None:
    if name == "Observation":
        seen = OBSERVATION_HEAD.decode(raw)
        return UnreadObservation(
            id=seen.id, status=seen.status, code=seen.code, subject=seen.subject, body_site=seen.body_site,
            component=[Component(part.code) for part in seen.component or ()], why=why,
        )  # fmt: skip
    if name == "Condition":
        part = CONDITION_HEAD.decode(raw)
        return UnreadCondition(
            id=part.id, code=part.code, subject=part.subject, body_site=part.body_site, extension=part.extension, why=why
        )
    return None


def _newest(versions: Sequence[bytes]) -> int | None:
    """Return the index of the most recently updated version, or None if one has no instant or the latest instant is shared."""
    instants = [_updated(raw) for raw in versions]
    known = [instant for instant in instants if instant is not None]
    if len(known) < len(versions) or known.count(max(known)) > 1:
        return None
    return known.index(max(known))


def _updated(raw: bytes) -> datetime | None:
    try:
        meta = VERSION_DECODER.decode(raw).meta
        return dates.parse_date(meta.last_updated).instant if meta and meta.last_updated else None
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None


def _in_error(resource: Resource) -> bool:
    said = codes(getattr(resource, "verification_status", None)) | {getattr(resource, "status", None)}
    return "entered-in-error" in said
