"""The frame of a card on one or several modalities: extension, source, links."""

from __future__ import annotations

from collections.abc import Iterable

from cds_service.cards import evidence, wording
from cds_service.cards.card import EXTENSION, Card, Source
from cds_service.cards.outcomes import nearest
from cds_service.cards.overview import caution_ids, deciding
from cds_service.cards.techniques import techniques
from cds_service.reasoning.assessment import Assessed
from cds_service.reasoning.evaluation import Board


def card_on(board: Board, kind: str, topic: str, summary: str, indicator: str, detail: str, modalities: list[Assessed]) -> Card:
    """A card on one or several modalities, with what the machine needs to know of them."""
    relied_on = [s for modality in modalities for s in modality.statements()]
    if kind == "modality":
        relied_on += [s for modality in modalities for behind in techniques(board, modality).values() for s in behind]
        rows = (row for modality in modalities for row in nearest(board, modality, len(modalities) > 1))
        relied_on += [s for row in rows for s in row.statements]
    statements = list(dict.fromkeys(relied_on))
    decided = list(dict.fromkeys(s for modality in modalities for s in deciding(modality)))
    content: dict[str, object] = {"kind": kind, "knowledge": board.knowledge.digest}
    content |= about(modality.modality.id for modality in modalities)
    if len(modalities) == 1:
        content |= {"verdict": modalities[0].verdict.value}
    lists = {
        "decided_by": list(dict.fromkeys(name for modality in modalities for name in modality.opinion.decided_by)),
        "cautions": caution_ids(modalities),
        "statements": statements,
    }
    content |= {key: found for key, found in lists.items() if found}
    shown_by = evidence.source(board.knowledge, decided or statements or ["S063"], topic, summary[:100])
    return cited(board, summary, indicator, shown_by, detail, content, statements)


def about(names: Iterable[str]) -> dict[str, object]:
    """Which modalities a card is on, for the machine: `modality` where it is one, `modalities` where they are several
    (CLINICAL section 9)."""
    found = list(dict.fromkeys(names))
    if len(found) == 1:
        return {"modality": found[0]}
    return {"modalities": found} if found else {}


def cited(
    board: Board, summary: str, indicator: str, source: Source, detail: str, content: dict[str, object], statements: list[str]
) -> Card:
    """A card that rests on statements: each publication of theirs is a link, or is named in words."""
    in_words = evidence.unlinked(board.knowledge, statements)
    if in_words:
        detail += "\n\n**Cited without a link:** " + "; ".join(in_words)
    return Card(
        summary=summary,
        indicator=indicator,
        source=source,
        detail=f"{detail}\n\n{wording.TONE}",
        extension={EXTENSION: content},
        links=evidence.links(board.knowledge, statements),
    )
