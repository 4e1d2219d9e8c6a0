"""What of a chart was not used, and why."""

from __future__ import annotations

from dataclasses import dataclass

from cds_service.cards import wording
from cds_service.clinical_picture import Observed
from cds_service.knowledge.model import FactDefinition
from cds_service.pages.evaluate import Evaluation
from cds_service.pages.submission import Given
from cds_service.reasoning.current_facts import stale_or_conflicting
from cds_service.reasons import DECIDED_CONFLICTS

MOST = 4
"""Older readings named for each fact."""


@dataclass(frozen=True, slots=True)
class Ignored:
    title: str
    why: str
    lines: tuple[str, ...]


def ignored(given: Given, evaluation: Evaluation) -> list[Ignored]:
    picture, board = evaluation.picture, evaluation.board
    groups = [
        Ignored(
            "Left out",
            "Resources that do not count: another patient's, cancelled, not final, refuted.",
            tuple(f"{wording.safe(why)}: {count}" for why, count in sorted(wording.left_out(picture.left_out).items())),
        ),
        Ignored(
            "Could not be read",
            "The fact they speak of is unknown until a newer value is there.",
            tuple(f"{wording.safe(item.seen_in)}: {wording.safe_explanation(item.why)}" for item in picture.unreadable),
        ),
        Ignored(
            "Not answered completely",
            "Prefetch keys that did not arrive whole: what they would hold is unknown.",
            tuple(wording.safe(wording.key_not_consulted(part)) for part in picture.not_consulted),
        ),
    ]
    if board:
        unusable = [wording.fact_line(board.knowledge, d.id, fact) for d, fact in stale_or_conflicting(board.facts)]
        decided = [
            wording.fact_line(board.knowledge, name, fact)
            for name, fact in board.facts.leaves.items()
            if fact.known and fact.note_reason in DECIDED_CONFLICTS
        ]
        older = [
            _superseded(board.knowledge.facts[name], rest)
            for name, fact in board.facts.leaves.items()
            if fact.known and (rest := [reading for reading in fact.history if reading not in fact.seen])
        ]
        invalid = [f"{wording.safe(item.seen_in)}: {wording.safe_explanation(item.why)}" for item in board.invalid]
        groups += [
            Ignored(
                "Used, though not valid FHIR R4",
                "What was read of them is sound; their sender may want to know.",
                tuple(invalid),
            ),
            Ignored("Out of date, conflicting or undated", "There, but not usable today.", tuple(unusable)),
            Ignored("Conflicts that were decided", "Two values of one date: the worse counts.", tuple(decided)),
            Ignored(
                "Superseded",
                "Another reading of the same fact counts: a newer or, where the rule book says so, a higher one.",
                tuple(older),
            ),
        ]
    groups.append(
        Ignored(
            "Not asked for",
            "Types of resource in the chart that no prefetch key of the service asks for.",
            tuple(f"{wording.safe(kind)}: {count}" for kind, count in given.not_asked),
        )
    )
    return [group for group in groups if group.lines]


def _superseded(definition: FactDefinition, readings: list[Observed]) -> str:
    named = "; ".join(wording.reading(definition, reading) for reading in readings[:MOST])
    more = f"; and {len(readings) - MOST} more" if len(readings) > MOST else ""
    return f"{definition.says}: {named}{more}"


def gate_lines(evaluation: Evaluation) -> list[str]:
    """What the chart says of the disease itself, where that is not certain."""
    return [
        f"{wording.safe(seen.recorded) or 'recorded'} ({seen.on or 'undated'}, {wording.safe(seen.seen_in)})"
        for seen in evaluation.picture.gate.seen
    ]
