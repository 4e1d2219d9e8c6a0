"""Resources sent under one reference: the same twice is one, of two versions the newer counts, if anybody can tell which."""

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
"""Characters; no server's resource has a longer one."""
SAME_ON_EVERY_SERVER = frozenset({"Patient", "Medication"})
"""Looked up by their reference alone, so that two servers can hold but one of them."""


@dataclass
class Resolved:
    """What counts of the resources of one reference, and what does not."""

    counting: Sequence[SentResource]
    left_out: Counter[LeftOut] = field(default_factory=Counter)
    unreadable: tuple[Unreadable, ...] = ()


def server_of(full_url: str | None) -> str:
    """The base of the fullUrl of a Bundle entry; an empty string where it names no server (a urn, or none)."""
    scheme, _, place = (full_url or "").partition("://")
    if scheme not in {"http", "https"} or len(full_url or "") > MAX_FULL_URL_CHARS:
        return ""
    resource, _, version = place.rpartition("/_history/")
    parts = (resource if resource and "/" not in version else place).rsplit("/", 2)
    known = len(parts) == 3 and TYPE.fullmatch(parts[1]) and parts[2]
    return parts[0].rstrip("/").casefold() if known else ""


def resolve_by_server(where: str, sent: Sequence[SentResource], servers: Mapping[bytes, set[str]]) -> Resolved:
    """An id tells resources apart on one server only: the same id on two is two resources, and both count. `servers`:
    resource → where its entries say that it is."""
    bases = set().union(*(servers[raw] for raw, _ in sent))
    if len(bases - {""}) < 2 or where.split("/")[0] in SAME_ON_EVERY_SERVER:
        return resolve(where, sent)
    by_base: defaultdict[str, list[SentResource]] = defaultdict(list)
    for part in sent:
        for base in servers[part[0]]:
            by_base[base].append(part)
    found = [resolve(where, by_base[base]) for base in sorted(by_base)]
    counting = _different(part for one in found for part in one.counting)  # two that are equal: one server by two names
    left_out = sum((one.left_out for one in found), Counter[LeftOut]())
    left_out[SENT_TWICE] += sum(len(one.counting) for one in found) - len(counting)
    return Resolved(counting, +left_out, tuple(what for one in found for what in one.unreadable))


def resolve(where: str, sent: Sequence[SentResource]) -> Resolved:
    """Where nobody can tell which version is newer, neither is believed: an Observation or a Condition leaves a question."""
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
    """The first of each content."""
    by_content: dict[Any, SentResource] = {}
    for part in sent:
        by_content.setdefault(_content(part[1]), part)
    return list(by_content.values())


def content_without_id(found: Observation) -> Any:
    """What an Observation says, to look it up by, whatever its id and whoever it says it is about."""
    plain = msgspec.structs.replace(found, id=None, subject=None, status=(found.status or "").strip())
    return _content(plain)


def _content(found: Any) -> Any:
    """What is read of a resource, to look it up by: equal where the resources are (1.0 is 1.00). To compare each version with
    each would take minutes for the tens of thousands that one body can hold."""
    if isinstance(found, Struct):
        return (type(found), *(_content(getattr(found, name)) for name in found.__struct_fields__))
    if isinstance(found, Explanation):
        return found.reason  # two that cannot be read for one reason, and tell the same beside it, are the same
    if isinstance(found, list) and found and isinstance(found[0], Struct):
        return tuple(map(_content, found))
    if isinstance(found, list | dict):  # what is not looked into, kept as it came: as bytes, for it may be nested deeply
        try:
            return msgspec.json.encode(found, order="sorted")
        except RecursionError:
            return id(found)  # like no other
    if isinstance(found, msgspec.Raw):
        return bytes(found)
    return number_key(found) if isinstance(found, Decimal | float | int) and not isinstance(found, bool) else found


def stub(raw: bytes, name: str, why: Explanation) -> UnreadObservation | UnreadCondition | None:
    """What of an unreadable Observation or Condition still tells that it speaks of something: its codes, its sites, its
    patient, its status. It leaves a question. None where not even that is told, or more than is read, and for all other
    types."""
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
    """What is left of a resource that cannot be read: its patient, its status, and what it contains, each to be read by itself.
    None where not even that is told."""
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
    """The place of the version that was updated last; None where they do not all say when, or two say the same."""
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
