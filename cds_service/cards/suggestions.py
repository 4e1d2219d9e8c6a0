"""Draft orders for deciding laboratory tests and imaging. A missing judgement is a question, never an order."""

from __future__ import annotations

from collections.abc import Iterable

from cds_service.cards.card import Action, Suggestion
from cds_service.knowledge.terminology import StandardCoding
from cds_service.reasoning.evaluation import Evaluation


def draft_orders(evaluation: Evaluation, missing: Iterable[str]) -> list[Suggestion]:
    """Return a suggestion for each test that is not ordered yet. The client completes and signs the draft."""
    found: dict[str, Suggestion] = {}
    for name in missing:
        code = evaluation.knowledge.facts[name].order
        if not code or code in found or code in evaluation.picture.ordered_tests or not evaluation.picture.patient_id:
            continue
        terms = evaluation.knowledge.terminology
        display = next((meaning.display for meaning in terms.meanings(StandardCoding("loinc", code))), code)
        resource = {
            "resourceType": "ServiceRequest",
            "status": "draft",
            "intent": "order",
            "code": {"coding": [{"system": terms.uris["loinc"], "code": code, "display": display}]},
            "subject": {"reference": f"Patient/{evaluation.picture.patient_id}"},
        }
        found[code] = Suggestion(f"Order: {display}", [Action("create", f"Draft order for {display}", resource)])
    return list(found.values())
