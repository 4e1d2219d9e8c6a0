"""Why a fact is unknown, a value is what it is, or data could not be had: reasons as codes, and explanations for people.

The program decides by a `Reason`. The words for each stand in `cards/reasons.toml` and are put together by
`cards/wording.py` alone, so that they can be changed without changing what the program does.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NoReturn


class Reason(StrEnum):
    """Each value is a key of `cards/reasons.toml`."""

    # Why a recorded fact is not known on the day
    NOT_CONSULTED = "not-consulted"
    NOT_DOCUMENTED = "not-documented"
    UNREADABLE = "unreadable"
    OUT_OF_DATE = "out-of-date"
    UNDATED = "undated"
    UNDATED_BESIDE_DATED = "undated-beside-dated"
    CONFLICT_OF_ONE_DATE = "conflict-of-one-date"
    CONFLICT_NONE_NEWER = "conflict-none-newer"
    # How one of several readings was chosen
    CONFLICT_WORSE_COUNTS = "conflict-worse-counts"
    SEVERAL_HIGHEST_COUNTS = "several-highest-counts"



class Explanation:
    """A reason with what its sentence names, for people.

    The program looks at `reason` only. An explanation can't be compared, searched, sliced or turned into text: each
    raises TypeError. `cards/wording.py` renders it.
    """

    __slots__ = ("details", "reason")

    reason: Reason
    details: Mapping[str, Any]

    def __init__(self, reason: Reason, /, **details: str | int | Decimal | date | Reason | Explanation) -> None:
        object.__setattr__(self, "reason", reason)
        object.__setattr__(self, "details", MappingProxyType(details))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("an explanation is immutable")

    def __repr__(self) -> str:
        return f"Explanation({self.reason.name})"  # without details: they may hold a unit as it was sent

    def _refuse(self, *_: object) -> NoReturn:
        raise TypeError("an explanation is for people: compare its reason; cards/wording.py renders it")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse  # type: ignore[assignment]  # refuses on purpose
    __contains__ = __getitem__ = __iter__ = __len__ = __add__ = __str__ = __format__ = _refuse
    __hash__ = None  # an explanation is no key of a dict either


def reason_of(explanation: Explanation | None) -> Reason | None:
    """The code of an explanation, or None without one."""
    return explanation.reason if explanation is not None else None
