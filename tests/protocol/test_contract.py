"""openapi.yaml matches the service: paths, methods, statuses, examples, schemas."""

from __future__ import annotations

import json
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator

from cds_service import errors
from cds_service.app import create_app
from cds_service.capacity import Capacity, ConcurrencyLimit, CpuLimit
from cds_service.hooks import SERVICES
from cds_service.settings import Settings
from tests.conftest import (
    EXTENSION,
    FIXTURES,
    ROOT,
    SERVICE,
    CheckedClient,
    Clock,
    as_of,
    bare_request,
    contract,
    empty_parts,
    extensions,
    request_of,
    resolved,
    validator,
)
from tests.support.callers import Ehr, bearer, ec_key, open_door, site_file

OPERATIONS = [
    (path, method, operation)
    for path, item in contract()["paths"].items()
    for method, operation in item.items()
    if method in {"get", "put", "post", "delete", "patch"}
]
CALL = contract()["paths"]["/cds-services/{id}"]["post"]
REQUESTS: dict[str, Any] = {
    name: example["value"] for name, example in CALL["requestBody"]["content"]["application/json"]["examples"].items()
}


def examples(response: dict[str, Any]) -> dict[str, Any]:
    found = resolved(response)["content"].get("application/json", {}).get("examples", {})
    return {name: example["value"] for name, example in found.items()}


@pytest.fixture
def shipped() -> FlaskClient:
    """Return a client of the service with its default settings, on which the examples depend."""
    return shipped_with(Capacity(ConcurrencyLimit(), CpuLimit(10)))


def shipped_with(capacity: Capacity) -> FlaskClient:
    app = create_app(Settings(pages=False), lambda: date(2026, 11, 23), capacity=capacity)
    app.test_client_class = CheckedClient
    return app.test_client()


def test_openapi_yaml_is_a_valid_3_1_document() -> None:
    assert contract()["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(contract()).validate()


def test_the_documented_paths_and_methods_are_those_of_the_service(app: Flask) -> None:
    served = {
        (str(rule).replace("<service_id>", "{id}").replace("<path:place>", "{page}"), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert {(path, method) for path, method, _ in OPERATIONS} == served


def test_every_error_of_ours_has_its_status_documented_with_an_example() -> None:
    ours = {error.status for error in errors.CdsError.__subclasses__()}
    assert ours == {400, 401, 404, 405, 408, 412, 413, 415, 500, 503}
    for status in ours:
        assert examples(CALL["responses"][str(status)]), f"{status} has no example"
    assert set(CALL["responses"]) == {"200", *map(str, ours)}


def test_every_issue_code_of_ours_is_documented() -> None:
    documented = contract()["components"]["schemas"]["OperationOutcome"]["properties"]["issue"]["items"]["properties"]["code"]
    assert {error.code for error in errors.CdsError.__subclasses__()} == set(documented["enum"])


@pytest.mark.parametrize("name", REQUESTS)
def test_every_request_example_is_answered_as_the_response_example_of_its_name_says(shipped: FlaskClient, name: str) -> None:
    expected = {
        (status, json.dumps(found))
        for status, response in CALL["responses"].items()
        for example, found in examples(response).items()
        if example == name
    }
    hooks = {service.hook: service.id for service in SERVICES.values()}
    named = f"/cds-services/{hooks[REQUESTS[name]['hook']]}" if REQUESTS[name]["hook"] in hooks else SERVICE
    answer = shipped.post(named, json=REQUESTS[name])
    assert expected == {(str(answer.status_code), json.dumps(answer.json))}


@pytest.mark.parametrize("name", [name for name in REQUESTS if name != "several-faults"])
def test_every_valid_request_example_fits_the_schema_of_a_request(name: str) -> None:
    validator("HookRequest").validate(REQUESTS[name])


class BreaksOff(BytesIO):
    def readinto(self, buffer: object) -> int:
        raise OSError


def test_error_examples_without_a_request_are_answers_of_the_service(
    shipped: FlaskClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError

    def without_an_end(*_: object) -> None:
        while True:
            pass

    request = bare_request(prefetch={"conditions": None})
    answers = {
        "unknown-service": shipped.post("/cds-services/another", json=request),
        "get-where-post-is-due": shipped.get(SERVICE),
        "too-large": shipped.post(SERVICE, data=b" " * 20_000_001, content_type="application/json"),
        "not-json": shipped.post(SERVICE, data=b"<Patient/>", content_type="application/fhir+xml"),
        "unauthorized": shipped.post(SERVICE, json=request, environ_overrides={"REMOTE_ADDR": "10.0.0.7"}),
        "too-slow": shipped.post(SERVICE, input_stream=BreaksOff(b"{}"), content_type="application/json"),
    }
    full = ConcurrencyLimit(1)
    with full.slot():
        answers["overloaded"] = shipped_with(Capacity(full, CpuLimit(10))).post(SERVICE, json=request)
    monkeypatch.setattr("cds_service.app.parse_request", without_an_end)
    answers["given-up"] = shipped_with(Capacity(ConcurrencyLimit(), CpuLimit(0.2))).post(SERVICE, json=request)
    monkeypatch.setattr("cds_service.app.parse_request", broken)
    answers["internal"] = shipped.post(SERVICE, json=request)
    door = open_door(tmp_path, site_file(keys=[ec_key().jwk]))
    door.sql("DROP TABLE seen_tokens")
    answers["not-now"] = door.call(bearer(Ehr().token()))
    documented = {
        name: (status, found)
        for status, response in CALL["responses"].items()
        for name, found in examples(response).items()
        if name not in REQUESTS
    }
    assert {name: (str(answer.status_code), answer.json) for name, answer in answers.items()} == documented


def test_every_response_example_fits_its_schema_and_holds_nothing_empty() -> None:
    for path, method, operation in OPERATIONS:
        for status, response in operation["responses"].items():
            content = resolved(response).get("content", {})
            if "application/json" not in content:
                assert path.startswith("/evidence/"), path
                continue
            schema = content["application/json"]["schema"]["$ref"]
            for name, found in examples(response).items():
                validator(schema).validate(found)
                assert not list(empty_parts(found)), f"{method} {path} {status} {name}"


def test_the_assessment_extension_is_the_published_schema() -> None:
    """Programs that read the extension rely on tests/data/assessment.schema.json. openapi.yaml differs in its references."""
    component = json.dumps(contract()["components"]["schemas"]["AssessmentExtension"])
    own = json.loads(component.replace("#/components/schemas/AssessmentExtension/$defs/", "#/$defs/"))
    given = json.loads((ROOT / "tests/data/assessment.schema.json").read_text("utf-8"))
    assert given.pop("$schema") == "https://json-schema.org/draft/2020-12/schema"
    assert own == given


@pytest.mark.parametrize("fixture", FIXTURES)
def test_the_extension_of_every_card_fits_the_given_schema(client: FlaskClient, clock: Clock, fixture: str) -> None:
    clock.today = as_of(fixture)
    answer = client.post(SERVICE, json=request_of(fixture))
    assert answer.status_code == 200
    for content in extensions(answer):
        validator("AssessmentExtension").validate(content)


def test_the_schemas_of_answers_are_closed() -> None:
    """So an answer with an undocumented field fails every test that receives it."""
    for name in (
        "Discovery",
        "Service",
        "CDSResponse",
        "Card",
        "Source",
        "Coding",
        "Link",
        "Suggestion",
        "Create",
        "Delete",
        "OverrideReason",
        "Health",
        "OperationOutcome",
    ):
        assert contract()["components"]["schemas"][name]["additionalProperties"] is False, name
    request = contract()["components"]["schemas"]["HookRequest"]
    assert "additionalProperties" not in request


def test_discovery_lists_every_service_and_each_can_be_posted_to(client: FlaskClient) -> None:
    found = client.get("/cds-services").json
    assert found is not None
    assert [service["id"] for service in found["services"]] == list(SERVICES)
    for service in found["services"]:
        assert client.post(f"/cds-services/{service['id']}", json={}).status_code == 400


def test_health_and_cards_have_the_same_knowledge_digest(client: FlaskClient, clock: Clock) -> None:
    clock.today = as_of("resectable")
    health = client.get("/health").json
    cards = client.post(SERVICE, json=request_of("resectable")).json
    assert health is not None
    assert cards is not None
    assert {card["extension"][EXTENSION]["knowledge"] for card in cards["cards"]} == {health["knowledge"]}
