"""Where each statement is used: to decide, as context, or not at all and why. The sum is every statement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from cds_service.knowledge.model import Knowledge

DECIDING_ROLES = frozenset({"gate", "contraindication", "exclusion", "requirement"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger. `standing`: decides | context | not used."""

    statement: str
    standing: str
    places: tuple[str, ...]
    why: str = ""


def ledger(knowledge: Knowledge) -> tuple[Entry, ...]:
    """One entry for each statement. One of a kind that may not decide is context wherever it stands."""
    places: dict[str, dict[str, bool]] = {}
    for name, place, deciding in _uses(knowledge):
        places.setdefault(name, {})[place] = deciding
    return tuple(
        Entry(
            name,
            "not used" if name not in places
            else "decides" if statement.may_decide and any(places[name].values())
            else "context",
            tuple(places.get(name, ())),
            statement.not_used,
        )
        for name, statement in knowledge.statements.items()
    )  # fmt: skip


def _uses(knowledge: Knowledge) -> Iterator[tuple[str, str, bool]]:
    """Statement, place that cites it, whether a verdict can turn on that place."""
    for key, criterion in knowledge.criteria.items():
        role = key.split(".")[0]
        place = f"{'option' if role == 'technique' else role} {criterion.id}"
        yield from ((name, place, role in DECIDING_ROLES) for name in criterion.statements)
    for modality in knowledge.modalities:
        for indication in modality.indications:
            yield from ((name, f"indication {indication.id}", True) for name in indication.statements)
        for technique in modality.techniques:
            yield from ((name, f"option of {modality.id}", False) for name in technique.statements)
        beside = (*modality.beside, *modality.support, *modality.about)
        yield from ((name, f"beside {modality.id}", False) for name in beside)
    for part, limits in msgspec.to_builtins(knowledge.scores).items():
        yield from ((name, f"calculation {part.replace('_', ' ')}", True) for name in limits.get("statements", ()))
    for stage in knowledge.staging.values():
        yield from ((name, f"stage: {stage.title}", False) for name in stage.statements)
    for row in knowledge.outcomes:
        yield from ((name, f"Table {row.table.number}", False) for name in row.table.statements)
        yield from ((name, f"Table {row.table.number}, {row.series}", False) for name in row.statements)
