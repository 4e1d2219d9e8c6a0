"""Reads the orders that are being written (`context.draftOrders` of order-select and order-sign), as leniently as possible.

Clients send drafts that are not valid FHIR: a Bundle without a type, a list as an object, a prescription without a drug. An
element that is not read never makes a draft unreadable, and a draft that cannot be recognised is no order of a treatment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from cds_service.clinical_picture import DraftOrder
from cds_service.fhir.chart import Availability, Chart
from cds_service.fhir.chart_builder import ChartEntry, read_chart
from cds_service.fhir.concepts import codings, meanings, names_of
from cds_service.fhir.demographics_and_orders import ordered_tests
from cds_service.fhir.drug_reading import DrugReader
from cds_service.fhir.medication import read_medication
from cds_service.fhir.references import split_reference
from cds_service.fhir.resources import CodeableConcept, Coding, MedicationRequest, Reference, parts_of
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.terminology import Meaning, Use

WITHDRAWN = frozenset({"entered-in-error", "revoked", "cancelled", "stopped", "completed"})
PROCEDURES, DRUGS = "ServiceRequest", "MedicationRequest"


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft as sent, of the patient and not withdrawn."""

    reference: str
    resource: dict[str, Any]


@dataclass(frozen=True, slots=True)
class DraftBundle:
    """The drafts of a request, and a chart of the prescriptions among them, which refers to their Medications."""

    procedures: tuple[Draft, ...]
    prescriptions: Chart


@dataclass(frozen=True, slots=True)
class ReadDrafts:
    """The orders of treatments, and the codes of the tests that are being ordered (`ClinicalPicture.ordered_tests`)."""

    orders: tuple[DraftOrder, ...]
    tests: frozenset[str]


def unpack_drafts(sent: object, patient_id: str) -> DraftBundle:
    """Return the drafts of a `draftOrders` for the patient. Drafts of another patient, withdrawn and forbidding ones do not
    count."""
    entries = list(_entries(sent))
    medications = [(raw, url) for r, url in entries if r.get("resourceType") == "Medication" for raw in _encoded(r)]
    chart = read_chart([ChartEntry(raw, url) for raw, url in medications], patient_id, Availability())
    drafts = [
        Draft(f"{r['resourceType']}/{r['id']}" if _is_id(r.get("id")) else "", r)
        for r, _ in entries
        if r.get("resourceType") in {PROCEDURES, DRUGS} and _counts(r, patient_id)
    ]
    prescriptions = [(d.reference, _prescription(d.resource)) for d in drafts if d.resource["resourceType"] == DRUGS]
    procedures = tuple(draft for draft in drafts if draft.resource["resourceType"] == PROCEDURES)
    return DraftBundle(procedures, replace(chart, medication_requests=tuple(prescriptions)))


def read_drafts(bundle: DraftBundle, knowledge: Knowledge, selections: Sequence[str] | None) -> ReadDrafts:
    """Return the orders of treatments. `selections`: references of the drafts that are judged; None: all of them."""
    reader, found, tests = DrugReader(knowledge), dict[tuple[str, str], DraftOrder](), set[str]()
    chosen = None if selections is None else {"/".join(reference.split("/")[-2:]) for reference in selections}

    def add(kind: str, reference: str, by_name: bool) -> None:
        judged = chosen is None or reference in chosen
        found.setdefault((kind, reference), DraftOrder(kind, reference, by_name, judged))

    for draft in bundle.procedures:
        concept = _concept(draft.resource.get("code"))
        tests |= ordered_tests(knowledge, concept)
        name, by_name = _kind_of_procedure(knowledge, concept)
        if name:
            add(name, draft.reference, by_name)
    for drug in read_medication(bundle.prescriptions):
        told = reader.reading_of(drug.medicine)
        coded = {m.concept for concept in drug.medicine.concepts for m in _deciding(knowledge, concept)}
        decides = (told.decides | coded) - told.silent
        for kind in knowledge.orders.kinds:
            if kind.concepts & (decides | told.named):
                add(kind.id, drug.where, not kind.concepts & decides)
    return ReadDrafts(tuple(found.values()), frozenset(tests))


def _entries(sent: object) -> Iterator[tuple[dict[str, Any], str | None]]:
    """Yield the resources of a Bundle, each with the fullUrl of its entry. A resource in place of its entry is read, too."""
    listed = sent.get("entry") if isinstance(sent, dict) else None
    for entry in listed if isinstance(listed, list) else [listed]:
        if isinstance(entry, dict):
            resource, url = entry.get("resource", entry), entry.get("fullUrl")
            if isinstance(resource, dict) and isinstance(resource.get("resourceType"), str):
                yield resource, url if isinstance(url, str) else None


def _is_id(sent: object) -> bool:
    return isinstance(sent, str) and sent != ""


def _counts(resource: dict[str, Any], patient_id: str) -> bool:
    """Return whether a draft counts: not withdrawn, not forbidding, and not of another patient. One without a subject counts,
    because the request is about this patient."""
    if resource.get("doNotPerform") is True or resource.get("status") in WITHDRAWN:
        return False
    subject = next(iter(parts_of(Reference, resource.get("subject"))), None)
    whose = split_reference(subject, {})
    return whose is None or whose[0] not in {"Patient", ""} or whose[1] == patient_id


def _concept(sent: object) -> CodeableConcept:
    """Return a concept with what of it can be read; a list in place of a concept counts as its first."""
    whole = sent[0] if isinstance(sent, list) and sent else sent
    if not isinstance(whole, dict):
        return CodeableConcept(text=whole if isinstance(whole, str) else None)
    text = whole.get("text")
    return CodeableConcept(parts_of(Coding, whole.get("coding")), text if isinstance(text, str) else None)


def _prescription(resource: dict[str, Any]) -> MedicationRequest:
    """Return a prescription with what says its drug."""
    sent, contained = resource.get("medicationCodeableConcept"), resource.get("contained")
    return MedicationRequest(
        status="active",
        medication_codeable_concept=_concept(sent) if sent is not None else None,
        medication_reference=next(iter(parts_of(Reference, resource.get("medicationReference"))), None),
        contained=[msgspec.Raw(raw) for part in contained for raw in _encoded(part)] if isinstance(contained, list) else None,
    )


def _encoded(part: object) -> Iterator[bytes]:
    """Yield a part as JSON, unless it is nested too deeply to be a Medication."""
    with suppress(RecursionError):
        yield msgspec.json.encode(part)


def _deciding(knowledge: Knowledge, concept: CodeableConcept) -> Iterator[Meaning]:
    yield from (meaning for meaning in meanings(knowledge, concept) if meaning.use is Use.DECIDES)


def _kind_of_procedure(knowledge: Knowledge, concept: CodeableConcept) -> tuple[str, bool]:
    """Return the kind of an ordered procedure, and whether only a name says so; "" if it is none. The first kind counts: a code
    of radioembolization is one of embolization, too."""
    held = {meaning.concept for meaning in _deciding(knowledge, concept)}
    for kind in knowledge.orders.kinds:
        if kind.concepts & held:
            return kind.id, False
    if held:
        return "", False  # a known code of something else
    named = (knowledge.orders.named(text) for text in names_of(concept, codings(knowledge, concept)))
    found = next(filter(None, named), None)
    return (found.id, True) if found else ("", False)
