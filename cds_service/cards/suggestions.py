"""Suggestions of cards: draft orders for what would decide, a referral to the tumour board, and the withdrawal of an order.

A missing judgement is a question, never an order. No suggestion changes an order: nothing in one can be mended without a
judgement of medicine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from fhir.resources.R4B.servicerequest import ServiceRequest

from cds_service.cards.card import Action, Card, Suggestion
from cds_service.clinical_picture import ClinicalPicture
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.orders import DraftTest, SuggestionShape
from cds_service.knowledge.terminology import StandardCoding
from cds_service.knowledge.vocabulary import Supplier
from cds_service.reasoning.evaluation import Evaluation
from cds_service.reasoning.judgement import Finding
from cds_service.reasoning.order_judgement import OrderJudgement

ANY = "any"
"""The `selectionBehavior` of every card: the only value that all known clients accept (CH-81, Epic)."""
REFERENCE = re.compile(r"(?:Condition|Observation)/[A-Za-z0-9\-.]{1,64}")
DELETABLE = re.compile(r"[A-Z]\w+/[A-Za-z0-9\-.]{1,64}")
REASON = "Neuroendocrine liver metastases"


def with_suggestions(card: Card, suggestions: Iterable[Suggestion]) -> Card:
    """Give a card suggestions, if there are any. Return the same card."""
    if found := list(suggestions):
        card.suggestions, card.selection_behavior = found, ANY
    return card


def shape_suggestions(cards: list[Card], shape: SuggestionShape) -> list[Card]:
    """Give the suggestions of the cards the shape of a site. Return the same cards."""
    for card in cards:
        if not shape.offered:
            card.suggestions, card.selection_behavior = [], ""
        for suggestion in card.suggestions:
            for action in suggestion.actions:
                if action.resource:
                    _shape_draft(action.resource, shape)
    return cards


def _shape_draft(draft: dict[str, Any], shape: SuggestionShape) -> None:
    draft["intent"] = shape.intent
    codings = draft["code"]["coding"]
    if own := shape.codings.get(codings[0]["code"]):
        draft["code"]["coding"] = [dict(own), *codings]


def draft_orders(evaluation: Evaluation, missing: Iterable[str], cautions: Iterable[Finding] = ()) -> list[Suggestion]:
    """Return a suggestion for each test that answers one of the facts or cautions and is not ordered yet. The client completes
    and signs the draft."""
    return offers(evaluation, answering_tests(evaluation.knowledge, missing, cautions))


def answering_tests(knowledge: Knowledge, missing: Iterable[str], cautions: Iterable[Finding] = ()) -> list[DraftTest]:
    """Return the tests that answer one of the facts or cautions, each once."""
    answered = {finding.criterion.id for finding in cautions}
    tests = [test for name in missing if (test := _test_of(knowledge, name)) is not None]
    tests += [test for test in knowledge.orders.tests if test.cautions & answered]
    return list({test.code: test for test in tests}.values())


def board_referrals(knowledge: Knowledge) -> list[DraftTest]:
    """Return the referral to the tumour board."""
    return [test for test in knowledge.orders.tests if test.board]


def withdrawals(judgement: OrderJudgement) -> Iterator[Suggestion]:
    """Yield a suggestion to delete each draft of an order that can be referred to."""
    for draft in judgement.drafts:
        if DELETABLE.fullmatch(draft.reference):
            says = f"Withdraw the order: {judgement.kind.title}"
            yield Suggestion(says, [Action("delete", says, resource_id=draft.reference)])


def _test_of(knowledge: Knowledge, name: str) -> DraftTest | None:
    """Return the test that answers a fact, or None if none can be ordered."""
    fact = knowledge.facts[name]
    known = {test.code: test for test in knowledge.orders.tests}
    if not fact.order or fact.order in known:
        return known.get(fact.order)
    title = _display(knowledge, fact.order) or fact.order
    category = fact.ask.value if fact.ask in {Supplier.LABORATORY, Supplier.IMAGING} else ""
    return DraftTest(fact.order, knowledge.terminology.uris["loinc"], title, category)


def _display(knowledge: Knowledge, code: str) -> str:
    """Return the name of a LOINC code; empty if terminology.toml does not have it."""
    return next((meaning.display for meaning in knowledge.terminology.meanings(StandardCoding("loinc", code))), "")


def offers(evaluation: Evaluation, tests: Iterable[DraftTest]) -> list[Suggestion]:
    """Return a suggestion for each test that is not ordered yet."""
    picture = evaluation.picture
    return [
        Suggestion(f"Order: {test.title}", [Action("create", f"Draft order for {test.title}", _draft(evaluation, test))])
        for test in tests
        if test.code not in picture.ordered_tests and picture.patient_id
    ]


def _draft(evaluation: Evaluation, test: DraftTest) -> dict[str, Any]:
    """Return a draft ServiceRequest: a proposal for this patient, with its reason. Raises ValidationError, a fault of the
    program, if it is not valid R4."""
    knowledge, picture = evaluation.knowledge, evaluation.picture
    coding = {"system": test.system, "code": test.code, "display": _display(knowledge, test.code) or test.title}
    content: dict[str, Any] = {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": "proposal",
        "code": {"coding": [coding], "text": test.title},
        "subject": {"reference": f"Patient/{picture.patient_id}"},
        **_reason(picture),
    }
    if test.category in knowledge.orders.categories:
        code, display = knowledge.orders.categories[test.category]
        system = knowledge.terminology.uris["snomed-ct"]
        content["category"] = [{"coding": [{"system": system, "code": code, "display": display}]}]
    ServiceRequest.model_validate(content)
    return content


def _reason(picture: ClinicalPicture) -> dict[str, Any]:
    """Return the diagnoses that show the disease; in words if none of them can be referred to."""
    shown = [seen.seen_in for seen in picture.gate.seen if REFERENCE.fullmatch(seen.seen_in)]
    if shown:
        return {"reasonReference": [{"reference": reference} for reference in dict.fromkeys(shown)]}
    return {"reasonCode": [{"text": REASON}]}
