"""The law "not NLM is the same answer": a chart is refused at the gate exactly if it would be after reading it whole.

Both ways run in one process, over every fixture, every chart of other sources, mutated requests, and charts in which the
resources that the gate saw are hidden, taken out, copied into others or sent as two versions.
"""

from __future__ import annotations

import json
import random
from copy import deepcopy
from functools import cache
from typing import Any, NamedTuple

import pytest

from cds_service.clinical_picture import Gate, Nlm
from cds_service.errors import CdsError
from cds_service.fhir.gate_entries import choose_gate_entries
from cds_service.hooks.patient_view import retrieve_picture
from cds_service.hooks.prefetch import read_prefetch
from cds_service.hooks.request import parse_request
from cds_service.sites import development_site
from tests.conftest import FIXTURES, PROOF, Record, as_of, request_of
from tests.fuzz.mutations import call, sources
from tests.support.hidings import hidden
from tests.support.sent_charts import GASTRIC_CANCER, ICD_O, KNOWLEDGE, LIVER, NEN, coding, histology, observation, report

SITE = development_site()
DAY = as_of("resectable")
CHARTS, REQUESTS = (300, 2_000), (500, 5_000)
"""Mutated charts, and requests mutated anywhere: short and full form."""
CHANGED = 0.3
"""Smallest part of the mutated charts for which the gate must answer otherwise than for the fixture."""
Json = dict[str, Any]


class Outcome(NamedTuple):
    """The gate of an answer, or the error in its place."""

    gate: Gate | None
    error: str = ""
    alone: bool = False
    """True if nothing but the gate was read."""

    @property
    def answer(self) -> Nlm | None:
        return self.gate.answer if self.gate else None


def outcome(body: bytes, *, whole: bool) -> Outcome:
    try:
        picture = retrieve_picture(parse_request(body, "patient-view"), SITE, DAY, whole=whole)
    except CdsError as error:
        return Outcome(None, json.dumps(error.outcome()))
    return Outcome(picture.gate, alone=not picture.readings)


def check(body: bytes) -> Outcome:
    """Assert that both ways lead to the same answer, and return it."""
    found = outcome(body, whole=False)
    assert found._replace(alone=False) == outcome(body, whole=True)
    return found


def entries_of(request: Json) -> list[tuple[list[Json], Json]]:
    """Return every entry of the prefetch with its list."""
    bundles = [part for part in request["prefetch"].values() if isinstance(part, dict) and part.get("entry")]
    return [(part["entry"], entry) for part in bundles for entry in part["entry"]]


@cache
def plain(fixture: str) -> str:
    return json.dumps(request_of(fixture))


def reference_of(entry: Json) -> str:
    return f"{entry['resource']['resourceType']}/{entry['resource']['id']}"


def mutated(fixture: str, drawn: random.Random) -> bytes:
    """Return the request of a fixture in which what the gate saw, and some other diagnoses and findings, are hidden, taken out,
    changed or moved, up to six times."""
    request: Json = json.loads(plain(fixture))
    for _ in range(drawn.randint(1, 6)):
        pairs = [
            (held, entry) for held, entry in entries_of(request) if reference_of(entry).startswith(("Condition", "Observation"))
        ]
        gate = outcome(json.dumps(request).encode(), whole=True).gate
        seen = {reading.seen_in for reading in gate.seen} if gate else set()
        decided = [pair for pair in pairs if reference_of(pair[1]) in seen]
        change(*drawn.choice(decided if decided and drawn.random() < 0.9 else pairs), request, drawn)
    return json.dumps(request).encode()


def change(held: list[Json], entry: Json, request: Json, drawn: random.Random) -> None:
    """Change one entry of a request in one of four ways."""
    resource, place, kind = entry["resource"], held.index(entry), drawn.random()
    ways = [] if "changed" in entry else [replacement for _, replacement in hidden(deepcopy(resource))]
    if kind < 0.45 and ways:
        held[place : place + 1] = [{"resource": part, "changed": True} for part in drawn.choice(ways)]
    elif kind < 0.75:
        del held[place]
    elif kind < 0.85 and resource["resourceType"] == "Observation":
        subject = {"reference": f"Patient/{request['context']['patientId']}"}
        held[place] = {"resource": report(resource) | {"subject": subject, "id": f"of-{resource['id']}"}, "changed": True}
    else:  # another version of it
        other = drawn.choice(held)["resource"]
        held.append({"resource": {**deepcopy(other), "id": resource["id"]}, "changed": True})


@pytest.mark.parametrize("fixture", FIXTURES)
def test_a_fixture_is_answered_alike(fixture: str) -> None:
    check(plain(fixture).encode())


def test_charts_of_other_sources_are_answered_alike(record_property: Record) -> None:
    found = [check(request.encode()) for request in sources()]
    without, alone = sum(one.answer is Nlm.NO for one in found), sum(one.alone for one in found)
    record_property(
        PROOF,
        f"gate alone: {len(found)} charts of fixtures and other sources, {without} without the disease, of which {alone} were "
        "not read whole",
    )
    assert without > 20
    assert alone > without * 0.4, "whose chart it is depends on Patient or Condition, and some have neither"


def test_mutated_charts_are_answered_alike(full: bool, record_property: Record) -> None:
    drawn, count = random.Random(18), CHARTS[full]
    before = {fixture: check(plain(fixture).encode()).answer for fixture in FIXTURES}
    answers: list[Nlm | None] = []
    changed = 0
    for number in range(count):
        fixture = FIXTURES[number % len(FIXTURES)]
        answers.append(check(mutated(fixture, drawn)).answer)
        changed += answers[-1] is not before[fixture]
    assert changed >= CHANGED * count
    record_property(
        PROOF,
        f"gate alone: {count} mutated charts, {changed} with another answer of the gate; "
        + ", ".join(f"{answers.count(one)} {one.value if one else 'refused'}" for one in (*Nlm, None)),
    )


def test_requests_mutated_anywhere_are_answered_alike(full: bool, record_property: Record) -> None:
    read = 0
    for number in range(REQUESTS[full]):
        sent = call(18, number)
        try:
            parse_request(sent.body, "patient-view")
        except CdsError:
            continue
        check(sent.body)
        read += 1
    assert read > REQUESTS[full] // 3
    record_property(PROOF, f"gate alone: {read} requests mutated anywhere")


GLUCOSE = observation("glucose", coding("2345-7", "http://loinc.org"), valueQuantity={"value": 1})
TELLING = {
    "a histology": histology(coding("8240/3", ICD_O)),
    "a histology among the components": observation(
        "h", coding("2345-7", "http://loinc.org"), component=[{"code": coding("59847-4", "http://loinc.org")}]
    ),
    "a histology under another system": observation("h", coding("59847-4", "urn:oid:2.999")),
    "a histology without a system": observation("h", coding("59847-4")),
    "the number of lesions": observation("n", coding("lesion-count", KNOWLEDGE.assessment_system)),
    "a result in another": {**GLUCOSE, "contained": [{"resourceType": "Observation", "id": "a"}]},
    "a result that cannot be read": {**GLUCOSE, "code": "glucose"},
    "a type in lower case": {**histology(coding("8240/3", ICD_O)), "resourceType": "observation"},
    "a report that holds its results": report(histology(coding("8240/3", ICD_O))),
    "a diagnosis": NEN,
    "another diagnosis": GASTRIC_CANCER,
    "the liver": LIVER,
}


def chosen(*resources: Json) -> list[str]:
    """Return the ids of the resources on which the gate may depend."""
    request = {"resourceType": "Bundle", "entry": [{"resource": resource} for resource in resources]}
    (found,) = read_prefetch({"a": json.dumps(request).encode()}).values()
    return [str(entry.kind.id) for entry in choose_gate_entries(found.entries, KNOWLEDGE).telling if entry.kind]


@pytest.mark.parametrize("name", TELLING)
def test_what_the_gate_may_depend_on_is_decoded(name: str) -> None:
    assert chosen(GLUCOSE | {"id": "not"}, TELLING[name]) == [TELLING[name]["id"]]


def test_values_drugs_and_procedures_are_not_decoded() -> None:
    drug = {"resourceType": "MedicationRequest", "id": "drug"}
    assert chosen(GLUCOSE, drug, {"resourceType": "Procedure", "id": "done"}, {**report(), "contained": []}, NEN) == ["nen"]


def test_every_version_of_what_may_tell_is_decoded() -> None:
    assert chosen(GLUCOSE | {"id": "h"}, TELLING["a histology"], GLUCOSE) == ["h", "h"]
