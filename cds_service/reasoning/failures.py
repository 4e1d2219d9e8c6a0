"""Which records say that a treatment failed to control the hormonal symptoms, to stand beside that treatment. Pure."""

from __future__ import annotations

from cds_service.clinical_picture import Observed
from cds_service.reasoning.facts import Facts

ANSWER_OF = {"hepatic-arterial-therapy": "arterial-therapy", "hormonal-suppression": "hormonal-suppression"}
"""Modality → the answer of `symptoms_refractory_to` that says that it failed."""


def recorded_failures(modality: str, facts: Facts) -> tuple[Observed, ...]:
    """The readings that record the failure of the modality, each with its date, newest first; none where no record says so
    or the modality is none of which a record could. What is out of date or denied since is among them: a failure happened."""
    answer = ANSWER_OF.get(modality)
    return tuple(reading for reading in facts["symptoms_refractory_to"].history if reading.value == answer)
