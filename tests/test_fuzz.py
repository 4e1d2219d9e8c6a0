"""A slice of what `make fuzz` sends: every answer keeps the contract, in the same process; some against the running service."""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from cds_service.app import create_app
from cds_service.settings import Settings
from tests.conftest import SERVICE, Clock, bare_request, bundle
from tests.fuzz.__main__ import Seen, fuzz
from tests.fuzz.mutations import call
from tests.servers import running

SEED = 20261125
SLICE = range(2000)


def test_two_thousand_mutated_requests_are_answered_as_documented(client: FlaskClient, clock: Clock) -> None:
    clock.today = date(2026, 11, 23)
    statuses: Counter[int] = Counter()
    cards = 0
    for number in SLICE:
        made = call(SEED, number)
        if len(made.body) > 1_000_000 or made.method == "OPTIONS":
            continue
        answer = client.open(made.path, method=made.method, data=made.body, headers=made.headers)
        assert answer.status_code < 500, f"request {number} of seed {SEED}"
        statuses[answer.status_code] += 1
        if answer.status_code == 200 and made.method == "POST":
            cards += len(json.loads(answer.data)["cards"])
    assert {200, 400, 404, 405, 412, 415} <= set(statuses), "the slice does not reach every kind of answer"
    assert cards > 50


def test_a_mutated_request_is_the_same_whenever_it_is_made() -> None:
    assert [call(SEED, number) for number in (3, 17, 80)] == [call(SEED, number) for number in (3, 17, 80)]


def test_the_running_service_stands_mutated_requests(tmp_path: Path) -> None:
    with running(tmp_path, date(2026, 11, 23)) as service:
        seen, memory = fuzz(service, SEED, range(2000, 2300))
    assert seen.faults == []
    assert sum(seen.statuses.values()) == 300
    assert memory


def test_the_fuzzer_calls_a_fault_what_is_one() -> None:
    made = call(SEED, 0)
    faults = ((500, b"{}", 0.1), (200, b"<html>", 0.1), (200, b'{"cards": []}', 60), (400, b"{}", 0.1), (None, b"", 1))
    for status, body, seconds in faults:
        seen = Seen()
        seen.add(0, made, status, body, seconds)
        assert len(seen.faults) == 1, status
    fine = Seen()
    fine.add(0, made, 503, b'{"resourceType": "OperationOutcome"}', 0.1)
    fine.add(1, made, 200, b'{"cards": []}', 0.1)
    assert fine.faults == []


# ── faults that were found, each with its own test ───────────────────────────────────────────────────────────────


def test_thousands_of_diagnoses_beside_thousands_of_histologies_are_read_in_time(client: FlaskClient, clock: Clock) -> None:
    """Each histology once looked at every diagnosis: half a minute for less than two megabytes."""
    subject: Any = {"reference": "Patient/example"}
    net = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C7B.02"}]}
    conditions = [{"resourceType": "Condition", "id": f"c{n}", "subject": subject, "code": net} for n in range(1500)]
    histology: dict[str, Any] = {
        "resourceType": "Observation", "status": "final", "subject": subject,
        "code": {"coding": [{"system": "http://loinc.org", "code": "59847-4"}]},
        "valueCodeableConcept": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/icd-o-3", "code": "8240/3"}]},
    }  # fmt: skip
    observations = [histology | {"id": f"h{n}"} for n in range(1500)]
    started = time.process_time()
    cards = post(client, conditions=conditions, observations=observations)
    assert cards
    assert time.process_time() - started < 5


def test_a_card_on_a_possible_disease_names_some_of_its_thousands_of_reasons(client: FlaskClient) -> None:
    conditions: list[Any] = [
        {
            "resourceType": "Condition", "id": f"c{n}", "subject": {"reference": "Patient/example"},
            "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code}]},
        }
        for n, code in enumerate(["C7A.00", "C78.7", *["C18.7"] * 2000])
    ]  # fmt: skip
    (card,) = post(client, conditions=conditions)
    assert "and 1990 more" in card["detail"]
    assert len(card["detail"]) < 2000


VERSIONS: dict[str, dict[str, Any]] = {
    "observations": {
        "resourceType": "Observation", "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "6301-6"}]},
        "valueQuantity": {"value": "@", "unit": "1"},
    },
    "procedures": {"resourceType": "Procedure", "status": "completed", "code": {"text": "@"}},
    "conditions": {
        "resourceType": "Condition",
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "K76.0"}], "text": "@"},
    },
}  # fmt: skip


@pytest.mark.parametrize("key", VERSIONS)
def test_thousands_of_versions_of_one_resource_are_read_in_time(clock: Clock, key: str) -> None:
    """Each version was once compared with each before it: a minute for 30,000 of them."""
    subject: Any = {"reference": "Patient/example"}
    net = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C7B.02"}]}
    disease = {"resourceType": "Condition", "id": "disease", "subject": subject, "code": net}
    version = json.dumps(VERSIONS[key] | {"id": "same", "subject": subject})
    sent = {"conditions": [disease]}
    sent[key] = [*sent.get(key, []), *(json.loads(version.replace("@", str(number + 1))) for number in range(30_000))]
    client = create_app(Settings(pages=False), lambda: clock.today).test_client()  # as large a body as it ships with
    started = time.process_time()
    assert post(client, **sent)
    assert time.process_time() - started < 12


def test_two_versions_with_a_number_that_cannot_be_compared_are_no_fault(client: FlaskClient) -> None:
    inr = VERSIONS["observations"] | {"id": "same", "subject": {"reference": "Patient/example"}}
    versions = [inr | {"valueQuantity": {"value": "sNaN", "unit": unit}} for unit in ("1", "2")]
    net = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C7B.02"}]}
    disease = {"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/example"}, "code": net}
    assert post(client, conditions=[disease], observations=versions)


def post(client: FlaskClient, **prefetch: list[Any]) -> list[dict[str, Any]]:
    body = json.dumps(bare_request(prefetch={key: bundle(*value) for key, value in prefetch.items()}))
    answer = client.post(SERVICE, data=body, content_type="application/json")
    assert answer.status_code == 200
    return list(json.loads(answer.data)["cards"])
