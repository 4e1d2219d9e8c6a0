"""What a Chart lists beside whole resources: orders, studies, what is not believed, what could not be read."""

from __future__ import annotations

from typing import NamedTuple

from cds_service.clinical_picture import PartialDate, Unreadable
from cds_service.fhir.resources import (
    CodeableConcept,
    Condition,
    MedicationRequest,
    MedicationStatement,
    Observation,
    Procedure,
    Reference,
    ServiceRequest,
)
from cds_service.reasons import Explanation


class Order(NamedTuple):
    """An active order, with the day it was written; or a scheduled procedure, with the day it is planned for."""

    reference: str
    code: CodeableConcept | None
    on: PartialDate | None


class Study(NamedTuple):
    """A report or an imaging study: that it exists, and when. Its text is not read."""

    reference: str
    code: CodeableConcept | None
    on: PartialDate | None


class UntrustedResource(NamedTuple):
    """What was done, given or ordered, if that is to be believed; and why it is not."""

    reference: str
    resource: Procedure | MedicationRequest | MedicationStatement | ServiceRequest
    why: Explanation


class UnreadableResource(NamedTuple):
    """A resource that could not be read as a whole."""

    resource_type: str
    what: Unreadable


class UnclearResource(NamedTuple):
    """A diagnosis or an Observation that may be of the patient: nobody can tell whose it is, or it is of a record merged."""

    reference: str
    resource: Condition | Observation
    why: Explanation


class PromisedResults(NamedTuple):
    """A report that counts, and the results that it says it has."""

    reference: str
    on: PartialDate | None
    results: tuple[Reference, ...]
