"""The card if neuroendocrine liver metastases are possible or undecided (docs/knowledge.md, "Who gets a card")."""

from __future__ import annotations

from datetime import date

from cds_service.cards import evidence, wording
from cds_service.cards.assessment import more_json, resource_json
from cds_service.cards.card import EXTENSION, Card
from cds_service.cards.draft import Draft, Limits
from cds_service.cards.fact_words import foot, say_day
from cds_service.cards.missing_data import unread_words
from cds_service.cards.text import LAST_CUT, Line, Paragraph, Phrase
from cds_service.clinical_picture import ClinicalPicture, Nlm, Observed, Unreadable
from cds_service.knowledge.model import Knowledge
from cds_service.reasons import WHOSE_IT_IS, WRITTEN_OTHERWISE

MAX_NAMED = 6
"""The readings that are listed; further ones are counted."""
LIMITS = Limits(chars=700, lines=14)


def possible_nlm_card(picture: ClinicalPicture, knowledge: Knowledge, today: date) -> Card:
    """Return the card that asks a clinician to confirm the disease."""
    unreadable = picture.gate.answer is Nlm.CANNOT_TELL
    seen = picture.gate.seen
    lines = [Line((Phrase(_reading(picture, reading, today)),), "", "- ") for reading in seen[:MAX_NAMED]]
    broken: list[Unreadable] = []
    if unreadable:
        known = {reading.seen_in for reading in seen}
        broken = [item for item in picture.unreadable if item.seen_in not in known and item.seen_in.startswith("Condition")]
        lines += [Line((Phrase(unread_words(item, today)),), "", "- ") for item in broken[:MAX_NAMED]]
    if more := max(len(seen) - MAX_NAMED, 0) + max(len(broken) - MAX_NAMED, 0):
        lines.append(Line((Phrase(f"and {more} more"),), "", "- "))
    summary = (
        "Neuroendocrine liver metastases cannot be ruled in or out: some data could not be read or had"
        if unreadable
        else "Possible neuroendocrine liver metastases: please confirm before criteria are applied"
    )
    paragraphs = [
        Paragraph((Line((Phrase(wording.sentence(picture.gate.because)),)),)),
        *([Paragraph(tuple(lines))] if lines else []),
        Paragraph((Line((Phrase(foot(knowledge)),)),)),
    ]
    draft = Draft(summary, paragraphs, LIMITS)
    content: dict[str, object] = {"kind": "data-quality" if unreadable else "possible-nlm", "knowledge": knowledge.digest}
    entries = [*map(_provenance, seen[:MAX_NAMED]), *more_json("diagnosis", len(seen) - MAX_NAMED)]
    entries += [*map(resource_json, broken[:MAX_NAMED]), *more_json("Condition", len(broken) - MAX_NAMED)]
    if entries:
        content["provenance"] = entries
    return Card(
        summary=summary,
        indicator="info",
        source=evidence.primary_source(knowledge, ["S063"], "PossibleNlm", "Possible neuroendocrine liver metastases"),
        detail=draft.write(min(draft.smallest_squeeze(), LAST_CUT)).detail,
        extension={EXTENSION: content},
    )


def _reading(picture: ClinicalPicture, reading: Observed, today: date) -> str:
    text = f"{wording.lead_text(reading.recorded) or 'recorded'} ({say_day(reading.on, today)})"
    why = next((item.why for item in picture.unreadable if item.seen_in == reading.seen_in), None)
    if why is not None:
        return f"{text} could not be read: {wording.safe_explanation(why)}"
    asks = reading.reason in WRITTEN_OTHERWISE | WHOSE_IT_IS  # say why the reading does not count
    return f"{text}: {wording.safe_explanation(reading.note)}" if asks else text


def _provenance(reading: Observed) -> dict[str, str]:
    entry = {
        "fact": "diagnosis",
        "value": wording.safe_text(reading.recorded) or "recorded",
        "reference": wording.safe_text(reading.seen_in),
    }
    return entry | ({"on": str(reading.on)} if reading.on else {})
