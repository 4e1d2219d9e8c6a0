"""Finds other Patient resources of the same person: those linked as merged, replaced or also in use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cds_service.fhir.references import split_reference
from cds_service.fhir.resources import Patient, PatientLink, Resource, parts_of


def same_person(patient_id: str | None, patients: Iterable[tuple[str, Resource]], names: Mapping[str, str]) -> frozenset[str]:
    """Return the ids of Patients linked to this one in either direction, directly or through others, without its own.

    `patients`: reference → Patient. Links of any type count, since each says that one person was recorded twice.
    """
    linked: dict[str, set[str]] = {}
    for reference, patient in patients:
        own = reference.rsplit("/", 1)[-1]
        for link in parts_of(PatientLink, patient.link) if isinstance(patient, Patient) else ():
            other = split_reference(link.other, names)
            if other is not None and other[0] in {"Patient", ""}:
                linked.setdefault(own, set()).add(other[1])
                linked.setdefault(other[1], set()).add(own)
    found, ahead = set[str](), [patient_id] if patient_id else []
    while ahead:
        for name in linked.pop(ahead.pop(), set()) - found:
            found.add(name)
            ahead.append(name)
    return frozenset(found - {patient_id})
