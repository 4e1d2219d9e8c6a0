"""Cards for the orders that are being written: one for the orders of each treatment that has something to say (docs/cards.md,
"Order cards")."""

from __future__ import annotations

from collections.abc import Sequence

from cds_service.cards.card import Card, Suggestion
from cds_service.cards.compose import (
    MAX_CHARS_WITH_ORDER,
    PlannedCard,
    findings_provenance,
    modality_fields,
    write_card,
)
from cds_service.cards.draft import squeeze_all
from cds_service.cards.order_lines import missing_facts, order_draft, unchecked_stops
from cds_service.cards.suggestions import answering_tests, board_referrals, offers, with_suggestions, withdrawals
from cds_service.knowledge.modality import Verdict
from cds_service.knowledge.orders import JudgedBy
from cds_service.reasoning.evaluation import Evaluation
from cds_service.reasoning.judgement import Finding
from cds_service.reasoning.order_judgement import OrderJudgement, Severity, judge_orders

LOUDNESS = list(Severity)
"""Severities, the loudest first."""


def compose_order_cards(evaluation: Evaluation) -> list[Card]:
    """Return the cards for the drafts of a patient with neuroendocrine liver metastases, the loudest first; none if there is
    nothing to say. Orders of one treatment share a card."""
    groups: dict[str, list[OrderJudgement]] = {}
    for judgement in judge_orders(evaluation):
        if speaks(evaluation, judgement):
            groups.setdefault(judgement.kind.modalities[0], []).append(judgement)
    ordered = sorted((sorted(group, key=_loudness) for group in groups.values()), key=lambda group: _loudness(group[0]))
    planned = [_plan(evaluation, group) for group in ordered]
    squeezes = squeeze_all([part.draft for part in planned], MAX_CHARS_WITH_ORDER)
    cards = [write_card(evaluation, part, squeeze) for part, squeeze in zip(planned, squeezes, strict=True)]
    offered: set[str] = set()
    return [
        with_suggestions(card, suggestions_of(evaluation, group, offered)) for card, group in zip(cards, ordered, strict=True)
    ]


def _loudness(judgement: OrderJudgement) -> int:
    return LOUDNESS.index(judgement.severity)


def speaks(evaluation: Evaluation, judgement: OrderJudgement) -> bool:
    """Return whether there is something to say about an order: something against it, a caution, a stop of which too little is
    known, or that it is not indicated or open. What is given already is not questioned."""
    if judgement.against or judgement.cautions or unchecked_stops(evaluation, judgement):
        return True
    given = judgement.kind.given and evaluation.facts[judgement.kind.given].equals(True)
    return judgement.verdict in {Verdict.NOT_INDICATED, Verdict.UNDETERMINED} and not given


def _plan(evaluation: Evaluation, group: Sequence[OrderJudgement]) -> PlannedCard:
    against = [finding for judgement in group for finding in judgement.against]
    findings: list[Finding] = [f for j in group for f in (*j.against, *j.decided, *j.cautions)]
    statements = list(dict.fromkeys(name for finding in findings for name in finding.criterion.statements))
    content: dict[str, object] = modality_fields(judgement.assessment.modality.id for judgement in group)
    if len({judgement.verdict for judgement in group}) == 1:
        content["verdict"] = group[0].verdict.value
    lists = {
        "decided_by": list(dict.fromkeys(name for judgement in group for name in decided_by(judgement))),
        "cautions": list(dict.fromkeys(f.criterion.id for judgement in group for f in judgement.cautions)),
        "statements": statements,
        "missing": list(dict.fromkeys(name for judgement in group for name in missing_facts(evaluation, judgement))),
    }
    content |= {key: value for key, value in lists.items() if value}
    content |= findings_provenance(evaluation, findings)
    loud = against or findings
    decided = list(dict.fromkeys(name for finding in loud for name in finding.criterion.statements))

    return PlannedCard("order", order_draft(evaluation, group), group[0].severity.value, "NlmOrder", content, decided)


def decided_by(judgement: OrderJudgement) -> list[str]:
    """Return the ids of what decided: contraindications and stops, else exclusions, conditions and indications."""
    if judgement.against:
        return [finding.criterion.id for finding in judgement.against]
    if judgement.kind.judged_by is JudgedBy.MODALITY:
        return list(judgement.assessment.decision.decided_by)
    met = [found.indication.id for found in judgement.indications if found.met]
    conditions = [finding.criterion.id for finding in judgement.decided]
    opened = [finding.criterion.id for finding in judgement.open] if judgement.kind.judged_by is JudgedBy.CONDITIONS else []
    return conditions or met or opened or [found.indication.id for found in judgement.unmet]


def suggestions_of(evaluation: Evaluation, group: Sequence[OrderJudgement], offered: set[str]) -> list[Suggestion]:
    """Return what a card of orders offers: to withdraw a contraindicated order, what would decide, and the tumour board.
    `offered`: the codes of tests that louder cards offer; those of this card are added."""
    stopped = [judgement for judgement in group if judgement.verdict is Verdict.CONTRAINDICATED]
    wanted = [name for j in group for name in (*missing_facts(evaluation, j), *unchecked_stops(evaluation, j))]
    tests = answering_tests(evaluation.knowledge, wanted, [finding for judgement in group for finding in judgement.cautions])
    undecided = [j for j in group if j.verdict in {Verdict.NOT_INDICATED, Verdict.UNDETERMINED} and not j.safety_open]
    tests += board_referrals(evaluation.knowledge) if stopped or undecided else []
    new = [test for test in tests if test.code not in offered]
    offered.update(test.code for test in new)
    return [*(suggestion for judgement in stopped for suggestion in withdrawals(judgement)), *offers(evaluation, new)]
