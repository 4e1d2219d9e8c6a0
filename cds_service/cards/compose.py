"""Which cards, in what order, and how many (CLINICAL section 7). A contraindication never moves out of sight."""

from __future__ import annotations

from cds_service.cards import evidence, wording
from cds_service.cards.card import EXTENSION, Card
from cds_service.cards.missing_data import data_quality, missing, missing_section, quality_section
from cds_service.cards.modality_card import card_on
from cds_service.cards.outcomes import line, nearest
from cds_service.cards.overview import editions, overview, reasons, unchecked
from cds_service.cards.techniques import techniques
from cds_service.cards.urgent import contraindications, safety, stopped_order
from cds_service.clinical_picture import ClinicalPicture, Nlm
from cds_service.knowledge.model import Knowledge, Verdict
from cds_service.knowledge.vocabulary import Edition
from cds_service.reasoning.assessment import Assessed
from cds_service.reasoning.evaluation import Board

AT_MOST, WITH_ORDER = 3, 5
"""Cards without and with an active order; the overview is one of them."""
MOST_NAMED = 12
"""Readings that ask whether this is the disease."""


def compose(board: Board) -> list[Card]:
    """The cards of a patient with neuroendocrine liver metastases, most important first, the overview first of all."""
    urgent = [card for card in (stopped_order(board), contraindications(board), safety(board)) if card]
    room = (WITH_ORDER if board.picture.ordered else AT_MOST) - 1 - len(urgent)
    options = [_option(board, [modality]) for modality in board.options]
    if len(options) > room:
        options = [_option(board, board.options)] if room > 0 else []
    room -= len(options)
    folded: list[str] = []
    last: list[Card] = []
    for card, section in ((missing(board), missing_section(board)), (data_quality(board), quality_section(board))):
        if card and room > 0 and (urgent or options or board.picture.ordered):
            last.append(card)
            room -= 1
        elif section:
            folded.append(section)
    return [overview(board, folded), *urgent, *options, *last]


def possible_nlm(picture: ClinicalPicture, knowledge: Knowledge) -> Card:
    """Somebody has to say whether this is the disease the service is for (CLINICAL section 2)."""
    seen, more = picture.gate.seen[:MOST_NAMED], picture.gate.seen[MOST_NAMED:]
    why = {item.seen_in: item.why for item in picture.unreadable}
    lines = [
        f"{wording.opening(reading.recorded) or 'recorded'} ({reading.on or 'undated'}, {wording.safe(reading.seen_in)})"
        + (f" could not be read: {wording.safe_explanation(why[reading.seen_in])}" if reading.seen_in in why else "")
        for reading in seen
    ]
    lines += [f"and {len(more)} more"] if more else []
    unreadable = picture.gate.answer is Nlm.CANNOT_TELL
    if unreadable:
        known = {reading.seen_in for reading in picture.gate.seen}
        broken = [item for item in picture.unreadable if item.seen_in not in known and item.seen_in.startswith("Condition")]
        lines += [wording.unread_resource(item) for item in broken[:MOST_NAMED]]
    summary = (
        "Neuroendocrine liver metastases cannot be ruled in or out: some data could not be read or had"
        if unreadable
        else "Possible neuroendocrine liver metastases: please confirm before criteria are applied"
    )
    said = wording.sentence(picture.gate.because)
    detail = f"{said}\n\n{wording.bullets(lines)}\n\n{wording.TONE} By {knowledge.provenance}."
    kind = "data-quality" if unreadable else "possible-nlm"
    return Card(
        summary=summary,
        indicator="info",
        source=evidence.source(knowledge, ["S063"], "PossibleNlm", "Possible neuroendocrine liver metastases"),
        detail=detail,
        extension={EXTENSION: {"kind": kind, "knowledge": knowledge.digest}},
    )


def _option(board: Board, modalities: list[Assessed]) -> Card:
    """What can be considered, strongest first; several on one card where there is no room for each."""
    if len(modalities) == 1:
        modality = modalities[0]
        word = "criteria are met" if modality.verdict is Verdict.RECOMMENDED else "consider"
        summary = f"{modality.modality.title}: {word}"
    else:
        names = [modality.modality.short if not place else modality.modality.short.lower()
                 for place, modality in enumerate(modalities)]  # fmt: skip
        summary = f"To discuss: {wording.listing(names)}"
    detail = "\n\n".join(_option_detail(board, modality, len(modalities) > 1) for modality in modalities)
    topic = "NlmModality" if len(modalities) > 1 else "Nlm" + modalities[0].modality.id.title().replace("-", "")
    return card_on(board, "modality", topic, summary, "info", detail, modalities)


def _option_detail(board: Board, modality: Assessed, folded: bool) -> str:
    met = {f.indication.edition for f in modality.opinion.indications if f.met and not f.indication.local}
    later = "later evidence" if Edition.UPDATE in met else "a local convention"
    whose = "the review of 2010" if Edition.REVIEW in met else later
    said = "recommended" if modality.verdict is Verdict.RECOMMENDED else "to be considered"
    parts = [f"**{modality.modality.title}**: criteria of {whose} are met, {said}{editions(modality)}."]
    parts.append(wording.bullets([*reasons(board.knowledge, modality), *_requirements(board, modality)]))
    if cautions := [wording.finding_line(board.knowledge, finding) for finding in modality.cautions]:
        parts.append("**Cautions**\n\n" + wording.bullets(cautions))
    if names := unchecked(board, [modality]):
        parts.append(f"**Not checked:** {', '.join(names)}.")
    names_beside = modality.modality.beside if folded else (*modality.modality.beside, *modality.modality.support)
    beside = [_statement(board.knowledge, name) for name in names_beside]
    if ways := techniques(board, modality):
        parts.append("**Techniques and options**\n\n" + wording.bullets(ways))
    parts.append("**Beside it**\n\n" + wording.bullets(beside))
    parts.append(_about(board, modality, folded))
    return "\n\n".join(part for part in parts if part)


def _about(board: Board, modality: Assessed, folded: bool) -> str:
    """What no verdict rests on, last: series of Tables 1 to 3, and the statements to look up in the rule book."""
    named = ", ".join(modality.modality.about)
    if rows := [line(board, row) for row in nearest(board, modality, folded)]:
        return "**About this evidence**\n\n" + wording.bullets(rows) + (f"\n\nAlso: {named}." if named else "")
    return f"About this evidence: {named}." if named else ""


def _requirements(board: Board, modality: Assessed) -> list[str]:
    """The values behind the indications that are met."""
    found = {
        finding.criterion.key: finding
        for part in modality.opinion.indications
        if part.met and part.indication.id in modality.opinion.decided_by
        for finding in part.requirements
    }
    return [wording.finding_line(board.knowledge, finding) for finding in found.values()]


def _statement(knowledge: Knowledge, name: str) -> str:
    statement = knowledge.statements[name]
    dated = "2010" if statement.edition is Edition.REVIEW else "later"
    tags = [name, dated]
    if statement.confidence != "high":
        tags.append(f"{statement.confidence} confidence")
    if statement.from_memory:
        tags.append("partly from memory")
    return f"{statement.says} [{', '.join(tags)}]"
