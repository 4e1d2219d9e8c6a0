"""Ways of doing a modality, and options in it, as lines of its card: none of them is part of a verdict."""

from __future__ import annotations

from cds_service.assessment import Assessed
from cds_service.cards import wording
from cds_service.cards.board import Board
from cds_service.judgement import judge


def techniques(board: Board, modality: Assessed) -> dict[str, list[str]]:
    """Those whose conditions are met, as line → statements: what stops them on this chart, what burdens them."""
    knowledge = board.knowledge
    lines: dict[str, list[str]] = {}
    for technique in modality.modality.techniques:
        if technique.only_for and not technique.only_for & set(modality.opinion.decided_by):
            continue
        if not all(judge(criterion, board.facts).met for criterion in technique.when):
            continue
        stops = [finding for c in technique.stopped_by if (finding := judge(c, board.facts)).met]
        burdens = [finding for c in technique.cautions if (finding := judge(c, board.facts)).met]
        parts = [f"{technique.says} [{', '.join(technique.statements)}]"]
        if stops:
            parts.append("stopped by " + "; ".join(wording.finding_line(knowledge, finding) for finding in stops))
        if burdens:
            parts.append("caution: " + "; ".join(wording.finding_line(knowledge, finding) for finding in burdens))
        if technique.also:
            parts.append(technique.also)
        cited = [s for finding in (*stops, *burdens) for s in finding.criterion.statements]
        lines["; ".join(parts)] = [*technique.statements, *cited]
    return lines
