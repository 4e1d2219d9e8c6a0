"""Change any datum: a step up or down, a flag turned, an entry removed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Path = tuple[str | int, ...]
Files = dict[str, Any]


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


ABSENT = _Absent()


@dataclass(frozen=True)
class Instead:
    """What a rule yields if more than the value changes (the table around it), or if the change has words of its own."""

    says: str
    new: Any
    around: bool = True


@dataclass(frozen=True)
class NotPinned:
    because: str


@dataclass(frozen=True)
class Place:
    """The place of a value: its file, path, and the table around it."""

    files: Mapping[str, Any]
    file: str
    path: Path
    table: Mapping[str, Any]


def short(value: Any) -> str:
    return " ".join(str(value).split())[:70]


Rule = Callable[[Any, Place], Iterable[Any]]


def DOWN(value: Any, place: Place) -> Iterable[Any]:  # a rule like the others, but never called
    return ()


def number(value: Any, place: Place) -> Iterator[Any]:
    """Return the number one step of its last digit higher and lower."""
    if value is not ABSENT:
        step = Decimal(1).scaleb(int(Decimal(value).as_tuple().exponent)) if isinstance(value, Decimal) else 1
        yield from (value + step, value - step)


def optional_number(added: int) -> Rule:
    """Remove a number that may be missing, or add one where it is missing."""

    def change(value: Any, place: Place) -> Iterator[Any]:
        yield from [added] if value is ABSENT else [*number(value, place), ABSENT]

    return change


def flag(value: Any, place: Place) -> list[Any]:
    return [True] if value is ABSENT else [not value]


def set_or_not(value: Any, place: Place) -> list[Any]:
    """Turn a key that is either true or missing."""
    return [True] if value is ABSENT else [ABSENT]


def one_of(*words: Any) -> Rule:
    """Replace a word of a closed list by every other one; ABSENT in the list means no word."""
    return lambda value, place: [word for word in words if word != value]


def _name(entry: Any) -> Any:
    return entry.get("id", entry) if isinstance(entry, dict) else entry


def entries(value: Any, place: Place) -> list[Any]:
    """Remove each entry in turn."""
    if value is ABSENT:
        return []
    gone = [(value[n], [*value[:n], *value[n + 1 :]]) for n in range(len(value))]
    return [Instead(f"without {short(_name(one))}", rest, around=False) for one, rest in gone]


def ordered_entries(value: Any, place: Place) -> list[Any]:
    """Remove each entry in turn, and swap each two neighbours."""
    if value is ABSENT:
        return []
    # A precise answer of the same date replaces the vague one. So the place of the vague answer matters only if it is the
    # worst.
    vague = place.table.get("vague")
    swapped = [
        Instead(f"{value[n + 1]} before {value[n]}", [*value[:n], value[n + 1], value[n], *value[n + 2 :]], around=False)
        for n in range(len(value) - 1)
        if not (n and vague in value[n : n + 2])
    ]
    return [*entries(value, place), *swapped]


def ordered_stances(value: Any, place: Place) -> list[Any]:
    """Remove each row in turn, and swap each two neighbours of the same treatment."""
    rows = [f"{row['modality']}: {row['situation']}" for row in value]
    swapped = [
        Instead(f"{rows[n + 1]} before {rows[n]}", [*value[:n], value[n + 1], value[n], *value[n + 2 :]], around=False)
        for n in range(len(value) - 1)
        if value[n]["modality"] == value[n + 1]["modality"] and value[n]["stance"] != value[n + 1]["stance"]
    ]
    taken = [Instead(f"without {rows[n]}", [*value[:n], *value[n + 1 :]], around=False) for n in range(len(value))]
    return [*taken, *swapped]


def removed(value: Any, place: Place) -> list[Any]:
    return [] if value is ABSENT else [ABSENT]


def other_word(value: Any, place: Place) -> list[Any]:
    return [] if value is ABSENT else [f"{value}-other"]
