"""The drugs of a chart, from MedicationRequests and MedicationStatements, by concept or by the Medication they refer to or
contain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from cds_service.clinical_picture import PartialDate
from cds_service.fhir.chart import Chart
from cds_service.fhir.dates import first_date
from cds_service.fhir.resources import (
    CodeableConcept,
    Ingredient,
    Medication,
    MedicationRequest,
    MedicationStatement,
    Reference,
)
from cds_service.reasons import Explanation

CONTAINED_DECODER = msgspec.json.Decoder(Medication)


@dataclass(frozen=True, slots=True, eq=False)
class Medicine:
    """A drug: its own concept, and its active ingredients if listed. An ingredient is None if it refers to a resource that was
    not sent. Prescriptions of one Medication share this object."""

    concept: CodeableConcept | None
    ingredients: tuple[CodeableConcept | None, ...] = ()

    @property
    def concepts(self) -> tuple[CodeableConcept, ...]:
        """Return the concept of the drug and those of its ingredients."""
        return tuple(concept for concept in (self.concept, *self.ingredients) if concept is not None)


@dataclass(frozen=True, slots=True)
class Drug:
    """A drug given or taken: its start, its end if recorded, and whether it is active now. An untrusted entry counts as active,
    whatever its status."""

    where: str
    medicine: Medicine
    since: PartialDate | None
    until: PartialDate | None
    active: bool
    doubt: Explanation | None = field(default=None, compare=False)
    """Why the entry is not trusted; such an entry only raises a question."""
    begun: PartialDate | None = None
    """The first day of the period in the entry. A mere date of assertion does not count."""
    ended: PartialDate | None = None
    """The end of the period in the entry. A single day does not count."""
    dosage: msgspec.Raw = field(default_factory=msgspec.Raw, compare=False)
    """The dosage as sent; `dosage.read_regimen` reads it."""


def read_medication(chart: Chart) -> Iterable[Drug]:
    """Yield the drugs of a chart, one for each MedicationRequest and MedicationStatement."""
    medicines = {name: _of_medication(medication, chart) for name, medication in chart.medications.items()}
    for where, drug, doubt in _prescriptions(chart):
        active = doubt is not None or drug.status == "active"
        medicine = _medicine(chart, drug, medicines)
        if isinstance(drug, MedicationRequest):
            written = first_date(drug.authored_on)
            yield Drug(where, medicine, written, None, active, doubt, begun=written, dosage=drug.dosage_instruction)
            continue
        period = drug.effective_period
        since = first_date(drug.effective_date_time, period.start if period else None, drug.date_asserted)
        until = first_date(drug.effective_date_time, period.end if period else None)
        begun = first_date(drug.effective_date_time, period.start if period else None)
        ended = first_date(period.end if period else None)
        yield Drug(where, medicine, since, until, active, doubt, begun, ended, drug.dosage)


def _prescriptions(chart: Chart) -> Iterable[tuple[str, MedicationRequest | MedicationStatement, Explanation | None]]:
    """Yield the trusted prescriptions, then the untrusted ones, each with its reference and the reason (None if trusted)."""
    yield from ((where, request, None) for where, request in chart.medication_requests)
    yield from ((where, statement, None) for where, statement in chart.medication_statements)
    for where, resource, why in chart.untrusted:
        if isinstance(resource, MedicationRequest | MedicationStatement):
            yield where, resource, why


def referenced_medications(chart: Chart) -> set[str]:
    """Return the references, as written, to Medications that were not sent with the chart."""
    return {
        text
        for _, drug, _ in _prescriptions(chart)
        if drug.medication_codeable_concept is None and drug.medication_reference is not None
        for text in [drug.medication_reference.reference or ""]
        if text and not text.startswith("#") and _name(chart, text) not in chart.medications
    }


def _name(chart: Chart, reference: str) -> str:
    """Return "Medication/7" for a relative, absolute, versioned or urn reference."""
    return "/".join(chart.names.get(reference, reference).split("/_history/")[0].split("/")[-2:])


def _medicine(chart: Chart, drug: MedicationRequest | MedicationStatement, medicines: Mapping[str, Medicine]) -> Medicine:
    """Return the concept itself or the Medication referred to. If that says nothing, return the display of the reference as
    text."""
    reference = drug.medication_reference
    if drug.medication_codeable_concept is not None or reference is None:
        return Medicine(drug.medication_codeable_concept)
    text = reference.reference or ""
    if text.startswith("#"):
        contained = _contained(drug)
        found = contained.get(text)
        medicine = _of_medication(found, chart, contained) if found is not None else None
    else:
        medicine = medicines.get(_name(chart, text))
    if medicine is not None and medicine.concepts:
        return medicine
    return Medicine(CodeableConcept(text=reference.display))


def _contained(drug: MedicationRequest | MedicationStatement) -> dict[str, Medication]:
    """Return "#id" → contained Medication or Substance. Unreadable ones are left out; the display of the reference may name the
    drug."""
    found: dict[str, Medication] = {}
    for raw in drug.contained or []:
        try:
            medication = CONTAINED_DECODER.decode(raw)
        except (msgspec.MsgspecError, RecursionError):
            continue
        found[f"#{medication.id}"] = medication
    return found


def _of_medication(medication: Medication, chart: Chart, contained: Mapping[str, Medication] | None = None) -> Medicine:
    listed = [part for part in medication.ingredient or () if part.is_active is not False]
    return Medicine(medication.code, tuple(_item(part, chart, contained or {}) for part in listed))


def _item(part: Ingredient, chart: Chart, contained: Mapping[str, Medication]) -> CodeableConcept | None:
    if part.item_codeable_concept is not None or part.item_reference is None:
        return part.item_codeable_concept
    return _referred(part.item_reference, chart, contained)


def _referred(reference: Reference, chart: Chart, contained: Mapping[str, Medication]) -> CodeableConcept | None:
    text = reference.reference or ""
    found = contained.get(text) if text.startswith("#") else chart.medications.get(_name(chart, text))
    if found is not None and found.code is not None:
        return found.code
    return CodeableConcept(text=reference.display) if reference.display else None
