"""Numbers that an explanation names by their place: {remnant.normal}, {days:sstr_positive}, {limit:exclusion.age-limit}."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from cds_service.knowledge.model import Knowledge

PLACEHOLDER = re.compile(r"\{([^{}]+)\}")

Tables = Mapping[str, Any]


def fill_numbers(knowledge: Knowledge, text: str) -> str:
    """The text with the numbers that this knowledge decides by."""
    known = dict(_leaves(msgspec.to_builtins(knowledge.scores)))
    known |= {f"days:{name}": str(fact.window_days) for name, fact in knowledge.facts.items() if fact.window_days}
    for key, criterion in knowledge.criteria.items():
        if limit := next((test.limit for test in criterion.tests if isinstance(test.limit, Decimal)), None):
            known[f"limit:{key}"] = str(limit)
    for answer, words in ((True, "yes"), (False, "no")):
        sites = (site for site, drained in knowledge.portal_drained.items() if drained is answer)
        known[f"portal_drained:{words}"] = ", ".join(site.replace("-", " ") for site in sites)
    return PLACEHOLDER.sub(lambda place: known[place[1]], text)


def placeholders(text: str) -> list[str]:
    return PLACEHOLDER.findall(text)


def known_placeholders(files: Mapping[str, Tables]) -> set[str]:
    """Every place that the knowledge files offer."""
    known = {path for path, _ in _leaves(files["scores.toml"])} | {"portal_drained:yes", "portal_drained:no"}
    known |= {f"days:{name}" for name, fact in files["facts.toml"]["fact"].items() if "window_days" in fact}
    for role, tables in files["criteria.toml"].items():
        known |= {f"limit:{role}.{name}" for name, table in tables.items() if table.keys() & NUMERIC}
    return known


NUMERIC = frozenset({"at_most", "at_least", "below", "above"})


def _leaves(table: Tables, path: str = "") -> Iterator[tuple[str, str]]:
    for key, part in table.items():
        if isinstance(part, Mapping):
            yield from _leaves(part, f"{path}{key}.")
        elif isinstance(part, (int, str, Decimal)) and not isinstance(part, bool):
            yield f"{path}{key}", str(part)
