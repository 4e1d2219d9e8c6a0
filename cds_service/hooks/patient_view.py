"""Answers the patient-view hook: the cards for a patient with neuroendocrine liver metastases, or an empty list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from functools import cache

from cds_service.cards.card import Card, add_banner, assign_uuids, check_cards
from cds_service.cards.compose import compose_cards
from cds_service.cards.evidence import link_evidence_pages
from cds_service.cards.notice import deceased_card
from cds_service.cards.possible_nlm import possible_nlm_card
from cds_service.cards.suggestions import shape_suggestions
from cds_service.cards.wording import explain
from cds_service.clinical_picture import ClinicalPicture, Nlm, NotConsulted, Unreadable
from cds_service.errors import Fault, PreconditionFailed
from cds_service.fhir.chart import Availability, Chart
from cds_service.fhir.chart_builder import read_chart
from cds_service.fhir.gate_entries import choose_gate_entries
from cds_service.fhir.queries import build_queries, observation_codes
from cds_service.fhir.reader import ChartReader
from cds_service.fhir.strict_r4 import strict_r4_faults
from cds_service.hooks.prefetch import PrefetchResult, PrefetchState
from cds_service.hooks.request import HookRequest, suggest_key
from cds_service.hooks.retrieval import REQUIRED_KEYS, Retrieval
from cds_service.knowledge.model import Knowledge
from cds_service.outbound.session import OutboundSession
from cds_service.reasoning.evaluation import Evaluation, evaluate, prepare_evaluation
from cds_service.sites import Site

SERVICE_ID = "nlm-patient-view"
GAPS = {
    PrefetchState.MISSING: "was not sent",
    PrefetchState.ERROR: "does not hold the answer to its query",
    PrefetchState.PARTIAL: "is incomplete",
}
"""State of a required prefetch key → what a 412 says about it."""
MAX_READ_TWICE = 2_000
"""Maximum number of resources that are read for the gate, and again with the whole chart if it may show the disease."""


@cache
def reader_for(knowledge: Knowledge) -> ChartReader:
    """Return the chart reader for this knowledge; the same one on every call."""
    return ChartReader(knowledge)


def prepare(knowledge: Knowledge, today: date) -> None:
    """Compute what all requests share, so that the first request does not pay for it."""
    reader_for(knowledge)
    prepare_evaluation(knowledge, today)


@dataclass(frozen=True, slots=True)
class Answer:
    """The cards for a request and what they are based on.

    `evaluation` is None if the chart does not (with certainty) show neuroendocrine liver metastases, or if the patient has
    died.
    """

    cards: list[Card]
    picture: ClinicalPicture
    evaluation: Evaluation | None
    invalid: tuple[Unreadable, ...] = ()
    """Resources that affected the result and are not valid FHIR R4."""

    def log_fields(self) -> dict[str, object]:
        """Return what may be logged: counts, and the ids of the rules that decided; no chart data."""
        decisions = [a.decision for a in self.evaluation.assessments.values()] if self.evaluation else []
        return {
            "cards": Counter(card.kind for card in self.cards),
            "verdicts": Counter(decision.verdict.value for decision in decisions),
            "rules": sorted({rule for decision in decisions for rule in decision.decided_by}),
            "unreadable": len(self.picture.unreadable),
        }


def answer_request(request: HookRequest, site: Site, today: date) -> Answer:
    """Return the cards for a request. Raises PreconditionFailed if no resource belongs to the patient, or if the conditions
    are missing and nothing else shows the disease."""
    answer = answer_picture(retrieve_picture(request, site, today), site.knowledge, today)
    return replace(answer, cards=finish_cards(site, answer.cards, request.instance, request.patient_id))


def answer_without_verdict(picture: ClinicalPicture, knowledge: Knowledge, today: date) -> Answer | None:
    """Return the answer about a patient for whom no treatment is judged: without the disease, deceased, or in doubt. None for
    all others."""
    if picture.gate.answer is Nlm.NO:
        return Answer([], picture, None)
    if picture.deceased is not None:
        return Answer([deceased_card(picture.deceased, knowledge)], picture, None)
    if picture.gate.answer is not Nlm.YES:
        return Answer([possible_nlm_card(picture, knowledge, today)], picture, None)
    return None


def answer_picture(picture: ClinicalPicture, knowledge: Knowledge, today: date) -> Answer:
    """Return the cards for a clinical picture, without uuids, and what they are based on."""
    if (unjudged := answer_without_verdict(picture, knowledge, today)) is not None:
        return unjudged
    evaluation = evaluate(picture, knowledge, today)
    invalid = tuple(strict_r4_faults(evaluation.references(), picture.sources))
    return Answer(compose_cards(evaluation, invalid), picture, evaluation, invalid)


def retrieve_picture(request: HookRequest, site: Site, today: date, *, whole: bool = False) -> ClinicalPicture:
    """Return the clinical picture from the request and the FHIR server it names, as `read_picture` does."""
    with open_retrieval(request, site) as retrieval:
        return read_picture(retrieval, request, site, today, whole=whole)


@contextmanager
def open_retrieval(request: HookRequest, site: Site) -> Iterator[Retrieval]:
    """Open the retrieval of a request's data; everything that it fetches has one deadline."""
    with OutboundSession(site.policy) as session:
        yield Retrieval(request, build_queries(site.knowledge), session)


def read_picture(
    retrieval: Retrieval, request: HookRequest, site: Site, today: date, *, whole: bool = False
) -> ClinicalPicture:
    """Return the clinical picture of an open retrieval. Raises PreconditionFailed as `answer_request` does.

    Of a chart that does not show the disease only the gate is read, unless the `whole` chart is wanted.
    """
    read = reader_for(site.knowledge).read
    sent = retrieval.retrieve()
    picture = None if whole else _picture_without_disease(request, sent, site.knowledge, today)
    if picture is None:
        chart = _chart(request, sent, site.knowledge)
        picture = read(chart, today)
        if picture.gate.answer is not Nlm.NO and (completed := retrieval.with_medications(chart)) is not chart:
            picture = read(completed, today)
    if picture.gate.answer is Nlm.NO and "Condition" not in sent.complete:
        lacking = [key for key in REQUIRED_KEYS if not sent.states[key].complete]
        raise PreconditionFailed("required data is missing", [_missing_key(request, sent, key) for key in lacking])
    return picture


def _picture_without_disease(
    request: HookRequest, sent: PrefetchResult, knowledge: Knowledge, today: date
) -> ClinicalPicture | None:
    """Return a picture that has only the gate, if the chart does not show the disease. None if it may, if whose chart it is
    depends on resources on which the gate does not, or if the gate depends on so many that they should be read once."""
    entries = choose_gate_entries(sent.entries, knowledge)
    if len(entries.telling) > MAX_READ_TWICE:
        return None
    chart = read_chart(entries.telling, request.patient_id, _availability(sent, knowledge), entries.others)
    if not chart.own or chart.only_of_others:
        return None
    gate = reader_for(knowledge).read_gate(chart, today)
    unreadable = tuple(broken.what for broken in chart.unreadable)
    return ClinicalPicture({}, gate, unreadable, patient_id=request.patient_id) if gate.answer is Nlm.NO else None


def _missing_key(request: HookRequest, sent: PrefetchResult, key: str) -> Fault:
    """Return the fault of a required prefetch key: what is wrong, what the FHIR server answered, and the query."""
    server = f"; FHIR server: {explain(sent.answered[key])}" if key in sent.answered else ""
    state, query = sent.states[key], sent.advertised[key]
    hint = suggest_key(key, request.prefetch, sent.advertised) if state is PrefetchState.MISSING else ""
    return Fault(f"prefetch.{key}", f"is required and {GAPS[state]}{server}; query: {query}{hint}")


def _chart(request: HookRequest, sent: PrefetchResult, knowledge: Knowledge) -> Chart:
    """Return the chart of the request's patient. Raises PreconditionFailed if resources came, but only of other patients."""
    chart = read_chart(sent.entries, request.patient_id, _availability(sent, knowledge))
    if chart.only_of_others:
        count = sum(chart.foreign.values())
        problem = f"has {count} {'resource' if count == 1 else 'resources'}, none of which belongs to context.patientId"
        raise PreconditionFailed("no resource belongs to the patient", [Fault("prefetch", problem)])
    return chart


def _availability(sent: PrefetchResult, knowledge: Knowledge) -> Availability:
    not_consulted = tuple(NotConsulted(key, sent.describe_gap(key)) for key in sent.states if _is_reported(key, sent))
    return Availability(sent.complete, sent.failed, not_consulted, observation_codes(knowledge))


def _is_reported(key: str, sent: PrefetchResult) -> bool:
    """Return whether a key is incomplete and its data did not come under another key."""
    return not sent.states[key].complete and not sent.came_under_another_name(key)


def cards_of_chart(chart: Chart, knowledge: Knowledge, today: date, instance: str, evidence_url: str = "") -> list[Card]:
    """Return the cards for a complete chart, for the command line. Data that the chart does not contain counts as absent, not
    as unknown."""
    answer = answer_picture(reader_for(knowledge).read(chart, today), knowledge, today)
    linked = link_evidence_pages(answer.cards, knowledge, evidence_url)
    return check_cards(assign_uuids(linked, "", SERVICE_ID, instance, chart.patient_id or ""), evidence_url)


def finish_cards(site: Site, cards: list[Card], instance: str, patient_id: str, service: str = SERVICE_ID) -> list[Card]:
    """Return the cards as the service sends them: with the site's banner, shape of suggestions and links to its evidence pages,
    and with uuids. Raises CardFault if a card is invalid."""
    caller = site.id if site.clients else ""  # so that authenticated callers of different sites never share a uuid
    shaped = shape_suggestions(add_banner(cards, site.banner), site.suggestions)
    linked = link_evidence_pages(shaped, site.knowledge, site.evidence_url)
    return check_cards(assign_uuids(linked, caller, service, instance, patient_id), site.evidence_url)
