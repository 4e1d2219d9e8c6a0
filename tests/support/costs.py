"""Measure the processor seconds of one request, at the service and on the try-it page."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import cache
from typing import Any

from flask.testing import FlaskClient

from cds_service import knowledge
from cds_service.app import create_app
from cds_service.settings import Settings
from tests.conftest import SERVICE, bare_request, bundle

TODAY = date(2026, 11, 23)
SUBJECT = {"reference": "Patient/example"}
ICD_10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
IDLE_COUNT_S = 0.14
"""Seconds to add three million squares, on the machine on which the promises were measured."""
Door = Callable[[bytes], int]
"""A body → the status of its answer."""


@cache
def client() -> FlaskClient:
    """The service and the page with their shipped limits, but without the limit of processor time, which is measured here."""
    return create_app(Settings(pages=True, max_cpu_s=60), lambda: TODAY).test_client()


def at_service(body: bytes) -> int:
    return client().post(SERVICE, data=body, content_type="application/json").status_code


def on_page(body: bytes) -> int:
    """Send the body as an uploaded file, which is read without the work of a form."""
    head = b'--cut\r\nContent-Disposition: form-data; name="file"; filename="chart.json"\r\n\r\n'
    form, kind = head + body + b"\r\n--cut--\r\n", "multipart/form-data; boundary=cut"
    return client().post("/", data=form, content_type=kind).status_code


DOORS: dict[str, Door] = {"service": at_service, "page": on_page}


def resource(kind: str, name: object, **fields: Any) -> dict[str, Any]:
    return {"resourceType": kind, "id": str(name), "subject": SUBJECT, **fields}


def coded(code: str, system: str = ICD_10_CM) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


DISEASE = [resource("Condition", "nen", code=coded("C7A.012")), resource("Condition", "liver", code=coded("C78.7"))]
KEYS = {
    "Condition": "conditions", "Observation": "observations", "Procedure": "procedures", "Patient": "patient",
    "MedicationRequest": "medicationRequests", "MedicationStatement": "medicationStatements",
    "Medication": "medicationRequests", "ServiceRequest": "serviceRequests", "DiagnosticReport": "diagnosticReports",
    "ImagingStudy": "diagnosticReports", "BodyStructure": "observations", "Specimen": "observations",
}  # fmt: skip


def request_with(resources: Iterable[dict[str, Any]], *, disease: bool = False) -> bytes:
    """A hook request with these resources, each under the key of its type."""
    by_key: dict[str, list[dict[str, Any]]] = {"conditions": [*DISEASE] if disease else []}
    for part in resources:
        by_key.setdefault(KEYS[part["resourceType"]], []).append(part)
    prefetch = {key: parts[0] if key == "patient" else bundle(*parts) for key, parts in by_key.items()}
    return json.dumps(bare_request(prefetch=prefetch)).encode()


@contextmanager
def other_objects_frozen() -> Iterator[None]:
    """Keep the garbage collector from the objects that the test process has already, as walking through them would make runs
    that allocate more look slower. It takes a while with a large process, so it is done once for many measurements."""
    for door_name in DOORS:
        base(door_name, disease=True)  # loads what all requests share
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def seconds(door: Door, body: bytes, statuses: Iterable[int] = (200,), times: int = 3) -> float:
    """Return the least processor time of several runs, as disturbances only ever add."""
    least = float("inf")
    gc.collect()
    for _ in range(times):
        started = time.process_time()
        status = door(body)
        least = min(least, time.process_time() - started)
        assert status in statuses, status
    return least


@cache
def base(door_name: str, disease: bool) -> float:
    """Return what a request costs that has nothing or only the disease."""
    door, body = DOORS[door_name], request_with((), disease=disease)
    door(body)
    return seconds(door, body)


def slowness() -> float:
    """Return how many times slower this machine is now than the one on which the promises were measured."""
    started = time.process_time()
    sum(number * number for number in range(3_000_000))
    return max(1.0, (time.process_time() - started) / IDLE_COUNT_S)


@cache
def systems() -> dict[str, str]:
    return dict(knowledge.load().terminology.uris)


def codings_of_nothing(size: int) -> list[dict[str, Any]]:
    """Return diagnoses with empty codings, in about so many bytes: the most expensive short input."""
    return [resource("Condition", number, code={"coding": [{}] * 1_000}) for number in range(size // 4_100)]
