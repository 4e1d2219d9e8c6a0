"""Evaluates a hook request for the page and measures the milliseconds of each stage.

Calls the same functions as `hooks.patient_view.answer_request`, so that the page shows what the service would answer; a test
compares the cards of both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeVar

from cds_service.cards.card import Card
from cds_service.clinical_picture import ClinicalPicture, Readings, Unreadable
from cds_service.hooks.patient_view import answer_picture, finish_cards, retrieve_picture
from cds_service.hooks.request import parse_request
from cds_service.reasoning.evaluation import Evaluation
from cds_service.sites import Site

HOOK = "patient-view"
READING, JUDGING = "read the chart", "judge it and compose the cards"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Trial:
    """The result for one chart. `evaluation` is None if the chart does not (with certainty) show neuroendocrine liver
    metastases, or if the patient has died."""

    picture: ClinicalPicture
    evaluation: Evaluation | None
    cards: list[Card]
    instance: str
    today: date
    invalid: tuple[Unreadable, ...]
    """Resources that affected the result and are not valid FHIR R4."""
    milliseconds: Mapping[str, float]
    """Stage → its duration, in the order of the stages."""


def run_trial(body: bytes, site: Site, today: date) -> Trial:
    """Return the result for a hook request. Raises BadRequest, TooLarge and PreconditionFailed as the service does."""
    request = parse_request(body, HOOK)
    picture, milliseconds = _measure(lambda: retrieve_picture(request, site, today, whole=True))
    return _judge(picture, request.instance, site, today, milliseconds)


def rerun_trial(trial: Trial, values: Mapping[str, Readings], site: Site, today: date) -> Trial:
    """Return the result for the same chart, with the readings of each fact in `values` replaced."""
    readings = {**trial.picture.readings, **values}
    return _judge(replace(trial.picture, readings=readings), trial.instance, site, today, trial.milliseconds[READING])


def _judge(picture: ClinicalPicture, instance: str, site: Site, today: date, reading: float) -> Trial:
    answer, judging = _measure(lambda: answer_picture(picture, site.knowledge, today))
    cards = finish_cards(site, answer.cards, instance, picture.patient_id)
    return Trial(picture, answer.evaluation, cards, instance, today, answer.invalid, {READING: reading, JUDGING: judging})


def _measure(step: Callable[[], T]) -> tuple[T, float]:
    """Return the result of a step and its milliseconds."""
    start = time.perf_counter()
    result = step()
    return result, round((time.perf_counter() - start) * 1000, 2)
