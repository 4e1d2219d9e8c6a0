"""The typed, immutable chart of one patient: the resources that count, and those that do not, with the reason.

`chart_builder.read_chart` builds it from the resources as sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from types import MappingProxyType

from cds_service.clinical_picture import LeftOut, NotConsulted, Omission, Unreadable
from cds_service.fhir.chart_lists import (
    Order,
    PromisedResults,
    Study,
    UnclearResource,
    UnreadableResource,
    UntrustedResource,
)
from cds_service.fhir.dates import first_date
from cds_service.fhir.resources import (
    READ_TYPES,
    CodeableConcept,
    Condition,
    Medication,
    MedicationRequest,
    MedicationStatement,
    Observation,
    Patient,
    Procedure,
    UnreadCondition,
    codes,
)

UNCONFIRMED_STATUSES = frozenset({"provisional", "differential", "unconfirmed"})
HISTORY_STATUSES = frozenset({"inactive", "resolved", "remission"})


@dataclass(frozen=True, slots=True)
class Availability:
    """Which resource types were requested and which arrived. Absence is evidence only for types that arrived complete."""

    complete: frozenset[str] = frozenset()
    """Resource types that were requested and arrived complete."""
    failed: frozenset[str] = frozenset()
    """Resource types whose search failed or returned only a part."""
    not_consulted: tuple[NotConsulted, ...] = ()
    codes: frozenset[str] | None = None
    """The codes by which Observations were searched; other results of a report were not requested. None if all were."""


EVERYTHING_ARRIVED = Availability(frozenset(READ_TYPES))
"""For a whole chart in a file: a resource that is not in the file does not exist."""


@dataclass(frozen=True, slots=True, eq=False)
class Chart:
    """One patient's resources that count, each with its reference, and those that do not count, with the reason."""

    patient_id: str | None
    patient: Patient | None
    conditions: tuple[tuple[str, Condition], ...]
    procedures: tuple[tuple[str, Procedure], ...]
    medication_requests: tuple[tuple[str, MedicationRequest], ...]
    medication_statements: tuple[tuple[str, MedicationStatement], ...]
    observations: tuple[tuple[str, Observation], ...]
    orders: tuple[Order, ...]
    """Active orders and scheduled procedures, including untrusted ones."""
    untrusted: tuple[UntrustedResource, ...]
    """Each makes a fact unknown and never gives a value. An untrusted order still counts as an order, because a warning too
    many is better than a missing one."""
    studies: tuple[Study, ...]
    medications: Mapping[str, Medication]
    refuted: tuple[tuple[str, Condition], ...]
    """Diagnoses that count as refuted, without those entered in error."""
    unclear: tuple[UnclearResource, ...]
    """Resources that may or may not belong to the patient. They never give a value."""
    sites: Mapping[str, CodeableConcept | None]
    """Reference of a BodyStructure or Specimen → its body site; None if it names none."""
    promised: tuple[PromisedResults, ...]
    names: Mapping[str, str]
    """fullUrl of a Bundle entry → the reference of its resource."""
    sources: Mapping[str, bytes]
    """Reference → the resource as sent."""
    unreadable: tuple[UnreadableResource, ...]
    invalid_dates: Mapping[str, Unreadable]
    """Diagnoses and procedures that count but have an invalid date, by reference."""
    left_out: Mapping[LeftOut, int]
    own: Mapping[str, int]
    """Resource type → number of resources that belong to the patient, including those that do not count."""
    foreign: Mapping[str, int]
    """Resource type → number of resources that belong to another patient or name no patient."""
    incomplete_types: frozenset[str]
    """Resource types with at least one resource that could not be decoded at all, so that absence is not evidence."""
    availability: Availability
    doubted: tuple[UnreadableResource, ...] = ()
    """Diagnoses that may or may not count: their certainty contradicts their status, or text follows the code."""

    @property
    def absence_is_evidence(self) -> frozenset[str]:
        """Return the resource types whose absence is evidence: requested, arrived complete, and decoded without loss."""
        drugs = {"MedicationRequest"} if "MedicationStatement" in self.incomplete_types else set()
        return self.availability.complete - self.incomplete_types - drugs

    @property
    def only_of_others(self) -> bool:
        """Return True if resources (or Conditions) came but none belongs to the patient, so that the request does not fit its
        data."""
        if self.foreign.get("Condition") and not self.own.get("Condition"):
            return not any(broken.resource_type == "Condition" for broken in self.unreadable)
        return not self.own and not self.unreadable and self.left_out.get(LeftOut(Omission.OTHER_PATIENT), 0) > 0

    def with_medications(self, found: Mapping[str, Medication], unreadable: tuple[UnreadableResource, ...]) -> Chart:
        """Return the chart with the Medications that its prescriptions refer to, and with those that could not be read."""
        return replace(
            self, medications=MappingProxyType({**self.medications, **found}), unreadable=(*self.unreadable, *unreadable)
        )


def is_history(condition: Condition, today: date) -> bool:
    """Return True if the diagnosis is inactive, resolved or in remission. Without a clinical status an abatement that has
    passed decides. A future abatement, or an abatement period that has not ended, does not make it history."""
    status = codes(condition.clinical_status) - {""}
    if status:
        return bool(status & HISTORY_STATUSES)
    period = condition.abatement_period
    ended = first_date(condition.abatement_date_time, period.end if period else None)
    if ended is not None:
        return ended.earliest <= today
    return any((condition.abatement_age, condition.abatement_range, condition.abatement_string))


def is_unconfirmed(condition: Condition) -> bool:
    """Return True if the diagnosis is provisional, differential or unconfirmed, or could not be read."""
    return isinstance(condition, UnreadCondition) or bool(codes(condition.verification_status) & UNCONFIRMED_STATUSES)
