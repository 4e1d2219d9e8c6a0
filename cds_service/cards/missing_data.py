"""What is missing to know, and data that could not be used (CLINICAL section 7.5 and 7.6)."""

from __future__ import annotations

from collections import Counter
from datetime import date

from cds_service.cards import evidence, wording
from cds_service.cards.card import EXTENSION, Card
from cds_service.cards.modality_card import about
from cds_service.cards.suggestions import draft_orders
from cds_service.knowledge.model import Verdict
from cds_service.knowledge.vocabulary import Supplier
from cds_service.reasoning.current_facts import denied_diagnoses, stale_or_conflicting
from cds_service.reasoning.evaluation import Board
from cds_service.reasons import Reason

ASKED = {
    Supplier.LABORATORY: "Laboratory",
    Supplier.IMAGING: "Imaging",
    Supplier.PATHOLOGY: "Pathology",
    Supplier.BOARD: "For the board to judge",
}


def missing_facts(board: Board) -> list[str]:
    """Deciding facts, those first that decide most modalities, then in the order of the knowledge."""
    counts = Counter(name for modality in board.assessed.values() for name in modality.missing)
    place = {name: number for number, name in enumerate(board.knowledge.missing_order)}
    return sorted(counts, key=lambda name: (-counts[name], place.get(name, len(place)), name))


def _missing_lines(board: Board) -> list[str]:
    missing, knowledge = missing_facts(board), board.knowledge
    lines = []
    for ask, title in ASKED.items():
        names = [name for name in missing if knowledge.facts[name].ask is ask]
        if names:
            said = [wording.open_fact(knowledge, name, board.facts[name]) for name in names]
            lines.append(f"{title}: {'; '.join(said)}")
    return lines


def missing_section(board: Board) -> str:
    """On a chart that says almost nothing the board's five questions, else the facts that decide."""
    questions = [says for says, facts in board.knowledge.board_questions if not any(board.facts[name].known for name in facts)]
    if len(questions) == len(board.knowledge.board_questions):
        return "**Questions for the board**\n\n" + wording.bullets(questions)
    lines = _missing_lines(board)
    return "**What would decide**\n\n" + wording.bullets(lines) if lines else ""


def missing(board: Board) -> Card | None:
    lines = _missing_lines(board)
    if not lines:
        return None
    open_ones = [modality for modality in board.with_verdict(Verdict.UNDETERMINED) if modality.missing]
    names = [modality.modality.short.lower() for modality in open_ones]
    told = wording.listing(names) if len(names) <= 3 else f"{len(names)} treatments"
    content: dict[str, object] = {"kind": "missing-data", "knowledge": board.knowledge.digest, "missing": missing_facts(board)}
    content |= about(modality.modality.id for modality in open_ones)
    suggestions = draft_orders(board, missing_facts(board))
    return Card(
        summary=f"Not documented: what would decide on {told}",
        indicator="info",
        source=evidence.source(board.knowledge, ["S063"], "NlmMissingData", "Missing data"),
        detail=f"{wording.bullets(lines)}\n\n{wording.TONE}",
        extension={EXTENSION: content},
        suggestions=suggestions,
        selection_behavior="any" if suggestions else "",
    )


def _quality_lines(board: Board) -> list[str]:
    """Data that is there but cannot be used, where it could matter: a fact that decides, or one that was in conflict."""
    missing = set(missing_facts(board))
    lines = [
        wording.fact_line(board.knowledge, definition.id, fact)
        for definition, fact in stale_or_conflicting(board.facts)
        if definition.id in missing and not fact.unread
    ]
    lines += _unread_lines(board, missing)
    lines += [
        wording.fact_line(board.knowledge, name, fact)
        for name, fact in board.facts.leaves.items()
        if fact.known and fact.note_reason is Reason.CONFLICT_WORSE_COUNTS
    ]
    lines += [
        f"{wording.fact_line(board.knowledge, definition.id, fact)}; an active diagnosis still says "
        + wording.reading(definition, older)
        for definition, fact, older in denied_diagnoses(board.facts)
    ]
    unreadable = board.picture.unreadable
    lines += [wording.unread_resource(item) for item in unreadable[:5]]
    lines += [f"{len(unreadable) - 5} more could not be read"] if len(unreadable) > 5 else []
    if count := board.picture.nameless_drugs:
        entries = "1 drug entry" if count == 1 else f"{count} drug entries"
        lines.append(f"{entries} could not be read: neither a known code nor a name, so no drug counts as absent")
    lines += [f"not consulted: {wording.key_not_consulted(part)}" for part in board.picture.not_consulted]
    lines += [f"{wording.safe(item.seen_in)} decided and is {wording.safe_explanation(item.why)}" for item in board.invalid]
    return lines


MOST = 8
"""Facts with unreadable values that are named; more are counted."""


def _unread_lines(board: Board, missing: set[str]) -> list[str]:
    """Values that are there and could not be read, the newest of each fact; those first that would decide. A refused
    unit is always told: nobody mends what nobody sees."""
    facts = [(name, fact) for name, fact in board.facts.leaves.items() if fact.unread and not fact.known]
    facts.sort(key=lambda pair: pair[0] not in missing)
    lines = []
    for name, fact in facts[:MOST]:
        item = max(fact.unread, key=lambda unread: (unread.on.latest if unread.on else date.min, unread.seen_in))
        where = f"{wording.safe(item.seen_in)} ({item.on or 'undated'})"
        unit = f", sent in {wording.safe(item.unit)}" if item.unit else ""
        more = f"; {len(fact.unread) - 1} more" if len(fact.unread) > 1 else ""
        lines.append(
            f"{board.knowledge.facts[name].says}: {where} could not be read: {wording.safe_explanation(item.why)}{unit}{more}"
        )
    return lines + ([f"{len(facts) - MOST} more facts with values that could not be read"] if len(facts) > MOST else [])


def quality_section(board: Board) -> str:
    lines = _quality_lines(board)
    return "**Data that could not be used**\n\n" + wording.bullets(lines) if lines else ""


def data_quality(board: Board) -> Card | None:
    lines = _quality_lines(board)
    if not lines:
        return None
    return Card(
        summary="Some data could not be used: out of date, conflicting or unreadable",
        indicator="info",
        source=evidence.source(board.knowledge, ["S063"], "NlmDataQuality", "Data quality"),
        detail=f"{wording.bullets(lines)}\n\n{wording.TONE}",
        extension={EXTENSION: {"kind": "data-quality", "knowledge": board.knowledge.digest}},
    )
