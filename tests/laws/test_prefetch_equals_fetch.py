"""The cards are the same whether the EHR prefetches everything, nothing or half, with two FHIR servers (CH-46)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient

from tests.conftest import FIXTURES, PREFETCH, SERVICE, Clock, as_of, chart_file, folder_of, request_of
from tests.support.fhir_server import FhirServer
from tests.support.servers import free_port

WAYS = {"prefetch": set(PREFETCH), "server": set(), "half": set(list(PREFETCH)[::2]), "other half": set(list(PREFETCH)[1::2])}


def resources(fixture: str) -> list[dict[str, Any]]:
    return [resource for resource, _ in chart_file(fixture).resources]


@pytest.fixture(scope="module")
def breakable() -> Iterator[str]:
    """Yield the base URL of the test server of this project, with four entries a page."""
    with FhirServer([resource for fixture in FIXTURES for resource in resources(fixture)], page=4) as server:
        yield server.base


@contextmanager
def sekmet(database: Path) -> Iterator[str]:
    """Run sekmet-fhir, an independent FHIR server, and yield its base URL."""
    port = free_port()
    base = f"http://127.0.0.1:{port}/fhir"
    command = [str(Path(sys.executable).with_name("sekmet")), "serve", "--host", "127.0.0.1", "--port", str(port)]
    environment = os.environ | {"SEKMET_BASE_URL": base, "SEKMET_DB": str(database)}
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                requests.get(f"{base}/metadata", timeout=5)
                break
            except requests.ConnectionError:
                assert server.poll() is None, "sekmet-fhir ended"
                time.sleep(0.1)
        yield base
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(scope="module")
def independent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with sekmet(tmp_path_factory.mktemp("sekmet") / "fhir.db") as base:
        for fixture in FIXTURES:
            entries = [
                {"resource": resource, "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}}
                for resource in resources(fixture)
            ]
            loaded = requests.post(base, json={"resourceType": "Bundle", "type": "batch", "entry": entries}, timeout=60)
            statuses = [entry["response"]["status"][:3] for entry in loaded.json()["entry"]]
            assert set(statuses) <= {"200", "201"}, f"{fixture}: {statuses}"
        yield base


@pytest.mark.parametrize("server", ["breakable", "independent"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fixture", FIXTURES)
def test_the_cards_are_the_golden_ones_whatever_the_ehr_sends(
    client: FlaskClient, clock: Clock, fixture: str, way: str, server: str, request: pytest.FixtureRequest
) -> None:
    clock.today = as_of(fixture)
    asked = request_of(fixture) | {"fhirServer": request.getfixturevalue(server)}
    asked["prefetch"] = {key: value for key, value in asked["prefetch"].items() if key in WAYS[way]}
    answer = client.post(SERVICE, json=asked)
    assert answer.status_code == 200, answer.json
    assert json.loads(answer.data) == json.loads((folder_of(fixture) / "cards.json").read_text("utf-8"))
