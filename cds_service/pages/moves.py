"""Compares two evaluations: which verdicts and which parts of the stage the supposed values change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cds_service.cards import wording
from cds_service.knowledge.modality import RANK
from cds_service.reasoning.evaluation import Evaluation


@dataclass(frozen=True, slots=True)
class VerdictMove:
    """A verdict or a part of the stage that the supposed values change. `direction`: "up", "down" or ""."""

    name: str
    edition: str
    before: str
    after: str
    direction: str = ""


def verdict_moves(before: Evaluation, after: Evaluation) -> list[VerdictMove]:
    """Return the changed verdicts, with later evidence and by 2010 alone."""
    found = []
    for name, was in before.assessments.items():
        now = after.assessments[name]
        for edition, old, new in (
            ("with later evidence", was.verdict, now.verdict),
            ("by 2010 alone", was.by_2010.verdict, now.by_2010.verdict),
        ):
            if old is not new:
                rise = RANK[new] - RANK[old]
                direction = "up" if rise > 0 else "down" if rise < 0 else ""
                found.append(
                    VerdictMove(was.modality.short, edition, wording.VERDICT_WORDS[old], wording.VERDICT_WORDS[new], direction)
                )
    return found


def stage_moves(before: Evaluation, after: Evaluation) -> list[VerdictMove]:
    """Return the changed parts of the stage."""
    knowledge = before.knowledge
    return [
        VerdictMove(
            knowledge.staging[name].title,
            "",
            option_label(knowledge.words, part.value),
            option_label(knowledge.words, after.stage[name].value),
        )
        for name, part in before.stage.items()
        if part.value != after.stage[name].value
    ]


def option_label(words: Mapping[str, str], value: str) -> str:
    """Return the words for an option, or the option itself if it has none."""
    return words.get(value, value)
