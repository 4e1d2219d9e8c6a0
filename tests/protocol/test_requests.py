"""Requests: which are rejected and how, what is tolerated, and what is never logged."""

from __future__ import annotations

import gzip
import json
import logging
import time
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from cds_service.app import create_app
from cds_service.hooks import patient_view
from cds_service.hooks.prefetch import PrefetchState
from cds_service.settings import Settings
from tests.conftest import (
    FIXTURES,
    INSTANCE,
    ORIGIN,
    PREFETCH,
    SERVICE,
    CheckedClient,
    Clock,
    as_of,
    bare_request,
    bundle,
    diagnostics,
    extensions,
    request_of,
    validator,
)

MARKER = "Zzyzx4711"
JSON = "application/json"
OUTCOME = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}
NOTHING_FOUND = {
    "resourceType": "Bundle",
    "type": "searchset",
    "total": 0,
    "link": [{"relation": "self", "url": "https://ehr.example/fhir/Condition?patient=example"}],
    "entry": [
        {
            "fullUrl": "urn:uuid:00000000-1c5c-4d2f-9d0f-000000000001",
            "resource": {
                "resourceType": "OperationOutcome",
                "issue": [
                    {
                        "severity": "warning",
                        "code": "processing",
                        "details": {
                            "coding": [{"system": "urn:oid:1.2.840.114350.1.13.0.1.7.2.657369", "code": "4101"}],
                            "text": "Resource request returns no results.",
                        },
                    }
                ],
            },
            "search": {"mode": "outcome"},
        }
    ],
}
"""Epic's answer to a search without results."""
DEEP = "[" * 100_000 + "]" * 100_000


def patient(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": "example", **more}


def condition(**more: Any) -> dict[str, Any]:
    code = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I10"}]}
    return {"resourceType": "Condition", "id": "c1", "subject": {"reference": "Patient/example"}, "code": code, **more}


def nlm(**more: Any) -> dict[str, Any]:
    """Return a diagnosis that states both a neuroendocrine tumour and liver metastases."""
    code = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C7B.02"}]}
    return condition(id="nlm", code=code, **more)


# ── bodies that are refused ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "the body is not JSON"),
        (b"{", "the body is not JSON"),
        (b'{"hook": "patient-view",}', "the body is not JSON"),
        (b"{'hook': 1}", "the body is not JSON"),
        (b'{"hook": NaN}', "the body is not JSON"),
        (b"/* hook */ {}", "the body is not JSON"),
        (b'{"hook": "patient-view"} {}', "the body is not JSON"),
        ('{"hook": "pätient-view"}'.encode("latin-1"), "the body is not UTF-8"),
        ('{"hook": "patient-view"}'.encode("utf-16"), "the body is not UTF-8"),
        (b"[]", "the body is not a hook request"),
        (b"null", "the body is not a hook request"),
        (b'"patient-view"', "the body is not a hook request"),
        (b"7", "the body is not a hook request"),
    ],
)
def test_a_body_that_is_not_a_json_object_in_utf8_is_rejected_with_the_reason(
    client: FlaskClient, body: bytes, told: str
) -> None:
    answer = client.post(SERVICE, data=body, content_type=JSON)
    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["issue"][0]["details"]["text"] == told


@pytest.mark.parametrize("field", ["hook", "hookInstance", "context", "extension", "fhirAuthorization", "unknown"])
def test_a_body_nested_too_deeply_is_refused_and_breaks_nothing(client: FlaskClient, field: str) -> None:
    body = f'{json.dumps(bare_request())[:-1]}, "{field}": {DEEP}}}'
    answer = client.post(SERVICE, data=body, content_type=JSON)
    assert answer.status_code == 400
    assert diagnostics(answer) == ["body is nested too deeply"]


def without(field: str) -> dict[str, Any]:
    request = bare_request()
    del request[field]
    return request


FAULTY: dict[str, tuple[dict[str, Any], str]] = {
    "no hook": (without("hook"), "hook is required"),
    "hook a number": (bare_request(hook=7), "hook must be a string, not a number"),
    "another hook": (bare_request(hook="order-sign"), "hook must be patient-view, not another hook"),
    "no hookInstance": (without("hookInstance"), "hookInstance is required"),
    "hookInstance no UUID": (bare_request(hookInstance="12"), "hookInstance must be a UUID"),
    "hookInstance null": (bare_request(hookInstance=None), "hookInstance must be a string, not null"),
    "no context": (without("context"), "context is required"),
    "context a list": (bare_request(context=[]), "context must be an object, not an array"),
    "context null": (bare_request(context=None), "context must be an object, not null"),
    "context a string": (bare_request(context="x"), "context must be an object, not a string"),
    "no userId": (
        bare_request(context={"patientId": "1"}), "context.userId is required"
    ),
    "no patientId": (
        bare_request(context={"userId": "Practitioner/1"}), "context.patientId is required"
    ),
    "patientId no FHIR id": (
        bare_request(context={"userId": "Practitioner/1", "patientId": "a b"}),
        "context.patientId must be a FHIR id; only Patient/ may precede it",
    ),
    "patientId of an encounter": (
        bare_request(context={"userId": "Practitioner/1", "patientId": "Encounter/1"}),
        "context.patientId must be a FHIR id; only Patient/ may precede it",
    ),
    "patientId a number": (
        bare_request(context={"userId": "Practitioner/1", "patientId": 1}),
        "context.patientId must be a string, not a number",
    ),
    "prefetch a list": (bare_request(prefetch=[]), "prefetch must be an object or null, not an array"),
    "prefetch a string": (bare_request(prefetch="x"), "prefetch must be an object or null, not a string"),
    "prefetch false": (bare_request(prefetch=False), "prefetch must be an object or null, not a boolean"),
    "prefetch a number": (bare_request(prefetch=-1), "prefetch must be an object or null, not a number"),
    "extension a string": (bare_request(extension="x"), "extension must be an object, not a string"),
    "a token without a server": (
        bare_request(fhirAuthorization={"access_token": "t", "token_type": "Bearer"}),
        "fhirServer is required if fhirAuthorization is sent",
    ),
    "a token and a server that is null": (
        bare_request(fhirServer=None, fhirAuthorization={"access_token": "t", "token_type": "Bearer"}),
        "fhirServer is required if fhirAuthorization is sent",
    ),
    "a token that is no Bearer token": (
        bare_request(fhirServer="https://ehr.example/fhir", fhirAuthorization={"access_token": "t", "token_type": "mac"}),
        "fhirAuthorization.token_type must be Bearer",
    ),
    "an authorization without a token": (
        bare_request(fhirServer="https://ehr.example/fhir", fhirAuthorization={"token_type": "Bearer"}),
        "fhirAuthorization.access_token is required",
    ),
}  # fmt: skip


@pytest.mark.parametrize("identity", [".", "..", "Patient/.", "Patient/.."])
def test_an_id_that_is_a_way_elsewhere_is_refused(client: FlaskClient, identity: str) -> None:
    context = {"userId": "Practitioner/1", "patientId": identity}
    answer = client.post(SERVICE, json=bare_request(context=context, prefetch={"conditions": None}))
    assert answer.status_code == 400
    (told,) = diagnostics(answer)
    assert told.startswith("context.patientId must be a FHIR id")


@pytest.mark.parametrize("identity", ["...", "a..", "..a", "1.2", "Patient/1"])
def test_an_id_may_contain_dots(client: FlaskClient, identity: str) -> None:
    context = {"userId": "Practitioner/1", "patientId": identity}
    answer = client.post(SERVICE, json=bare_request(context=context, prefetch={"conditions": None}))
    assert answer.json == {"cards": []}


@pytest.mark.parametrize("case", FAULTY)
def test_each_error_of_a_request_names_its_path_and_what_is_allowed(client: FlaskClient, case: str) -> None:
    request, told = FAULTY[case]
    answer = client.post(SERVICE, json=request)
    assert answer.status_code == 400
    assert diagnostics(answer) == [told]


MISSPELT: dict[str, tuple[dict[str, Any], str]] = {
    "a key of the request": (
        without("hookInstance") | {"hook_instance": INSTANCE},
        'hookInstance is required; "hook_instance" was sent: did you mean "hookInstance"?',
    ),
    "a key of the context": (
        bare_request(context={"userId": "Practitioner/1", "patientID": "1"}),
        'context.patientId is required; "patientID" was sent: did you mean "patientId"?',
    ),
    "a key of the authorization": (
        bare_request(fhirServer="https://ehr.example/fhir", fhirAuthorization={"acces_token": "t", "token_type": "Bearer"}),
        'fhirAuthorization.access_token is required; "acces_token" was sent: did you mean "access_token"?',
    ),
    "a key with an id in it": (
        bare_request(context={"userId": "Practitioner/1", "patientId47": "1"}), "context.patientId is required"
    ),
    "a key with a name in it": (
        bare_request(context={"userId": "Practitioner/1", "patientIdAnn": "1"}), "context.patientId is required"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MISSPELT)
def test_a_misspelt_key_is_suggested_only_if_it_is_nearly_a_required_one(client: FlaskClient, case: str) -> None:
    request, expected = MISSPELT[case]
    answer = client.post(SERVICE, json=request)
    assert answer.status_code == 400
    assert diagnostics(answer) == [expected]


def test_a_misspelt_prefetch_key_is_suggested_in_the_412(client: FlaskClient) -> None:
    answer = client.post(SERVICE, json=bare_request(prefetch={"condition": OUTCOME}))
    assert answer.status_code == 412
    (sentence,) = diagnostics(answer)
    assert sentence.startswith("prefetch.conditions is required and was not sent; query: ")
    assert sentence.endswith('; "condition" was sent: did you mean "conditions"?')


def test_thousands_of_long_keys_cost_no_time(client: FlaskClient) -> None:
    keys = {f"patientI{'d' * 5000}": "1"} | {f"patient{'i' * (n % 5)}d_{'-' * n}": 1 for n in range(700)}
    started = time.process_time()
    answer = client.post(SERVICE, json=bare_request(context={"userId": "Practitioner/1"} | keys))
    assert answer.status_code == 400
    assert time.process_time() - started < 1


def test_every_error_of_a_request_is_reported_at_once(client: FlaskClient) -> None:
    request = {"hook": 1, "hookInstance": "x", "context": {"patientId": []}, "prefetch": [], "fhirAuthorization": {}}
    answer = client.post(SERVICE, json=request)
    assert answer.status_code == 400
    assert {line.split(" ")[0] for line in diagnostics(answer)} == {
        "hook", "hookInstance", "context.userId", "context.patientId", "prefetch", "fhirServer",
        "fhirAuthorization.access_token", "fhirAuthorization.token_type",
    }  # fmt: skip


def test_an_unknown_service_and_an_unknown_path_are_404_and_say_what_there_is(client: FlaskClient) -> None:
    assert diagnostics(client.post("/cds-services/another", json=bare_request())) == [
        "path must end with a service id: nlm-patient-view, nlm-order-select, nlm-order-sign"
    ]
    for path in ("/", "/cds-service", f"{SERVICE}/feedback/more", "/../etc/passwd"):
        assert client.post(path, json=bare_request()).status_code == 404


@pytest.mark.parametrize("path", ["/cds-services", SERVICE, "/health"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"])
def test_a_wrong_method_is_405_and_says_which_are_right(client: FlaskClient, path: str, method: str) -> None:
    right = "POST" if path == SERVICE else "GET"
    answer = client.open(path, method=method, json={})
    if method == right:
        assert answer.status_code != 405
        return
    assert answer.status_code == 405
    assert right in diagnostics(answer)[0]


@pytest.mark.parametrize("media", ["text/plain", "application/xml", "application/x-www-form-urlencoded", "", "json"])
def test_a_media_type_that_is_not_json_is_415(client: FlaskClient, media: str) -> None:
    assert client.post(SERVICE, data=json.dumps(bare_request()), content_type=media).status_code == 415


@pytest.mark.parametrize("media", ["application/json; charset=utf-8", "application/fhir+json", "APPLICATION/JSON"])
def test_any_json_media_type_is_read(client: FlaskClient, media: str) -> None:
    body = json.dumps(bare_request(prefetch={"conditions": None}))
    assert client.post(SERVICE, data=body, content_type=media).status_code == 200


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate"])
def test_a_compressed_body_is_415(client: FlaskClient, encoding: str) -> None:
    body = gzip.compress(json.dumps(bare_request()).encode())
    assert client.post(SERVICE, data=body, content_type=JSON, headers={"Content-Encoding": encoding}).status_code == 415


def test_a_body_above_the_limit_is_413_and_names_the_limit() -> None:
    app = create_app(Settings(max_body_bytes=500, pages=False), lambda: date(2026, 11, 23))
    app.test_client_class = CheckedClient
    client, small = app.test_client(), json.dumps(bare_request(prefetch={"conditions": None}))
    assert client.post(SERVICE, data=small.ljust(500), content_type=JSON).status_code == 200
    answer = client.post(SERVICE, data=small.ljust(501), content_type=JSON)
    assert answer.status_code == 413
    assert diagnostics(answer) == ["body must be at most 500 bytes"]


def planted(request: dict[str, Any]) -> dict[str, Any]:
    """Return the request with a marker in each of its strings."""
    found: dict[str, Any] = json.loads(json.dumps(request), object_hook=_plant)
    return found


def _plant(part: dict[str, Any]) -> dict[str, Any]:
    return {key: f"{value} {MARKER}" if isinstance(value, str) else value for key, value in part.items()}


@pytest.mark.parametrize("case", FAULTY)
def test_an_error_never_repeats_a_value_of_the_request(client: FlaskClient, case: str) -> None:
    request = planted(FAULTY[case][0]) | {f"field-{MARKER}": MARKER, "extension": {MARKER: MARKER}}
    answer = client.post(SERVICE, json=request)
    assert answer.status_code == 400
    assert MARKER not in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    "send",
    [
        lambda client: client.post(f"/cds-services/{MARKER}", json=bare_request()),
        lambda client: client.get(f"/{MARKER}?q={MARKER}"),
        lambda client: client.open("/health", method=MARKER),
        lambda client: client.post(SERVICE, data=MARKER, content_type=f"text/{MARKER}"),
        lambda client: client.post(SERVICE, data=MARKER, content_type=JSON, headers={"Content-Encoding": MARKER}),
        lambda client: client.post(SERVICE, data=f'{{"{MARKER}": {MARKER}}}', content_type=JSON),
        lambda client: client.post(SERVICE, json=bare_request(prefetch={MARKER: MARKER, "conditions": MARKER})),
        lambda client: client.post(SERVICE, json=bare_request(prefetch={"conditions": {**OUTCOME, "id": MARKER}})),
    ],
)
def test_neither_path_nor_header_nor_body_comes_back_in_an_error(
    client: FlaskClient, send: Callable[[FlaskClient], Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "cds_service")
    answer = send(client)
    assert answer.status_code >= 400
    assert MARKER not in answer.get_data(as_text=True) + str(answer.headers) + caplog.text


# ── what is tolerated ────────────────────────────────────────────────────────────────────────────────────────────


def test_unknown_fields_and_extensions_are_ignored(client: FlaskClient, clock: Clock) -> None:
    clock.today = as_of("resectable")
    request = request_of("resectable")
    plain = client.post(SERVICE, json=request)
    request |= {"extension": {"com.example": {"a": [None]}}, "fhirServer": "https://ehr.example/fhir", "more": [None, ""]}
    request["context"] |= {"encounterId": "1", "extension": {"com.example": 1}, "more": {}}
    assert client.post(SERVICE, json=request).data == plain.data


@pytest.mark.parametrize("fields", [["fhirServer"], ["fhirAuthorization"], ["extension"], ["fhirServer", "fhirAuthorization"]])
def test_an_optional_field_that_is_null_counts_as_omitted(client: FlaskClient, fields: list[str]) -> None:
    """CH-02 omits optional fields; null means the same. Required fields stay required."""
    asked = bare_request(prefetch={"conditions": bundle(nlm())}) | dict.fromkeys(fields)
    validator("HookRequest").validate(asked)
    plain = client.post(SERVICE, json={name: value for name, value in asked.items() if name not in fields})
    assert plain.status_code == 200
    assert client.post(SERVICE, json=asked).data == plain.data


def test_a_token_beside_the_prefetch_changes_nothing(client: FlaskClient, clock: Clock) -> None:
    clock.today = as_of("resectable")
    request = request_of("resectable")
    plain = client.post(SERVICE, json=request)
    token = {"access_token": MARKER, "token_type": "Bearer", "expires_in": 300, "scope": "user/*.read", "subject": "cds"}
    request |= {"fhirServer": "https://ehr.example/fhir", "fhirAuthorization": token}
    assert client.post(SERVICE, json=request).data == plain.data


def test_hook_instances_of_any_uuid_version_and_case_are_read(client: FlaskClient) -> None:
    for instance in (
        INSTANCE,
        INSTANCE.upper(),
        "00000000-0000-0000-0000-000000000000",
        "018f4e5c-7a3b-7c3d-8e9f-0a1b2c3d4e5f",
    ):
        answer = client.post(SERVICE, json=bare_request(hookInstance=instance, prefetch={"conditions": None}))
        assert answer.status_code == 200


SHAPES: dict[str, Any] = {
    "string": "x",
    "empty string": "",
    "HTML": "<html><body>Bad Gateway</body></html>",
    "zero": 0,
    "huge number": 10**400,
    "decimal": 1.5e-7,
    "true": True,
    "false": False,
    "empty list": [],
    "list of lists": [[[]]],
    "list of resources": [patient(), condition()],
    "empty object": {},
    "object of nulls": {"resourceType": None, "entry": None},
    "resourceType a number": {"resourceType": 7},
    "resourceType unknown": {"resourceType": "Gizmo", "id": "1"},
    "HTTP error as JSON": {"error": "not_found", "status": 404},
    "OperationOutcome": OUTCOME,
    "OperationOutcome without issue": {"resourceType": "OperationOutcome"},
    "OperationOutcome, issue a string": {"resourceType": "OperationOutcome", "issue": "x"},
    "single resource": condition(),
    "Bundle of nothing but its type": {"resourceType": "Bundle"},
    "Bundle without type": {"resourceType": "Bundle", "entry": [{"resource": condition()}]},
    "Bundle, entry null": {"resourceType": "Bundle", "entry": None},
    "Bundle, entry a string": {"resourceType": "Bundle", "entry": "x"},
    "Bundle, entry an object": {"resourceType": "Bundle", "entry": {"resource": condition()}},
    "Bundle with junk entries": {"resourceType": "Bundle", "entry": [None, 1, "x", [], {}, {"resource": None}]},
    "Bundle with junk resources": bundle(1, "x", [], {}, None, True, {"resourceType": 1}),
    "Bundle of Bundles": bundle(bundle(condition()), bundle()),
    "Bundle, link an object": bundle(link={"relation": "next"}),
    "Bundle, next link": bundle(condition(), link=[{"relation": "next", "url": "https://ehr.example/fhir?page=2"}]),
    "Bundle with an error beside its entries": bundle(condition(), OUTCOME),
    "Epic's empty search": NOTHING_FOUND,
    "category as an object": bundle(condition(category={"text": "problem-list-item"})),
    "duplicate entries": bundle(condition(), condition(), condition()),
    "urn references": bundle(condition(subject={"reference": "urn:uuid:9f1f3a9e-0c5b-4d5a-8f0e-1d9f5a3c7b11"})),
    "absolute references": bundle(condition(subject={"reference": "https://ehr.example/fhir/Patient/example"})),
    "references of another type": bundle(condition(subject=["Patient/example"])),
    "reference a number": bundle(condition(subject={"reference": 5})),
    "id a number": bundle(condition(id=5), patient(id=5)),
    "codes as strings": bundle(condition(code="C7B.02", verificationStatus="confirmed")),
    "coding an object": bundle(condition(code={"coding": {"code": "C7B.02"}})),
    "nulls throughout": bundle(condition(code=None, subject=None, id=None, onsetDateTime=None, category=[None])),
    "impossible dates": bundle(
        condition(onsetDateTime="2026-02-30"), patient(birthDate="0000-00-00"), condition(recordedDate="9999-12-31T23:59:60Z")
    ),
    "dates of other types": bundle(condition(onsetDateTime=20260101), patient(birthDate=[])),
    "contained and extended": bundle(condition(contained=[{"resourceType": "X"}], extension=[{"url": None}], _code={})),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("key", [*PREFETCH, "unknownKey", "", "conditions "])
def test_a_value_of_any_shape_under_a_prefetch_key_is_never_refused(client: FlaskClient, key: str, shape: str) -> None:
    request = bare_request(prefetch={"conditions": None, key: SHAPES[shape]})
    answer = client.post(SERVICE, json=request)
    foreign = {"urn references", "nulls throughout"}  # diagnoses, but none of this patient
    halves = {"Bundle, next link", "Bundle with an error beside its entries"} if key not in PREFETCH else set()
    assert answer.status_code == 200 or (answer.status_code == 412 and (key == "conditions" or shape in foreign | halves))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_value_of_any_shape_beside_a_possible_disease_never_takes_its_card_away(client: FlaskClient, shape: str) -> None:
    provisional = {"coding": [{"code": "provisional"}]}
    for key in PREFETCH:
        request = bare_request(prefetch={"extra": bundle(nlm(verificationStatus=provisional)), key: SHAPES[shape]})
        assert [content["kind"] for content in extensions(client.post(SERVICE, json=request))] == ["possible-nlm"]


@pytest.mark.parametrize("junk", ["1e999999999", "-1e999999999", "0." + "1" * 5000, "9" * 5000, "1E+400", "-0.0"])
def test_a_number_of_any_size_in_a_chart_is_never_a_fault(client: FlaskClient, clock: Clock, junk: str) -> None:
    clock.today = as_of("arterial-candidate")
    request = request_of("arterial-candidate")
    for entry in request["prefetch"]["observations"]["entry"]:
        for part in [entry["resource"], *entry["resource"].get("component", [])]:
            for name in ("valueQuantity", "valueInteger"):
                if name in part:
                    part[name] = {**part[name], "value": MARKER} if name == "valueQuantity" else MARKER
    body = json.dumps(request).replace(f'"{MARKER}"', junk)
    assert client.post(SERVICE, data=body, content_type=JSON).status_code == 200


# ── asked, not asked, failed ─────────────────────────────────────────────────────────────────────────────────────

NOT_HAD: dict[str, tuple[dict[str, Any] | None, str]] = {
    "no prefetch at all": (None, "missing"),
    "prefetch without keys": ({}, "missing"),
    "prefetch without conditions": ({"patient": patient()}, "missing"),
    "an OperationOutcome": ({"conditions": OUTCOME}, "error"),
    "an OperationOutcome in a Bundle": ({"conditions": bundle(OUTCOME)}, "error"),
    "HTML": ({"conditions": "<html></html>"}, "error"),
    "only the first page": ({"conditions": bundle(condition(), link=[{"relation": "next", "url": "u"}])}, "partial"),
    "a failure beside some conditions": ({"conditions": bundle(condition(), OUTCOME)}, "partial"),
}


@pytest.mark.parametrize("case", NOT_HAD)
def test_missing_conditions_are_412_and_named(client: FlaskClient, case: str) -> None:
    prefetch, state = NOT_HAD[case]
    answer = client.post(SERVICE, json=bare_request() if prefetch is None else bare_request(prefetch=prefetch))
    assert answer.status_code == 412
    problem = f"is required and {patient_view.GAPS[PrefetchState(state)]}"
    assert diagnostics(answer) == [f"prefetch.conditions {problem}; query: {PREFETCH['conditions']}"]


@pytest.mark.parametrize(
    "nothing",
    [None, {"resourceType": "Bundle", "type": "searchset", "total": 0}, bundle(), bundle(total=0), NOTHING_FOUND],
    ids=["null", "no entry", "empty entry", "total 0", "Epic"],
)
def test_a_patient_with_no_conditions_on_record_gets_no_card(client: FlaskClient, nothing: Any) -> None:
    answer = client.post(SERVICE, json=bare_request(prefetch={"conditions": nothing}))
    assert answer.status_code == 200
    assert answer.json == {"cards": []}


def test_conditions_of_a_first_page_that_show_the_disease_are_enough_to_speak(client: FlaskClient) -> None:
    page = bundle(nlm(), link=[{"relation": "next", "url": "https://ehr.example/fhir?page=2"}])
    answer = client.post(SERVICE, json=bare_request(prefetch={"conditions": page}))
    assert answer.status_code == 200
    assert extensions(answer)[0]["kind"] == "overview"


def test_null_an_empty_bundle_and_an_empty_search_of_epic_say_the_same(client: FlaskClient, clock: Clock) -> None:
    clock.today = as_of("arterial-candidate")
    for key in PREFETCH:
        request = request_of("arterial-candidate")
        answers = set()
        for nothing in (None, {"resourceType": "Bundle"}, bundle(), NOTHING_FOUND):
            request["prefetch"][key] = nothing
            a_read = key == "patient" and nothing is not None  # answers null, never a Bundle
            if not a_read and not (key == "observations" and nothing in ({"resourceType": "Bundle"}, bundle())):  # slow
                answers.add(client.post(SERVICE, json=request).data)
        assert len(answers) == 1, key


# ── browsers ─────────────────────────────────────────────────────────────────────────────────────────────────────


def preflight(client: FlaskClient, path: str, origin: str) -> Any:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    return client.options(path, headers={"Origin": origin, **asked})


@pytest.mark.parametrize("path", ["/cds-services", SERVICE])
def test_a_preflight_of_an_allowed_origin_is_answered_for_that_origin_only(client: FlaskClient, path: str) -> None:
    answer = preflight(client, path, ORIGIN)
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert {"GET", "POST"} <= set(answer.headers["Access-Control-Allow-Methods"].split(", "))
    allowed = {header.lower() for header in answer.headers["Access-Control-Allow-Headers"].split(", ")}
    assert {"authorization", "content-type"} <= allowed
    assert "Origin" in answer.headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["https://evil.example", f"{ORIGIN}.evil.example", ORIGIN.replace("https", "http"), "null", ""]
)
def test_another_origin_gets_no_cors_header(client: FlaskClient, origin: str) -> None:
    for answer in (
        preflight(client, SERVICE, origin),
        client.get("/cds-services", headers={"Origin": origin}),
        client.post(SERVICE, json={}, headers={"Origin": origin}),
    ):
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize(("path", "methods"), [("/cds-services", {"GET"}), (SERVICE, {"POST"}), ("/health", {"GET"})])
@pytest.mark.parametrize("headers", [{}, {"Origin": ORIGIN}, {"Origin": "https://evil.example"}], ids=str)
def test_options_of_a_path_are_answered_without_a_body(
    client: FlaskClient, path: str, methods: set[str], headers: dict[str, str]
) -> None:
    answer = client.options(path, headers=headers)
    assert (answer.status_code, answer.data) == (204, b"")
    assert "Content-Type" not in answer.headers
    assert set(answer.headers["Allow"].split(", ")) - {"HEAD", "OPTIONS"} == methods


def test_options_of_no_path_are_404_as_everything_else_of_it(client: FlaskClient) -> None:
    assert client.options("/nothing").status_code == 404


def test_errors_carry_the_cors_headers_too(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {"Origin": ORIGIN}
    answers = [
        client.get("/cds-services", headers=headers),
        client.post(SERVICE, json={}, headers=headers),
        client.post("/cds-services/another", json={}, headers=headers),
        client.get(SERVICE, headers=headers),
        client.post(SERVICE, json=bare_request(), headers=headers),
        client.post(SERVICE, data=b" " * 1_000_001, content_type=JSON, headers=headers),
        client.post(SERVICE, data="x", headers=headers),
    ]
    monkeypatch.setattr("cds_service.app.parse_request", None)
    answers.append(client.post(SERVICE, json=bare_request(), headers=headers))
    assert [answer.status_code for answer in answers] == [200, 400, 404, 405, 412, 413, 415, 500]
    assert {answer.headers.get("Access-Control-Allow-Origin") for answer in answers} == {ORIGIN}


def test_by_default_no_origin_is_allowed() -> None:
    client = create_app(Settings(), lambda: date(2026, 11, 23)).test_client()
    assert "Access-Control-Allow-Origin" not in client.get("/cds-services", headers={"Origin": ORIGIN}).headers


# ── identity, silence ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fixture", FIXTURES)
def test_the_same_request_twice_is_answered_with_the_same_bytes(app: Flask, clock: Clock, fixture: str) -> None:
    clock.today = as_of(fixture)
    first, second = (app.test_client().post(SERVICE, json=request_of(fixture)) for _ in range(2))
    assert first.data == second.data


def test_two_patients_never_share_the_uuid_of_a_card(client: FlaskClient, clock: Clock) -> None:
    """Not even if an EHR uses one hookInstance for both."""
    seen: dict[str, str] = {}
    for fixture in FIXTURES:
        clock.today = as_of(fixture)
        cards: Any = client.post(SERVICE, json=request_of(fixture)).json
        for card in cards["cards"]:
            assert seen.setdefault(card["uuid"], fixture) == fixture
    assert len(seen) > len(FIXTURES)


def test_another_call_for_the_same_patient_gives_the_same_cards_with_other_uuids(client: FlaskClient, clock: Clock) -> None:
    clock.today = as_of("resectable")
    another = "0b3c1b0e-8f0a-4b7f-9a55-6f7c0c9d2a41"
    first: Any = client.post(SERVICE, json=request_of("resectable")).json
    second: Any = client.post(SERVICE, json=request_of("resectable", another)).json
    assert not {card.pop("uuid") for card in first["cards"]} & {card.pop("uuid") for card in second["cards"]}
    assert first == second


PROTOCOL = {"resourceType", "system", "code", "status", "intent", "url", "use", "type", "mode", "relation", "gender", "unit"}


def marked(content: Any, key: str = "") -> Any:
    """Return a chart with a marker in all text that identifies the patient: names, texts, displays, ids, references, notes.
    Codes, units and dates are unchanged, so that it is read as before."""
    match content:
        case dict():
            return {name: marked(value, name) for name, value in content.items()}
        case list():
            return [marked(value, key) for value in content]
        case str() if key not in PROTOCOL and "date" not in key.lower() and key not in {"start", "end", "issued", "authoredOn"}:
            return f"{content}-{MARKER}"
    return content


def everywhere(content: Any) -> Any:
    """Return the content with a marker in every string."""
    match content:
        case dict():
            return {f"{name}{MARKER}" if name == "extra" else name: everywhere(value) for name, value in content.items()}
        case list():
            return [everywhere(value) for value in content]
        case str():
            return f"{content}-{MARKER}"
    return content


@pytest.mark.parametrize("fixture", FIXTURES)
def test_nothing_of_a_patient_gets_into_the_log(
    client: FlaskClient, clock: Clock, fixture: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    clock.today = as_of(fixture)
    request = request_of(fixture)
    plain = client.post(SERVICE, json=request)
    identity = request["context"]["patientId"]
    request["context"] = {"userId": f"Practitioner/{MARKER}", "patientId": f"{identity}-{MARKER}"}
    read_as_before = client.post(SERVICE, json=request | {"prefetch": marked(request["prefetch"])})
    assert [content["kind"] for content in extensions(read_as_before)] == [content["kind"] for content in extensions(plain)]
    client.post(SERVICE, json=request | {"prefetch": everywhere(request["prefetch"])})
    birth = request["prefetch"]["patient"]["birthDate"]
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("cds_service")]
    assert len(lines) == 3
    for line in [*lines, caplog.text]:
        assert MARKER not in line
        assert identity not in line
        assert birth not in line


def test_a_line_of_the_log_holds_these_words_and_no_others(
    client: FlaskClient, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cds_service")
    clock.today = as_of("resectable")
    client.post(SERVICE, json=request_of("resectable"))
    (line,) = [json.loads(record.getMessage()) for record in caplog.records]
    assert set(line) == {"service", "site", "status", "cards", "verdicts", "rules", "unreadable", "knowledge", "ms"}
    assert line["service"] == "nlm-patient-view"
    assert line["status"] == 200
    assert line["cards"]["overview"] == 1
    assert line["verdicts"] == {"recommended": 1, "not-indicated": 6}
    assert "R1" in line["rules"]


def test_a_fault_of_the_service_tells_neither_caller_nor_log_what_it_choked_on(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def choke(body: bytes, hook: str) -> None:
        raise ValueError(MARKER)

    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("cds_service.app.parse_request", choke)
    answer = client.post(SERVICE, json=bare_request())
    assert answer.status_code == 500
    assert diagnostics(answer) == ["internal error; nothing was decided"]
    assert "ValueError" in caplog.text
    assert MARKER not in answer.get_data(as_text=True) + caplog.text
    assert "Traceback" not in caplog.text


def test_a_setting_with_an_invalid_value_is_rejected() -> None:
    for environment in (
        {"CDS_MAX_BODY_BYTES": "0"},
        {"CDS_MAX_BODY_BYTES": "20 MB"},
        {"CDS_ALLOWED_ORIGINS": "ehr.example"},
    ):
        with pytest.raises(ValueError, match=next(iter(environment))):
            Settings.from_environment(environment)
    read = Settings.from_environment({"CDS_ALLOWED_ORIGINS": f"{ORIGIN}, http://localhost:8080 ", "CDS_MAX_BODY_BYTES": "7"})
    assert read == Settings(allowed_origins=(ORIGIN, "http://localhost:8080"), max_body_bytes=7)
