"""Requests of order-select and order-sign: drafts beside the chart of a fixture, or alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.conftest import INSTANCE, request_of

SELECT, SIGN = "/cds-services/nlm-order-select", "/cds-services/nlm-order-sign"
SNOMED, PCS, ATC = "http://snomed.info/sct", "http://www.cms.gov/Medicare/Coding/ICD10", "http://www.whocc.no/atc"
Resource = dict[str, Any]


def procedure(code: str, system: str = SNOMED, name: str = "p1", **more: Any) -> Resource:
    concept = {"coding": [{"system": system, "code": code}]}
    return {"resourceType": "ServiceRequest", "id": name, "status": "draft", "intent": "order", "code": concept, **more}


def drug(code: str, system: str = ATC, name: str = "d1", **more: Any) -> Resource:
    concept = {"coding": [{"system": system, "code": code}]}
    kept = {"resourceType": "MedicationRequest", "id": name, "status": "draft", "intent": "order", **more}
    return kept if "medicationReference" in more else kept | {"medicationCodeableConcept": concept}


RESECTION, ABLATION, CHEMOEMBOLIZATION = procedure("107963000"), procedure("427929006"), procedure("314617008")
SPHERES, EMBOLIZATION, TRANSPLANT = procedure("3E053HZ", PCS), procedure("04L33DZ", PCS), procedure("18027006")
PRRT, OCTREOTIDE, CAPECITABINE = procedure("399315003"), drug("H01CB02"), drug("L01BC06")
EVEROLIMUS, SUNITINIB, CABOZANTINIB = drug("L01EG02"), drug("L01EX01"), drug("L01EX07")
TEMOZOLOMIDE, CISPLATIN = drug("L01AX03"), drug("L01XA01")
EVERY_KIND = {
    "hepatectomy": RESECTION, "ablation": ABLATION, "chemoembolization": CHEMOEMBOLIZATION, "radioembolization": SPHERES,
    "embolization": EMBOLIZATION, "transplantation": TRANSPLANT, "prrt": PRRT, "somatostatin-analogue": OCTREOTIDE,
    "everolimus": EVEROLIMUS, "sunitinib": SUNITINIB, "cabozantinib": CABOZANTINIB, "capecitabine": CAPECITABINE,
    "temozolomide": TEMOZOLOMIDE, "chemotherapy": CISPLATIN,
}  # fmt: skip


def drafted(drafts: Iterable[Resource], **more: Any) -> Resource:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": draft} for draft in drafts], **more}


def order_request(fixture: str, *drafts: Resource, selections: list[str] | None = None, **context: Any) -> Resource:
    """Return the request for drafts beside a fixture's chart: of order-select with selections, else of order-sign."""
    request = request_of(fixture)
    request["hook"] = "order-sign" if selections is None else "order-select"
    request["context"] |= {"draftOrders": drafted(drafts), **context}
    if selections is not None:
        request["context"]["selections"] = selections
    return request


def bare_order_request(drafts: Any, **more: Any) -> Resource:
    """Return a request of order-sign about patient "example", without any chart."""
    context = {"userId": "Practitioner/example", "patientId": "example", "draftOrders": drafts}
    return {"hook": "order-sign", "hookInstance": INSTANCE, "context": context, **more}
