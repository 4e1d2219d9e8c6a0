"""Resources as sent → the chart of one patient. Each resource is decoded alone: one bad one never spoils the others.

Left out and counted: other patients' resources, those whose status FHIR defines as not counting, refuted and
entered-in-error ones, types we do not read. Kept and named: what could not be read, and what is not to be believed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from cds_service.clinical_picture import LeftOut, Omission, Unreadable
from cds_service.fhir import credibility, versions
from cds_service.fhir.chart import Availability, Chart
from cds_service.fhir.chart_lists import Order, Study, UnreadableResource, UntrustedResource
from cds_service.fhir.dates import first_date
from cds_service.fhir.plausibility import LongerThanRead, refuse_longer_than_read
from cds_service.fhir.references import split_reference
from cds_service.fhir.resources import (
    NOT_VALID,
    READ_TYPES,
    Condition,
    DiagnosticReport,
    ImagingStudy,
    Medication,
    MedicationRequest,
    MedicationStatement,
    Observation,
    Patient,
    Procedure,
    Resource,
    ServiceRequest,
    UnreadObservation,
    WithStatus,
)
from cds_service.reasons import Explanation, Reason

MAX_REFERENCE_CHARS = 200
"""Characters of a "Condition/7" that a fullUrl may stand for: it is taken apart for each reference to it. An id has 64."""
FINAL_REPORT = credibility.COUNTING_STATUSES[Observation]


class ResourceKind(msgspec.Struct):
    resourceType: Any = None
    id: Any = None

    @property
    def name(self) -> str:
        return self.resourceType if isinstance(self.resourceType, str) else ""

    @property
    def reference(self) -> str:
        """ "Condition/7": an id that is a number (not R4, but sent) is read as its digits."""
        known = isinstance(self.id, (str, int)) and not isinstance(self.id, bool)
        return f"{self.name or 'resource'}/{self.id if known else '?'}"


KIND_DECODER = msgspec.json.Decoder(ResourceKind)
DECODERS = {name: msgspec.json.Decoder(kind) for name, kind in READ_TYPES.items()}


@dataclass(frozen=True, slots=True)
class ChartEntry:
    """A resource as sent, with the fullUrl of its Bundle entry, by which others may refer to it."""

    raw: bytes
    full_url: str | None = None
    kind: ResourceKind | None = None
    """Its type and id, where somebody looked already."""


def read_chart(entries: Iterable[ChartEntry], patient_id: str | None, availability: Availability) -> Chart:
    """Never raises. `patient_id` None: the one patient that the entries hold (command line)."""
    builder = _ChartBuilder(patient_id)
    builder.add(entries)
    return builder.build(availability)


class _Decoded(NamedTuple):
    reference: str
    raw: bytes
    resource: Resource


class _ChartBuilder:
    """Sorts resources into the lists of a chart. Used once."""

    def __init__(self, patient_id: str | None) -> None:
        self.patient_id = patient_id
        self.patient: Patient | None = None
        self.conditions: list[tuple[str, Condition]] = []
        self.procedures: list[tuple[str, Procedure]] = []
        self.medication_requests: list[tuple[str, MedicationRequest]] = []
        self.medication_statements: list[tuple[str, MedicationStatement]] = []
        self.observations: list[tuple[str, Observation]] = []
        self.orders: list[Order] = []
        self.untrusted: list[UntrustedResource] = []
        self.studies: list[Study] = []
        self.medications: dict[str, Medication] = {}
        self.names: dict[str, str] = {}
        self.sources: dict[str, bytes] = {}
        self.unreadable: list[UnreadableResource] = []
        self.invalid_dates: dict[str, Unreadable] = {}
        self.left_out: Counter[LeftOut] = Counter()
        self.own: Counter[str] = Counter()
        self.foreign: Counter[str] = Counter()
        self.incomplete_types: set[str] = set()

    def build(self, availability: Availability) -> Chart:
        return Chart(
            patient_id=self.patient_id,
            patient=self.patient,
            conditions=tuple(self.conditions),
            procedures=tuple(self.procedures),
            medication_requests=tuple(self.medication_requests),
            medication_statements=tuple(self.medication_statements),
            observations=tuple(self.observations),
            orders=tuple(self.orders),
            untrusted=tuple(self.untrusted),
            studies=tuple(self.studies),
            medications=MappingProxyType(self.medications),
            names=MappingProxyType(self.names),
            sources=MappingProxyType(self.sources),
            unreadable=tuple(self.unreadable),
            invalid_dates=MappingProxyType(self.invalid_dates),
            left_out=MappingProxyType(self.left_out),
            own=MappingProxyType(self.own),
            foreign=MappingProxyType(self.foreign),
            incomplete_types=frozenset(self.incomplete_types),
            availability=availability,
        )

    def add(self, entries: Iterable[ChartEntry]) -> None:
        servers: dict[bytes, set[str]] = {}
        decoded = self._decode(entries, servers)
        if self.patient_id is None:
            self.patient_id = _only_patient(decoded)
        decoded.sort(key=itemgetter(0, 1))  # the order in which a chart was sent says nothing
        repeated = {first.reference for first, second in pairwise(decoded) if first.reference == second.reference}
        for reference, raw, resource in decoded:
            if reference not in repeated:
                self._sort_in(reference, raw, resource)
        for reference, group in groupby((part for part in decoded if part.reference in repeated), key=itemgetter(0)):
            resolved = versions.resolve_by_server(reference, [(part.raw, part.resource) for part in group], servers)
            self.left_out.update(resolved.left_out)
            self.unreadable += [UnreadableResource(_type_of(reference), what) for what in resolved.unreadable]
            for raw, resource in resolved.counting:
                self._sort_in(reference, raw, resource)

    def _decode(self, entries: Iterable[ChartEntry], servers: dict[bytes, set[str]]) -> list[_Decoded]:
        """Each resource once. `servers` is filled: resource → the servers that its entries name."""
        decoded: list[_Decoded] = []
        broken: list[tuple[str, bytes, Explanation]] = []
        for place, entry in enumerate(entries):
            raw = entry.raw
            server = versions.server_of(entry.full_url)
            if raw in servers:
                servers[raw].add(server)
                self.left_out[versions.SENT_TWICE] += 1
                continue
            servers[raw] = {server}
            reference = f"entry {place + 1}"
            try:
                kind = entry.kind or KIND_DECODER.decode(raw)
                decoder, reference = DECODERS.get(kind.name), kind.reference
                if entry.full_url and kind.id is None:  # only its fullUrl tells it apart
                    reference = f"{kind.name or 'resource'}/{entry.full_url.replace(':', '/').rsplit('/', 1)[-1]}"
                if entry.full_url and len(reference) <= MAX_REFERENCE_CHARS:
                    self.names[entry.full_url] = reference
                if decoder is None:
                    self.left_out[LeftOut(Omission.TYPE_NOT_READ if kind.name else Omission.NO_RESOURCE_TYPE)] += 1
                    continue
                resource = decoder.decode(raw)
                refuse_longer_than_read(resource, raw)
                decoded.append(_Decoded(reference, raw, resource))
            except LongerThanRead:
                broken.append((reference, raw, Explanation(Reason.LONGER_THAN_READ)))
                self.incomplete_types.add(_type_of(reference))
            except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
                name = _type_of(reference)
                broken.append((reference, raw, _why(error)))
                if (stub := versions.stub(raw, name, NOT_VALID)) is not None:
                    decoded.append(_Decoded(reference, raw, stub))
                else:
                    self.incomplete_types |= {name} if name in READ_TYPES else set(READ_TYPES)
        for reference, _, why in sorted(broken, key=itemgetter(0, 1)):
            self._add_unreadable(reference, why)
        return decoded

    def _add_unreadable(self, reference: str, why: Explanation) -> None:
        self.unreadable.append(UnreadableResource(_type_of(reference), Unreadable(None, reference, why)))

    def _sort_in(self, reference: str, raw: bytes, resource: Resource) -> None:
        self.sources[reference] = raw
        match resource:
            case Medication():
                if credibility.is_modified(resource):
                    self._add_unreadable(reference, credibility.MODIFIED)
                    resource = Medication()  # what it is called stays in the display of the reference to it
                self.medications[reference] = resource
            case Patient():
                self._sort_in_patient(reference, resource)
            case _ if self._is_of_patient(reference, resource):
                self._sort_in_own(reference, raw, resource)

    def _sort_in_patient(self, reference: str, patient: Patient) -> None:
        if reference.split("/")[1] != self.patient_id:
            self.left_out[LeftOut(Omission.OTHER_PATIENT)] += 1
            self.foreign["Patient"] += 1
            return
        self.own["Patient"] += 1
        if credibility.is_modified(patient):
            self._add_unreadable(reference, credibility.MODIFIED)
        else:
            self.patient = patient

    def _is_of_patient(self, reference: str, resource: Resource) -> bool:
        kind = _type_of(reference)
        subject = split_reference(getattr(resource, "subject", None), self.names)
        if subject is not None and subject[1] == self.patient_id and subject[0] in {"Patient", ""}:
            self.own[kind] += 1
            return True
        self.foreign[kind] += 1
        if subject is None:
            self.left_out[LeftOut(Omission.NO_SUBJECT)] += 1
            self.incomplete_types.add(kind)
        else:
            self.left_out[LeftOut(Omission.OTHER_PATIENT)] += 1
        return False

    def _sort_in_own(self, reference: str, raw: bytes, resource: Resource) -> None:
        kind = _type_of(reference)
        if isinstance(resource, WithStatus):
            resource.status = (resource.status or "").strip()
        if _is_not_wanted(resource):
            self.left_out[LeftOut(Omission.NOT_WANTED, kind)] += 1
        elif credibility.has_non_counting_status(resource):
            self.left_out[_not_counting(kind, resource)] += 1
        elif why := credibility.why_not_trusted(resource):
            self._doubt(reference, raw, resource, why)
        else:
            if credibility.has_invalid_date(resource):
                self.invalid_dates[reference] = Unreadable(None, reference, credibility.MISDATED)
            self._keep(reference, resource)

    def _doubt(self, reference: str, raw: bytes, resource: Resource, why: Explanation) -> None:
        """Record a resource that cannot be trusted, without dropping it. Its facts become unknown; an order still counts as
        an order. Except for Observations and Conditions, the absence of other resources of this type is no longer evidence.
        The date is kept only where the status is the sole problem."""
        kind = _type_of(reference)
        stub = versions.stub(raw, kind, why)
        dated = why.reason in credibility.STATUS_REASONS
        if isinstance(stub, UnreadObservation) and isinstance(resource, Observation) and dated:
            stub.effective_date_time, stub.effective_instant = resource.effective_date_time, resource.effective_instant
            stub.effective_period = resource.effective_period
        if stub is None:
            self.incomplete_types.add(kind)
        else:
            self._keep(reference, stub)
        if isinstance(resource, Procedure | MedicationRequest | MedicationStatement | ServiceRequest):
            self.untrusted.append(UntrustedResource(reference, resource, why))
        if isinstance(resource, ServiceRequest) or (isinstance(resource, Procedure) and resource.status == "preparation"):
            self._keep(reference, resource)
        self._add_unreadable(reference, why)

    def _keep(self, reference: str, resource: Resource) -> None:
        match resource:
            case Observation():
                self.observations.append((reference, resource))
            case Condition():
                self.conditions.append((reference, resource))
            case ServiceRequest():
                self.orders.append(Order(reference, resource.code, first_date(resource.authored_on)))
            case DiagnosticReport():
                if resource.status in FINAL_REPORT:
                    period = resource.effective_period
                    on = first_date(resource.effective_date_time, period.start if period else None, resource.issued)
                    self.studies.append(Study(reference, resource.code, on))
                else:
                    self.left_out[LeftOut(Omission.NOT_FINAL, "DiagnosticReport")] += 1
            case ImagingStudy():
                if resource.status == "available":
                    on = first_date(resource.started)
                    self.studies += [Study(reference, concept, on) for concept in resource.procedure_code or []]
                else:
                    self.left_out[LeftOut(Omission.NOT_AVAILABLE, "ImagingStudy")] += 1
            case Procedure():
                if resource.status == "preparation":
                    self.orders.append(Order(reference, resource.code, first_date(resource.performed_date_time)))
                else:
                    self.procedures.append((reference, resource))
            case MedicationRequest():
                self.medication_requests.append((reference, resource))
            case MedicationStatement():
                self.medication_statements.append((reference, resource))


def _type_of(reference: str) -> str:
    return reference.split("/")[0]


def _why(error: Exception) -> Explanation:
    """msgspec names the path and the types, never a value."""
    if isinstance(error, RecursionError):
        return Explanation(Reason.NESTED_TOO_DEEPLY)
    return Explanation(Reason.NOT_DECODABLE, fault=str(error).split("\n")[0][:160])


def _only_patient(decoded: Iterable[_Decoded]) -> str | None:
    """The first Patient of the file that has an id; without one, the one subject that all resources share."""
    resources = list(decoded)
    for reference, _, resource in resources:
        if isinstance(resource, Patient) and not reference.endswith("?"):
            return reference.split("/")[1]
    subjects = {(split_reference(getattr(part.resource, "subject", None), {}) or ("", ""))[1] for part in resources} - {""}
    return subjects.pop() if len(subjects) == 1 else None


def _is_not_wanted(resource: Resource) -> bool:
    """A request that is a proposal or a plan, or asks not to do it."""
    if not isinstance(resource, ServiceRequest | MedicationRequest):
        return False
    return resource.intent in {"proposal", "plan", "option"} or bool(resource.do_not_perform)


def _not_counting(kind: str, resource: Resource) -> LeftOut:
    if isinstance(resource, WithStatus):
        return LeftOut(Omission.NOT_COUNTING, kind, resource.status or "")
    return LeftOut(Omission.REFUTED, kind)
