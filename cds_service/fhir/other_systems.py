"""Reads diagnoses whose code is not in its stated system as if it were in the system that has it. They only raise questions."""

from __future__ import annotations

import msgspec

from cds_service.fhir.chart import Chart
from cds_service.fhir.concepts import held_elsewhere, meanings, text_of
from cds_service.fhir.resources import CodeableConcept, Coding, Condition, UnreadCondition, as_unread
from cds_service.fhir.tumour_codes import NOT_OF_ITS_SYSTEM
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.terminology import Use


def with_codes_of_other_systems(chart: Chart, knowledge: Knowledge) -> tuple[tuple[str, Condition], ...]:
    """Return the diagnoses of a chart. Those without a code known in its stated system are put under the systems that have
    it."""
    return tuple((where, _asking(condition, knowledge)) for where, condition in chart.conditions)


def _asking(condition: Condition, knowledge: Knowledge) -> Condition:
    if condition.code is None or meanings(knowledge, condition.code):
        return condition
    terms = knowledge.terminology
    elsewhere = held_elsewhere(knowledge, condition.code)
    if any(coding.system in terms.uris and coding.code and not held for coding, held in elsewhere.items()):
        return condition  # its own system says that it is another disease
    held = dict.fromkeys(found for each in elsewhere.values() for found in each)
    if not any(meaning.use is not Use.CONTEXT for coding in held for meaning in terms.meanings(coding)):
        return condition
    more = [Coding(system=terms.uris[found.system], code=found.code, display=found.display) for found in held]
    code = CodeableConcept(coding=[*(condition.code.coding or ()), *more], text=text_of(condition.code))
    if isinstance(condition, UnreadCondition):
        return msgspec.structs.replace(condition, code=code)
    return as_unread(msgspec.structs.replace(condition, code=code), NOT_OF_ITS_SYSTEM)
