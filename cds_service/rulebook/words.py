"""Put criteria, comparisons and sources in words. A dagger marks a calculated fact."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from cds_service.clinical_picture import format_decimal
from cds_service.knowledge.modality import Comparison, Criterion
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.vocabulary import Edition

COMPARISONS = {"at_most": "at most", "at_least": "at least", "below": "below", "above": "above"}
EDITION = {Edition.REVIEW: "2010", Edition.UPDATE: "later"}
CALCULATED = "†"


def fact_label(knowledge: Knowledge, fact: str) -> str:
    """Return the name of a fact; a calculated fact has a dagger."""
    definition = knowledge.facts.get(fact)
    return definition.says if definition else f"{knowledge.derived[fact].says}{CALCULATED}"


def comparison_text(knowledge: Knowledge, test: Comparison) -> str:
    """Return a comparison in words: "INR: at most 1.8"."""
    says, limit = fact_label(knowledge, test.fact), test.limit
    if isinstance(limit, Decimal):
        return f"{says}: {COMPARISONS[test.how]} {format_decimal(limit)}{unit_text(knowledge, test.fact)}"
    if isinstance(limit, bool):
        return f"{says}: {'yes' if limit else 'no'}"
    wanted = sorted(limit) if isinstance(limit, frozenset) else [limit]
    return f"{says}: {' or '.join(value.replace('-', ' ') for value in wanted)}"


def unit_text(knowledge: Knowledge, fact: str) -> str:
    """Return the unit of a fact, with a space before it; of a calculated fact, the unit of the first fact that it reads."""
    if definition := knowledge.facts.get(fact):
        return definition.unit_in_words
    first = knowledge.facts.get(knowledge.derived[fact].reads[0])
    return first.unit_in_words if first else ""


def condition_text(knowledge: Knowledge, criterion: Criterion) -> str:
    """Return the comparisons of a criterion; only "calculated" or "recorded" if they would repeat its sentence."""
    if len(criterion.tests) == 1 and criterion.tests[0].limit is True:
        fact = criterion.tests[0].fact
        if fact_label(knowledge, fact).rstrip(CALCULATED).casefold() == criterion.says.casefold():
            return f"calculated{CALCULATED}" if fact in knowledge.derived else "recorded"
    joint = "; or " if criterion.combine == "any" else "; and "
    return joint.join(comparison_text(knowledge, test) for test in criterion.tests) or "always"


def criterion_text(criterion: Criterion) -> str:
    """Return the sentence of a criterion with its remark and id."""
    then = f": {criterion.then}" if criterion.then else ""
    return f"**{criterion.says}**{then} ({criterion.id})"


def silence_text(knowledge: Knowledge, criterion: Criterion) -> str:
    """Return what a criterion means if the facts it compares are silent, and if they are unknown."""
    if any(test.fact in knowledge.derived for test in criterion.tests):
        return f"see the calculation{CALCULATED}"
    if criterion.unknown_is_not_met:
        return "not met; unknown: not met either"
    return "not met; unknown: open" if criterion.silent_is_not_met else "open"


def source_list(knowledge: Knowledge, statements: Iterable[str], local: bool = False) -> str:
    """Return the ids of statements, each with the doubts about it; `local` marks a convention of the service."""
    return ", ".join([*(_doubt(knowledge, name) for name in statements), *(["**local**"] if local else [])])


def _doubt(knowledge: Knowledge, name: str) -> str:
    statement = knowledge.statements[name]
    doubts = [f"{statement.confidence} confidence"] if statement.confidence == "low" else []
    doubts += ["partly from memory"] if statement.from_memory else []
    return f"{name} ({', '.join(doubts)})" if doubts else name


def capitalize(text: str) -> str:
    """Return the text with a capital first letter, unless its second character is a capital (an abbreviation)."""
    return text if text[1:2].isupper() else text[:1].upper() + text[1:]
