"""Answers the hooks order-select and order-sign: cards for the orders that are being written, or an empty list.

An order that no rule speaks of is answered at once, without the patient's chart. Laboratory values count for 30 days, as with
an active order.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import partial

from cds_service.cards.order_cards import compose_order_cards
from cds_service.clinical_picture import ClinicalPicture, Gate, Nlm
from cds_service.fhir.draft_orders import ReadDrafts, read_drafts, unpack_drafts
from cds_service.hooks.patient_view import Answer, answer_without_verdict, finish_cards, open_retrieval, read_picture
from cds_service.hooks.request import HookRequest
from cds_service.knowledge.model import Knowledge
from cds_service.reasoning.evaluation import evaluate
from cds_service.sites import Site

SELECT, SIGN = "nlm-order-select", "nlm-order-sign"
NOT_READ = ClinicalPicture({}, Gate(Nlm.NO))
"""The picture of a chart that was not read."""


def answer_request(service: str, request: HookRequest, site: Site, today: date) -> Answer:
    """Return the cards for the drafts of a request: on order-select for the selected ones, on order-sign for all. Raises
    PreconditionFailed as patient-view does, if a draft is an order of a treatment that is judged."""
    bundle = unpack_drafts(request.draft_orders, request.patient_id)
    selections = request.selections if service == SELECT else None
    with open_retrieval(request, site) as retrieval:
        drafts = read_drafts(bundle, site.knowledge, selections)
        if not _is_judged(drafts):
            referred = retrieval.with_medications(bundle.prescriptions)
            drafts = read_drafts(replace(bundle, prescriptions=referred), site.knowledge, selections)
        if not _is_judged(drafts):
            return Answer([], NOT_READ, None)
        picture = read_picture(retrieval, request, site, today)
    answer = answer_drafts(picture, drafts, site.knowledge, today)
    return replace(answer, cards=finish_cards(site, answer.cards, request.instance, request.patient_id, service))


answer_select, answer_sign = partial(answer_request, SELECT), partial(answer_request, SIGN)


def answer_drafts(picture: ClinicalPicture, drafts: ReadDrafts, knowledge: Knowledge, today: date) -> Answer:
    """Return the cards for drafts, without uuids, and what they are based on."""
    picture = replace(picture, drafts=drafts.orders, ordered_tests=picture.ordered_tests | drafts.tests)
    if (unjudged := answer_without_verdict(picture, knowledge, today)) is not None:
        return unjudged
    evaluation = evaluate(picture, knowledge, today)
    return Answer(compose_order_cards(evaluation), picture, evaluation)


def _is_judged(drafts: ReadDrafts) -> bool:
    return any(draft.judged for draft in drafts.orders)
