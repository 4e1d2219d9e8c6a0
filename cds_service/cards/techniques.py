"""Ways of doing a modality, and options in it, as lines of its card: none of them is part of a verdict."""

from __future__ import annotations

from typing import NamedTuple

from cds_service.cards import wording
from cds_service.cards.overview import unchecked_facts
from cds_service.cards.technique_findings import evaluate_techniques
from cds_service.reasoning.assessment import Assessment
from cds_service.reasoning.evaluation import Evaluation


class TechniqueLine(NamedTuple):
    text: str
    statements: tuple[str, ...]


def technique_lines(evaluation: Evaluation, assessment: Assessment) -> list[TechniqueLine]:
    """Those whose conditions are met or that are ordered. What would stop one and was not looked at is named with it: nothing
    said would read as nothing found."""
    knowledge = evaluation.knowledge
    lines: list[TechniqueLine] = []
    for option in evaluate_techniques(evaluation.facts, assessment, evaluation.picture.orders):
        technique, stops, cautions = option.technique, option.stops, option.cautions
        parts = [
            f"{technique.says}{wording.order_suffix(option.order)} "
            f"[{wording.format_citations(knowledge, technique.statements)}]"
        ]
        if stops:
            parts.append("stopped by " + wording.finding_lines(knowledge, stops))
        if cautions:
            parts.append("caution: " + wording.finding_lines(knowledge, cautions))
        if names := unchecked_facts(evaluation, option.not_checked):
            parts.append(
                "not checked: " + ", ".join(wording.open_fact_line(knowledge, name, evaluation.facts[name]) for name in names)
            )
        if technique.also:
            parts.append(technique.also)
        cited = [s for finding in (*stops, *cautions) for s in finding.criterion.statements]
        lines.append(TechniqueLine("; ".join(parts), (*technique.statements, *cited)))
    return lines
