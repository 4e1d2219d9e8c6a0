"""What a Chart lists beside whole resources: orders, studies, what is not believed, what could not be read."""

from __future__ import annotations

from typing import NamedTuple

from cds_service.clinical_picture import PartialDate, Unreadable
from cds_service.fhir.resources import (
    CodeableConcept,
    MedicationRequest,
    MedicationStatement,
    Procedure,
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
