"""The chart of one patient, typed: the resources that count, and what does not count, with the reason. Immutable.

`chart_builder.read_chart` makes it of the resources as sent.
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
    """What of a chart was asked for, and what of it arrived. Without it the absence of a resource says nothing."""

    complete: frozenset[str] = frozenset()
    """Resource types that were asked for and arrived complete."""
    failed: frozenset[str] = frozenset()
    """Resource types whose search failed, or brought only a part."""
    not_consulted: tuple[NotConsulted, ...] = ()
    codes: frozenset[str] | None = None
    """The codes by which Observations were asked for: what a report names beside them was not. None where all were."""


EVERYTHING_ARRIVED = Availability(frozenset(READ_TYPES))
"""Of a whole chart in a file: what it does not hold is not there."""


@dataclass(frozen=True, slots=True, eq=False)
class Chart:
    """One patient's resources that count, each with its reference; and what does not count, and why."""

    patient_id: str | None
    patient: Patient | None
    conditions: tuple[tuple[str, Condition], ...]
    procedures: tuple[tuple[str, Procedure], ...]
    medication_requests: tuple[tuple[str, MedicationRequest], ...]
    medication_statements: tuple[tuple[str, MedicationStatement], ...]
    observations: tuple[tuple[str, Observation], ...]
    orders: tuple[Order, ...]
    """Active orders and scheduled procedures, also those in doubt."""
    untrusted: tuple[UntrustedResource, ...]
    """Each raises a question and answers none. An order among them stays an order: a warning too many is better than a
    missing one."""
    studies: tuple[Study, ...]
    medications: Mapping[str, Medication]
    refuted: tuple[tuple[str, Condition], ...]
    """Diagnoses that count as refuted; not those entered in error."""
    unclear: tuple[UnclearResource, ...]
    """What may be of the patient, and nobody can tell. It answers nothing."""
    sites: Mapping[str, CodeableConcept | None]
    """Reference of a BodyStructure or a Specimen → where in the body it is or was taken; None where it does not say."""
    promised: tuple[PromisedResults, ...]
    names: Mapping[str, str]
    """fullUrl of a Bundle entry → the reference of its resource."""
    sources: Mapping[str, bytes]
    """Reference → the resource as sent."""
    unreadable: tuple[UnreadableResource, ...]
    invalid_dates: Mapping[str, Unreadable]
    """Diagnoses and procedures that count, with a date that is none."""
    left_out: Mapping[LeftOut, int]
    own: Mapping[str, int]
    """Resource type → how many are of the patient, whether they count or not."""
    foreign: Mapping[str, int]
    """Resource type → how many are of somebody else, or do not say of whom."""
    incomplete_types: frozenset[str]
    """Resource types of which something could not be understood at all: what is not there may be in it."""
    availability: Availability
    doubted: tuple[UnreadableResource, ...] = ()
    """Diagnoses of which nobody can tell whether they count: their certainty and their status, or a text behind the code."""

    @property
    def absence_is_evidence(self) -> frozenset[str]:
        """Resource types whose silence says something: asked, arrived complete, and understood."""
        drugs = {"MedicationRequest"} if "MedicationStatement" in self.incomplete_types else set()
        return self.availability.complete - self.incomplete_types - drugs

    @property
    def only_of_others(self) -> bool:
        """Resources, or diagnoses, came, and none of them of the patient: the question and the data do not fit together."""
        if self.foreign.get("Condition") and not self.own.get("Condition"):
            return not any(broken.resource_type == "Condition" for broken in self.unreadable)
        return not self.own and not self.unreadable and self.left_out.get(LeftOut(Omission.OTHER_PATIENT), 0) > 0

    def with_medications(self, found: Mapping[str, Medication], unreadable: tuple[UnreadableResource, ...]) -> Chart:
        """The same chart with Medications that its prescriptions refer to, and those of them that could not be read."""
        return replace(
            self, medications=MappingProxyType({**self.medications, **found}), unreadable=(*self.unreadable, *unreadable)
        )


def is_history(condition: Condition, today: date) -> bool:
    """Inactive, resolved or in remission; that it has ended says so where no status does. An end to come is none yet,
    and neither is a period of ending that is not over."""
    status = codes(condition.clinical_status) - {""}
    if status:
        return bool(status & HISTORY_STATUSES)
    period = condition.abatement_period
    ended = first_date(condition.abatement_date_time, period.end if period else None)
    if ended is not None:
        return ended.earliest <= today
    return any((condition.abatement_age, condition.abatement_range, condition.abatement_string))


def is_unconfirmed(condition: Condition) -> bool:
    return isinstance(condition, UnreadCondition) or bool(codes(condition.verification_status) & UNCONFIRMED_STATUSES)
