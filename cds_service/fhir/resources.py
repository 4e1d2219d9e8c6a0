"""The fields of FHIR R4 resources that are read; all others are ignored."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from cds_service.reasons import Explanation, Reason


class Struct(msgspec.Struct, rename="camel"):
    """A field of type Any holds whatever was sent, so that an invalid element of little importance does not make the resource
    unreadable. `parts_of` reads it."""


S = TypeVar("S", bound=Struct)


def parts_of(kind: type[S], sent: Any) -> list[S]:
    """Return the parts of an element that are of the given type. An element that should be a list but is not counts as its only
    part."""
    found = []
    for part in sent if isinstance(sent, list) else () if sent is None else (sent,):
        try:
            found.append(msgspec.convert(part, kind))
        except (msgspec.ValidationError, RecursionError):
            continue
    return found


class Reference(Struct):
    reference: str | None = None
    display: str | None = None


class Coding(Struct):
    system: str | None = None
    code: str | None = None
    display: str | None = None
    extension: Any = None


class CodeableConcept(Struct, dict=True):
    """Values computed from a concept are cached in its __dict__ (`fhir.concepts`), where sent data never gets."""

    coding: list[Coding] | None = None
    text: str | None = None
    extension: Any = None


class Period(Struct):
    start: str | None = None
    end: str | None = None


class Quantity(Struct):
    value: Decimal | None = None
    comparator: str | None = None
    unit: str | None = None
    system: str | None = None
    code: str | None = None


class Range(Struct):
    low: Quantity | None = None
    high: Quantity | None = None


class Ratio(Struct):
    numerator: Quantity | None = None
    denominator: Quantity | None = None


class Extension(Struct):
    url: str | None = None
    value_codeable_concept: CodeableConcept | None = None
    value_coding: Any = None
    value_code: Any = None
    value_string: Any = None
    value_reference: Any = None
    extension: Any = None


class Resource(Struct):
    """The elements of every resource that are read: the id, and those that FHIR forbids to ignore (see `credibility`)."""

    id: Any = None
    implicit_rules: Any = None
    modifier_extension: Any = None


class WithStatus(Resource):
    status: str | None = None


class PatientLink(Struct):
    other: Reference | None = None
    type: str | None = None


class Patient(Resource):
    birth_date: str | None = None
    gender: str | None = None
    link: Any = None
    deceased_boolean: Any = None
    deceased_date_time: Any = None


class Condition(Resource):
    clinical_status: CodeableConcept | None = None
    verification_status: CodeableConcept | None = None
    code: CodeableConcept | None = None
    body_site: list[CodeableConcept] | None = None
    onset_date_time: str | None = None
    onset_period: Period | None = None
    recorded_date: str | None = None
    abatement_date_time: str | None = None
    abatement_period: Period | None = None
    abatement_age: Any = None
    abatement_range: Any = None
    abatement_string: str | None = None
    subject: Reference | None = None
    extension: list[Extension] | None = None
    contained: list[msgspec.Raw] | None = None


class Procedure(WithStatus):
    code: CodeableConcept | None = None
    body_site: list[CodeableConcept] | None = None
    performed_date_time: str | None = None
    performed_period: Period | None = None
    subject: Reference | None = None


class MedicationRequest(WithStatus):
    intent: str | None = None
    do_not_perform: bool | None = None
    medication_codeable_concept: CodeableConcept | None = None
    medication_reference: Reference | None = None
    contained: list[msgspec.Raw] | None = None
    authored_on: str | None = None
    subject: Reference | None = None
    dosage_instruction: msgspec.Raw = msgspec.Raw()


class MedicationStatement(WithStatus):
    medication_codeable_concept: CodeableConcept | None = None
    medication_reference: Reference | None = None
    contained: list[msgspec.Raw] | None = None
    effective_date_time: str | None = None
    effective_period: Period | None = None
    date_asserted: str | None = None
    subject: Reference | None = None
    dosage: msgspec.Raw = msgspec.Raw()


class ServiceRequest(WithStatus):
    intent: str | None = None
    do_not_perform: bool | None = None
    code: CodeableConcept | None = None
    authored_on: str | None = None
    subject: Reference | None = None


class DiagnosticReport(WithStatus):
    code: CodeableConcept | None = None
    effective_date_time: Any = None
    effective_period: Any = None
    issued: Any = None
    subject: Reference | None = None
    contained: list[msgspec.Raw] | None = None
    result: Any = None


class ImagingStudy(WithStatus):
    procedure_code: list[CodeableConcept] | None = None
    started: str | None = None
    subject: Reference | None = None


class Ingredient(Struct):
    """An ingredient of a Medication."""

    item_codeable_concept: CodeableConcept | None = None
    item_reference: Reference | None = None
    is_active: bool | None = None


class Medication(Resource):
    """Also used for a contained Substance: the fields that are read have the same names."""

    code: CodeableConcept | None = None
    ingredient: list[Ingredient] | None = None


class ReferenceRange(Struct):
    low: Quantity | None = None
    high: Quantity | None = None
    type: CodeableConcept | None = None
    applies_to: list[CodeableConcept] | None = None
    age: Any = None


class Component(Struct):
    code: CodeableConcept | None = None
    modifier_extension: Any = None
    value_quantity: Quantity | None = None
    value_range: Range | None = None
    value_ratio: Ratio | None = None
    value_codeable_concept: CodeableConcept | None = None
    value_string: str | None = None
    value_boolean: bool | None = None
    value_integer: int | None = None
    data_absent_reason: CodeableConcept | None = None
    reference_range: list[ReferenceRange] | None = None


class Repeat(Struct):
    bounds_period: Period | None = None


class Timing(Struct):
    event: list[str] | None = None
    repeat: Repeat | None = None


class Observation(WithStatus):
    code: CodeableConcept | None = None
    subject: Reference | None = None
    focus: list[Reference] | None = None
    specimen: Any = None
    effective_date_time: str | None = None
    effective_instant: str | None = None
    effective_period: Period | None = None
    effective_timing: Any = None
    issued: Any = None
    body_site: CodeableConcept | None = None
    value_quantity: Quantity | None = None
    value_range: Range | None = None
    value_ratio: Ratio | None = None
    value_codeable_concept: CodeableConcept | None = None
    value_string: str | None = None
    value_boolean: bool | None = None
    value_integer: int | None = None
    data_absent_reason: CodeableConcept | None = None
    reference_range: list[ReferenceRange] | None = None
    component: list[Component] | None = None
    has_member: list[Reference] | None = None
    extension: Any = None
    contained: list[msgspec.Raw] | None = None


class BodyStructure(Resource):
    location: CodeableConcept | None = None
    patient: Reference | None = None


class Collection(Struct):
    body_site: CodeableConcept | None = None


class Specimen(WithStatus):
    collection: Collection | None = None
    subject: Reference | None = None


NOT_VALID = Explanation(Reason.NOT_VALID_R4)


class UnreadObservation(Observation):
    """The readable rest of an unreadable Observation, with the reason. Its facts become unknown."""

    why: Explanation = NOT_VALID


class UnreadCondition(Condition):
    """The readable rest of an unreadable Condition, with the reason. It raises questions and never gives a value."""

    why: Explanation = NOT_VALID


class UnreadContainer(WithStatus):
    """The contained resources of a report, Observation or Condition that is otherwise unreadable."""

    subject: Reference | None = None
    contained: list[msgspec.Raw] | None = None
    why: Explanation = NOT_VALID


def as_unread(condition: Condition, why: Explanation) -> UnreadCondition:
    """Return the diagnosis as an UnreadCondition that only raises questions. Its fields are kept, including its end."""
    told = {name: getattr(condition, name) for name in Condition.__struct_fields__}
    return UnreadCondition(**told, why=why)


Unread = UnreadObservation | UnreadCondition | UnreadContainer


def codes(concept: CodeableConcept | None) -> set[str]:
    """Return the codes of a concept, without their systems."""
    return {(coding.code or "").strip() for coding in (concept.coding or [])} if concept else set()


READ_TYPES: dict[str, type[Resource]] = {
    kind.__name__: kind
    for kind in (
        Patient,
        Condition,
        Procedure,
        MedicationRequest,
        MedicationStatement,
        Medication,
        Observation,
        ServiceRequest,
        DiagnosticReport,
        ImagingStudy,
        BodyStructure,
        Specimen,
    )
}


def queried_type(query: str) -> str:
    """Return the resource type of a query: Condition?patient=… → Condition; Patient/example → Patient."""
    return query.split("?")[0].split("/")[0]
