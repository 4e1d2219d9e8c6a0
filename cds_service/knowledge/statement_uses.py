"""List the use of every statement: to decide, as context, or not at all with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from cds_service.knowledge.model import Knowledge


@dataclass(frozen=True, slots=True)
class StatementUse:
    """The use of one statement."""

    statement: str
    """Its id."""
    standing: str
    """decides | context | not used"""
    places: tuple[str, ...]
    """Where it is cited, in words."""
    why: str = ""
    """Why it is not used."""


def statement_uses(knowledge: Knowledge) -> tuple[StatementUse, ...]:
    """Return one entry for each statement.

    A statement is context where a local convention decides, or where its own kind or confidence may not decide.
    """
    places: dict[str, dict[str, bool]] = {}
    for name, place, role in _uses(knowledge):
        cited = places.setdefault(name, {})
        cited[place] = cited.get(place, False) or knowledge.statements[name].may_decide(role)
    return tuple(
        StatementUse(
            name,
            "not used" if name not in places else "decides" if any(places[name].values()) else "context",
            tuple(places.get(name, ())),
            statement.not_used,
        )
        for name, statement in knowledge.statements.items()
    )


def _uses(knowledge: Knowledge) -> Iterator[tuple[str, str, str]]:
    """Yield statement, place that cites it, and the role it has there; the roles `local` and `beside` never decide."""
    for key, criterion in knowledge.criteria.items():
        role = key.split(".")[0]
        place = f"{'option' if role == 'technique' else role} {criterion.id}"
        yield from ((name, place, "local" if criterion.local else role) for name in criterion.statements)
    for modality in knowledge.modalities:
        for indication in modality.indications:
            role = "local" if indication.local else "indication"
            yield from ((name, f"indication {indication.id}", role) for name in indication.statements)
        for technique in modality.techniques:
            yield from ((name, f"option of {modality.id}", "technique") for name in technique.statements)
        beside = (*modality.beside, *modality.support, *modality.about)
        yield from ((name, f"beside {modality.id}", "beside") for name in beside)
    for part, limits in msgspec.to_builtins(knowledge.scores).items():
        role = "local" if limits.get("local") else "calculation"
        yield from ((name, f"calculation {part.replace('_', ' ')}", role) for name in limits.get("statements", ()))
    for stage in knowledge.staging.values():
        yield from ((name, f"stage: {stage.title}", "beside") for name in stage.statements)
    for row in knowledge.outcomes:
        yield from ((name, f"Table {row.table.number}", "beside") for name in row.table.statements)
        yield from ((name, f"Table {row.table.number}, {row.series}", "beside") for name in row.statements)
