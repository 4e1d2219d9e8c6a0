"""What no record holds: lists and codes longer than any, and codes that their system cannot have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec

from cds_service.fhir.resources import Coding, Resource, Struct

MAX_LIST_ITEMS = 1_000
"""Of any list inside of one resource: codings of a concept, components, members, body sites."""
MAX_CODE_CHARS = 1_000
ICD_10_SYSTEMS = ("/icd-10", "/icd-10-cm", "/icd-10-gm", "2.16.840.1.113883.6.90", "2.16.840.1.113883.6.3")
"""Ends of the URIs of ICD-10, which is matched by prefix: all else is matched whole, and so says nothing with a tail."""
ICD_10 = re.compile(r"[A-Z][0-9][0-9A-Z](\.?[0-9A-Z]{1,4})?(\.?-)?[+*!†]?", re.IGNORECASE)
"""With the marks of its own: a dash for what is left open, dagger, asterisk and exclamation mark."""


class LongerThanRead(Exception):
    """A list or a code is longer than that of any record."""


@cache
def _parts_of(kind: type[Struct]) -> tuple[str, ...]:
    """Fields that hold structures or lists: only these are looked into."""
    held = msgspec.inspect.type_info(kind)
    assert isinstance(held, msgspec.inspect.StructType)
    return tuple(field.name for field in held.fields if _holds_parts(field.type))


def _holds_parts(held: msgspec.inspect.Type) -> bool:
    if isinstance(held, msgspec.inspect.UnionType):
        return any(map(_holds_parts, held.types))
    return isinstance(held, msgspec.inspect.StructType | msgspec.inspect.ListType)


def refuse_longer_than_read(resource: Resource, raw: bytes) -> None:
    """Raises LongerThanRead. `raw`: as it was sent; a short one holds nothing that is long."""
    if len(raw) > min(MAX_CODE_CHARS, MAX_LIST_ITEMS):
        for coding in _codings(resource):
            if coding.code and len(coding.code) > MAX_CODE_CHARS:
                raise LongerThanRead


def has_impossible_code(resource: Resource) -> bool:
    """Whether a code stands in it that ICD-10 cannot have, such as "C78.7 RULED OUT": nobody can tell what is meant."""
    return not all(map(_is_possible, _codings(resource)))


def _codings(part: Struct) -> Iterator[Coding]:
    """Every coding within, at any depth. Raises LongerThanRead."""
    for name in _parts_of(type(part)):
        held: Any = getattr(part, name)
        if held is None:
            continue
        if not isinstance(held, list):
            yield from _codings(held)
            continue
        if len(held) > MAX_LIST_ITEMS:
            raise LongerThanRead
        for item in held:
            if isinstance(item, Coding):
                yield item
            elif isinstance(item, Struct):
                yield from _codings(item)


def _is_possible(coding: Coding) -> bool:
    system, code = coding.system, (coding.code or "").strip()
    if not system or not code or not system.strip().rstrip("/").lower().endswith(ICD_10_SYSTEMS):
        return True
    return ICD_10.fullmatch(code) is not None
