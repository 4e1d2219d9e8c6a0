"""Drafts an order on the page, as an EHR would send it to order-sign, and shows its cards."""

from __future__ import annotations

from typing import Any

from cds_service.cards.card import Card
from cds_service.clinical_picture import ClinicalPicture
from cds_service.errors import Fault, UnknownService
from cds_service.fhir.draft_orders import PROCEDURES, read_drafts, unpack_drafts
from cds_service.hooks.order_review import SIGN, answer_drafts
from cds_service.hooks.patient_view import finish_cards
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.orders import OrderKind
from cds_service.knowledge.terminology import Use
from cds_service.pages.evaluate import Trial
from cds_service.sites import Site


def drafted_kind(knowledge: Knowledge, name: str) -> OrderKind | None:
    """Return the kind of order that was chosen; None without a choice. Raises UnknownService if there is none of that name."""
    if not name:
        return None
    found = next((kind for kind in knowledge.orders.kinds if kind.id == name), None)
    if found is None:
        names = ", ".join(kind.id for kind in knowledge.orders.kinds)
        raise UnknownService("no such order", [Fault("order", f"must be one of {names}")])
    return found


def draft_orders_of(knowledge: Knowledge, kind: OrderKind, patient_id: str) -> dict[str, Any]:
    """Return a `draftOrders` with one order of this kind, coded as the knowledge codes it first."""
    system, meaning = next(
        (system, row)
        for system, row in knowledge.terminology.all_rows()
        if row.concept in kind.concepts and row.use is Use.DECIDES
    )
    coding = {"system": knowledge.terminology.uris[system], "code": meaning.code, "display": meaning.display}
    procedure = meaning.concept.startswith("proc.")
    resource = {
        "resourceType": PROCEDURES if procedure else "MedicationRequest",
        "id": "draft-1",
        "status": "draft",
        "intent": "order",
        "subject": {"reference": f"Patient/{patient_id}"},
        "code" if procedure else "medicationCodeableConcept": {"coding": [coding], "text": kind.title},
    }
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": resource}]}


def cards_for_order(trial: Trial, kind: OrderKind, site: Site) -> list[Card]:
    """Return the cards that order-sign would answer for an order of this kind, for the chart with its supposed values."""
    picture: ClinicalPicture = trial.picture
    sent = draft_orders_of(site.knowledge, kind, picture.patient_id)
    drafts = read_drafts(unpack_drafts(sent, picture.patient_id), site.knowledge, None)
    answer = answer_drafts(picture, drafts, site.knowledge, trial.today)
    return finish_cards(site, answer.cards, trial.instance, picture.patient_id, SIGN)
