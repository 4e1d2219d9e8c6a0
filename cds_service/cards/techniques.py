"""Ways of doing a modality, and options in it, as lines of its card: none of them is part of a verdict."""

from __future__ import annotations

from cds_service.cards import wording
from cds_service.cards.overview import unchecked_facts
from cds_service.cards.technique_findings import evaluate_techniques
from cds_service.reasoning.assessment import Assessment
from cds_service.reasoning.evaluation import Evaluation


def technique_lines(evaluation: Evaluation, assessment: Assessment) -> dict[str, list[str]]:
    """Those whose conditions are met or that are ordered, as line → statements. What would stop one and was not looked
    at is named with it: nothing said would read as nothing found."""
    knowledge = evaluation.knowledge
    lines: dict[str, list[str]] = {}
    for option in evaluate_techniques(evaluation.facts, assessment, evaluation.picture.orders):
        technique, stops, burdens = option.technique, option.stops, option.cautions
        parts = [
            f"{technique.says}{wording.order_suffix(option.order)} "
            f"[{wording.format_citations(knowledge, technique.statements)}]"
        ]
        if stops:
            parts.append("stopped by " + wording.finding_lines(knowledge, stops))
        if burdens:
            parts.append("caution: " + wording.finding_lines(knowledge, burdens))
        if names := unchecked_facts(evaluation, option.not_checked):
            parts.append(
                "not checked: " + ", ".join(wording.open_fact_line(knowledge, name, evaluation.facts[name]) for name in names)
            )
        if technique.also:
            parts.append(technique.also)
        cited = [s for finding in (*stops, *burdens) for s in finding.criterion.statements]
        lines["; ".join(parts)] = [*technique.statements, *cited]
    return lines
