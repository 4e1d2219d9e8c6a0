"""How a site wants suggestions: whether cards have any, the intent of draft orders, and the site's own codes of tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cds_service.errors import Fault
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.orders import SuggestionShape
from cds_service.knowledge.shape import did_you_mean


def read_suggestions(table: Mapping[str, Any] | None) -> SuggestionShape:
    """Return the shape of a `[suggestions]` that is free of `suggestion_faults`; the default without one."""
    if table is None:
        return SuggestionShape()
    own = {c["test"]: {key: c[key] for key in ("system", "code", "display")} for c in table.get("code", ())}
    return SuggestionShape(table.get("offered", True), table.get("intent", SuggestionShape().intent), own)


def suggestion_faults(table: Any, knowledge: Knowledge) -> Iterator[Fault]:
    """Yield the faults that the schema cannot see: a test that the service does not offer, or one that is listed twice."""
    codes = table.get("code") if isinstance(table, dict) else None
    offered = {fact.order for fact in knowledge.facts.values() if fact.order} | {test.code for test in knowledge.orders.tests}
    seen: set[str] = set()
    for number, entry in enumerate(codes if isinstance(codes, list) else (), 1):
        test = entry.get("test") if isinstance(entry, dict) else None
        where = f"suggestions.code.{number}.test"
        if not isinstance(test, str):
            continue
        if test not in offered:
            hint = did_you_mean(test, offered) or f"; it must be one of {', '.join(sorted(offered))}"
            yield Fault(where, f"is {test!r}, which the service does not offer{hint}")
        elif test in seen:
            yield Fault(where, f"is {test!r}, which another entry has already")
        seen.add(test)
