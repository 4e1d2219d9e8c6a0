"""A hook request → everything the service makes of it, with the milliseconds of each stage.

Through the same functions as `hooks.patient_view.answer_request`, so that the page shows what the service would answer; a test
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
from cds_service.hooks.patient_view import finish_cards, judge_picture, retrieve_picture
from cds_service.hooks.request import parse_request
from cds_service.reasoning.evaluation import Evaluation
from cds_service.sites import Site

HOOK = "patient-view"
STAGES = ("read chart", "settle", "stage", "assess", "validate", "compose")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Trial:
    """`evaluation` is None where the chart holds no (certain) neuroendocrine liver metastases."""

    picture: ClinicalPicture
    evaluation: Evaluation | None
    cards: list[Card]
    instance: str
    milliseconds: Mapping[str, float]


class Stopwatch:
    def __init__(self) -> None:
        self.times: dict[str, float] = {}

    def run(self, name: str, work: Callable[[], T]) -> T:
        start = time.perf_counter()
        try:
            return work()
        finally:
            self.times[name] = round((time.perf_counter() - start) * 1000, 2)


def run_trial(body: bytes, site: Site, today: date) -> Trial:
    """Raises BadRequest and PreconditionFailed as the service does."""
    watch = Stopwatch()
    request = parse_request(body, HOOK)
    picture = watch.run("read chart", lambda: retrieve_picture(request, site, today))
    return _judge(picture, request.instance, site, today, watch)


def rerun_trial(trial: Trial, values: Mapping[str, Observed], site: Site, today: date) -> Trial:
    """The same chart with each of these facts replaced by one reading."""
    readings = dict(trial.picture.readings)
    for name, observed in values.items():
        readings[name] = Readings(valid=(observed,), complete=True)
    watch = Stopwatch()
    watch.times["read chart"] = trial.milliseconds["read chart"]
    return _judge(replace(trial.picture, readings=readings), trial.instance, site, today, watch)


def _judge(picture: ClinicalPicture, instance: str, site: Site, today: date, watch: Stopwatch) -> Trial:
    evaluation, cards = judge_picture(picture, site.knowledge, today, watch.run)
    return Trial(picture, evaluation, finish_cards(site, cards, instance, picture.patient_id), instance, watch.times)
