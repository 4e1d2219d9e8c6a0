"""Ways of doing a modality, and options in it, as lines of its card: none of them is part of a verdict."""

from __future__ import annotations

from cds_service.cards import wording
from cds_service.cards.overview import open_facts
from cds_service.cards.technique_findings import ways
from cds_service.reasoning.assessment import Assessed
from cds_service.reasoning.evaluation import Board


def techniques(board: Board, modality: Assessed) -> dict[str, list[str]]:
    """Those whose conditions are met or that are ordered, as line → statements. What would stop one and was not looked
    at is named with it: nothing said would read as nothing found."""
    knowledge = board.knowledge
    lines: dict[str, list[str]] = {}
    for way in ways(board.facts, modality, board.picture.ordered):
        technique, stops, burdens = way.technique, way.stops, way.burdens
        parts = [f"{technique.says}{wording.ordered(way.order)} [{wording.cited(knowledge, technique.statements)}]"]
        if stops:
            parts.append("stopped by " + wording.finding_lines(knowledge, stops))
        if burdens:
            parts.append("caution: " + wording.finding_lines(knowledge, burdens))
        if names := open_facts(board, way.not_checked):
            parts.append("not checked: " + ", ".join(wording.open_fact(knowledge, name, board.facts[name]) for name in names))
        if technique.also:
            parts.append(technique.also)
        cited = [s for finding in (*stops, *burdens) for s in finding.criterion.statements]
        lines["; ".join(parts)] = [*technique.statements, *cited]
    return lines
