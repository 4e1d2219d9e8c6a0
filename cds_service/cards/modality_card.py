"""The frame of a card on one or several modalities: extension, source, links."""

from __future__ import annotations

from collections.abc import Iterable

from cds_service.cards import evidence, wording
from cds_service.cards.card import EXTENSION, Card, Source
from cds_service.cards.outcomes import nearest_outcomes
from cds_service.cards.overview import caution_ids, deciding_statements
from cds_service.cards.techniques import technique_lines
from cds_service.reasoning.assessment import Assessment
from cds_service.reasoning.evaluation import Evaluation


def modality_card(
    evaluation: Evaluation, kind: str, topic: str, summary: str, indicator: str, detail: str, assessments: list[Assessment]
) -> Card:
    """A card on one or several modalities, with what the machine needs to know of them."""
    relied_on = [s for assessment in assessments for s in assessment.statements()]
    if kind == "modality":
        relied_on += [
            s for assessment in assessments for line in technique_lines(evaluation, assessment) for s in line.statements
        ]
        rows = (row for assessment in assessments for row in nearest_outcomes(evaluation, assessment, len(assessments) > 1))
        relied_on += [s for row in rows for s in row.statements]
    statements = list(dict.fromkeys(relied_on))
    decided = list(dict.fromkeys(s for assessment in assessments for s in deciding_statements(assessment)))
    content: dict[str, object] = {"kind": kind, "knowledge": evaluation.knowledge.digest}
    content |= modality_fields(assessment.modality.id for assessment in assessments)
    if len(assessments) == 1:
        content |= {"verdict": assessments[0].verdict.value}
    lists = {
        "decided_by": list(dict.fromkeys(name for assessment in assessments for name in assessment.decision.decided_by)),
        "cautions": caution_ids(assessments),
        "statements": statements,
    }
    content |= {key: found for key, found in lists.items() if found}
    shown_by = evidence.primary_source(evaluation.knowledge, decided or statements or ["S063"], topic, summary[:100])
    return card_with_citations(evaluation, summary, indicator, shown_by, detail, content, statements)


def modality_fields(names: Iterable[str]) -> dict[str, object]:
    """Which modalities a card is on, for the machine: `modality` where it is one, `modalities` where they are several
    (CLINICAL section 9)."""
    found = list(dict.fromkeys(names))
    if len(found) == 1:
        return {"modality": found[0]}
    return {"modalities": found} if found else {}


def card_with_citations(
    evaluation: Evaluation,
    summary: str,
    indicator: str,
    source: Source,
    detail: str,
    content: dict[str, object],
    statements: list[str],
) -> Card:
    """A card that rests on statements: each publication of theirs is a link, or is named in words."""
    in_words = evidence.unlinked_labels(evaluation.knowledge, statements)
    if in_words:
        detail += "\n\n**Cited without a link:** " + "; ".join(in_words)
    return Card(
        summary=summary,
        indicator=indicator,
        source=source,
        detail=f"{detail}\n\n{wording.TONE}",
        extension={EXTENSION: content},
        links=evidence.publication_links(evaluation.knowledge, statements),
    )
