"""Ordered techniques, and their stops if neither a contraindication card nor a block shows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cds_service.cards.fact_words import criterion_sources, say_finding
from cds_service.cards.technique_findings import TechniqueFindings, judge_technique, order_for
from cds_service.cards.text import Cut, Line, Paragraph, Phrase
from cds_service.cards.treatments import Treatment
from cds_service.knowledge.modality import Verdict
from cds_service.reasoning.evaluation import Evaluation


def ordered_options(evaluation: Evaluation) -> Iterator[TechniqueFindings]:
    """Yield the ordered techniques, whatever the verdict of the modality is and whether their indication is met."""
    for assessment in evaluation.assessments.values():
        for technique in assessment.modality.techniques:
            if order_for(technique, evaluation.picture.orders) is not None:
                option = judge_technique(evaluation.facts, technique, evaluation.picture.orders)
                if option is not None:
                    yield option


def stopped_orders_line(evaluation: Evaluation, treatments: Sequence[Treatment]) -> Paragraph | None:
    """Return the ordered techniques that are stopped without being contraindicated, or None. Every stop of an ordered technique
    has to be shown (docs/cards.md, "Limits", 8)."""
    shown = [option.technique for treatment in treatments
            if (treatment.on_face if treatment.line is None else treatment.verdict is Verdict.CONTRAINDICATED)
            for option in treatment.options]  # fmt: skip
    phrases: list[Phrase] = []
    for option in ordered_options(evaluation):
        against = [finding.criterion for finding in option.stops]
        hard = any(criterion.id in option.technique.critical for criterion in against)  # it has a contraindication card
        if against and not hard and option.technique not in shown:
            said = ", ".join(say_finding(evaluation.knowledge, finding) for finding in option.stops)
            sources = tuple(
                dict.fromkeys(s for criterion in against for s in criterion_sources(evaluation.knowledge, criterion))
            )
            phrases.append(Phrase(f"{option.technique.short}: {said}", sources[:2], unsourced=Cut.WORDING))
    return Paragraph((Line(tuple(phrases), "Ordered, and stopped by:", listed=True, keep_whole=True),)) if phrases else None
