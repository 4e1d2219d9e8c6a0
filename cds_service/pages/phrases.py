"""Facts, readings and limits in words, for the trace and the controls."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from cds_service.cards import wording
from cds_service.clinical_picture import Amount, Observed
from cds_service.knowledge.model import Comparison, FactDefinition, Knowledge
from cds_service.knowledge.vocabulary import FactKind, Supplier
from cds_service.reasoning.facts import Fact

HOW = {"at_most": "at most", "at_least": "at least", "below": "below", "above": "above"}
NO_UNIT = FactDefinition("", "", FactKind.QUANTITY, Supplier.NEVER)


@dataclass(frozen=True, slots=True)
class Reading:
    fact: str
    value: str
    on: str
    where: str
    more: str


def fact_name(known: Knowledge, name: str) -> str:
    definition = known.facts.get(name)
    return definition.says if definition else known.derived[name].says


def found_words(known: Knowledge, name: str, fact: Fact) -> str:
    """The value of a fact, or why there is none."""
    if fact.silent:
        return "nothing recorded"
    if not fact.known:
        return wording.safe_explanation(fact.why) or "not known"
    return wording.value(measured(known, name), fact.value)


def measured(known: Knowledge, name: str) -> FactDefinition:
    """Whose unit a fact has: its own, or for a calculated one that of the first number it is made from."""
    if name in known.facts:
        return known.facts[name]
    reads = [known.facts[read] for read in known.derived[name].reads if read in known.facts]
    return next((definition for definition in reads if definition.kind is FactKind.QUANTITY), NO_UNIT)


def limit_words(known: Knowledge, test: Comparison) -> str:
    match test.limit:
        case bool():
            return "yes" if test.limit else "no"
        case Decimal():
            return f"{HOW[test.how]} {wording.value(measured(known, test.fact), Amount.exactly(test.limit))}"
        case frozenset():
            return wording.listing(sorted(option.replace("-", " ") for option in test.limit), "or")
    return test.limit.replace("-", " ")


def reading_of(known: Knowledge, seen: Observed) -> Reading:
    definition = known.facts.get(seen.fact)
    more = [wording.safe_explanation(seen.note)] if seen.note is not None else []
    value = wording.value(definition, seen.value) if definition else wording.safe(seen.recorded)
    if seen.recorded and not _same(wording.safe(seen.recorded), value):
        more.insert(0, f"recorded as {wording.safe(seen.recorded)}")
    return Reading(
        fact=wording.name(definition.says) if definition else "recorded",
        value=value,
        on=str(seen.on) if seen.on else "undated",
        where=wording.safe(seen.seen_in),
        more=", ".join(more),
    )


def _same(recorded: str, value: str) -> bool:
    """Whether the original text tells no more than the value: "1.1 INR" and "1.1", "liver-dominant" and "liver dominant"."""
    number = re.match(r"[0-9.]+", recorded)
    if number:
        return value.partition(" ")[0] == number[0]
    return recorded.replace("-", " ").casefold() == value.casefold()
