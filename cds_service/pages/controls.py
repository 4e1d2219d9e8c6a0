"""The "Change a fact" controls: the value of the chart in each, and the values that the user supposes instead."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from cds_service.cards import wording
from cds_service.clinical_picture import Interval, Observed, PartialDate, Value, format_decimal
from cds_service.errors import Fault
from cds_service.knowledge.modality import RANK
from cds_service.knowledge.model import FactDefinition
from cds_service.pages.phrases import describe_reading, fact_phrase
from cds_service.reasoning.evaluation import Evaluation
from cds_service.reasoning.facts import Facts

CHANGEABLE_FACTS = {
    "inr": "INR",
    "portal_vein": "Portal vein",
    "egfr": "eGFR",
    "resectability": "Resectability",
    "removable_fraction": "Removable share",
    "liver_involvement": "Liver involvement",
    "extrahepatic_disease": "Disease outside the liver",
    "who_grade": "WHO grade",
}
"""Fact → its label, short enough for two columns on a phone."""
CALCULATED_COUNTERPART = {"who_grade": "grade", "egfr": "egfr_used"}
"""Recorded fact → the derived fact that is also shown beside its control."""
SEEN_IN = "changed on this page"
"""Shown as the source of a supposed value, in place of a resource."""
TYPED_NUMBER = re.compile(r"[0-9]{1,6}([.,][0-9]{1,6})?")


@dataclass(frozen=True, slots=True)
class Control:
    """One control, as the template shows it. `low` and `high` limit a number."""

    name: str
    label: str
    unit: str
    options: tuple[tuple[str, str], ...]
    """(value, words) of each choice; empty for a number."""
    low: str
    high: str
    chart: str
    """The value of the chart as the control would send it; empty if there is no usable value."""
    shown: str
    """The value in the control now."""
    says: str
    """The value of the chart in words, or why it has none."""
    on: str
    """The date of the value of the chart, "undated", or empty if there is no value."""
    fault: str = ""


def controls(facts: Facts, supposed: Mapping[str, str], faults: Mapping[str, Fault]) -> list[Control]:
    """Return all controls. `facts`: those of the chart, without supposed values. `supposed`: the values in the controls now."""
    return [_control(facts, name, supposed.get(name), faults.get(name)) for name in CHANGEABLE_FACTS]


def _control(facts: Facts, name: str, supposed: str | None, fault: Fault | None) -> Control:
    definition = facts.knowledge.facts[name]
    low, high = definition.range or (Decimal(0), Decimal(1_000_000))
    chart = chart_value(facts, name)
    return Control(
        name=name,
        label=CHANGEABLE_FACTS[name],
        unit=definition.unit_in_words.strip(),
        options=tuple((option, wording.format_value(definition, option)) for option in definition.options),
        low=format_decimal(low),
        high=format_decimal(high),
        chart=chart,
        shown=chart if supposed is None else supposed,
        says=_says(facts, name),
        on=str(facts[name].on or "undated") if facts[name].known else "",
        fault=f"{fault}." if fault else "",
    )


def chart_value(facts: Facts, name: str) -> str:
    """Return the value of a fact in the chart as its control would send it, or "" if there is no usable value."""
    value = facts[name].value if facts[name].known else None
    if isinstance(value, Interval):
        return format_decimal(value.exact) if value.exact is not None else ""
    return str(value) if value is not None else ""


def _says(facts: Facts, name: str) -> str:
    fact = facts[name]
    said = fact_phrase(facts.knowledge, name, fact)
    if not fact.known and fact.seen:
        said += ": " + "; ".join(
            f"{seen.value}, {seen.on}" for seen in (describe_reading(facts.knowledge, r) for r in fact.seen[:2])
        )
    beside = CALCULATED_COUNTERPART.get(name)
    if beside and facts[beside].known and facts[beside].value != fact.value:
        said += f"; calculated: {fact_phrase(facts.knowledge, beside, facts[beside])}"
    return said


class SupposedValues(NamedTuple):
    """The values that the user supposes; each dict is keyed by the name of the fact."""

    texts: dict[str, str]
    """The texts in the controls that differ from the chart."""
    readings: dict[str, Observed]
    """Valid values that differ from the chart, as readings of today."""
    faults: dict[str, Fault]
    """The error of each invalid text."""


def read_controls(form: Mapping[str, str], facts: Facts, today: date) -> SupposedValues:
    """Return the values of a form that differ from the chart."""
    supposed = SupposedValues({}, {}, {})
    for name in CHANGEABLE_FACTS:
        text = form.get(name, "").strip()
        if not text or text == chart_value(facts, name):
            continue
        definition = facts.knowledge.facts[name]
        supposed.texts[name] = text[:20]
        value = _value(definition, text)
        if value is None:
            supposed.faults[name] = Fault(CHANGEABLE_FACTS[name], f"must be {accepted_values(definition)}")
        elif value != facts[name].value:
            supposed.readings[name] = Observed(value, PartialDate.from_day(today), SEEN_IN, text)
    return supposed


def _value(definition: FactDefinition, text: str) -> Value | None:
    if definition.options:
        return text if text in definition.options else None
    if not TYPED_NUMBER.fullmatch(text):
        return None
    number = Decimal(text.replace(",", "."))
    low, high = definition.range or (number, number)
    return Interval.from_number(number) if low <= number <= high else None


def accepted_values(definition: FactDefinition) -> str:
    """Return the values that a control accepts, in words: "a number from 0 to 100 %"."""
    if definition.options:
        return wording.join_words([wording.format_value(definition, option) for option in definition.options], "or")
    low, high = definition.range or (Decimal(0), Decimal(1_000_000))
    return f"a number from {format_decimal(low)} to {format_decimal(high)}{definition.unit_in_words}"


@dataclass(frozen=True, slots=True)
class VerdictMove:
    """A verdict or a part of the stage that the supposed values change. `direction`: "up", "down" or ""."""

    name: str
    edition: str
    before: str
    after: str
    direction: str = ""


def verdict_moves(before: Evaluation, after: Evaluation) -> list[VerdictMove]:
    """Return the changed verdicts, with later evidence and by 2010 alone."""
    found = []
    for name, was in before.assessments.items():
        now = after.assessments[name]
        for edition, old, new in (
            ("with later evidence", was.verdict, now.verdict),
            ("by 2010 alone", was.by_2010.verdict, now.by_2010.verdict),
        ):
            if old is not new:
                rise = RANK[new] - RANK[old]
                direction = "up" if rise > 0 else "down" if rise < 0 else ""
                found.append(
                    VerdictMove(was.modality.short, edition, wording.VERDICT_WORDS[old], wording.VERDICT_WORDS[new], direction)
                )
    return found


def stage_moves(before: Evaluation, after: Evaluation) -> list[VerdictMove]:
    """Return the changed parts of the stage."""
    knowledge = before.knowledge
    return [
        VerdictMove(
            knowledge.staging[name].title,
            "",
            option_label(knowledge.words, part.value),
            option_label(knowledge.words, after.stage[name].value),
        )
        for name, part in before.stage.items()
        if part.value != after.stage[name].value
    ]


def option_label(words: Mapping[str, str], value: str) -> str:
    """Return the words for an option, or the option itself if it has none."""
    return words.get(value, value)
