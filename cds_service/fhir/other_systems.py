"""Diagnoses whose code names no system that has it: what it would mean in the one that has is a question, never an answer."""

from __future__ import annotations

import msgspec

from cds_service.fhir.chart import Chart
from cds_service.fhir.concepts import codings, meanings, text_of
from cds_service.fhir.resources import CodeableConcept, Coding, Condition, UnreadCondition
from cds_service.fhir.tumour_codes import NOT_OF_ITS_SYSTEM
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.terminology import Use


def with_codes_of_other_systems(chart: Chart, knowledge: Knowledge) -> tuple[tuple[str, Condition], ...]:
    """The diagnoses of a chart; those of which no code is known where it says it is from, under the systems that have it."""
    return tuple((where, _asking(condition, knowledge)) for where, condition in chart.conditions)


def _asking(condition: Condition, knowledge: Knowledge) -> Condition:
    if condition.code is None or meanings(knowledge, condition.code):
        return condition
    terms = knowledge.terminology
    held = [found for coding in codings(knowledge, condition.code) for found in terms.held_elsewhere(coding)]
    if not any(meaning.use is not Use.CONTEXT for coding in held for meaning in terms.meanings(coding)):
        return condition
    code = CodeableConcept(
        coding=[Coding(system=terms.uris[found.system], code=found.code, display=found.display) for found in held],
        text=text_of(condition.code),
    )
    if isinstance(condition, UnreadCondition):
        return msgspec.structs.replace(condition, code=code)
    return UnreadCondition(
        id=condition.id, clinical_status=condition.clinical_status, verification_status=condition.verification_status,
        code=code, subject=condition.subject, body_site=condition.body_site, onset_date_time=condition.onset_date_time,
        onset_period=condition.onset_period, recorded_date=condition.recorded_date, extension=condition.extension,
        abatement_date_time=condition.abatement_date_time, abatement_period=condition.abatement_period,
        abatement_age=condition.abatement_age, abatement_range=condition.abatement_range,
        abatement_string=condition.abatement_string, why=NOT_OF_ITS_SYSTEM,
    )  # fmt: skip
