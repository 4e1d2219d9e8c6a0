"""The CDS Hooks services that discovery lists. To add one, write a module and add a record to SERVICES."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from cds_service.fhir.queries import build_queries
from cds_service.hooks import order_review, patient_view
from cds_service.hooks.patient_view import Answer
from cds_service.hooks.request import HookRequest
from cds_service.knowledge.model import Knowledge
from cds_service.sites import Site


@dataclass(frozen=True, slots=True)
class Service:
    """One service: its discovery entry and the function that answers it. `prefetch` returns key → FHIR query, which depends
    on a site's knowledge."""

    id: str
    hook: str
    title: str
    description: str
    usage_requirements: str
    prefetch: Callable[[Knowledge], dict[str, str]]
    answer: Callable[[HookRequest, Site, date], Answer]

    def describe(self, knowledge: Knowledge) -> dict[str, object]:
        """Return the entry of this service in the discovery response."""
        return {
            "id": self.id,
            "hook": self.hook,
            "title": self.title,
            "description": self.description,
            "usageRequirements": self.usage_requirements,
            "prefetch": self.prefetch(knowledge),
        }


REQUIRES = (
    "FHIR R4. Conditions are required; everything else that is not sent counts as not known. Based on "
    "Reddy and Clary 2010 and later evidence, not clinically verified: for discussion in a tumour board."
)
NEEDS_DRAFTS = "An order that is no treatment of these metastases is answered without any data."
ORDERS = (
    "Names what speaks against an order for a patient with neuroendocrine liver metastases: resection, ablation, arterial "
    "therapy, transplantation, radionuclide therapy and drugs."
)

SERVICES: dict[str, Service] = {
    service.id: service
    for service in (
        Service(
            id="nlm-patient-view",
            hook="patient-view",
            title="Neuroendocrine liver metastases: tumour-board preparation",
            description=(
                "Stages neuroendocrine liver metastases and shows which treatments meet published criteria, which are "
                "contraindicated, and what is missing to know, each with its literature."
            ),
            usage_requirements=REQUIRES,
            prefetch=build_queries,
            answer=patient_view.answer_request,
        ),
        Service(
            id=order_review.SELECT,
            hook="order-select",
            title="Neuroendocrine liver metastases: an order that is selected",
            description=f"{ORDERS} Judges the orders in `selections`, beside all drafts.",
            usage_requirements=f"{REQUIRES} {NEEDS_DRAFTS}",
            prefetch=build_queries,
            answer=order_review.answer_select,
        ),
        Service(
            id=order_review.SIGN,
            hook="order-sign",
            title="Neuroendocrine liver metastases: orders before they are signed",
            description=f"{ORDERS} Judges all drafts.",
            usage_requirements=f"{REQUIRES} {NEEDS_DRAFTS}",
            prefetch=build_queries,
            answer=order_review.answer_sign,
        ),
    )
}
