"""Rejects implausible content: lists and codes longer than in any record, and codes that their system cannot have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec

from cds_service.fhir.resources import Coding, Condition, Resource, Struct
from cds_service.knowledge.terminology import ICD_10_CODE, ICD_10_WITH_LETTER

MAX_LIST_ITEMS = 1_000
"""Maximum length of any list in one resource: codings of a concept, components, members, body sites."""
MAX_CODE_CHARS = 1_000
ICD_10_URI = re.compile(
    r"(?:icd-10(?!-pcs)(?:-[a-z]{2})?|icd10-?[a-z]{2}|dmdicd10|cim-10|[.:]6\.(?:90|3|3\.\d{1,3}|94))$", re.IGNORECASE
)
"""How ICD-10 URIs end. Only ICD-10 is matched by prefix; other codes are matched whole, so trailing text makes them unknown."""
MAX_URI_CHARS = 200


class LongerThanRead(Exception):
    """A list or code is longer than in any record."""


@cache
def _parts_of(kind: type[Struct]) -> tuple[str, ...]:
    """Return the fields that hold structures or lists; only these are searched."""
    held = msgspec.inspect.type_info(kind)
    assert isinstance(held, msgspec.inspect.StructType)
    return tuple(field.name for field in held.fields if _holds_parts(field.type))


def _holds_parts(held: msgspec.inspect.Type) -> bool:
    if isinstance(held, msgspec.inspect.UnionType):
        return any(map(_holds_parts, held.types))
    return isinstance(held, msgspec.inspect.StructType | msgspec.inspect.ListType)


def refuse_longer_than_read(resource: Resource, raw: bytes) -> None:
    """Raises LongerThanRead if a list or code is too long. `raw`: the resource as sent; if it is short, nothing in it can be
    too long."""
    if len(raw) > min(MAX_CODE_CHARS, MAX_LIST_ITEMS):
        for coding in _codings(resource):
            if coding.code and len(coding.code) > MAX_CODE_CHARS:
                raise LongerThanRead


def has_impossible_code(resource: Resource) -> bool:
    """Return True if the resource has an impossible ICD-10 code, such as "C78.7 RULED OUT", whose meaning is unclear. In a
    Condition a certainty letter may follow the code."""
    patterns = (ICD_10_CODE, ICD_10_WITH_LETTER) if isinstance(resource, Condition) else (ICD_10_CODE,)
    return not all(_is_possible(coding, patterns) for coding in _codings(resource))


def _codings(part: Struct) -> Iterator[Coding]:
    """Yield every coding at any depth. Raises LongerThanRead."""
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


def _is_possible(coding: Coding, patterns: tuple[re.Pattern[str], ...]) -> bool:
    system, code = (coding.system or "").strip().rstrip("/"), (coding.code or "").strip()
    if not system or not code or not ICD_10_URI.search(system[-MAX_URI_CHARS:]):
        return True
    return any(pattern.fullmatch(code) for pattern in patterns)
