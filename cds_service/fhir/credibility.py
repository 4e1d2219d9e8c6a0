"""Decides why a decoded resource is not trusted: it has a modifier that is not understood, or a status that FHIR does not
define. Such a resource is not dropped; its facts become unknown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from cds_service.fhir.dates import parse_date
from cds_service.fhir.plausibility import has_impossible_code
from cds_service.fhir.resources import (
    CodeableConcept,
    Condition,
    Medication,
    MedicationRequest,
    MedicationStatement,
    Observation,
    Procedure,
    Resource,
    ServiceRequest,
    Struct,
    Unread,
    UnreadCondition,
    WithStatus,
    codes,
)
from cds_service.reasons import Explanation, Reason

COUNTING_STATUSES: dict[type[Struct], frozenset[str]] = {
    Observation: frozenset({"final", "amended", "corrected"}),
    Procedure: frozenset({"completed", "in-progress", "preparation"}),
    MedicationRequest: frozenset({"active", "on-hold", "completed", "stopped"}),
    MedicationStatement: frozenset({"active", "on-hold", "completed", "stopped"}),
    ServiceRequest: frozenset({"active"}),
}
"""`preparation` counts as an order."""
NOT_COUNTING_STATUSES: dict[type[Struct], frozenset[str]] = {
    # docs/knowledge.md, "Facts": status
    Observation: frozenset({"registered", "preliminary", "cancelled", "entered-in-error", "unknown"}),
    Procedure: frozenset({"not-done", "on-hold", "stopped", "entered-in-error"}),
    MedicationRequest: frozenset({"cancelled", "draft", "entered-in-error"}),
    MedicationStatement: frozenset({"not-taken", "intended", "entered-in-error"}),
    ServiceRequest: frozenset({"draft", "on-hold", "revoked", "completed", "entered-in-error"}),
}
"""R4's statuses for: no finding, not done, not given. No other status means this, nor does `unknown`."""
REFUTED_STATUSES = frozenset({"refuted", "entered-in-error"})
VERIFICATION_STATUSES = REFUTED_STATUSES | {"unconfirmed", "provisional", "differential", "confirmed"}
CLINICAL_STATUSES = frozenset({"active", "recurrence", "relapse", "inactive", "remission", "resolved"})

MODIFIED = Explanation(Reason.MODIFIED)
MISDATED = Explanation(Reason.DATE_NOT_VALID)
STATUS_REASONS = frozenset({Reason.STATUS_NOT_OF_FHIR, Reason.STATUS_UNKNOWN})


class ModifierElements(msgspec.Struct, rename="camel"):
    """The elements by which a sender can change the meaning of a resource."""

    resource_type: Any = None
    implicit_rules: Any = None
    modifier_extension: Any = None


MODIFIED_MEDICATION = msgspec.json.Decoder(ModifierElements)


def has_non_counting_status(resource: Resource) -> bool:
    """Return True if FHIR defines the resource's status as one that does not count."""
    if isinstance(resource, UnreadCondition):
        return False
    if isinstance(resource, Condition):
        return bool(codes(resource.verification_status) & REFUTED_STATUSES)
    kind = Observation if isinstance(resource, Observation) else type(resource)
    return isinstance(resource, WithStatus) and resource.status in NOT_COUNTING_STATUSES.get(kind, ())


def is_in_error(condition: Condition) -> bool:
    """Return True if the diagnosis was entered in error, rather than refuted."""
    return "entered-in-error" in codes(condition.verification_status)


def why_not_trusted(resource: Resource) -> Explanation | None:
    """Return why the resource is not trusted, or None if it is."""
    if isinstance(resource, Unread) or has_non_counting_status(resource):
        return None
    if is_modified(resource):
        return MODIFIED
    if has_impossible_code(resource):
        return Explanation(Reason.CODE_NOT_OF_ITS_SYSTEM)
    if isinstance(resource, Condition):
        return _fault_of_condition(resource)
    if isinstance(resource, Observation):
        if resource.component and any(part.modifier_extension for part in resource.component):
            return MODIFIED
        if not _dated_well(*_dates_of_observation(resource)):
            return MISDATED
    if isinstance(resource, MedicationRequest | MedicationStatement) and _changed_within(resource.contained):
        return MODIFIED
    counting = COUNTING_STATUSES.get(type(resource))
    if isinstance(resource, WithStatus) and counting is not None and resource.status not in counting:
        unknown = resource.status == "unknown"
        return Explanation(Reason.STATUS_UNKNOWN) if unknown else Explanation(Reason.STATUS_NOT_OF_FHIR)
    return None


def has_invalid_date(resource: Resource) -> bool:
    """Return True if a diagnosis or procedure has an invalid date. It still counts, because a transplant or a failing liver
    must not be lost over a date."""
    if isinstance(resource, Condition):
        onset = resource.onset_period
        return not _dated_well(resource.onset_date_time, onset.start if onset else None, resource.recorded_date)
    if isinstance(resource, Procedure):
        done = resource.performed_period
        ends = (done.start, done.end) if done else ()
        return not _dated_well(resource.performed_date_time, *ends)
    return False


def is_modified(resource: Resource | ModifierElements) -> bool:
    """Return True if the resource has modifierExtension or implicitRules. R4 requires that both are understood, and the service
    knows none."""
    return bool(resource.modifier_extension or resource.implicit_rules)


def _changed_within(contained: Iterable[msgspec.Raw] | None) -> bool:
    """Return True if a contained Medication has a modifier."""
    for raw in contained or ():
        try:
            found = MODIFIED_MEDICATION.decode(raw)
        except (msgspec.MsgspecError, RecursionError):
            continue  # unreadable: `medication` reads what it can
        if found.resource_type == Medication.__name__ and is_modified(found):
            return True
    return False


def _fault_of_condition(condition: Condition) -> Explanation | None:
    if _unknown_word(condition.verification_status, VERIFICATION_STATUSES):
        return Explanation(Reason.VERIFICATION_STATUS_NOT_OF_FHIR)
    if _unknown_word(condition.clinical_status, CLINICAL_STATUSES):
        return Explanation(Reason.CLINICAL_STATUS_NOT_OF_FHIR)
    abated = condition.abatement_period
    if not _dated_well(condition.abatement_date_time, abated.start if abated else None, abated.end if abated else None):
        return Explanation(Reason.END_DATE_NOT_VALID)
    return None


def _unknown_word(concept: CodeableConcept | None, words: frozenset[str]) -> bool:
    """Return True if a status is present but none of its codes is FHIR's: "Resolved", or text only."""
    if concept is None:
        return False
    said = codes(concept) - {""}
    return bool(said or concept.text or any(coding.display for coding in concept.coding or ())) and not said & words


def _dates_of_observation(observation: Observation) -> tuple[str | None, ...]:
    period = observation.effective_period
    ends = (period.start, period.end) if period else ()
    return (observation.effective_date_time, observation.effective_instant, *ends)


def _dated_well(*texts: str | None) -> bool:
    for text in texts:
        if text:
            try:
                parse_date(text)
            except ValueError:
                return False
    return True
