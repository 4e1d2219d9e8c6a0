"""Change a fact: the controls, what the chart says in each, and what somebody supposed instead."""

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
"""Facts that are also calculated from others: the control says what the calculation found."""
SEEN_IN = "changed on this page"
TYPED_NUMBER = re.compile(r"[0-9]{1,6}([.,][0-9]{1,6})?")


@dataclass(frozen=True, slots=True)
class Control:
    name: str
    label: str
    unit: str
    options: tuple[tuple[str, str], ...]
    """(value, words); none: a number."""
    low: str
    high: str
    chart: str
    """The value of the chart as the control would send it; empty where it has none that is usable."""
    shown: str
    says: str
    """What the chart says, or why it says nothing; the reference stands in the trace."""
    on: str
    fault: str = ""


def controls(facts: Facts, supposed: Mapping[str, str], faults: Mapping[str, Fault]) -> list[Control]:
    """`facts`: those of the chart itself; `supposed`: what stands in the controls now."""
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
        fault=f"Allowed: {fault.allowed}." if fault else "",
    )


def chart_value(facts: Facts, name: str) -> str:
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
    """What somebody supposed, by the fact that it is about."""

    texts: dict[str, str]
    """What stands in the controls."""
    readings: dict[str, Observed]
    """Of it what differs from the chart, as readings of today."""
    faults: dict[str, Fault]
    """Of it what cannot be read."""


def read_controls(form: Mapping[str, str], facts: Facts, today: date) -> SupposedValues:
    """Return what a form supposes that the chart does not say."""
    supposed = SupposedValues({}, {}, {})
    for name in CHANGEABLE_FACTS:
        text = form.get(name, "").strip()
        if not text or text == chart_value(facts, name):
            continue
        definition = facts.knowledge.facts[name]
        supposed.texts[name] = text[:20]
        value = _value(definition, text)
        if value is None:
            supposed.faults[name] = Fault(CHANGEABLE_FACTS[name], "another value", accepted_values(definition))
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
    if definition.options:
        return wording.join_words([wording.format_value(definition, option) for option in definition.options], "or")
    low, high = definition.range or (Decimal(0), Decimal(1_000_000))
    return f"a number from {format_decimal(low)} to {format_decimal(high)}{definition.unit_in_words}"


@dataclass(frozen=True, slots=True)
class VerdictMove:
    """Something that the supposed values moved."""

    name: str
    edition: str
    before: str
    after: str
    direction: str = ""


def verdict_moves(before: Evaluation, after: Evaluation) -> list[VerdictMove]:
    """Verdicts first, those of later evidence and of 2010; then the parts of the stage."""
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
    return words.get(value, value)
