"""A hook request → everything the service makes of it, with the milliseconds of each stage.

The same steps as `hooks.patient_view.answer`, one by one, so that the page can show what lies between; a test compares
the cards of both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeVar

from cds_service import knowledge
from cds_service.assessment import assess
from cds_service.cards.board import Board
from cds_service.cards.card import Card
from cds_service.cards.compose import compose, possible_nlm
from cds_service.derived import CALCULATIONS
from cds_service.fhir.chart import read_chart
from cds_service.hooks.patient_view import OPTIONAL, PREFETCH, answer, identify_and_check, reader
from cds_service.hooks.prefetch import read_prefetch
from cds_service.hooks.request import parse
from cds_service.picture import ClinicalPicture, Nlm, Observed, Readings
from cds_service.settling import settle
from cds_service.staging import stage

HOOK = "patient-view"
STAGES = ("read chart", "settle", "stage", "assess", "compose")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`board` is None where the chart holds no (certain) neuroendocrine liver metastases."""

    picture: ClinicalPicture
    board: Board | None
    cards: list[Card]
    instance: str
    milliseconds: Mapping[str, float]


class Watch:
    def __init__(self) -> None:
        self.times: dict[str, float] = {}

    def run(self, name: str, work: Callable[[], T]) -> T:
        start = time.perf_counter()
        try:
            return work()
        finally:
            self.times[name] = round((time.perf_counter() - start) * 1000, 2)


def evaluate(body: bytes, today: date) -> Evaluation:
    """Raises BadRequest and PreconditionFailed as the service does."""
    watch = Watch()
    picture, instance = watch.run("read chart", lambda: _picture(body, today))
    return _judge(picture, instance, today, watch)


def suppose(evaluation: Evaluation, values: Mapping[str, Observed], today: date) -> Evaluation:
    """The same chart with each of these facts replaced by one reading."""
    readings = dict(evaluation.picture.readings)
    for name, observed in values.items():
        readings[name] = Readings(valid=(observed,), complete=True)
    watch = Watch()
    watch.times["read chart"] = evaluation.milliseconds["read chart"]
    return _judge(replace(evaluation.picture, readings=readings), evaluation.instance, today, watch)


def _picture(body: bytes, today: date) -> tuple[ClinicalPicture, str]:
    request = parse(body, HOOK)
    sent = read_prefetch(request.prefetch, PREFETCH)
    chart = read_chart(sent.entries, request.patient_id)
    chart.complete = sent.complete
    chart.not_consulted = tuple(
        f"{key} ({state.value})" for key, state in sent.states.items() if not state.complete and key not in OPTIONAL
    )
    picture = reader().read(chart, today)
    if picture.gate.answer is Nlm.NO and "Condition" not in sent.complete:
        answer(request, today)  # the service says why it refuses
    return picture, request.instance


def _judge(picture: ClinicalPicture, instance: str, today: date, watch: Watch) -> Evaluation:
    known, board = knowledge.load(), None
    cards: list[Card] = []
    match picture.gate.answer:
        case Nlm.NO:
            pass
        case Nlm.POSSIBLE | Nlm.CANNOT_TELL:
            cards = watch.run("compose", lambda: identify_and_check([possible_nlm(picture, known)], instance))
        case Nlm.YES:
            facts = watch.run("settle", lambda: settle(picture, known, today, CALCULATIONS))
            staged = watch.run("stage", lambda: stage(facts))
            board = Board(picture, facts, staged, watch.run("assess", lambda: assess(facts)))
            composed = board
            cards = watch.run("compose", lambda: identify_and_check(compose(composed), instance))
    return Evaluation(picture, board, cards, instance, watch.times)
