"""patient-view: a chart is opened → the cards of a neuroendocrine liver metastases patient, or none."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import date
from functools import cache

from cds_service.cards.card import EXTENSION, Card, check, identify, under_banner
from cds_service.cards.compose import compose, possible_nlm
from cds_service.cards.wording import explain
from cds_service.clinical_picture import ClinicalPicture, Nlm, NotConsulted
from cds_service.errors import Fault, PreconditionFailed
from cds_service.fhir.chart import Chart, read_chart
from cds_service.fhir.queries import queries
from cds_service.fhir.reader import Reader
from cds_service.fhir.strict_r4 import faults
from cds_service.hooks.prefetch import Prefetched
from cds_service.hooks.request import HookRequest
from cds_service.hooks.retrieval import REQUIRED, Gatherer
from cds_service.knowledge.model import Knowledge
from cds_service.outbound.session import Outbound
from cds_service.reasoning.evaluation import Board, Run, at_once, evaluate
from cds_service.sites import Site

SERVICE = "nlm-patient-view"


@cache
def reader(known: Knowledge) -> Reader:
    return Reader(known)


@dataclass(frozen=True, slots=True)
class Answer:
    cards: list[Card]
    unreadable: int
    """How many resources could not be read."""

    def told(self) -> dict[str, object]:
        """What the log may hold of it: counts, and the ids of the rules that decided; nothing of the chart."""
        judged = [m for card in self.cards if card.kind == "overview" for m in card.extension[EXTENSION]["modalities"].values()]
        return {
            "cards": Counter(card.kind for card in self.cards),
            "verdicts": Counter(modality["verdict"] for modality in judged),
            "rules": sorted({rule for modality in judged for rule in modality.get("decided_by", ())}),
            "unreadable": self.unreadable,
        }


def answer(request: HookRequest, site: Site, today: date) -> Answer:
    """Raises PreconditionFailed when the conditions could not be had and nothing else shows the disease."""
    picture = picture_of(request, site, today)
    cards = served_by(site, cards_of(picture, site.knowledge, today), request.instance, request.patient_id)
    return Answer(cards, len(picture.unreadable))


def picture_of(request: HookRequest, site: Site, today: date) -> ClinicalPicture:
    """What the request, and the FHIR server it names, hold of its patient. Raises PreconditionFailed as `answer` does."""
    asked, read = queries(site.knowledge), reader(site.knowledge).read
    with Outbound(site.reach) as out:
        gatherer = Gatherer(request, asked, out)
        sent = gatherer.gather()
        chart = _chart(request, sent)
        picture = read(chart, today)
        if picture.gate.answer is not Nlm.NO and gatherer.add_medications(chart):
            picture = read(chart, today)
    if picture.gate.answer is Nlm.NO and "Condition" not in sent.complete:
        lacking = [key for key in REQUIRED if not sent.states[key].complete]
        not_had = [Fault(f"prefetch.{key}", explain(sent.lacks(key)), f"the answer to {asked[key]}") for key in lacking]
        raise PreconditionFailed("required data could not be had", not_had)
    return picture


def _chart(request: HookRequest, sent: Prefetched) -> Chart:
    """Raises PreconditionFailed where all that came is of other patients."""
    chart = read_chart(sent.entries, request.patient_id)
    chart.complete, chart.failed = sent.complete, sent.failed
    chart.not_consulted = tuple(NotConsulted(key, sent.lacks(key)) for key in sent.states if _told(key, sent))
    if chart.only_of_others:
        what = f"{chart.foreign.total()} resources, none of this patient"
        raise PreconditionFailed("nothing sent is of this patient", [Fault("prefetch", what, "those of context.patientId")])
    return chart


def _told(key: str, sent: Prefetched) -> bool:
    """Whether a key is not whole, and did not come under another name."""
    return not sent.states[key].complete and not sent.came_under_another_name(key)


def cards_of_chart(chart: Chart, known: Knowledge, today: date, instance: str) -> list[Card]:
    """The cards of a whole chart: everything was asked, so what it does not hold is silent (command line)."""
    cards = cards_of(reader(known).read(chart, today), known, today)
    return check(identify(cards, "", SERVICE, instance, chart.patient_id or ""))


def cards_of(picture: ClinicalPicture, known: Knowledge, today: date) -> list[Card]:
    return judge_picture(picture, known, today)[1]


def judge_picture(
    picture: ClinicalPicture, known: Knowledge, today: date, run: Run = at_once
) -> tuple[Board | None, list[Card]]:
    """The board, where there is one to judge, and the cards without their uuids."""
    match picture.gate.answer:
        case Nlm.NO:
            return None, []
        case Nlm.POSSIBLE | Nlm.CANNOT_TELL:
            return None, [possible_nlm(picture, known)]
    board = evaluate(picture, known, today, run)
    deciding = [reference for modality in board.assessed.values() for reference in modality.references()]
    invalid = run("validate", lambda: tuple(faults(deciding, picture.sources)))
    board = replace(board, invalid=invalid)
    return board, run("compose", lambda: compose(board))


def served_by(site: Site, cards: list[Card], instance: str, patient_id: str) -> list[Card]:
    """Cards as they leave the service: under the site's banner, each with its uuid, checked."""
    caller = site.id if site.clients else ""  # where callers are told apart, two of them never share a uuid
    return check(identify(under_banner(cards, site.banner), caller, SERVICE, instance, patient_id))
