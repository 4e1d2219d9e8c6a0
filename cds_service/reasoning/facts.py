"""A clinical picture on one day: every fact known, silent or unknown (CLINICAL sections 3 and 5). Pure.

*Known*: a value in its window. *Silent*: asked, arrived complete, holds nothing. *Unknown*: not asked, failed,
unreadable, out of date, undated or conflicting; it stays unknown, whatever silence would have meant.
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

    `value` and `on` are set when known; `seen` are the readings it rests on, or those named beside an unknown
    (the out-of-date value, both sides of a conflict); `history` is every valid reading, newest first;
    `why` says why it is unknown; `note` how a calculated value came about, or a conflict that was decided.
    """

    state: FactState
    value: Value | None = None
    on: PartialDate | None = None
    seen: tuple[Observed, ...] = ()
    history: tuple[Observed, ...] = ()
    why: Explanation | None = field(default=None, compare=False)
    note: Explanation | None = field(default=None, compare=False)
    unread: tuple[Unreadable, ...] = ()
    """Readings that could not be read, whatever the state."""
    options: tuple[str, ...] = ()
    """Where a recorded answer is imprecise ("present"): the precise answers still open."""

    tells_dates: ClassVar[bool] = True
    """Whether it can be asked for dates, readings and reasons."""

    @property
    def reason(self) -> Reason | None:
        """The code of `why`."""
        return reason_of(self.why)

    @property
    def note_reason(self) -> Reason | None:
        """The code of `note`."""
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
        """Whether it is a drug that is known by its name alone."""
        return self.unknown and self.tells_dates and any(reading.reason is Reason.BY_NAME for reading in self.seen)

    def equals(self, value: str | bool) -> bool:
        return self.known and self.value == value

    @property
    def amount(self) -> Interval | None:
        return self.value if self.known and isinstance(self.value, Interval) else None


SILENT_FACT = Fact(FactState.SILENT)


class DateLookedAt(TypeError):
    """A calculation looked at what derived.toml does not say that it looks at."""


def refuse_dates(_: object) -> NoReturn:
    raise DateLookedAt("a calculation that looks at dates, readings or reasons is `dated = true` in derived.toml")


class UnreadExplanation(Explanation):
    """Stands for any explanation, and refuses to tell its reason."""

    __slots__ = ()

    def __init__(self) -> None:
        object.__setattr__(self, "details", {})

    if not TYPE_CHECKING:
        reason = property(refuse_dates)


UNREAD_EXPLANATION = UnreadExplanation()


class UndatedFact(Fact):
    """State, value and options of a fact and nothing else: what a calculation is handed that is not `dated` in derived.toml.

    Raises DateLookedAt where it looks at dates, readings or reasons. An explanation may be handed on, unread. Compared by
    identity.
    """

    tells_dates: ClassVar[bool] = False

    def __init__(self, state: FactState, value: Value | None = None, options: tuple[str, ...] = ()) -> None:
        for name, content in (("state", state), ("value", value), ("options", options)):
            object.__setattr__(self, name, content)

    __eq__, __hash__ = object.__eq__, object.__hash__

    if not TYPE_CHECKING:
        on = seen = history = unread = reason = note_reason = property(refuse_dates)
        why = note = property(lambda self: UNREAD_EXPLANATION)


Why = Explanation | Reason
"""An explanation, or the reason of one that names nothing."""


def known_fact(value: Value, *parts: Fact, note: Why | None = None) -> Fact:
    """A calculated fact that rests on others: its date is that of its newest part."""
    dates = [part.on for part in parts if part.tells_dates and part.on is not None]
    newest = max(dates, key=lambda on: on.latest) if dates else None
    return Fact(FactState.KNOWN, value, newest, _readings(parts), note=_explanation(note))


def unknown_fact(why: Why, *parts: Fact) -> Fact:
    return Fact(FactState.UNKNOWN, seen=_readings(parts), why=_explanation(why))


def _readings(parts: tuple[Fact, ...]) -> tuple[Observed, ...]:
    return tuple(dict.fromkeys(reading for part in parts if part.tells_dates for reading in part.seen))


def answer_fact(answer: bool | None, why: Why, *parts: Fact, note: Why | None = None) -> Fact:
    """A calculated yes, no or unknown."""
    return unknown_fact(why, *parts) if answer is None else known_fact(answer, *parts, note=note)


def _explanation(why: Why | None) -> Explanation | None:
    return Explanation(why) if isinstance(why, Reason) else why


Calculation = Callable[["Facts"], Fact]


@dataclass
class Facts:
    """The facts of one day, derived ones included: `facts["inr"]`, `facts["curative_resection"]`.

    A calculation may look only at what derived.toml says it reads; a look at anything else is a KeyError. Of a fact that
    was calculated itself it looks at state, value, date, history and options, never at its reason or the readings it rests on.
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
    """The plain facts that a fact rests on, through every calculation."""
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
