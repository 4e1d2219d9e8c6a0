"""The facts of a clinical picture on one day: each known, silent or unknown (docs/knowledge.md, "Facts"). Pure.

*Known*: a value in its window. *Silent*: the queries were answered completely and returned nothing. *Unknown*: not asked,
failed, unreadable, out of date, undated or conflicting. What silence means (docs/knowledge.md, "What silence means") never
applies to an unknown fact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, NoReturn

from cds_service.clinical_picture import Interval, Observed, PartialDate, Unreadable, Value
from cds_service.knowledge.model import Knowledge
from cds_service.reasons import Explanation, Reason, reason_of


class FactState(StrEnum):
    KNOWN = "known"
    SILENT = "silent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact on one day.

    `value` and `on` are set if it is known; `seen` holds the readings that it rests on, or that explain an unknown (the
    out-of-date value, both sides of a conflict); `history` holds every valid reading, newest first; `why` explains an
    unknown; `note` explains a calculated value, or how a conflict was decided.
    """

    state: FactState
    value: Value | None = None
    on: PartialDate | None = None
    seen: tuple[Observed, ...] = ()
    history: tuple[Observed, ...] = ()
    why: Explanation | None = field(default=None, compare=False)
    note: Explanation | None = field(default=None, compare=False)
    unread: tuple[Unreadable, ...] = ()
    """Readings that could not be read. There may be some in any state."""
    options: tuple[str, ...] = ()
    """The precise answers still possible, if the recorded answer is imprecise ("present")."""

    has_dates: ClassVar[bool] = True
    """Whether its dates, readings and reasons can be read."""

    @property
    def reason(self) -> Reason | None:
        """The reason code of `why`, or None."""
        return reason_of(self.why)

    @property
    def note_reason(self) -> Reason | None:
        """The reason code of `note`, or None."""
        return reason_of(self.note)

    @property
    def known(self) -> bool:
        return self.state is FactState.KNOWN

    @property
    def silent(self) -> bool:
        return self.state is FactState.SILENT

    @property
    def unknown(self) -> bool:
        return self.state is FactState.UNKNOWN

    @property
    def by_name(self) -> bool:
        """Whether it is a drug that is recorded by name only, without a code."""
        return self.unknown and self.has_dates and any(reading.reason is Reason.BY_NAME for reading in self.seen)

    def equals(self, value: str | bool) -> bool:
        """Return whether the fact is known to have this value."""
        return self.known and self.value == value

    @property
    def amount(self) -> Interval | None:
        """The number of a known numeric fact, else None."""
        return self.value if self.known and isinstance(self.value, Interval) else None


SILENT_FACT = Fact(FactState.SILENT)


class UndeclaredRead(TypeError):
    """Raised where a calculation reads a date, reading or reason without `dated = true` in derived.toml."""


def raise_undeclared_read(_: object) -> NoReturn:
    """Raise UndeclaredRead."""
    raise UndeclaredRead("a calculation that reads dates, readings or reasons must be `dated = true` in derived.toml")


class UnreadExplanation(Explanation):
    """A placeholder for any explanation. Raises UndeclaredRead if its reason is read."""

    __slots__ = ()

    def __init__(self) -> None:
        object.__setattr__(self, "details", {})

    if not TYPE_CHECKING:
        reason = property(raise_undeclared_read)


UNREAD_EXPLANATION = UnreadExplanation()


class UndatedFact(Fact):
    """A fact with state, value and options only, for calculations that are not `dated` in derived.toml.

    Raises UndeclaredRead if dates, readings or reasons are read. Explanations may be passed on unread. Compared by identity.
    """

    has_dates: ClassVar[bool] = False

    def __init__(self, state: FactState, value: Value | None = None, options: tuple[str, ...] = ()) -> None:
        for name, content in (("state", state), ("value", value), ("options", options)):
            object.__setattr__(self, name, content)

    __eq__, __hash__ = object.__eq__, object.__hash__

    if not TYPE_CHECKING:
        on = seen = history = unread = reason = note_reason = property(raise_undeclared_read)
        why = note = property(lambda self: UNREAD_EXPLANATION)


Why = Explanation | Reason
"""An explanation, or the reason of an explanation without details."""


def known_fact(value: Value, *parts: Fact, note: Why | None = None) -> Fact:
    """Return a known, calculated fact with the readings of its parts and the date of the newest part."""
    dates = [part.on for part in parts if part.has_dates and part.on is not None]
    newest = max(dates, key=lambda on: on.latest) if dates else None
    return Fact(FactState.KNOWN, value, newest, _readings(parts), note=_explanation(note))


def unknown_fact(why: Why, *parts: Fact) -> Fact:
    """Return an unknown, calculated fact with the readings of its parts."""
    return Fact(FactState.UNKNOWN, seen=_readings(parts), why=_explanation(why))


def _readings(parts: tuple[Fact, ...]) -> tuple[Observed, ...]:
    return tuple(dict.fromkeys(reading for part in parts if part.has_dates for reading in part.seen))


def answer_fact(answer: bool | None, why: Why, *parts: Fact, note: Why | None = None) -> Fact:
    """Return a calculated fact that is known to be `answer`, or unknown if `answer` is None."""
    return unknown_fact(why, *parts) if answer is None else known_fact(answer, *parts, note=note)


def _explanation(why: Why | None) -> Explanation | None:
    return Explanation(why) if isinstance(why, Reason) else why


Calculation = Callable[["Facts"], Fact]


@dataclass
class Facts:
    """The facts of one day, recorded and calculated: `facts["inr"]`, `facts["curative_resection"]`.

    A calculation may read only the facts that derived.toml lists for it; reading another raises KeyError. Of a calculated
    fact it may read state, value, date, history and options, but neither the reason nor the readings.
    """

    recorded: Mapping[str, Fact]
    knowledge: Knowledge
    today: date
    calculations: Mapping[str, Calculation]
    _done: dict[str, Fact] = field(default_factory=dict, compare=False, repr=False)
    _allowed: frozenset[str] | None = None

    def __getitem__(self, name: str) -> Fact:
        if self._allowed is not None and name not in self._allowed:
            raise KeyError(f"{name} is not among the facts that this calculation reads (derived.toml)")
        if (leaf := self.recorded.get(name)) is not None:
            return leaf
        if (done := self._done.get(name)) is not None:
            return done
        reads = frozenset(self.knowledge.derived[name].reads)
        fact = self.calculations[name](replace(self, _allowed=reads))
        self._done[name] = fact
        return fact


_LEAVES: dict[tuple[str, str], frozenset[str]] = {}


def recorded_inputs(knowledge: Knowledge, name: str) -> frozenset[str]:
    """Return the names of the recorded facts on which a fact rests, through every calculation."""
    key = (knowledge.digest, name)
    if key not in _LEAVES:
        definition = knowledge.derived.get(name)
        found = (
            frozenset({name})
            if definition is None
            else frozenset().union(*(recorded_inputs(knowledge, read) for read in definition.reads))
        )
        _LEAVES[key] = found
    return _LEAVES[key]
