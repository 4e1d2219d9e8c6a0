"""What drugs a chart names: from requests and statements, by the concept or by the Medication they refer to or contain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from cds_service.clinical_picture import PartialDate
from cds_service.fhir.chart import Chart
from cds_service.fhir.dates import first_date
from cds_service.fhir.resources import CodeableConcept, Medication, MedicationRequest, MedicationStatement
from cds_service.reasons import Explanation

CONTAINED_DECODER = msgspec.json.Decoder(Medication)


@dataclass(frozen=True, slots=True)
class Drug:
    """A drug given or taken: since when, until when where that is recorded, and whether it is active now. What is in doubt
    may be active, whatever its status says."""

    where: str
    concept: CodeableConcept | None
    since: PartialDate | None
    until: PartialDate | None
    active: bool
    doubt: Explanation | None = field(default=None, compare=False)
    """Why it is not believed: it asks."""


def read_medication(chart: Chart) -> Iterable[Drug]:
    for where, drug, doubt in _prescriptions(chart):
        active = doubt is not None or drug.status == "active"
        if isinstance(drug, MedicationRequest):
            yield Drug(where, _medicine(chart, drug), first_date(drug.authored_on), None, active, doubt)
            continue
        period = drug.effective_period
        since = first_date(drug.effective_date_time, period.start if period else None, drug.date_asserted)
        until = first_date(drug.effective_date_time, period.end if period else None)
        yield Drug(where, _medicine(chart, drug), since, until, active, doubt)


def _prescriptions(chart: Chart) -> Iterable[tuple[str, MedicationRequest | MedicationStatement, Explanation | None]]:
    """Those that count, then those in doubt, each with the reason."""
    yield from ((where, request, None) for where, request in chart.medication_requests)
    yield from ((where, statement, None) for where, statement in chart.medication_statements)
    for where, resource, why in chart.untrusted:
        if isinstance(resource, MedicationRequest | MedicationStatement):
            yield where, resource, why


def referenced_medications(chart: Chart) -> set[str]:
    """References to Medications that did not come with the chart, as they were written."""
    return {
        text
        for _, drug, _ in _prescriptions(chart)
        if drug.medication_codeable_concept is None and drug.medication_reference is not None
        for text in [drug.medication_reference.reference or ""]
        if text and not text.startswith("#") and _name(chart, text) not in chart.medications
    }


def _name(chart: Chart, reference: str) -> str:
    """ "Medication/7" of a relative, absolute, versioned or urn reference."""
    return "/".join(chart.names.get(reference, reference).split("/_history/")[0].split("/")[-2:])


def _medicine(chart: Chart, drug: MedicationRequest | MedicationStatement) -> CodeableConcept | None:
    """The concept itself, or that of the Medication referred to; else what the reference displays, as text."""
    reference = drug.medication_reference
    if drug.medication_codeable_concept is not None or reference is None:
        return drug.medication_codeable_concept
    text = reference.reference or ""
    medication = _contained(drug, text) if text.startswith("#") else chart.medications.get(_name(chart, text))
    if medication is not None and medication.code is not None:
        return medication.code
    return CodeableConcept(text=reference.display)


def _contained(drug: MedicationRequest | MedicationStatement, reference: str) -> Medication | None:
    for raw in drug.contained or []:
        try:
            found = CONTAINED_DECODER.decode(raw)
        except (msgspec.MsgspecError, RecursionError):
            continue  # what it is called stays in the reference's display
        if f"#{found.id}" == reference:
            return found
    return None
