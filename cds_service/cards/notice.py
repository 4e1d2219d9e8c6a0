"""The card for a patient recorded as deceased, in place of all verdicts (docs/knowledge.md, "Who gets a card")."""

from __future__ import annotations

from cds_service.cards import evidence
from cds_service.cards.card import EXTENSION, Card
from cds_service.clinical_picture import Deceased
from cds_service.knowledge.model import Knowledge


def deceased_card(deceased: Deceased, knowledge: Knowledge) -> Card:
    """Return the card for a deceased patient."""
    dated = f" ({deceased.on})" if deceased.on else " (date not recorded)"
    said = f"Recorded as deceased{dated}: no criteria applied."
    verified = "signed" if knowledge.signed else "not clinically verified"
    detail = (
        f"{said}\n\nThe patient's record says so. If that is an error, correct it there: the criteria are applied again "
        f"when the chart is next opened. Knowledge {knowledge.digest}, {verified}."
    )
    return Card(
        summary=said,
        indicator="info",
        source=evidence.primary_source(knowledge, ["S063"], "NlmNotice", "Notice"),
        detail=detail,
        extension={EXTENSION: {"kind": "notice", "knowledge": knowledge.digest}},
    )
