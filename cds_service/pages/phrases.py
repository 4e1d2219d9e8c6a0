"""Formats facts, readings and limits in words, for the trace and the controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from cds_service.cards import wording
from cds_service.clinical_picture import Interval, Observed
from cds_service.knowledge.modality import Comparison
from cds_service.knowledge.model import FactDefinition, Knowledge
from cds_service.knowledge.vocabulary import FactKind, Supplier
from cds_service.reasoning.facts import Fact

COMPARISON_WORDS = {"at_most": "at most", "at_least": "at least", "below": "below", "above": "above"}
MAX_READINGS = 50
"""Readings that the page lists in one place."""
UNITLESS = FactDefinition("", "", FactKind.QUANTITY, Supplier.NEVER)
"""Stands in for the definition of a fact if a number has no unit."""


@dataclass(frozen=True, slots=True)
class ReadingView:
    """One reading in words; `more` is empty or has details."""

    fact: str
    value: str
    on: str
    where: str
    more: str


def fact_name(knowledge: Knowledge, name: str) -> str:
    """Return the label of a recorded or derived fact."""
    definition = knowledge.facts.get(name)
    return definition.says if definition else knowledge.derived[name].says


def fact_phrase(knowledge: Knowledge, name: str, fact: Fact) -> str:
    """Return the value of a fact in words, or why it has none."""
    if fact.silent:
        return "nothing recorded"
    if not fact.known:
        return wording.safe_explanation(fact.why) or "not known"
    return wording.format_value(unit_definition(knowledge, name), fact.value)


def unit_definition(knowledge: Knowledge, name: str) -> FactDefinition:
    """Return the definition whose unit a fact has: its own, or for a derived fact that of the first quantity it reads."""
    if name in knowledge.facts:
        return knowledge.facts[name]
    reads = [knowledge.facts[read] for read in knowledge.derived[name].reads if read in knowledge.facts]
    return next((definition for definition in reads if definition.kind is FactKind.QUANTITY), UNITLESS)


def limit_phrase(knowledge: Knowledge, test: Comparison) -> str:
    """Return the condition of a test in words: "at most 3 cm", "yes", "patent or branch"."""
    match test.limit:
        case bool():
            return "yes" if test.limit else "no"
        case Decimal():
            limit = Interval.from_number(test.limit)
            return f"{COMPARISON_WORDS[test.how]} {wording.format_value(unit_definition(knowledge, test.fact), limit)}"
        case frozenset():
            return wording.join_words(sorted(option.replace("-", " ") for option in test.limit), "or")
    return test.limit.replace("-", " ")


def describe_readings(knowledge: Knowledge, seen: Sequence[Observed]) -> tuple[ReadingView, ...]:
    """Return the first MAX_READINGS readings in words. A chart may have thousands, and every criterion lists its own."""
    return tuple(describe_reading(knowledge, reading) for reading in seen[:MAX_READINGS])


def describe_reading(knowledge: Knowledge, seen: Observed) -> ReadingView:
    """Return one reading in words. Text of the chart is made safe."""
    definition = knowledge.facts.get(seen.fact)
    more = [wording.safe_explanation(seen.note)] if seen.note is not None else []
    value = wording.format_value(definition, seen.value) if definition else wording.safe_text(seen.recorded)
    if original := _original(seen):
        more.insert(0, f"recorded as {original}")
    return ReadingView(
        fact=wording.label_in_sentence(definition.says) if definition else "recorded",
        value=value,
        on=str(seen.on) if seen.on else "undated",
        where=wording.safe_text(seen.seen_in),
        more=", ".join(more),
    )


def _original(seen: Observed) -> str:
    """Return the recorded text if it differs from the value (a converted number, or an answer in other words), else ""."""
    if isinstance(seen.value, Interval):
        return wording.original_number(seen)
    if isinstance(seen.value, str) and seen.recorded.casefold() not in {seen.value, seen.value.replace("-", " ")}:
        return wording.safe_text(seen.recorded)
    return ""
