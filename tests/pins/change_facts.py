"""Change data of facts, criteria and modalities where the change depends on more than the value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from tests.pins.change import ABSENT, Instead, Place, Rule, entries, number, ordered_entries, removed

ASK = ("laboratory", "imaging", "pathology", "board", "never")


def kind(value: Any, place: Place) -> list[str]:
    """Return a kind that is read differently; quantity and integer are read alike."""
    return [{"quantity": "boolean", "integer": "boolean", "boolean": "code", "code": "boolean", "codes": "code",
             "presence": "boolean", "person": "code"}[value]]  # fmt: skip


def factors(value: Any, place: Place) -> Iterator[Any]:
    """Remove each unit, and change each factor by one step; a factor 1 also becomes 10."""
    if "upper_limit_of" in place.table:
        return  # how many times a limit: nothing is converted
    for unit, factor in ({} if value is ABSENT else value).items():
        yield {name: other for name, other in value.items() if name != unit}
        exact = Decimal(factor)
        step = Decimal(1).scaleb(int(exact.as_tuple().exponent))
        yield from ({**value, unit: str(exact + off)} for off in (step, -step) if exact + off > 0)


def bounds(value: Any, place: Place) -> Iterator[Any]:
    if value is not ABSENT and place.table["kind"] != "person":  # a person's age is calculated, never out of range
        low, high = value
        yield from ([other, high] for other in number(low, place))
        yield from ([low, other] for other in number(high, place))
        yield ABSENT


def options(value: Any, place: Place) -> list[Any]:
    """Change the options only of facts with a code of the project; others have no answers read or asked for by name."""
    return entries(value, place) if "assessment" in place.table else []


def adverse(value: Any, place: Place) -> list[Any]:
    if value is ABSENT:
        return [[]] if "window_days" in place.table and "adverse_above" not in place.table else []  # a denial ages otherwise
    return [*ordered_entries(value, place), ABSENT]


def silence(value: Any, place: Place) -> list[str]:
    """Change `if_silent` where it has an effect.

    It has none for cautions and techniques, which count silence as not met; for a criterion with `if_unknown = "not-met"`,
    which then counts silence as not met, too; and if all its facts are calculated and never silent (docs/knowledge.md, "What
    silence means").
    """
    parts = (*place.table.get("any_of", ()), *place.table.get("all_of", ()), place.table)
    facts = {part["fact"] for part in parts if "fact" in part}
    if place.path[0] in {"caution", "technique"} or place.table.get("if_unknown") == "not-met":
        return []
    if facts <= place.files["derived.toml"].keys() - CAN_BE_SILENT or "always" in place.table:
        return []
    return ["unknown"] if value == "not-met" else ["not-met"]


def if_unknown(value: Any, place: Place) -> list[str]:
    if place.path[0] in {"caution", "technique"}:
        return []
    return ["unknown"] if value == "not-met" else ["not-met"]


CAN_BE_SILENT = frozenset({
    "transplanted", "extent", "removable", "ki67_grade", "mitotic_grade", "bilirubin_points", "albumin_points", "inr_points",
    "ascites_points", "encephalopathy_points",
})  # fmt: skip
"""The calculations of reasoning/calculations/ that may come out silent; the others answer yes, no or unknown (held by
test_pinning)."""

HOW = {"at_most": "below", "below": "at_most", "at_least": "above", "above": "at_least"}


def limit(how: str) -> Rule:
    """Change a limit by one step, and its comparison to the neighbouring one."""

    def change(value: Any, place: Place) -> Iterator[Any]:
        if value is not ABSENT:
            yield from number(value, place)
            table = {HOW.get(key, key) if key == how else key: part for key, part in place.table.items()}
            yield Instead(f"{how} {value} → {HOW[how]} {value}", table)

    return change


def _answers(place: Place) -> list[str]:
    options: list[str] = place.files["facts.toml"]["fact"].get(place.table.get("fact"), {}).get("options", [])
    return options


def is_answer(value: Any, place: Place) -> Iterator[Any]:
    """Replace an answer by another, and add another to it."""
    if isinstance(value, bool):
        yield not value
    elif value is not ABSENT:
        rest = {key: part for key, part in place.table.items() if key != "is"}
        others = [option for option in _answers(place) if option != value]
        yield from others or [f"{value}-other"]
        yield from (Instead(f"{value} → {value} or {other}", {**rest, "one_of": [value, other]}) for other in others)


def some_of(value: Any, place: Place) -> Iterator[Any]:
    if value is not ABSENT:
        yield from entries(value, place)
        more = (option for option in _answers(place) if option not in value)
        yield from (Instead(f"with {option}", [*value, option], around=False) for option in more)


def other_fact(value: Any, place: Place) -> list[str]:
    """Return the next fact of the same file."""
    if value is ABSENT:
        return []
    facts = place.files["facts.toml"]["fact"]
    names = list(facts if value in facts else place.files["derived.toml"])
    return [names[(names.index(value) + 1) % len(names)]]


def together(how: str) -> Rule:
    other = {"any_of": "all_of", "all_of": "any_of"}[how]

    def change(value: Any, place: Place) -> Iterator[Any]:
        if value is not ABSENT:
            yield from entries(value, place)
            yield Instead(f"{how} → {other}", {other if key == how else key: part for key, part in place.table.items()})

    return change


def g3(value: Any, place: Place) -> list[str]:
    """Change the grade limit only where something is recommended, which "consider" would lower."""
    recommended = any(indication["strength"] == "recommended" for indication in place.table["indication"])
    words = ["not-indicated", "at-most-consider", "open"] if recommended else ["not-indicated", "open"]
    return [word for word in words if word != value]


def _reached(files: Mapping[str, Any], roles: Iterable[str]) -> set[str]:
    """Return the facts that criteria of these roles read, directly or through calculations."""
    open_ones = [
        part["fact"]
        for role in roles
        for table in files["criteria.toml"][role].values()
        for part in (*table.get("any_of", ()), *table.get("all_of", ()), table)
        if "fact" in part
    ]
    found: set[str] = set()
    while open_ones:
        if (name := open_ones.pop()) not in found:
            found.add(name)
            open_ones += files["derived.toml"].get(name, {}).get("reads", ())
    return found


def ask(value: Any, place: Place) -> list[str]:
    """Change who is asked where the answer may decide; for facts of cautions only whether anybody is asked."""
    name = place.path[1]
    if name in _reached(place.files, ("contraindication", "exclusion", "requirement")):
        return [word for word in ASK if word != value]
    return ["board" if value == "never" else "never"] if name in _reached(place.files, ("caution",)) else []


def removed_order(value: Any, place: Place) -> list[Any]:
    """Remove the order code unless another fact orders the same test."""
    orders = [table.get("order") for table in place.files["facts.toml"]["fact"].values()]
    return removed(value, place) if orders.count(value) == 1 else []
