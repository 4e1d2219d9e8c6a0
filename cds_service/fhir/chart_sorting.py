"""Sorts decoded resources of one patient into the lists of a chart.

Other patients' resources, those whose status FHIR defines as not counting, and refuted or entered-in-error ones are left out
and counted. Untrusted resources, and those that may be the patient's, are kept and named.
"""

from __future__ import annotations

from collections import Counter
from types import MappingProxyType
from typing import Any

from cds_service.clinical_picture import LeftOut, Omission, Unreadable
from cds_service.fhir import credibility, versions
from cds_service.fhir.chart import Availability, Chart
from cds_service.fhir.chart_lists import (
    Order,
    PromisedResults,
    Study,
    UnclearResource,
    UnreadableResource,
    UntrustedResource,
)
from cds_service.fhir.contained import Container, contained_resources
from cds_service.fhir.dates import date_of_report, first_date
from cds_service.fhir.references import split_reference
from cds_service.fhir.resources import (
    NOT_VALID,
    BodyStructure,
    CodeableConcept,
    Condition,
    DiagnosticReport,
    ImagingStudy,
    Medication,
    MedicationRequest,
    MedicationStatement,
    Observation,
    Patient,
    Procedure,
    Reference,
    Resource,
    ServiceRequest,
    Specimen,
    Unread,
    UnreadObservation,
    WithStatus,
    parts_of,
)
from cds_service.reasons import Explanation, Reason

FINAL_REPORT = credibility.COUNTING_STATUSES[Observation] | {"appended"}
"""For a DiagnosticReport, R4 also has `appended`: amended by an addition."""
WITHDRAWN = frozenset({"entered-in-error", "cancelled", "unsatisfactory"})
UNCLEAR_PATIENT = {
    Omission.NO_SUBJECT: Explanation(Reason.SUBJECT_NOT_TOLD),
    Omission.MERGED_PATIENT: Explanation(Reason.SUBJECT_MERGED),
}
"""The patient is unclear, and may be this one."""


class ChartParts:
    """The lists of a chart while they are filled. Used once."""

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
        self.refuted: list[tuple[str, Condition]] = []
        self.unclear: list[UnclearResource] = []
        self.sites: dict[str, CodeableConcept | None] = {}
        self.promised: list[PromisedResults] = []
        self.merged: frozenset[str] = frozenset()
        self.names: dict[str, str] = {}
        self.sources: dict[str, bytes] = {}
        self.unreadable: list[UnreadableResource] = []
        self.invalid_dates: dict[str, Unreadable] = {}
        self.left_out: Counter[LeftOut] = Counter()
        self.own: Counter[str] = Counter()
        self.foreign: Counter[str] = Counter()
        self.incomplete_types: set[str] = set()
        self.alone = Counter[Any]()
        """Content → number of the patient's stand-alone Observations with it."""
        self.inside: set[Any] = set()
        """The content of contained Observations already seen, each with its id and patient."""

    def build(self, availability: Availability) -> Chart:
        """Return the chart with these lists."""
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
            refuted=tuple(self.refuted),
            unclear=tuple(self.unclear),
            sites=MappingProxyType(self.sites),
            promised=tuple(self.promised),
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

    def add_unreadable(self, reference: str, why: Explanation) -> None:
        """Record a resource that could not be read."""
        self.unreadable.append(UnreadableResource(type_of(reference), Unreadable(None, reference, why)))

    def sort_in(self, reference: str, raw: bytes, resource: Resource) -> None:
        """Sort one resource, and those it contains, into the lists."""
        self.sources[reference] = raw
        match resource:
            case BodyStructure() | Specimen():
                self._sort_in_site(reference, resource)
            case Medication():
                if credibility.is_modified(resource):
                    self.add_unreadable(reference, credibility.MODIFIED)
                    resource = Medication()  # the display of the reference still names the drug
                self.medications[reference] = resource
            case Patient():
                self._sort_in_patient(reference, resource)
            case _:
                whose = self.whose(resource)
                self._sort_in_of(whose, type_of(reference), reference, raw, resource)
                if isinstance(resource, Container) and resource.contained:
                    self._sort_in_contained(whose, reference, resource)

    def _sort_in_contained(self, whose: Omission | None, reference: str, container: Container) -> None:
        """Sort in the contained resources, each under its container's reference: "DiagnosticReport/7#a". Results of an
        untrusted container make facts unknown and never give a value."""
        if isinstance(container, WithStatus) and container.status in WITHDRAWN:
            return
        why = container.why if isinstance(container, Unread) else credibility.why_not_trusted(container)
        merged = Counter[Any]()
        for part in contained_resources(container):
            where, found = f"{reference}#{part.id}", part.resource
            self.sources[where] = part.raw
            if isinstance(found, BodyStructure | Specimen):
                if whose is not Omission.OTHER_PATIENT:
                    self._sort_in_site(where, found)
                continue
            said = found if why is None else None
            if said is None and isinstance(head := versions.stub(part.raw, "Observation", why or NOT_VALID), Observation):
                said = head
            of = whose if said is None or said.subject is None else self.whose(said) or whose
            if found is not None and self._is_known(part.id, found, of, merged):
                continue
            if found is None and of is not Omission.OTHER_PATIENT:
                self.unreadable.append(UnreadableResource("Observation", Unreadable(None, where, NOT_VALID)))
            if said is not None:
                self._sort_in_of(of, "Observation", where, part.raw, said)
            elif of is not Omission.OTHER_PATIENT:
                self.incomplete_types.add("Observation")

    def _is_known(self, name: str, found: Observation, whose: Omission | None, merged: Counter[Any]) -> bool:
        """Return True if a contained result was also sent by itself, or in another resource under the same id. Two ids in one
        resource are two results, even if equal. `merged`: number of this resource's results matched to stand-alone ones."""
        content = versions.content_without_id(found)
        if (whose, name, content) in self.inside:
            return True
        if whose is not Omission.OTHER_PATIENT and merged[content] < self.alone[content]:
            merged[content] += 1
            return True
        self.inside.add((whose, name, content))
        return False

    def _sort_in_site(self, reference: str, resource: BodyStructure | Specimen) -> None:
        """Record the body site of a BodyStructure or Specimen, for Observations that have no other. Another patient's is
        ignored."""
        whose = resource.patient if isinstance(resource, BodyStructure) else resource.subject
        subject = split_reference(whose, self.names)
        own = subject is None or (subject[1] == self.patient_id and subject[0] in {"Patient", ""})
        withdrawn = isinstance(resource, Specimen) and resource.status in WITHDRAWN
        if not own or withdrawn or credibility.is_modified(resource):
            return
        if isinstance(resource, BodyStructure):
            self.sites[reference] = resource.location
        else:
            self.sites[reference] = resource.collection.body_site if resource.collection else None

    def _sort_in_patient(self, reference: str, patient: Patient) -> None:
        if reference.split("/")[1] != self.patient_id:
            merged = reference.split("/")[1] in self.merged
            self.left_out[LeftOut(Omission.MERGED_PATIENT if merged else Omission.OTHER_PATIENT)] += 1
            self.foreign["Patient"] += 1
            return
        self.own["Patient"] += 1
        if credibility.is_modified(patient):
            self.add_unreadable(reference, credibility.MODIFIED)
        else:
            self.patient = patient

    def whose(self, resource: Resource) -> Omission | None:
        """Return why the resource is not certainly the patient's, or None if it is."""
        subject = split_reference(getattr(resource, "subject", None), self.names)
        if subject is not None and subject[1] == self.patient_id and subject[0] in {"Patient", ""}:
            return None
        if subject is None or not subject[0]:  # an unresolved urn also names no subject
            return Omission.NO_SUBJECT
        merged = subject[0] == "Patient" and subject[1] in self.merged
        return Omission.MERGED_PATIENT if merged else Omission.OTHER_PATIENT

    def _sort_in_of(self, whose: Omission | None, kind: str, reference: str, raw: bytes, resource: Resource) -> None:
        if isinstance(resource, WithStatus):
            resource.status = (resource.status or "").strip()
        if whose is None:
            self.own[kind] += 1
            self._sort_in_own(kind, reference, raw, resource)
            return
        self.left_out[LeftOut(whose)] += 1
        if whose is not Omission.MERGED_PATIENT:
            self.foreign[kind] += 1
        if whose in UNCLEAR_PATIENT:  # it may be the patient's: it gives no value, and absence is not evidence
            self.incomplete_types.add(kind)
            if isinstance(resource, Observation | Condition) and not credibility.has_non_counting_status(resource):
                self.unclear.append(UnclearResource(reference, resource, UNCLEAR_PATIENT[whose]))
            elif _is_order(resource) and not (_is_not_wanted(resource) or credibility.has_non_counting_status(resource)):
                self._doubt(kind, reference, raw, resource, UNCLEAR_PATIENT[whose])

    def _sort_in_own(self, kind: str, reference: str, raw: bytes, resource: Resource) -> None:
        if _is_not_wanted(resource):
            self.left_out[LeftOut(Omission.NOT_WANTED, kind)] += 1
        elif credibility.has_non_counting_status(resource):
            self.left_out[_not_counting(kind, resource)] += 1
            if isinstance(resource, Condition) and not credibility.is_in_error(resource):
                self.refuted.append((reference, resource))
        elif why := credibility.why_not_trusted(resource):
            self._doubt(kind, reference, raw, resource, why)
        else:
            if credibility.has_invalid_date(resource):
                self.invalid_dates[reference] = Unreadable(None, reference, credibility.MISDATED)
            self._keep(reference, resource)

    def _doubt(self, kind: str, reference: str, raw: bytes, resource: Resource, why: Explanation) -> None:
        """Record a resource that cannot be trusted, without dropping it. Its facts become unknown; an order still counts as
        an order. Except for Observations and Conditions, the absence of other resources of this type is no longer evidence.
        The date is kept only where the status is the sole problem."""
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
        if _is_order(resource):
            self._keep(reference, resource)
        self.unreadable.append(UnreadableResource(kind, Unreadable(None, reference, why)))

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
                    on = date_of_report(resource)
                    self.studies.append(Study(reference, resource.code, on))
                    if promised := parts_of(Reference, resource.result):
                        self.promised.append(PromisedResults(reference, on, tuple(promised)))
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


def type_of(reference: str) -> str:
    """Return the resource type of a reference: "Condition/7" → "Condition"."""
    return reference.split("/")[0]


def _is_order(resource: Resource) -> bool:
    """Return True for a request or a planned procedure."""
    return isinstance(resource, ServiceRequest) or (isinstance(resource, Procedure) and resource.status == "preparation")


def _is_not_wanted(resource: Resource) -> bool:
    """Return True for a request that is a proposal or plan, or that forbids the action."""
    if not isinstance(resource, ServiceRequest | MedicationRequest):
        return False
    return resource.intent in {"proposal", "plan", "option"} or bool(resource.do_not_perform)


def _not_counting(kind: str, resource: Resource) -> LeftOut:
    if isinstance(resource, WithStatus):
        return LeftOut(Omission.NOT_COUNTING, kind, resource.status or "")
    return LeftOut(Omission.REFUTED, kind)
