"""Shared by all tests: the app on a chosen day, a client that checks each answer against openapi.yaml, the fixture charts and
their requests."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from werkzeug.test import TestResponse

from cds_service import knowledge
from cds_service.app import create_app
from cds_service.fhir.chart_files import ChartFile, build_request, read_file, story_date
from cds_service.fhir.queries import build_queries
from cds_service.settings import Settings
from cds_service.sites import Site, development_site
from tests.support import browser, depth

ROOT = Path(__file__).parent.parent
FIXTURES = sorted(path.parent.name for path in (ROOT / "fhir_fixtures").glob("*/chart.json"))
SERVICE = "/cds-services/nlm-patient-view"
EXTENSION = "example.nlm-cds.assessment"
INSTANCE = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"
ORIGIN = "https://ehr.example"
PUBLIC_URL = "https://cds.example"
PREFETCH = build_queries(knowledge.load())
MAY_BE_EMPTY = {"cards", "services"}
Record = Callable[[str, object], None]
LONGEST_FIRST = (
    "test_pinning", "test_linear", "test_fuzz", "test_faults", "test_cpu_limit",
    "test_examples", "test_ledger", "test_try_it_page", "test_server", "test_prefetch_equals_fetch",
    "test_pages", "test_requests", "test_order_and_unit_invariance", "test_output_safety", "test_privacy", "test_knowledge",
)  # fmt: skip
"""Files that take about ten seconds. They run first, so that no worker still runs one of them when the others have finished."""
PROOF = "proof"
"""Name of the test property with the figures for the summary."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write fhir_fixtures/*/cards.json as the service answers now")
    parser.addoption("--full", action="store_true", help="heavy tests at full depth, as `make prove-…` runs them")


def pytest_configure(config: pytest.Config) -> None:
    depth.full = config.getoption("--full")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the longest files to the front: pytest-xdist hands out files in this order (`--no-loadscope-reorder`)."""
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures of the heavy tests, also from workers of pytest-xdist, and which tests were not run."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    for figures in sorted(str(value) for report in reports for name, value in report.user_properties if name == PROOF):
        terminalreporter.write_line(f"{'full' if depth.full else 'short'} form: {figures}")
    if browser.MISSING:
        terminalreporter.write_line(f"Browser tests not run: without {', '.join(browser.MISSING)}; .ci/run runs them.")


@pytest.fixture
def full() -> bool:
    """Return whether the heavy tests run at full depth."""
    return depth.full


@dataclass
class Clock:
    """The current day for the app of a test."""

    today: date = date(2026, 11, 23)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings() -> Settings:
    """Return settings without the pages for people, which openapi.yaml does not describe."""
    return Settings(allowed_origins=(ORIGIN,), max_body_bytes=1_000_000, pages=False, public_urls=(PUBLIC_URL,))


@pytest.fixture
def site() -> Site:
    """Return the site used without a site file (FHIR servers on this machine), with a deadline long enough for slow servers."""
    alone = development_site()
    return replace(alone, policy=replace(alone.policy, seconds=20))


@pytest.fixture
def app(clock: Clock, settings: Settings, site: Site) -> Flask:
    app = create_app(settings, lambda: clock.today, site)
    app.test_client_class = CheckedClient
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


class CheckedClient(FlaskClient):
    """A client that checks every answer against openapi.yaml, so that each test is a contract test too."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        response = super().open(*args, **kwargs)
        check_contract(response.request.method, response.request.path, response)
        return response


@cache
def contract() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "openapi.yaml").read_text("utf-8"))
    return content


@cache
def validator(schema: str) -> Draft202012Validator:
    """Return a validator for a part of openapi.yaml: "CDSResponse", or a path such as "#/components/schemas/Card"."""
    where = schema if schema.startswith("#") else f"#/components/schemas/{schema}"
    document = Resource.from_contents(contract(), default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource("urn:openapi", document)
    return Draft202012Validator({"$ref": f"urn:openapi{where}"}, registry=registry)


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """Return a part of openapi.yaml with its $ref resolved."""
    found: Any = part
    while "$ref" in found:
        steps = found["$ref"].removeprefix("#/").split("/")
        found = contract()
        for step in steps:
            found = found[step]
    return dict(found)


def check_contract(method: str, path: str, response: TestResponse) -> None:
    """Assert that status, media type and body are as documented for the path and method, without nulls and empty values."""
    if method == "HEAD" or (method, response.status_code) == ("OPTIONS", 204):
        assert not response.data, f"{method} {path} has a body"
        return
    template = next((t for t in contract()["paths"] if re.fullmatch(f"{_pattern(t).rstrip('/')}/?", path)), None)
    known = template is not None and method.lower() in contract()["paths"][template]
    if response.status_code == 401 and not known:  # a caller who is not authenticated does not learn which paths exist
        documented = contract()["components"]["responses"]["Unauthorized"]
    elif template is None:
        documented = contract()["components"]["responses"]["UnknownService"]
        assert response.status_code == 404, f"{path} is not in openapi.yaml"
    elif method.lower() not in contract()["paths"][template]:
        documented = contract()["components"]["responses"]["WrongMethod"]
        assert response.status_code == 405, f"{method} {template} is not in openapi.yaml"
    else:
        statuses = contract()["paths"][template][method.lower()]["responses"]
        assert str(response.status_code) in statuses, f"{method} {template}: {response.status_code} is not documented"
        documented = resolved(statuses[str(response.status_code)])
    if response.status_code in (304, 308):
        return
    assert response.content_type in documented["content"], f"{response.content_type} is not documented"
    if response.mimetype == "text/html":
        return
    body = json.loads(response.get_data(as_text=True), parse_constant=pytest.fail)
    schema = documented["content"][response.content_type]["schema"]["$ref"]
    faults = [f"{error.json_path}: {error.message[:300]}" for error in validator(schema).iter_errors(body)]
    assert not faults, "\n".join(faults)
    assert not list(empty_parts(body)), f"null or empty: {list(empty_parts(body))}"


def _pattern(template: str) -> str:
    """Return a pattern for a path of openapi.yaml. With a site file the page of /evidence/{page} is `site/page`."""
    return re.sub(r"\{\w+\}", "[^/]+", template.replace("{page}", "({site}/)?{page}"))


def empty_parts(content: Any, path: str = "$") -> Iterator[str]:
    """Yield the paths of nulls, empty strings, lists and objects, except empty `cards` and `services`."""
    if content is None or (content in ("", [], {}) and path.removeprefix("$.") not in MAY_BE_EMPTY):
        yield path
    parts = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, part in parts:
        yield from empty_parts(part, f"{path}.{key}")


def folder_of(fixture: str) -> Path:
    return ROOT / "fhir_fixtures" / fixture


def as_of(fixture: str) -> date:
    day = story_date(folder_of(fixture) / "chart.json")
    assert day, f"{fixture}: story.md has no as_of"
    return day


def chart_file(fixture: str) -> ChartFile:
    content = read_file(folder_of(fixture) / "chart.json")
    assert isinstance(content, ChartFile)
    return content


def request_of(fixture: str, instance: str = INSTANCE) -> dict[str, Any]:
    """Return the request that an EHR would post for a fixture's chart, with everything prefetched."""
    return build_request(chart_file(fixture), timedelta(0), instance, PREFETCH)


def bare_request(**more: Any) -> dict[str, Any]:
    """Return a valid request about patient "example"; `more` replaces or adds fields."""
    context = {"userId": "Practitioner/example", "patientId": "example"}
    return {"hook": "patient-view", "hookInstance": INSTANCE, "context": context, **more}


def bundle(*resources: Any, **more: Any) -> dict[str, Any]:
    """Return a searchset of resources."""
    entries = [{"resource": resource} for resource in resources]
    return {"resourceType": "Bundle", "type": "searchset", "entry": entries, **more}


def diagnostics(response: TestResponse) -> list[str]:
    """Return the sentences of an OperationOutcome, one for each error."""
    assert response.json is not None
    return [issue["diagnostics"] for issue in response.json["issue"]]


def extensions(response: TestResponse) -> list[dict[str, Any]]:
    """Return the machine-readable part of each card."""
    assert response.json is not None
    return [card["extension"][EXTENSION] for card in response.json["cards"]]
