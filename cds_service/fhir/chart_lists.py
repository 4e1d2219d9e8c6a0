"""Entries of a Chart other than whole resources: orders, studies, untrusted and unreadable resources."""

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
    """An active order with its authoring date, or a scheduled procedure with its planned date."""

    reference: str
    code: CodeableConcept | None
    on: PartialDate | None


class Study(NamedTuple):
    """A report or imaging study, by its code and date. Its text is not read."""

    reference: str
    code: CodeableConcept | None
    on: PartialDate | None


class UntrustedResource(NamedTuple):
    """A treatment, procedure or order that cannot be trusted, with the reason."""

    reference: str
    resource: Procedure | MedicationRequest | MedicationStatement | ServiceRequest
    why: Explanation


class UnreadableResource(NamedTuple):
    """A resource that could not be read as a whole."""

    resource_type: str
    what: Unreadable


class UnclearResource(NamedTuple):
    """A diagnosis or Observation that may be the patient's: its subject is unclear, or it belongs to a merged record."""

    reference: str
    resource: Condition | Observation
    why: Explanation


class PromisedResults(NamedTuple):
    """A report that counts, and the results that it refers to."""

    reference: str
    on: PartialDate | None
    results: tuple[Reference, ...]
