"""A hook request → everything the service makes of it, with the milliseconds of each stage.

Through the same functions as `hooks.patient_view.answer`, so that the page shows what the service would answer; a test
compares the cards of both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeVar

from cds_service.cards.card import Card
from cds_service.clinical_picture import ClinicalPicture, Observed, Readings
from cds_service.hooks.patient_view import judge_picture, picture_of, served_by
from cds_service.hooks.request import parse
from cds_service.reasoning.evaluation import Board
from cds_service.sites import Site

HOOK = "patient-view"
STAGES = ("read chart", "settle", "stage", "assess", "validate", "compose")
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


def evaluate(body: bytes, site: Site, today: date) -> Evaluation:
    """Raises BadRequest and PreconditionFailed as the service does."""
    watch = Watch()
    request = parse(body, HOOK)
    picture = watch.run("read chart", lambda: picture_of(request, site, today))
    return _judge(picture, request.instance, site, today, watch)


def suppose(evaluation: Evaluation, values: Mapping[str, Observed], site: Site, today: date) -> Evaluation:
    """The same chart with each of these facts replaced by one reading."""
    readings = dict(evaluation.picture.readings)
    for name, observed in values.items():
        readings[name] = Readings(valid=(observed,), complete=True)
    watch = Watch()
    watch.times["read chart"] = evaluation.milliseconds["read chart"]
    return _judge(replace(evaluation.picture, readings=readings), evaluation.instance, site, today, watch)


def _judge(picture: ClinicalPicture, instance: str, site: Site, today: date, watch: Watch) -> Evaluation:
    board, cards = judge_picture(picture, site.knowledge, today, watch.run)
    return Evaluation(picture, board, served_by(site, cards, instance, picture.patient_id), instance, watch.times)
