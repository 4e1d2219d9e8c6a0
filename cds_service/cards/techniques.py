"""Ways of doing a modality, and options in it, as lines of its card: none of them is part of a verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cds_service.assessment import Assessed
from cds_service.cards import wording
from cds_service.cards.board import Board
from cds_service.facts import Facts
from cds_service.judgement import Finding, judge
from cds_service.knowledge.model import Technique


@dataclass(frozen=True, slots=True)
class Way:
    """A technique whose conditions are met, what stops it on this chart and what burdens it."""

    technique: Technique
    stops: tuple[Finding, ...]
    burdens: tuple[Finding, ...]


def ways(facts: Facts, modality: Assessed) -> Iterator[Way]:
    for technique in modality.modality.techniques:
        if technique.only_for and not technique.only_for & set(modality.opinion.decided_by):
            continue
        if not all(judge(criterion, facts).met for criterion in technique.when):
            continue
        stops = tuple(finding for c in technique.stopped_by if (finding := judge(c, facts)).met)
        burdens = tuple(finding for c in technique.cautions if (finding := judge(c, facts)).met)
        yield Way(technique, stops, burdens)


def techniques(board: Board, modality: Assessed) -> dict[str, list[str]]:
    """Those whose conditions are met, as line → statements."""
    knowledge = board.knowledge
    lines: dict[str, list[str]] = {}
    for way in ways(board.facts, modality):
        technique, stops, burdens = way.technique, way.stops, way.burdens
        parts = [f"{technique.says} [{wording.cited(knowledge, technique.statements)}]"]
        if stops:
            parts.append("stopped by " + "; ".join(wording.finding_line(knowledge, finding) for finding in stops))
        if burdens:
            parts.append("caution: " + "; ".join(wording.finding_line(knowledge, finding) for finding in burdens))
        if technique.also:
            parts.append(technique.also)
        cited = [s for finding in (*stops, *burdens) for s in finding.criterion.statements]
        lines["; ".join(parts)] = [*technique.statements, *cited]
    return lines
