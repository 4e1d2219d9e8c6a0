"""Some of the requests of `make fuzz`, in the same process and to the running service: every answer is as documented."""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient

from cds_service.app import create_app
from cds_service.fhir.chart import EVERYTHING_ARRIVED
from cds_service.fhir.chart_builder import ChartEntry, read_chart
from cds_service.fhir.resources import READ_TYPES
from cds_service.fhir.versions import SENT_TWICE, server_of
from cds_service.settings import Settings
from tests.conftest import SERVICE, Clock, bare_request, bundle
from tests.fuzz.__main__ import Seen, fuzz
from tests.fuzz.mutations import call
from tests.support.costs import DOORS, slowness
from tests.support.servers import running

SEED = 20261130
SUBJECT = {"reference": "Patient/example"}
NEN = {
    "resourceType": "Condition", "id": "nen", "subject": SUBJECT,
    "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C7A.012"}]},
}  # fmt: skip
OF_THE_LIVER = {
    "resourceType": "Observation", "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "21889-1"}]},
    "bodySite": {"coding": [{"system": "http://snomed.info/sct", "code": "10200004"}]},
}  # fmt: skip
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
        if number % 10 == 0:
            assert DOORS["page"](made.body) < 500, f"request {number} of seed {SEED}, on the page"
        statuses[answer.status_code] += 1
        if answer.status_code == 200 and made.method == "POST":
            cards += len(json.loads(answer.data)["cards"])
    assert {200, 400, 404, 405, 412, 415} <= set(statuses), "the slice does not reach every kind of answer"
    assert cards > 50


def test_a_mutated_request_is_the_same_whenever_it_is_made() -> None:
    assert [call(SEED, number) for number in (3, 17, 80)] == [call(SEED, number) for number in (3, 17, 80)]


def test_the_running_service_survives_mutated_requests(tmp_path: Path) -> None:
    with running(tmp_path, date(2026, 11, 23)) as service:
        seen, memory = fuzz(service, SEED, range(2000, 2300))
    assert seen.faults == []
    assert sum(seen.statuses.values()) == 300
    assert memory


def test_the_fuzzer_detects_wrong_answers() -> None:
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
    """Each histology was once compared with every diagnosis: half a minute for less than two megabytes."""
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
    assert "And 1996 more" in card["detail"]
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
    """Each version was once compared with every earlier one: a minute for 30,000 versions."""
    subject: Any = {"reference": "Patient/example"}
    net = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C7B.02"}]}
    disease = {"resourceType": "Condition", "id": "disease", "subject": subject, "code": net}
    version = json.dumps(VERSIONS[key] | {"id": "same", "subject": subject})
    sent = {"conditions": [disease]}
    sent[key] = [*sent.get(key, []), *(json.loads(version.replace("@", str(number + 1))) for number in range(30_000))]
    client = create_app(Settings(pages=False, max_cpu_s=60), lambda: clock.today).test_client()  # with the default body limit
    started = time.process_time()
    assert post(client, **sent)
    assert time.process_time() - started < 10 * slowness()


def test_two_versions_with_a_number_that_cannot_be_compared_are_no_fault(client: FlaskClient) -> None:
    inr = VERSIONS["observations"] | {"id": "same", "subject": {"reference": "Patient/example"}}
    versions = [inr | {"valueQuantity": {"value": "sNaN", "unit": unit}} for unit in ("1", "2")]
    net = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C7B.02"}]}
    disease = {"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/example"}, "code": net}
    assert post(client, conditions=[disease], observations=versions)


def test_a_size_that_is_no_number_is_no_lesion_and_no_fault(client: FlaskClient) -> None:
    for value in ("NaN", "sNaN", "Infinity"):
        size = OF_THE_LIVER | {"id": "size", "subject": SUBJECT, "valueQuantity": {"value": value, "unit": "cm"}}
        assert post(client, conditions=[NEN], observations=[size]) == []
    odd_unit = OF_THE_LIVER | {"id": "size", "subject": SUBJECT, "valueQuantity": {"value": 2, "unit": "fingers"}}
    assert post(client, conditions=[NEN], observations=[odd_unit])


@pytest.mark.parametrize("value", ["1.1", "NaN", "sNaN", "Infinity"])
def test_one_resource_on_two_servers_counts_once_whatever_its_number(value: str) -> None:
    inr = VERSIONS["observations"] | {"id": "same", "subject": SUBJECT, "valueQuantity": {"value": value}}
    sent = zip((inr, inr | {"note": [{"text": "again"}]}), ("one", "two"), strict=True)
    chart = read_chart(
        [entry(part, f"https://{host}.example/Observation/same") for part, host in sent], "example", EVERYTHING_ARRIVED
    )
    assert (len(chart.observations), chart.left_out[SENT_TWICE]) == (1, 1)


def test_one_id_under_thousands_of_hosts_is_read_in_time() -> None:
    """Each host was once searched among all entries, and each resource compared with every other."""
    made = [VERSIONS["conditions"] | {"id": "same", "subject": SUBJECT, "code": {"text": str(n)}} for n in range(5000)]
    entries = [entry(part, f"https://host{n}.example/Condition/same") for n, part in enumerate(made)]
    started = time.process_time()
    assert len(read_chart(entries, "example", EVERYTHING_ARRIVED).conditions) == 5000
    assert time.process_time() - started < 2


@pytest.mark.parametrize("text", ["https://" + "/" * 1990, "https://" + "/A" * 990, "https://a" + "/_history/" * 190])
def test_a_full_url_of_many_parts_names_its_server_in_time(text: str) -> None:
    """A regular expression once needed time quadratic in the length."""
    started = time.process_time()
    for _ in range(1000):
        server_of(text)
    assert time.process_time() - started < 0.5


def test_a_full_url_longer_than_any_server_has_names_none_and_costs_nothing() -> None:
    started = time.process_time()
    assert server_of("https://" + "/" * 1_000_000) == ""
    assert server_of("https://one.example/" + "x" * 2000 + "/Condition/7") == ""
    assert time.process_time() - started < 0.5


WITHIN = [{"url": "http://x.example", "valueBoolean": True}]
NOT_LOOKED_INTO: dict[str, tuple[str, dict[str, Any]]] = {
    f"{name}.{field.encode_name}": (name, {field.encode_name: WITHIN})
    for name, kind in READ_TYPES.items()
    for field in msgspec.structs.fields(kind)
    if field.name != "id" and (field.type is Any or "Raw" in str(field.type))
} | {
    "Observation.component.modifierExtension": ("Observation", {"component": [{"modifierExtension": WITHIN}]}),
    "an object": ("Condition", {"abatementAge": {"value": 50, "unit": "a"}}),
    "objects in objects": ("Condition", {"abatementRange": {"low": {"value": 50}, "high": {"value": [51]}}}),
    "a part nested deeply": ("Condition", {"abatementAge": json.loads('{"a":' * 850 + "50" + "}" * 850)}),
}  # fmt: skip


@pytest.mark.parametrize("case", NOT_LOOKED_INTO)
def test_a_resource_sent_twice_is_one_whatever_it_holds_that_is_not_looked_into(case: str) -> None:
    name, more = NOT_LOOKED_INTO[case]
    made = {"resourceType": name, "id": "same", "subject": SUBJECT} | more
    chart = read_chart([entry(made), entry(made | {"note": [{"text": "again"}]})], "example", EVERYTHING_ARRIVED)
    assert chart.left_out[SENT_TWICE] == 1
    other = json.loads(json.dumps(made).replace("true", "false").replace("50", "49"))
    assert read_chart([entry(made), entry(other)], "example", EVERYTHING_ARRIVED).left_out[SENT_TWICE] == 0


def test_drugs_and_ages_are_among_what_is_not_looked_into() -> None:
    assert {"MedicationRequest.contained", "Condition.abatementAge", "Patient.implicitRules"} <= NOT_LOOKED_INTO.keys()


def entry(resource: dict[str, Any], full_url: str | None = None) -> ChartEntry:
    return ChartEntry(json.dumps(resource).encode(), full_url)


def post(client: FlaskClient, **prefetch: list[Any]) -> list[dict[str, Any]]:
    body = json.dumps(bare_request(prefetch={key: bundle(*value) for key, value in prefetch.items()}))
    answer = client.post(SERVICE, data=body, content_type="application/json")
    assert answer.status_code == 200
    return list(json.loads(answer.data)["cards"])
