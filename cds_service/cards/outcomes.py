"""Tables 1 to 3 beside a modality: two or three series, those nearest to this patient by histology and extent."""

from __future__ import annotations

from cds_service.cards import wording
from cds_service.knowledge.evidence import Outcome
from cds_service.reasoning.assessment import Assessment
from cds_service.reasoning.evaluation import Evaluation
from cds_service.reasoning.staging import UNKNOWN_STAGE

MAX_ROWS_ALONE, MAX_ROWS_FOLDED = 3, 2
"""Rows on a card of one modality, and for each modality where several share a card. The last is the largest series,
whose patients may be less like this one: small series alone would flatter."""


def nearest_outcomes(evaluation: Evaluation, assessment: Assessment, folded: bool) -> list[Outcome]:
    """None of a series whose patients all differed from this one; those that say something of such a patient first, the
    larger before the smaller. A row that the card shows as a statement already is not shown twice."""
    shown = set(assessment.modality.beside) | (set() if folded else set(assessment.modality.support))
    rows = [
        row
        for row in evaluation.knowledge.outcomes
        if assessment.modality.id in row.modalities
        and not set(row.statements) <= shown
        and not any(_answer(evaluation, name) not in {*values, ""} for name, values in row.all.items())
    ]

    def nearness(row: Outcome) -> tuple[int, int]:
        alike = sum(_answer(evaluation, name) in values for told in (row.all, row.tells_of) for name, values in told.items())
        return -alike, -row.n

    chosen = sorted(rows, key=nearness)[: MAX_ROWS_FOLDED if folded else MAX_ROWS_ALONE]
    largest = max(rows, key=lambda row: row.n, default=None)
    return chosen if largest is None or largest in chosen else [*chosen[:-1], largest]


def _answer(evaluation: Evaluation, name: str) -> str:
    """What this patient's chart says of a part of the stage or a fact; empty where it is not known."""
    if name in evaluation.stage:
        value = evaluation.stage[name].value
        return "" if value == UNKNOWN_STAGE else value
    fact = evaluation.facts[name]
    return str(fact.value) if fact.known else ""


def outcome_line(evaluation: Evaluation, row: Outcome) -> str:
    told = [row.survival, row.course, f"symptoms improved: {row.symptoms}" if row.symptoms else ""]
    return (
        f"{row.series}, n = {row.n}, {row.groups or row.treated}, {row.table.design}: "
        f"{'; '.join(part for part in told if part)} [{wording.format_citations(evaluation.knowledge, row.statements)}]"
    )
