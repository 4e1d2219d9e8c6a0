"""No patient data and no token remains in a log, an error or a file.

The tests put a marker in every string of every fixture, in the token, in paths and headers, and then search for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import FIXTURES, INSTANCE, SERVICE, as_of, bare_request, request_of
from tests.protocol.test_requests import FAULTY, MARKER, everywhere, marked, planted
from tests.support.servers import Running, running

MARK = MARKER.encode()
BREAK = (
    "read = app.parse_request\n"
    "def breaking(body, hook):\n"
    "    if b'explode' in body: raise ValueError(body)\n"
    "    return read(body, hook)\n"
    "app.parse_request = breaking\n"
    "gunicorn_server.REQUEST_READ_TIMEOUT_S = 1\n"
)
"""Makes the service raise an exception for a body with the word "explode"."""
TOKEN = {"access_token": f"{MARKER}.{MARKER}", "token_type": "Bearer", "expires_in": 300, "scope": MARKER, "subject": MARKER}
SERVERS = ("http://127.0.0.1:1/" + MARKER, "https://169.254.169.254/" + MARKER, "gopher://" + MARKER)
"""FHIR servers that do not answer, or must not be called."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("traces"), as_of("resectable"), BREAK, pages=True) as found:
        yield found


def files_of(service: Running) -> Iterator[tuple[str, bytes]]:
    """Return the content of the temporary folder and of every regular file that a process has open, including deleted files."""
    folder = service.log.parent / "tmp"
    for path in folder.rglob("*"):
        if path.is_file():
            yield str(path), path.read_bytes()
    for pid in (service.process.pid, *service.workers()):
        for handle in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if handle.is_file() and ".venv" not in os.readlink(handle):
                    yield os.readlink(handle), handle.read_bytes()


def check_no_trace(service: Running) -> None:
    assert MARKER not in service.said()
    assert [name for name, content in files_of(service) if MARK in content] == []


def with_token(request: dict[str, Any], server: str) -> dict[str, Any]:
    return request | {"fhirServer": server, "fhirAuthorization": TOKEN}


@pytest.mark.parametrize("fixture", FIXTURES)
def test_no_string_of_a_chart_or_of_a_token_leaves_a_trace(service: Running, fixture: str) -> None:
    request = request_of(fixture)
    identity = request["context"]["patientId"]
    request["context"] = {"userId": f"Practitioner/{MARKER}", "patientId": f"{identity}-{MARKER}", "encounterId": MARKER}
    request["extension"] = {MARKER: MARKER}
    read_as_before = request | {"prefetch": marked(request["prefetch"])}
    assert service.post(json.dumps(with_token(read_as_before, SERVERS[0])).encode())[0] == 200
    prefetch = {**everywhere(request["prefetch"]), MARKER: {"resourceType": MARKER, MARKER: MARKER}}
    for server in SERVERS:
        status, body = service.post(json.dumps(with_token(request | {"prefetch": prefetch}, server)).encode())
        assert status == 200 or MARK not in body
    half = {key: value for key, value in read_as_before["prefetch"].items() if key in {"patient", "conditions"}}
    assert service.post(json.dumps(with_token(request | {"prefetch": half}, SERVERS[0])).encode())[0] in {200, 412}
    check_no_trace(service)
    assert identity not in service.said()


def marked_request(**more: Any) -> bytes:
    request = bare_request(prefetch={"conditions": None, MARKER: MARKER}, extension={MARKER: MARKER}, **more)
    return json.dumps(request).encode()


MANY_KEYS = json.dumps(bare_request(prefetch={f"{MARKER}{number}": MARKER for number in range(101)})).encode()
JSON = {"Content-Type": "application/json"}
REFUSED: dict[str, tuple[int, str, str, bytes, dict[str, str]]] = {
    "400, no JSON": (400, "POST", SERVICE, f'{{"{MARKER}": {MARKER}}}'.encode(), JSON),
    "400, no UTF-8": (400, "POST", SERVICE, MARK + b"\xff", JSON),
    "400, nested": (400, "POST", SERVICE, b'{"' + MARK + b'":' + b"[" * 5000 + b"]" * 5000 + b"}", JSON),
    "404, service": (404, "POST", f"/cds-services/{MARKER}", marked_request(), JSON),
    "404, path": (404, "GET", f"/{MARKER}?{MARKER}={MARKER}", b"", {"Referer": f"https://ehr.example/{MARKER}"}),
    "405": (405, "PUT", SERVICE, marked_request(), JSON),
    "405, own method": (405, MARKER.upper(), SERVICE, marked_request(), JSON),
    "412": (412, "POST", SERVICE, json.dumps(bare_request(prefetch={"conditions": MARKER, MARKER: MARKER})).encode(), JSON),
    "413": (413, "POST", SERVICE, MANY_KEYS, JSON),
    "415, media": (415, "POST", SERVICE, marked_request(), {"Content-Type": f"text/{MARKER}"}),
    "415, compressed": (415, "POST", SERVICE, marked_request(), {**JSON, "Content-Encoding": MARKER}),
    "500": (500, "POST", SERVICE, marked_request(x="explode"), JSON),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_no_request_that_is_refused_leaves_a_trace(service: Running, case: str) -> None:
    status, method, path, body, headers = REFUSED[case]
    connection = service.connect()
    more = {
        "Authorization": f"Bearer {MARKER}",
        "Cookie": MARKER,
        "X-Request-Id": MARKER,
        "Origin": f"https://{MARKER}.example",
    }
    connection.request(method, path, body, {**headers, **more})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    assert answer.status == status
    assert MARK not in content + str(answer.headers).encode()
    check_no_trace(service)


@pytest.mark.parametrize("case", FAULTY)
def test_no_faulty_request_leaves_a_trace(service: Running, case: str) -> None:
    status, body = service.post(json.dumps(planted(FAULTY[case][0]) | {MARKER: MARKER}).encode())
    assert status == 400
    assert MARK not in body
    check_no_trace(service)


def test_no_request_that_breaks_off_leaves_a_trace(service: Running) -> None:
    head = f"POST {SERVICE} HTTP/1.1\r\nHost: @\r\nX: {MARKER}\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n"
    for host, status in (("localhost", b"408"), (MARKER, b"401")):
        answer = service.exchange(head.replace("@", host).encode() + b'{"' + MARK)
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert MARK not in answer
    check_no_trace(service)


def form(**fields: str) -> tuple[bytes, str]:
    """Return a multipart/form-data body with the chart as an uploaded file."""
    parts = [f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()]
    return "".join([*parts, "--x--\r\n"]).encode(), "multipart/form-data; boundary=x"


def test_no_chart_on_the_page_leaves_a_trace(service: Running) -> None:
    """Only the answer to the person who pasted a chart contains it."""
    request = with_token(request_of("arterial-candidate"), SERVERS[0])
    request["context"]["patientId"] += f"-{MARKER}"
    chart = json.dumps(request | {"prefetch": marked(request["prefetch"])})
    head = f'--x\r\nContent-Disposition: form-data; name="file"; filename="{MARKER}.json"\r\n\r\n'
    upload = f"{head}{chart}\r\n--x--\r\n".encode()
    for body, kind, expected in (
        (*form(chart=chart), 200),
        (upload, "multipart/form-data; boundary=x", 200),
        (*form(chart=f"{{{MARKER}"), 400),
        (*form(chart=chart, inr=MARKER), 200),
        (*form(fixture=MARKER), 404),
        (f"chart={MARKER}".encode(), "application/x-www-form-urlencoded", 400),
    ):
        status, page = service.post(body, "/", **{"Content-Type": kind})
        assert status == expected
        if status != 200 and b"chart" not in body:
            assert MARK not in page
        token = TOKEN["access_token"]
        assert str(token).encode() not in page.replace(b"&quot;", b'"').partition(b"</textarea>")[2]
    for path in (f"/?fixture={MARKER}", f"/static/{MARKER}"):
        connection = service.connect()
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 404
        assert MARK not in answer.read()
        connection.close()
    check_no_trace(service)


def test_a_line_of_the_log_is_words_and_counts_of_ours(service: Running) -> None:
    assert service.post(json.dumps(request_of("resectable", INSTANCE)).encode())[0] == 200
    lines = [json.loads(line) for line in service.said().splitlines() if line.startswith("{")]
    allowed = {"service", "site", "status", "cards", "verdicts", "rules", "unreadable", "knowledge", "ms", "refused", "because"}
    assert set().union(*lines) <= allowed
    assert {line["site"] for line in lines if "site" in line} == {"development"}
    others = [line for line in service.said().splitlines() if not line.startswith("{")]
    assert all(line.startswith("fault ValueError at ") for line in others)
