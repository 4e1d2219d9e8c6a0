"""Build the chart of one patient from resources as sent. Each is decoded alone, so that an invalid one does not affect the
others.

Resources of unread types and repeated ones are left out and counted. Unreadable resources are kept and named. `chart_sorting`
decides which of the others count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec

from cds_service.clinical_picture import LeftOut, Omission
from cds_service.fhir import versions
from cds_service.fhir.chart import Availability, Chart
from cds_service.fhir.chart_lists import UnreadableResource
from cds_service.fhir.chart_sorting import ChartParts, type_of
from cds_service.fhir.identity import same_person
from cds_service.fhir.plausibility import LongerThanRead, refuse_longer_than_read
from cds_service.fhir.references import split_reference
from cds_service.fhir.resources import NOT_VALID, READ_TYPES, Observation, Patient, PatientLink, Resource, parts_of
from cds_service.reasons import Explanation, Reason

MAX_REFERENCE_CHARS = 200
"""Maximum characters of a "Condition/7" that a fullUrl may stand for, since each reference to it is parsed again. Ids have at
most 64."""


class ResourceKind(msgspec.Struct):
    """The type and id of a resource, decoded before the rest of it."""

    resourceType: Any = None
    id: Any = None

    @property
    def name(self) -> str:
        """Return the resource type, or "" if it is missing or not a string."""
        return self.resourceType if isinstance(self.resourceType, str) else ""

    @property
    def reference(self) -> str:
        """Return the reference, such as "Condition/7". A numeric id (not R4, but sent) is read as its digits."""
        known = isinstance(self.id, (str, int)) and not isinstance(self.id, bool)
        return f"{self.name or 'resource'}/{self.id if known else '?'}"


CONTAINERS = frozenset({"DiagnosticReport", "Observation", "Condition"})
"""Resource types whose contained results are read."""
KIND_DECODER = msgspec.json.Decoder(ResourceKind)
READ_IN_ANY_CASE = {name.casefold(): name for name in READ_TYPES}
"""Resource type in lower case → the type."""
DECODERS = {name: msgspec.json.Decoder(kind) for name, kind in READ_TYPES.items()}


@dataclass(frozen=True, slots=True)
class ChartEntry:
    """A resource as sent, with the fullUrl of its Bundle entry, by which other resources may refer to it."""

    raw: bytes
    full_url: str | None = None
    kind: ResourceKind | None = None
    """The type and id of the resource, if they were already decoded."""


def read_chart(
    entries: Iterable[ChartEntry],
    patient_id: str | None,
    availability: Availability,
    not_decoded: Iterable[ChartEntry] = (),
) -> Chart:
    """Return the chart of `patient_id`. If None, use the one patient in the entries (command line). Never raises.

    `not_decoded`: entries whose content does not matter. Others may still refer to them.
    """
    builder = _ChartBuilder(patient_id)
    for entry in not_decoded:
        builder.name(entry)
    builder.add(entries)
    return builder.build(availability)


def reference_of(entry: ChartEntry) -> str:
    """Return the reference of an entry. Without an id, only the fullUrl identifies it. Raises msgspec.MsgspecError."""
    kind = entry.kind or KIND_DECODER.decode(entry.raw)
    if entry.full_url and kind.id is None:
        return f"{kind.name or 'resource'}/{entry.full_url.replace(':', '/').rsplit('/', 1)[-1]}"
    return kind.reference


class _Decoded(NamedTuple):
    reference: str
    raw: bytes
    resource: Resource


class _ChartBuilder:
    """Decodes resources and passes those that count to the lists of a chart. Used once."""

    def __init__(self, patient_id: str | None) -> None:
        self.parts = ChartParts(patient_id)

    def build(self, availability: Availability) -> Chart:
        return self.parts.build(availability)

    def name(self, entry: ChartEntry) -> str:
        """Return the reference of an entry, and record it as what its fullUrl stands for. Raises msgspec.MsgspecError."""
        reference = reference_of(entry)
        if entry.full_url and len(reference) <= MAX_REFERENCE_CHARS:
            self.parts.names[entry.full_url] = reference
        return reference

    def add(self, entries: Iterable[ChartEntry]) -> None:
        servers: dict[bytes, set[str]] = {}
        decoded = self._decode(entries, servers)
        patients = [(part.reference, part.resource) for part in decoded if isinstance(part.resource, Patient)]
        if self.parts.patient_id is None:
            self.parts.patient_id = _only_patient(decoded)
        self.parts.merged = same_person(self.parts.patient_id, patients, self.parts.names)
        decoded.sort(key=itemgetter(0, 1))  # the order of the resources must not matter
        repeated = {first.reference for first, second in pairwise(decoded) if first.reference == second.reference}
        self.parts.alone = self._contents(decoded)
        for reference, raw, resource in decoded:
            if reference not in repeated:
                self.parts.sort_in(reference, raw, resource)
        for reference, group in groupby((part for part in decoded if part.reference in repeated), key=itemgetter(0)):
            resolved = versions.resolve_by_server(reference, [(part.raw, part.resource) for part in group], servers)
            self.parts.left_out.update(resolved.left_out)
            self.parts.unreadable += [UnreadableResource(type_of(reference), what) for what in resolved.unreadable]
            for raw, resource in resolved.counting:
                self.parts.sort_in(reference, raw, resource)

    def _contents(self, decoded: Sequence[_Decoded]) -> Counter[Any]:
        """Count the patient's stand-alone Observations by content, if any resource contains results; otherwise return an empty
        Counter."""
        if not any(getattr(part.resource, "contained", None) for part in decoded):
            return Counter()
        found = (part.resource for part in decoded if isinstance(part.resource, Observation))
        return Counter(versions.content_without_id(part) for part in found if self.parts.whose(part) is None)

    def _keep_contained(self, reference: str, raw: bytes, why: Explanation, decoded: list[_Decoded]) -> None:
        """Add an undecodable container for the results in it, if any. If even those are unreadable, the absence of an
        Observation is no longer evidence."""
        if type_of(reference) in CONTAINERS:
            container = versions.unread_container(raw, why)
            if container is None:
                self.parts.incomplete_types.add("Observation")
            elif container.contained:
                decoded.append(_Decoded(reference, raw, container))

    def _decode(self, entries: Iterable[ChartEntry], servers: dict[bytes, set[str]]) -> list[_Decoded]:
        """Decode each resource once. Fill `servers`: resource → the servers that its entries name."""
        decoded: list[_Decoded] = []
        broken: list[tuple[str, bytes, Explanation]] = []
        for place, entry in enumerate(entries):
            raw = entry.raw
            server = versions.server_of(entry.full_url)
            if raw in servers:
                servers[raw].add(server)
                self.parts.left_out[versions.SENT_TWICE] += 1
                continue
            servers[raw] = {server}
            reference = f"entry {place + 1}"
            try:
                kind = entry.kind or KIND_DECODER.decode(raw)
                decoder, reference = DECODERS.get(kind.name), self.name(entry)
                if decoder is None and (meant := READ_IN_ANY_CASE.get(kind.name.casefold())):
                    # "observation" is no type of FHIR, and may be an Observation
                    broken.append((meant + reference.removeprefix(kind.name), raw, NOT_VALID))
                    if (stub := versions.stub(raw, meant, NOT_VALID)) is not None:
                        decoded.append(_Decoded(broken[-1][0], raw, stub))
                    else:
                        self.parts.incomplete_types.add(meant)
                    continue
                if decoder is None:
                    self.parts.left_out[LeftOut(Omission.TYPE_NOT_READ if kind.name else Omission.NO_RESOURCE_TYPE)] += 1
                    continue
                resource = decoder.decode(raw)
                refuse_longer_than_read(resource, raw)
                decoded.append(_Decoded(reference, raw, resource))
            except LongerThanRead:
                why = Explanation(Reason.LONGER_THAN_READ)
                broken.append((reference, raw, why))
                self.parts.incomplete_types.add(type_of(reference))
                self._keep_contained(reference, raw, why, decoded)
            except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
                name = type_of(reference)
                broken.append((reference, raw, _why(error)))
                if (stub := versions.stub(raw, name, NOT_VALID)) is not None:
                    decoded.append(_Decoded(reference, raw, stub))
                else:
                    self.parts.incomplete_types |= {name} if name in READ_TYPES else set(READ_TYPES)
                    self._keep_contained(reference, raw, NOT_VALID, decoded)
        for reference, _, why in sorted(broken, key=itemgetter(0, 1)):
            self.parts.add_unreadable(reference, why)
        return decoded


def _why(error: Exception) -> Explanation:
    """Return the reason for a decoding error. msgspec names the path and types, never a value."""
    if isinstance(error, RecursionError):
        return Explanation(Reason.NESTED_TOO_DEEPLY)
    return Explanation(Reason.NOT_DECODABLE, fault=str(error).split("\n")[0][:160])


def _only_patient(decoded: Iterable[_Decoded]) -> str | None:
    """Return the id of the first Patient with an id, preferably one without a `replaced-by` link. Without such a Patient,
    return the subject shared by all resources, or None."""
    resources = list(decoded)
    named = [(ref.split("/")[1], it) for ref, _, it in resources if isinstance(it, Patient) and not ref.endswith("?")]
    standing = [
        name for name, patient in named if not any(link.type == "replaced-by" for link in parts_of(PatientLink, patient.link))
    ]
    if named:
        return standing[0] if standing else named[0][0]
    subjects = {(split_reference(getattr(part.resource, "subject", None), {}) or ("", ""))[1] for part in resources} - {""}
    return subjects.pop() if len(subjects) == 1 else None
