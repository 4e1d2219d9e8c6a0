"""Reads the "Change a fact" controls of a form: the values that the user supposes in place of those of the chart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from werkzeug.datastructures import MultiDict

from cds_service.cards import wording
from cds_service.clinical_picture import Interval, Observed, PartialDate, Readings, Value
from cds_service.errors import Fault
from cds_service.knowledge.model import FactDefinition
from cds_service.pages.controls import NOTHING, Choices, Entered, chart_day, chart_value, choices, control_label
from cds_service.reasoning.facts import Facts

SEEN_IN = "changed on this page"
"""Shown as the source of a supposed value, in place of a resource."""
TYPED_NUMBER = re.compile(r"[0-9]{1,8}([.,][0-9]{1,6})?", re.ASCII)
TYPED_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
MAX_TYPED_CHARS = 30


@dataclass(frozen=True, slots=True)
class Supposed:
    """A valid value that differs from the chart."""

    label: str
    words: str
    """The value in words, with its unit."""
    on: str
    """The day of the value, if it is not today."""
    readings: Readings


def read_controls(form: MultiDict[str, str], facts: Facts, today: date) -> tuple[Entered, dict[str, Supposed]]:
    """Return what is in the controls of a form and differs from the chart, and the valid values by fact."""
    texts: dict[str, tuple[str, ...]] = {}
    days: dict[str, str] = {}
    faults: dict[str, str] = {}
    supposed: dict[str, Supposed] = {}
    for name, definition in facts.knowledge.facts.items():
        entered = tuple(text.strip()[:MAX_TYPED_CHARS] for text in form.getlist(name) if text.strip())
        accepts = choices(definition)
        day = form.get(f"{name}.on", "").strip()[:MAX_TYPED_CHARS] if accepts.dated else ""
        if not entered or (entered == chart_value(facts, name) and day in ("", chart_day(facts, name))):
            continue
        texts[name] = entered
        if accepts.dated:
            days[name] = day
        found = _read(definition, accepts, entered, day, today)
        if isinstance(found, Fault):
            faults[name] = f"{found}."
        else:
            supposed[name] = found
    return Entered(texts, days, faults, form.get("find", "")[:MAX_TYPED_CHARS], "deciding" in form), supposed


def _read(definition: FactDefinition, accepts: Choices, entered: tuple[str, ...], day: str, today: date) -> Supposed | Fault:
    label = control_label(definition)
    if NOTHING in entered and accepts.options:
        return Supposed(label, "nothing on record", "", Readings(complete=True))
    values = [_value(accepts, text) for text in (entered if accepts.multiple else entered[:1])]
    if not all(value is not None for value in values):
        return Fault(label, f"must be {accepted_values(definition, accepts)}")
    on = _day(day, today) if day else today
    if on is None:
        return Fault(label, "must have a day that is not in the future, as YYYY-MM-DD, or none for today")
    readings = tuple(
        Observed(value, PartialDate.from_day(on), SEEN_IN, text)
        for value, text in zip(values, entered, strict=False)
        if value is not None
    )
    words = ", ".join(wording.format_value(definition, reading.value) for reading in readings)
    return Supposed(label, words, "" if on == today else str(on), Readings(readings, complete=True))


def _value(accepts: Choices, text: str) -> Value | None:
    if accepts.options:
        known = text in {option for option, _ in accepts.options}
        return {"true": True, "false": False}.get(text, text) if known else None
    if not TYPED_NUMBER.fullmatch(text):
        return None
    number = Decimal(text.replace(",", "."))
    fits = Decimal(accepts.low) <= number <= Decimal(accepts.high) and not (accepts.whole and number % 1)
    return Interval.from_number(number) if fits else None


def _day(text: str, today: date) -> date | None:
    try:
        day = date.fromisoformat(text) if TYPED_DAY.fullmatch(text) else None
    except ValueError:
        return None
    return day if day is not None and day <= today else None


def accepted_values(definition: FactDefinition, accepts: Choices) -> str:
    """Return the values that a control accepts, in words: "a number from 0 to 100 %"."""
    if accepts.options:
        return wording.join_words([words for _, words in accepts.options], "or")
    kind = "a whole number" if accepts.whole else "a number"
    return f"{kind} from {accepts.low} to {accepts.high}{definition.unit_in_words}"


def readings_by_fact(supposed: Mapping[str, Supposed]) -> dict[str, Readings]:
    """Return the readings that replace those of the chart."""
    return {name: value.readings for name, value in supposed.items()}
