"""What is missing to know, and data that could not be used (CLINICAL section 7.5 and 7.6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date

from cds_service.cards import evidence, wording
from cds_service.cards.card import EXTENSION, Card
from cds_service.cards.modality_card import modality_fields
from cds_service.cards.suggestions import draft_orders
from cds_service.clinical_picture import Unreadable
from cds_service.knowledge.model import Verdict
from cds_service.knowledge.vocabulary import Supplier
from cds_service.reasoning.current_facts import denied_diagnoses, unusable_facts
from cds_service.reasoning.evaluation import Evaluation
from cds_service.reasons import Reason

TITLE_BY_SUPPLIER = {
    Supplier.LABORATORY: "Laboratory",
    Supplier.IMAGING: "Imaging",
    Supplier.PATHOLOGY: "Pathology",
    Supplier.BOARD: "For the board to judge",
}


def missing_facts(evaluation: Evaluation) -> list[str]:
    """Deciding facts, those first that decide most modalities, then in the order of the knowledge."""
    counts = Counter(name for assessment in evaluation.assessments.values() for name in assessment.missing)
    place = {name: number for number, name in enumerate(evaluation.knowledge.missing_order)}
    return sorted(counts, key=lambda name: (-counts[name], place.get(name, len(place)), name))


def _missing_lines(evaluation: Evaluation) -> list[str]:
    missing, knowledge = missing_facts(evaluation), evaluation.knowledge
    lines = []
    for ask, title in TITLE_BY_SUPPLIER.items():
        names = [name for name in missing if knowledge.facts[name].ask is ask]
        if names:
            said = [wording.open_fact_line(knowledge, name, evaluation.facts[name]) for name in names]
            lines.append(f"{title}: {'; '.join(said)}")
    return lines


def missing_section(evaluation: Evaluation) -> str:
    """On a chart that says almost nothing the board's five questions, else the facts that decide."""
    questions = [
        says for says, facts in evaluation.knowledge.board_questions if not any(evaluation.facts[name].known for name in facts)
    ]
    if len(questions) == len(evaluation.knowledge.board_questions):
        return "**Questions for the board**\n\n" + wording.bullet_list(questions)
    lines = _missing_lines(evaluation)
    return "**What would decide**\n\n" + wording.bullet_list(lines) if lines else ""


def missing_data_card(evaluation: Evaluation) -> Card | None:
    lines = _missing_lines(evaluation)
    if not lines:
        return None
    open_ones = [assessment for assessment in evaluation.with_verdict(Verdict.UNDETERMINED) if assessment.missing]
    names = [assessment.modality.short.lower() for assessment in open_ones]
    told = wording.join_words(names) if len(names) <= 3 else f"{len(names)} treatments"
    content: dict[str, object] = {
        "kind": "missing-data",
        "knowledge": evaluation.knowledge.digest,
        "missing": missing_facts(evaluation),
    }
    content |= modality_fields(assessment.modality.id for assessment in open_ones)
    suggestions = draft_orders(evaluation, missing_facts(evaluation))
    return Card(
        summary=f"Not documented: what would decide on {told}",
        indicator="info",
        source=evidence.primary_source(evaluation.knowledge, ["S063"], "NlmMissingData", "Missing data"),
        detail=f"{wording.bullet_list(lines)}\n\n{wording.TONE}",
        extension={EXTENSION: content},
        suggestions=suggestions,
        selection_behavior="any" if suggestions else "",
    )


def _quality_lines(evaluation: Evaluation, invalid: Sequence[Unreadable]) -> list[str]:
    """Data that is there but cannot be used, where it could matter: a fact that decides, or one that was in conflict."""
    missing = set(missing_facts(evaluation))
    lines = [
        wording.fact_line(evaluation.knowledge, definition.id, fact)
        for definition, fact in unusable_facts(evaluation.facts)
        if definition.id in missing and not fact.unread
    ]
    lines += _unread_lines(evaluation, missing)
    lines += [
        wording.fact_line(evaluation.knowledge, name, fact)
        for name, fact in evaluation.facts.recorded.items()
        if fact.known and fact.note_reason is Reason.CONFLICT_WORSE_COUNTS
    ]
    lines += [
        f"{wording.fact_line(evaluation.knowledge, definition.id, fact)}; an active diagnosis still says "
        + wording.format_reading(definition, older)
        for definition, fact, older in denied_diagnoses(evaluation.facts)
    ]
    unreadable = evaluation.picture.unreadable
    lines += [wording.unread_resource(item) for item in unreadable[:5]]
    lines += [f"{len(unreadable) - 5} more could not be read"] if len(unreadable) > 5 else []
    if count := evaluation.picture.unread_drugs:
        entries = "1 drug entry" if count == 1 else f"{count} drug entries"
        lines.append(f"{entries} could not be read: neither a known code nor the name of a drug; which drug it is, is unknown")
    lines += [f"not consulted: {wording.key_not_consulted(part)}" for part in evaluation.picture.not_consulted]
    lines += [f"{wording.safe_text(item.seen_in)} decided and is {wording.safe_explanation(item.why)}" for item in invalid]
    return lines


MAX_LISTED_FACTS = 8
"""Facts with unreadable values that are named; more are counted."""


def _unread_lines(evaluation: Evaluation, missing: set[str]) -> list[str]:
    """Values that are there and could not be read, the newest of each fact; those first that would decide. A refused
    unit is always told: nobody mends what nobody sees."""
    facts = [(name, fact) for name, fact in evaluation.facts.recorded.items() if fact.unread and not fact.known]
    facts.sort(key=lambda pair: pair[0] not in missing)
    lines = []
    for name, fact in facts[:MAX_LISTED_FACTS]:
        item = max(fact.unread, key=lambda unread: (unread.on.latest if unread.on else date.min, unread.seen_in))
        where = f"{wording.safe_text(item.seen_in)} ({item.on or 'undated'})"
        unit = f", sent in {wording.safe_text(item.unit)}" if item.unit else ""
        more = f"; {len(fact.unread) - 1} more" if len(fact.unread) > 1 else ""
        text = f"{evaluation.knowledge.facts[name].says}: {where} could not be read: {wording.safe_explanation(item.why)}"
        lines.append(f"{text}{unit}{more}")
    return lines + (
        [f"{len(facts) - MAX_LISTED_FACTS} more facts with values that could not be read"]
        if len(facts) > MAX_LISTED_FACTS
        else []
    )


def quality_section(evaluation: Evaluation, invalid: Sequence[Unreadable]) -> str:
    lines = _quality_lines(evaluation, invalid)
    return "**Data that could not be used**\n\n" + wording.bullet_list(lines) if lines else ""


def data_quality_card(evaluation: Evaluation, invalid: Sequence[Unreadable]) -> Card | None:
    lines = _quality_lines(evaluation, invalid)
    if not lines:
        return None
    return Card(
        summary="Some data could not be used: out of date, conflicting or unreadable",
        indicator="info",
        source=evidence.primary_source(evaluation.knowledge, ["S063"], "NlmDataQuality", "Data quality"),
        detail=f"{wording.bullet_list(lines)}\n\n{wording.TONE}",
        extension={EXTENSION: {"kind": "data-quality", "knowledge": evaluation.knowledge.digest}},
    )
