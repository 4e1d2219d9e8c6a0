"""What drugs a chart names: from requests and statements, by the concept or by the Medication they refer to."""

from __future__ import annotations

from collections.abc import Iterable

from cds_service.fhir.chart import Chart, date_of
from cds_service.fhir.resources import CodeableConcept, Reference
from cds_service.picture import When


def read_medication(chart: Chart) -> Iterable[tuple[str, CodeableConcept | None, When | None, bool]]:
    """Every drug given or taken: its reference, its concept, its first date, whether it is active now."""
    for where, request in chart.medication_requests:
        concept = _medicine(chart, request.medication_codeable_concept, request.medication_reference)
        yield where, concept, date_of(request.authored_on), request.status == "active"
    for where, statement in chart.medication_statements:
        concept = _medicine(chart, statement.medication_codeable_concept, statement.medication_reference)
        period = statement.effective_period
        on = date_of(statement.effective_date_time, period.start if period else None, statement.date_asserted)
        yield where, concept, on, statement.status == "active"


def _medicine(chart: Chart, concept: CodeableConcept | None, reference: Reference | None) -> CodeableConcept | None:
    """The concept itself, or that of the Medication referred to; else what the reference displays, as text."""
    if concept is not None or reference is None:
        return concept
    name = "/".join((reference.reference or "").split("/")[-2:])
    if (medication := chart.medications.get(name)) is not None:
        return medication.code
    return CodeableConcept(text=reference.display)
