"""Which cards, in what order, and how many (CLINICAL section 7). A contraindication never moves out of sight."""

from __future__ import annotations

from collections.abc import Sequence

from cds_service.cards import evidence, wording
from cds_service.cards.card import EXTENSION, Card
from cds_service.cards.missing_data import data_quality_card, missing_data_card, missing_section, quality_section
from cds_service.cards.modality_card import modality_card
from cds_service.cards.outcomes import nearest_outcomes, outcome_line
from cds_service.cards.overview import format_editions, overview_card, reason_lines, unchecked_fact_names
from cds_service.cards.techniques import technique_lines
from cds_service.cards.urgent import contraindication_card, safety_card, stopped_order_card
from cds_service.clinical_picture import ClinicalPicture, Nlm, Observed, Unreadable
from cds_service.knowledge.model import Knowledge, Verdict
from cds_service.knowledge.vocabulary import Edition
from cds_service.reasoning.assessment import Assessment
from cds_service.reasoning.evaluation import Evaluation
from cds_service.reasons import WHOSE_IT_IS, WRITTEN_OTHERWISE

MAX_CARDS, MAX_CARDS_WITH_ORDER = 3, 5
"""Cards without and with an active order; the overview is one of them."""
MAX_NAMED = 12
"""Readings that ask whether this is the disease."""


def compose_cards(evaluation: Evaluation, invalid: Sequence[Unreadable]) -> list[Card]:
    """The cards of a patient with neuroendocrine liver metastases, most important first, the overview first of all."""
    urgent = [
        card for card in (stopped_order_card(evaluation), contraindication_card(evaluation), safety_card(evaluation)) if card
    ]
    room = (MAX_CARDS_WITH_ORDER if evaluation.picture.orders else MAX_CARDS) - 1 - len(urgent)
    options = [_option(evaluation, [assessment]) for assessment in evaluation.options]
    if len(options) > room:
        options = [_option(evaluation, evaluation.options)] if room > 0 else []
    room -= len(options)
    folded: list[str] = []
    last: list[Card] = []
    for card, section in (
        (missing_data_card(evaluation), missing_section(evaluation)),
        (data_quality_card(evaluation, invalid), quality_section(evaluation, invalid)),
    ):
        if card and room > 0 and (urgent or options or evaluation.picture.orders):
            last.append(card)
            room -= 1
        elif section:
            folded.append(section)
    return [overview_card(evaluation, folded), *urgent, *options, *last]


def possible_nlm_card(picture: ClinicalPicture, knowledge: Knowledge) -> Card:
    """Somebody has to say whether this is the disease the service is for (CLINICAL section 2)."""
    seen, more = picture.gate.seen[:MAX_NAMED], picture.gate.seen[MAX_NAMED:]
    why = {item.seen_in: item.why for item in picture.unreadable}
    lines = [
        f"{wording.lead_text(reading.recorded) or 'recorded'} ({reading.on or 'undated'}, {wording.safe_text(reading.seen_in)})"
        + (
            f" could not be read: {wording.safe_explanation(why[reading.seen_in])}"
            if reading.seen_in in why
            else _open(reading)
        )
        for reading in seen
    ]
    lines += [f"and {len(more)} more"] if more else []
    unreadable = picture.gate.answer is Nlm.CANNOT_TELL
    if unreadable:
        known = {reading.seen_in for reading in picture.gate.seen}
        broken = [item for item in picture.unreadable if item.seen_in not in known and item.seen_in.startswith("Condition")]
        lines += [wording.unread_resource(item) for item in broken[:MAX_NAMED]]
    summary = (
        "Neuroendocrine liver metastases cannot be ruled in or out: some data could not be read or had"
        if unreadable
        else "Possible neuroendocrine liver metastases: please confirm before criteria are applied"
    )
    said = wording.sentence(picture.gate.because)
    detail = f"{said}\n\n{wording.bullet_list(lines)}\n\n{wording.TONE} By {knowledge.provenance}."
    kind = "data-quality" if unreadable else "possible-nlm"
    return Card(
        summary=summary,
        indicator="info",
        source=evidence.primary_source(knowledge, ["S063"], "PossibleNlm", "Possible neuroendocrine liver metastases"),
        detail=detail,
        extension={EXTENSION: {"kind": kind, "knowledge": knowledge.digest}},
    )


def _open(reading: Observed) -> str:
    """Behind a reading: why it only asks, where that is told of no resource."""
    return f": {wording.safe_explanation(reading.note)}" if reading.reason in WRITTEN_OTHERWISE | WHOSE_IT_IS else ""


def _option(evaluation: Evaluation, assessments: list[Assessment]) -> Card:
    """What can be considered, strongest first; several on one card where there is no room for each."""
    if len(assessments) == 1:
        assessment = assessments[0]
        word = "criteria are met" if assessment.verdict is Verdict.RECOMMENDED else "consider"
        summary = f"{assessment.modality.title}: {word}"
    else:
        names = [assessment.modality.short if not place else assessment.modality.short.lower()
                 for place, assessment in enumerate(assessments)]  # fmt: skip
        summary = f"To discuss: {wording.join_words(names)}"
    detail = "\n\n".join(_option_detail(evaluation, assessment, len(assessments) > 1) for assessment in assessments)
    topic = "NlmModality" if len(assessments) > 1 else "Nlm" + assessments[0].modality.id.title().replace("-", "")
    return modality_card(evaluation, "modality", topic, summary, "info", detail, assessments)


def _option_detail(evaluation: Evaluation, assessment: Assessment, folded: bool) -> str:
    met = {f.indication.edition for f in assessment.decision.indications if f.met and not f.indication.local}
    later = "later evidence" if Edition.UPDATE in met else "a local convention"
    whose = "the review of 2010" if Edition.REVIEW in met else later
    said = "recommended" if assessment.verdict is Verdict.RECOMMENDED else "to be considered"
    parts = [f"**{assessment.modality.title}**: criteria of {whose} are met, {said}{format_editions(assessment)}."]
    parts.append(wording.bullet_list([*reason_lines(evaluation.knowledge, assessment), *_requirements(evaluation, assessment)]))
    if cautions := [wording.finding_line(evaluation.knowledge, finding) for finding in assessment.cautions]:
        parts.append("**Cautions**\n\n" + wording.bullet_list(cautions))
    if names := unchecked_fact_names(evaluation, [assessment]):
        parts.append(f"**Not checked:** {', '.join(names)}.")
    names_beside = assessment.modality.beside if folded else (*assessment.modality.beside, *assessment.modality.support)
    beside = [_statement(evaluation.knowledge, name) for name in names_beside]
    if lines := technique_lines(evaluation, assessment):
        parts.append("**Techniques and options**\n\n" + wording.bullet_list(line.text for line in lines))
    parts.append("**Beside it**\n\n" + wording.bullet_list(beside))
    parts.append(_about(evaluation, assessment, folded))
    return "\n\n".join(part for part in parts if part)


def _about(evaluation: Evaluation, assessment: Assessment, folded: bool) -> str:
    """What no verdict rests on, last: series of Tables 1 to 3, and the statements to look up in the rule book."""
    named = ", ".join(assessment.modality.about)
    if rows := [outcome_line(evaluation, row) for row in nearest_outcomes(evaluation, assessment, folded)]:
        return "**About this evidence**\n\n" + wording.bullet_list(rows) + (f"\n\nAlso: {named}." if named else "")
    return f"About this evidence: {named}." if named else ""


def _requirements(evaluation: Evaluation, assessment: Assessment) -> list[str]:
    """The values behind the indications that are met."""
    found = {
        finding.criterion.key: finding
        for part in assessment.decision.indications
        if part.met and part.indication.id in assessment.decision.decided_by
        for finding in part.requirements
    }
    return [wording.finding_line(evaluation.knowledge, finding) for finding in found.values()]


def _statement(knowledge: Knowledge, name: str) -> str:
    statement = knowledge.statements[name]
    dated = "2010" if statement.edition is Edition.REVIEW else "later"
    tags = [name, dated]
    if statement.confidence != "high":
        tags.append(f"{statement.confidence} confidence")
    if statement.from_memory:
        tags.append("partly from memory")
    return f"{statement.says} [{', '.join(tags)}]"
