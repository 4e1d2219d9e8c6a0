"""Finds the records that a treatment failed to control the hormonal symptoms, to be shown with that treatment. Pure."""

from __future__ import annotations

from cds_service.clinical_picture import Observed
from cds_service.reasoning.facts import Facts

ANSWER_OF = {"hepatic-arterial-therapy": "arterial-therapy", "hormonal-suppression": "hormonal-suppression"}
"""Modality → the answer of `symptoms_refractory_to` that records its failure."""


def recorded_failures(modality: str, facts: Facts) -> tuple[Observed, ...]:
    """Return the readings that record the failure of the modality, newest first; empty if there are none, or if no answer
    exists for the modality. Readings that are out of date or were denied later are included, because the failure happened."""
    answer = ANSWER_OF.get(modality)
    return tuple(reading for reading in facts["symptoms_refractory_to"].history if reading.value == answer)
