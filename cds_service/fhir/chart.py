"""Resources → a chart of one patient, typed. Each resource is decoded alone: one bad one never spoils the others.

Left out and counted: other patients' resources, those whose status FHIR defines as not counting, refuted and
entered-in-error ones, types we do not read. Kept and named: what could not be read, and what is not to be believed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any

import msgspec

from cds_service.clinical_picture import LeftOut, NotConsulted, Omission, Unreadable
from cds_service.fhir import credibility, versions
from cds_service.fhir.chart_lists import Doubted, Order, Study, UnreadableResource
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
    UnreadCondition,
    UnreadObservation,
    WithStatus,
    codes,
)
from cds_service.reasons import Explanation, Reason

FINAL_REPORT = credibility.COUNTING_STATUSES[Observation]
UNCONFIRMED_STATUSES = frozenset({"provisional", "differential", "unconfirmed"})
HISTORY_STATUSES = frozenset({"inactive", "resolved", "remission"})


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


@dataclass
class Chart:
    """One patient's resources that count, each with its reference; and what does not count, and why."""

    patient_id: str | None
    patient: Patient | None = None
    conditions: list[tuple[str, Condition]] = field(default_factory=list)
    procedures: list[tuple[str, Procedure]] = field(default_factory=list)
    medication_requests: list[tuple[str, MedicationRequest]] = field(default_factory=list)
    medication_statements: list[tuple[str, MedicationStatement]] = field(default_factory=list)
    observations: list[tuple[str, Observation]] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    """Active orders and scheduled procedures, also those in doubt."""
    untrusted: list[Doubted] = field(default_factory=list)
    """It asks and never answers; but an
    order stays one, as a warning too many is better than a missing one."""
    studies: list[Study] = field(default_factory=list)
    medications: dict[str, Medication] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    """fullUrl of a Bundle entry → the reference of its resource."""
    sources: dict[str, bytes] = field(default_factory=dict, repr=False)
    unreadable: list[UnreadableResource] = field(default_factory=list)
    invalid_dates: dict[str, Unreadable] = field(default_factory=dict)
    """Diagnoses and procedures that count, with a date that is none."""
    left_out: Counter[LeftOut] = field(default_factory=Counter)
    complete: frozenset[str] = frozenset()
    """Resource types that were asked for and arrived complete."""
    failed: frozenset[str] = frozenset()
    """Those that were asked for in vain, or came in part."""
    not_consulted: tuple[NotConsulted, ...] = ()
    own: Counter[str] = field(default_factory=Counter)
    """Resource type → how many are of the patient, whether they count or not."""
    foreign: Counter[str] = field(default_factory=Counter)
    """Resource type → how many are of somebody else, or do not say of whom."""
    incomplete_types: set[str] = field(default_factory=set)
    """Resource types of which something could not be understood at all: what is not there may be in it."""

    @property
    def absence_is_evidence(self) -> frozenset[str]:
        """Resource types whose silence says something: asked, arrived complete, and understood."""
        drugs = {"MedicationRequest"} if "MedicationStatement" in self.incomplete_types else set()
        return self.complete - self.incomplete_types - drugs

    @property
    def only_of_others(self) -> bool:
        """Resources, or diagnoses, came, and none of them of the patient: the question and the data do not fit together."""
        if self.foreign["Condition"] and not self.own["Condition"]:
            return not any(broken.resource_type == "Condition" for broken in self.unreadable)
        return not self.own and not self.unreadable and self.left_out[LeftOut(Omission.OTHER_PATIENT)] > 0


@dataclass(frozen=True, slots=True)
class ChartEntry:
    """A resource as sent, with the fullUrl of its Bundle entry, by which others may refer to it."""

    raw: bytes
    full_url: str | None = None
    kind: ResourceKind | None = None
    """Its type and id, where somebody looked already."""


def read_chart(entries: Iterable[ChartEntry], patient_id: str | None) -> Chart:
    """Never raises. `patient_id` None: the one patient that the entries hold (command line)."""
    decoded: list[tuple[str, bytes, Resource]] = []
    chart = Chart(patient_id)
    names = chart.names
    broken: list[tuple[str, bytes, Explanation]] = []
    seen: dict[bytes, set[str]] = {}
    for place, entry in enumerate(entries):
        raw = entry.raw
        server = versions.server_of(entry.full_url)
        if raw in seen:
            seen[raw].add(server)
            chart.left_out[versions.SENT_TWICE] += 1
            continue
        seen[raw] = {server}
        where = f"entry {place + 1}"
        try:
            kind = entry.kind or KIND_DECODER.decode(raw)
            decoder, where = DECODERS.get(kind.name), kind.reference
            if entry.full_url and kind.id is None:  # only its fullUrl tells it apart
                where = f"{kind.name or 'resource'}/{entry.full_url.replace(':', '/').rsplit('/', 1)[-1]}"
            if entry.full_url:
                names[entry.full_url] = where
            if decoder is None:
                chart.left_out[LeftOut(Omission.TYPE_NOT_READ if kind.name else Omission.NO_RESOURCE_TYPE)] += 1
                continue
            resource = decoder.decode(raw)
            refuse_longer_than_read(resource, raw)
            decoded.append((where, raw, resource))
        except LongerThanRead:
            name = where.split("/")[0]
            broken.append((where, raw, Explanation(Reason.LONGER_THAN_READ)))
            chart.incomplete_types |= {name}
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            name = where.split("/")[0]
            broken.append((where, raw, _why(error)))
            if (head := versions.stub(raw, name, NOT_VALID)) is not None:
                decoded.append((where, raw, head))
            else:
                chart.incomplete_types |= {name} if name in READ_TYPES else set(READ_TYPES)
    if chart.patient_id is None:
        chart.patient_id = _only_patient((where, resource) for where, _, resource in decoded)
    decoded.sort(key=itemgetter(0, 1))  # the order in which a chart was sent says nothing
    broken.sort(key=itemgetter(0, 1))
    chart.unreadable = [UnreadableResource(where.split("/")[0], Unreadable(None, where, why)) for where, _, why in broken]
    repeated = {first[0] for first, second in pairwise(decoded) if first[0] == second[0]}
    for where, raw, resource in decoded:
        if where not in repeated:
            chart.sources[where] = raw
            _sort_in(chart, where, raw, resource)
    for where, group in groupby((part for part in decoded if part[0] in repeated), key=itemgetter(0)):
        one = versions.resolve_by_server(where, [(raw, resource) for _, raw, resource in group], seen)
        chart.left_out.update(one.left_out)
        chart.unreadable += [UnreadableResource(where.split("/")[0], what) for what in one.unreadable]
        for raw, resource in one.counting:
            chart.sources[where] = raw
            _sort_in(chart, where, raw, resource)
    return chart


def _why(error: Exception) -> Explanation:
    """msgspec names the path and the types, never a value."""
    if isinstance(error, RecursionError):
        return Explanation(Reason.NESTED_TOO_DEEPLY)
    return Explanation(Reason.NOT_DECODABLE, fault=str(error).split("\n")[0][:160])


def _only_patient(decoded: Iterable[tuple[str, Resource]]) -> str | None:
    """The first Patient of the file that has an id; without one, the one subject that all resources share."""
    resources = list(decoded)
    for where, resource in resources:
        if isinstance(resource, Patient) and not where.endswith("?"):
            return where.split("/")[1]
    subjects = {(split_reference(getattr(resource, "subject", None), {}) or ("", ""))[1] for _, resource in resources} - {""}
    return subjects.pop() if len(subjects) == 1 else None


def _sort_in(chart: Chart, where: str, raw: bytes, resource: Resource) -> None:
    if isinstance(resource, Medication):
        if credibility.is_modified(resource):
            chart.unreadable.append(UnreadableResource("Medication", Unreadable(None, where, credibility.MODIFIED)))
            resource = Medication()  # what it is called stays in the display of the reference to it
        chart.medications[where] = resource
        return
    if isinstance(resource, Patient):
        if where.split("/")[1] != chart.patient_id:
            chart.left_out[LeftOut(Omission.OTHER_PATIENT)] += 1
            chart.foreign["Patient"] += 1
            return
        chart.own["Patient"] += 1
        if credibility.is_modified(resource):
            chart.unreadable.append(UnreadableResource("Patient", Unreadable(None, where, credibility.MODIFIED)))
        else:
            chart.patient = resource
        return
    kind = where.split("/")[0]
    whose = split_reference(getattr(resource, "subject", None), chart.names)
    if whose is None:
        chart.left_out[LeftOut(Omission.NO_SUBJECT)] += 1
        chart.foreign[kind] += 1
        chart.incomplete_types.add(kind)
        return
    if whose[1] != chart.patient_id or whose[0] not in {"Patient", ""}:
        chart.left_out[LeftOut(Omission.OTHER_PATIENT)] += 1
        chart.foreign[kind] += 1
        return
    chart.own[kind] += 1
    if isinstance(resource, WithStatus):
        resource.status = (resource.status or "").strip()
    if _is_no_wish(resource):
        chart.left_out[LeftOut(Omission.NOT_WANTED, kind)] += 1
    elif credibility.has_non_counting_status(resource):
        chart.left_out[_not_counting(kind, resource)] += 1
    elif why := credibility.why_not_trusted(resource):
        _doubt(chart, where, raw, resource, why)
    else:
        if credibility.has_invalid_date(resource):
            chart.invalid_dates[where] = Unreadable(None, where, credibility.MISDATED)
        _keep(chart, where, resource)


def _is_no_wish(resource: Resource) -> bool:
    """A request that is a proposal or a plan, or asks not to do it."""
    if not isinstance(resource, ServiceRequest | MedicationRequest):
        return False
    return resource.intent in {"proposal", "plan", "option"} or bool(resource.do_not_perform)


def _not_counting(kind: str, resource: Resource) -> LeftOut:
    if isinstance(resource, WithStatus):
        return LeftOut(Omission.NOT_COUNTING, kind, resource.status or "")
    return LeftOut(Omission.REFUTED, kind)


def _doubt(chart: Chart, where: str, raw: bytes, resource: Resource, why: Explanation) -> None:
    """Not believed, and not passed over: an Observation, a Condition, a drug or a procedure leaves a question, an order stays
    an order; and but for the first two, the silence of its type says nothing any more. A date counts only where nothing
    but the status is in doubt: an older result takes nothing back."""
    kind = where.split("/")[0]
    head = versions.stub(raw, kind, why)
    if head is None:
        chart.incomplete_types.add(kind)
    else:
        _keep(chart, where, head)
    if isinstance(head, UnreadObservation) and isinstance(resource, Observation) and why.reason in credibility.STATUS_REASONS:
        head.effective_date_time, head.effective_instant = resource.effective_date_time, resource.effective_instant
        head.effective_period = resource.effective_period
    if isinstance(resource, Procedure | MedicationRequest | MedicationStatement | ServiceRequest):
        chart.untrusted.append(Doubted(where, resource, why))
    if isinstance(resource, ServiceRequest) or (isinstance(resource, Procedure) and resource.status == "preparation"):
        _keep(chart, where, resource)
    chart.unreadable.append(UnreadableResource(kind, Unreadable(None, where, why)))


def _keep(chart: Chart, where: str, resource: Resource) -> None:
    match resource:
        case Observation():
            chart.observations.append((where, resource))
        case Condition():
            chart.conditions.append((where, resource))
        case ServiceRequest():
            chart.orders.append(Order(where, resource.code, first_date(resource.authored_on)))
        case DiagnosticReport():
            if resource.status in FINAL_REPORT:
                period = resource.effective_period
                on = first_date(resource.effective_date_time, period.start if period else None, resource.issued)
                chart.studies.append(Study(where, resource.code, on))
            else:
                chart.left_out[LeftOut(Omission.NOT_FINAL, "DiagnosticReport")] += 1
        case ImagingStudy():
            if resource.status == "available":
                on = first_date(resource.started)
                chart.studies += [Study(where, concept, on) for concept in resource.procedure_code or []]
            else:
                chart.left_out[LeftOut(Omission.NOT_AVAILABLE, "ImagingStudy")] += 1
        case Procedure():
            if resource.status == "preparation":
                chart.orders.append(Order(where, resource.code, first_date(resource.performed_date_time)))
            else:
                chart.procedures.append((where, resource))
        case MedicationRequest():
            chart.medication_requests.append((where, resource))
        case MedicationStatement():
            chart.medication_statements.append((where, resource))


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
