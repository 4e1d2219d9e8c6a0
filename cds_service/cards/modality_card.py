"""The cards of treatments to discuss: one for surgery and transplantation, one for all others."""

from __future__ import annotations

from collections.abc import Sequence

from cds_service.cards import wording
from cds_service.cards.blocks import treatment_block, verdict_words
from cds_service.cards.draft import Draft, Limits
from cds_service.cards.reasons_for import requirement_phrases
from cds_service.cards.summaries import first_fitting
from cds_service.cards.text import Paragraph
from cds_service.cards.treatments import Treatment, drug_fails, is_current, own_caution_ids
from cds_service.reasoning.evaluation import Evaluation

FULL_BLOCKS = 3
"""The number of treatments with a full block. The others have a short one."""
CHARS_OF_TWO_BLOCKS, CHARS_OF_A_FURTHER_BLOCK = 1200, 400
LINES_OF_TWO_BLOCKS, LINES_OF_A_FURTHER_BLOCK = 14, 5
LOCAL_OR_DRUGS = frozenset({"hepatic-arterial-therapy", "ablation"})


def group_treatments(shown: Sequence[Treatment], places: int) -> list[list[Treatment]]:
    """Return the treatments of each card, at most `places` cards, in the order of the overview. A single long group is split if
    there is a place. With one place left, all treatments share a card."""
    if not shown or places < 1:
        return []
    groups: dict[bool, list[Treatment]] = {}
    for treatment in shown:
        groups.setdefault(treatment.surgical, []).append(treatment)
    found = list(groups.values())
    if len(found) > places:
        return [list(shown)]
    if len(found) == 1 and places > 1 and not found[0][0].surgical and len(found[0]) > 2:
        local = [treatment for treatment in found[0] if treatment.modality.id in LOCAL_OR_DRUGS]
        drugs = [treatment for treatment in found[0] if treatment.modality.id not in LOCAL_OR_DRUGS]
        parts = [part for part in (local, drugs) if part]
        return sorted(parts, key=lambda part: found[0].index(part[0]))
    return found


def modality_draft(
    evaluation: Evaluation, group: Sequence[Treatment], shown: Sequence[Treatment], shown_cautions: frozenset[str]
) -> Draft:
    """Return the draft of a card. `shown_cautions`: ids of cautions that the overview or a safety card shows."""
    paragraphs: list[Paragraph] = []
    for treatment in group:
        before = shown[: shown.index(treatment)]
        cautions = shown_cautions.union(*(own_caution_ids(other) for other in before))
        full = shown.index(treatment) < FULL_BLOCKS
        paragraphs += treatment_block(evaluation, treatment, full, cautions)
    further = max(0, len(group) - 2)
    limits = Limits(
        CHARS_OF_TWO_BLOCKS + CHARS_OF_A_FURTHER_BLOCK * further, LINES_OF_TWO_BLOCKS + LINES_OF_A_FURTHER_BLOCK * further
    )
    return Draft(modality_summary(evaluation, group), paragraphs, limits)


def modality_summary(evaluation: Evaluation, group: Sequence[Treatment]) -> str:
    """Return the longest summary that fits: each treatment with its verdict and the first fact for it."""
    verdicts = [f"{treatment.title}: {verdict_words(evaluation, treatment)}" for treatment in group]
    facts = [next((p.brief or p.text for p in requirement_phrases(evaluation, treatment)), "") for treatment in group]
    full = [
        f"{said} ({fact})" if fact and not treatment.is_lowered else said
        for treatment, said, fact in zip(group, verdicts, facts, strict=True)
    ]
    names = [treatment.title if not place else treatment.name for place, treatment in enumerate(group)]
    counted = [f"{', '.join(names[:n])} and {len(names) - n} more: to discuss" for n in range(len(names) - 1, 0, -1)]
    short = [f"{treatment.title}: {_short_verdict(evaluation, treatment)}" for treatment in group]
    return first_fitting(
        [". ".join(full), ". ".join(verdicts), ". ".join(short), f"{wording.join_words(names)}: to discuss", *counted]
    )


def _short_verdict(evaluation: Evaluation, treatment: Treatment) -> str:
    """Return the verdict in one word: for a drug that is given, "continue" or "adjust"."""
    if treatment.is_nearly_option:
        return "open"
    if treatment.is_option and is_current(evaluation, treatment):
        return "adjust" if drug_fails(evaluation, treatment) else "continue"
    return treatment.verdict.value
