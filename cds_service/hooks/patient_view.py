"""patient-view: a chart is opened → the cards of a neuroendocrine liver metastases patient, or none."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import date
from functools import cache

from cds_service.cards.card import Card, add_banner, assign_uuids, check_cards
from cds_service.cards.compose import compose_cards
from cds_service.cards.notice import deceased_card
from cds_service.cards.possible_nlm import possible_nlm_card
from cds_service.cards.wording import explain
from cds_service.clinical_picture import ClinicalPicture, Nlm, NotConsulted, Unreadable
from cds_service.errors import Fault, PreconditionFailed
from cds_service.fhir.chart import Availability, Chart
from cds_service.fhir.chart_builder import read_chart
from cds_service.fhir.queries import build_queries, observation_codes
from cds_service.fhir.reader import ChartReader
from cds_service.fhir.strict_r4 import strict_r4_faults
from cds_service.hooks.prefetch import PrefetchResult
from cds_service.hooks.request import HookRequest
from cds_service.hooks.retrieval import REQUIRED_KEYS, Retrieval
from cds_service.knowledge.model import Knowledge
from cds_service.outbound.session import OutboundSession
from cds_service.reasoning.evaluation import Evaluation, evaluate, prepare_evaluation
from cds_service.sites import Site

SERVICE_ID = "nlm-patient-view"


@cache
def reader_for(knowledge: Knowledge) -> ChartReader:
    return ChartReader(knowledge)


def prepare(knowledge: Knowledge, today: date) -> None:
    """Work out before the first request what all requests need."""
    reader_for(knowledge)
    prepare_evaluation(knowledge, today)


@dataclass(frozen=True, slots=True)
class Answer:
    """`evaluation` is None where the chart holds no (certain) neuroendocrine liver metastases, or says that the patient has
    died."""

    cards: list[Card]
    picture: ClinicalPicture
    evaluation: Evaluation | None
    invalid: tuple[Unreadable, ...] = ()
    """Resources that decided and are not valid FHIR R4."""

    def log_fields(self) -> dict[str, object]:
        """What the log may hold of it: counts, and the ids of the rules that decided; nothing of the chart."""
        decisions = [a.decision for a in self.evaluation.assessments.values()] if self.evaluation else []
        return {
            "cards": Counter(card.kind for card in self.cards),
            "verdicts": Counter(decision.verdict.value for decision in decisions),
            "rules": sorted({rule for decision in decisions for rule in decision.decided_by}),
            "unreadable": len(self.picture.unreadable),
        }


def answer_request(request: HookRequest, site: Site, today: date) -> Answer:
    """Raises PreconditionFailed when the conditions could not be had and nothing else shows the disease."""
    answer = answer_picture(retrieve_picture(request, site, today), site.knowledge, today)
    return replace(answer, cards=finish_cards(site, answer.cards, request.instance, request.patient_id))


def answer_picture(picture: ClinicalPicture, knowledge: Knowledge, today: date) -> Answer:
    """The cards without their uuids, and what they rest on."""
    if picture.gate.answer is Nlm.NO:
        return Answer([], picture, None)
    if picture.deceased is not None:
        return Answer([deceased_card(picture.deceased, knowledge)], picture, None)
    if picture.gate.answer is not Nlm.YES:
        return Answer([possible_nlm_card(picture, knowledge, today)], picture, None)
    evaluation = evaluate(picture, knowledge, today)
    invalid = tuple(strict_r4_faults(evaluation.references(), picture.sources))
    return Answer(compose_cards(evaluation, invalid), picture, evaluation, invalid)


def retrieve_picture(request: HookRequest, site: Site, today: date) -> ClinicalPicture:
    """What the request, and the FHIR server it names, hold of its patient. Raises PreconditionFailed as `answer_request`
    does."""
    asked, read = build_queries(site.knowledge), reader_for(site.knowledge).read
    with OutboundSession(site.policy) as session:
        retrieval = Retrieval(request, asked, session)
        sent = retrieval.retrieve()
        chart = _chart(request, sent, site.knowledge)
        picture = read(chart, today)
        if picture.gate.answer is not Nlm.NO and (completed := retrieval.with_medications(chart)) is not chart:
            picture = read(completed, today)
    if picture.gate.answer is Nlm.NO and "Condition" not in sent.complete:
        lacking = [key for key in REQUIRED_KEYS if not sent.states[key].complete]
        not_had = [Fault(f"prefetch.{key}", explain(sent.describe_gap(key)), f"the answer to {asked[key]}") for key in lacking]
        raise PreconditionFailed("required data could not be had", not_had)
    return picture


def _chart(request: HookRequest, sent: PrefetchResult, knowledge: Knowledge) -> Chart:
    """Raises PreconditionFailed where all that came is of other patients."""
    not_consulted = tuple(NotConsulted(key, sent.describe_gap(key)) for key in sent.states if _is_reported(key, sent))
    availability = Availability(sent.complete, sent.failed, not_consulted, observation_codes(knowledge))
    chart = read_chart(sent.entries, request.patient_id, availability)
    if chart.only_of_others:
        what = f"{sum(chart.foreign.values())} resources, none of this patient"
        raise PreconditionFailed("nothing sent is of this patient", [Fault("prefetch", what, "those of context.patientId")])
    return chart


def _is_reported(key: str, sent: PrefetchResult) -> bool:
    """Whether a key is not whole, and did not come under another name."""
    return not sent.states[key].complete and not sent.came_under_another_name(key)


def cards_of_chart(chart: Chart, knowledge: Knowledge, today: date, instance: str) -> list[Card]:
    """The cards of a whole chart: everything was asked, so what it does not hold is silent (command line)."""
    answer = answer_picture(reader_for(knowledge).read(chart, today), knowledge, today)
    return check_cards(assign_uuids(answer.cards, "", SERVICE_ID, instance, chart.patient_id or ""))


def finish_cards(site: Site, cards: list[Card], instance: str, patient_id: str) -> list[Card]:
    """Cards as they leave the service: under the site's banner, each with its uuid, checked."""
    caller = site.id if site.clients else ""  # where callers are told apart, two of them never share a uuid
    return check_cards(assign_uuids(add_banner(cards, site.banner), caller, SERVICE_ID, instance, patient_id))
