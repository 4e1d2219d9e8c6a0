"""Every limit of SECURITY.md: what is still accepted, what is rejected, and with which status."""

from __future__ import annotations

import gzip
import json
import re
import time
from typing import Any

import pytest
from flask.testing import FlaskClient

from cds_service import gunicorn_server, knowledge
from cds_service.app import create_app
from cds_service.capacity import MAX_CONCURRENT_EVALUATIONS
from cds_service.fhir import client as fhir_client
from cds_service.fhir.observation_reader import MAX_FACTS_OF_A_CODE
from cds_service.fhir.values import LARGEST_EXPONENT
from cds_service.hooks import prefetch, request
from cds_service.knowledge.terminology import StandardCoding
from cds_service.pages import views
from cds_service.rulebook import MAX_SEARCH_CHARS
from cds_service.rulebook.search import MAX_RESULTS
from cds_service.settings import Settings
from tests.conftest import (
    ROOT,
    SERVICE,
    CheckedClient,
    Clock,
    as_of,
    bare_request,
    bundle,
    diagnostics,
    extensions,
    request_of,
)
from tests.protocol.test_requests import condition, nlm
from tests.support.servers import Running, running

JSON = "application/json"


@pytest.fixture
def large(clock: Clock) -> FlaskClient:
    """Return a client of the service with its default limits."""
    app = create_app(Settings(pages=False), lambda: clock.today)
    app.test_client_class = CheckedClient
    return app.test_client()


def raw_request(**raw: bytes) -> bytes:
    """Return a valid request with these fields as raw JSON."""
    more = b"".join(b', "%s": %s' % (name.encode(), value) for name, value in raw.items())
    return json.dumps(bare_request()).encode()[:-1] + more + b"}"


# ── size ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_more_values_than_a_chart_can_hold_are_413(large: FlaskClient) -> None:
    most = request.MAX_JSON_VALUES
    for count, status in ((most - 10, 200), (most + 1, 413)):
        body = raw_request(prefetch=b'{"conditions": null}', extension=b'{"a": [' + b"1," * count + b"1]}")
        answer = large.post(SERVICE, data=body, content_type=JSON)
        assert answer.status_code == status
    assert diagnostics(answer) == ["body must have at most 1000000 JSON values"]


def test_more_prefetch_keys_than_anybody_asks_for_are_413(client: FlaskClient) -> None:
    keys = {"conditions": None, **{f"k{number}": None for number in range(request.MAX_PREFETCH_KEYS - 1)}}
    assert client.post(SERVICE, json=bare_request(prefetch=keys)).status_code == 200
    answer = client.post(SERVICE, json=bare_request(prefetch=keys | {"one": None}))
    assert answer.status_code == 413
    assert diagnostics(answer) == ["prefetch must have at most 100 keys"]


def test_more_resources_than_a_chart_holds_are_413(large: FlaskClient) -> None:
    half = prefetch.MAX_RESOURCES // 2
    for count, status in ((half - 1, 200), (half, 413)):
        entries = b'{"resourceType": "Bundle", "entry": [' + b",".join([b'{"resource": {"resourceType": "X"}}'] * count) + b"]}"
        body = raw_request(prefetch=b'{"conditions": null, "a": %s, "b": %s}' % (entries, entries))
        answer = large.post(SERVICE, data=body, content_type=JSON)
        assert answer.status_code == status
    assert diagnostics(answer) == ["prefetch must have fewer than 50000 resources"]


def test_a_bundle_of_more_junk_than_is_read_is_not_whole(large: FlaskClient) -> None:
    junk = b'{"resourceType": "Bundle", "entry": [' + b"{}," * prefetch.MAX_RESOURCES + b"{}]}"
    answer = large.post(SERVICE, data=raw_request(prefetch=b'{"conditions": ' + junk + b"}"), content_type=JSON)
    assert answer.status_code == 412


NO_ID = "context.patientId must be a FHIR id; only Patient/ may precede it"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"fhirServer": "https://" + "a" * 2000}, "fhirServer must be at most 2000 characters"),
        (
            {"fhirServer": "https://a", "fhirAuthorization": {"access_token": "a" * 20_001, "token_type": "Bearer"}},
            "fhirAuthorization.access_token must be at most 20000 characters",
        ),
        (
            {"context": {"userId": "a" * 2001, "patientId": "1"}},
            "context.userId must be at most 2000 characters",
        ),
        (
            {"context": {"userId": "a", "patientId": "1", "encounterId": "a" * 2001}},
            "context.encounterId must be at most 2000 characters",
        ),
        ({"context": {"userId": "a", "patientId": "a" * 129}}, NO_ID),
        ({"context": {"userId": "a", "patientId": "a\n"}}, NO_ID),
        ({"hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea\n"}, "hookInstance must be a UUID"),
    ],
)
def test_a_text_of_the_envelope_above_its_limit_is_rejected(client: FlaskClient, more: dict[str, Any], told: str) -> None:
    answer = client.post(SERVICE, json=bare_request(prefetch={"conditions": None}, **more))
    assert answer.status_code == 400
    assert diagnostics(answer) == [told]


def test_a_text_of_a_chart_may_be_of_any_length_and_hides_no_diagnosis(client: FlaskClient) -> None:
    wordy = nlm(verificationStatus={"coding": [{"code": "provisional"}]})
    wordy["code"]["text"] = wordy["code"]["coding"][0]["display"] = "x" * 400_000
    answer = client.post(SERVICE, json=bare_request(prefetch={"conditions": bundle(wordy)}))
    assert [content["kind"] for content in extensions(answer)] == ["possible-nlm"]
    assert len(answer.data) < 5000


# ── nesting, keys, characters ────────────────────────────────────────────────────────────────────────────────────


def test_nesting_of_any_depth_is_read_or_refused(client: FlaskClient, clock: Clock) -> None:
    clock.today = as_of("arterial-candidate")
    body = json.dumps(request_of("arterial-candidate"))
    plain = client.post(SERVICE, data=body, content_type=JSON)
    for depth in (100, 180, 200, 260, 400, 800, 1000, 3000):
        deep = '{"extension": [' * (depth // 2) + "{}" + "]}" * (depth // 2)
        sent = body.replace('"status": "final"', f'"status": "final", "extension": [{deep}]', 3)
        answer = client.post(SERVICE, data=sent, content_type=JSON)
        assert answer.status_code == 200 if depth <= 100 else answer.status_code in {200, 400}
        if answer.status_code == 200:
            assert [c["kind"] for c in extensions(answer)][:2] == [c["kind"] for c in extensions(plain)][:2]
    assert answer.status_code == 400


def test_of_duplicate_keys_the_last_one_counts_everywhere(client: FlaskClient) -> None:
    """Else two parts of the service could see different patients in one request."""
    other = json.dumps(nlm(subject={"reference": "Patient/other"}, verificationStatus={"coding": [{"code": "provisional"}]}))
    twice = other[:-1] + ', "subject": {"reference": "Patient/example"}}'
    context = b'{"userId": "a", "patientId": "other", "patientId": "example"}'
    for conditions, expected in ((twice, ["possible-nlm"]), (json.dumps(condition()), [])):
        sent = b'{"conditions": %s}' % json.dumps({"resourceType": "Bundle", "entry": [{"resource": "@"}]}).encode()
        sent = sent.replace(b'"@"', conditions.encode())
        body = json.dumps(bare_request()).encode()[:-1]
        body += b', "context": ' + context + b', "prefetch": {"conditions": 1}, "prefetch": ' + sent + b"}"
        answer = client.post(SERVICE, data=body, content_type=JSON)
        assert [content["kind"] for content in extensions(answer)] == expected


PLACES = {
    "the envelope": b'{"a": "@", ',
    "a name of the envelope": b'{"@": 1, ',
    "an extension": b'{"extension": {"a": ["@"]}, ',
    "a resource": b'{"prefetch": {"conditions": {"resourceType": "Bundle", "entry": [{"resource": {"id": "@"}}]}}, ',
    "a field that is not read": b'{"prefetch": {"conditions": {"resourceType": "Condition", "note": [{"text": "@"}]}}, ',
    "a name in a resource": b'{"prefetch": {"conditions": {"resourceType": "Condition", "@": 1}}, ',
    "a prefetch key": b'{"prefetch": {"@": null}, ',
}


@pytest.mark.parametrize(
    "junk", [b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf0\x82\x82\xac", b"\xf8\x88\x80\x80\x80", b"\xc0\xaf"]
)
@pytest.mark.parametrize("place", PLACES)
def test_bytes_that_are_not_utf8_are_refused_wherever_they_stand(client: FlaskClient, place: str, junk: bytes) -> None:
    body = PLACES[place].replace(b"@", junk) + json.dumps(bare_request()).encode()[1:]
    answer = client.post(SERVICE, data=body, content_type=JSON)
    assert answer.status_code == 400
    assert diagnostics(answer) == ["body must be JSON in UTF-8"]


@pytest.mark.parametrize("junk", [b"\\ud800", b"\\udc00", b"\\ud800x", b"\\udfff\\ud800"])
@pytest.mark.parametrize("place", PLACES)
def test_a_lone_surrogate_is_refused_wherever_it_stands(client: FlaskClient, place: str, junk: bytes) -> None:
    body = PLACES[place].replace(b"@", junk) + json.dumps(bare_request()).encode()[1:]
    assert client.post(SERVICE, data=body, content_type=JSON).status_code == 400


def test_a_gzip_bomb_without_its_name_is_no_text(large: FlaskClient) -> None:
    started = time.perf_counter()
    answer = large.post(SERVICE, data=gzip.compress(b"[" * 50_000_000, 1), content_type=JSON)
    assert answer.status_code == 400
    assert time.perf_counter() - started < 5


# ── in chunks ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with running(tmp_path_factory.mktemp("limits"), as_of("resectable"), options={"workers": 1}) as found:
        yield found


def test_a_chunked_body_is_never_cut_and_then_read(service: Running) -> None:
    """Werkzeug truncates the body at the limit; the truncated body must not be taken for a complete one."""
    head = f"POST {SERVICE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {JSON}\r\nConnection: close\r\n"
    small = json.dumps(bare_request(prefetch={"conditions": None})).encode()
    for spaces, status in ((1000, b"200"), (20_000_000, b"413")):
        body = small + b" " * spaces
        sent = head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        assert service.exchange(sent).split(b" ")[1] == status


# ── SECURITY.md ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_limits_in_security_md_are_those_of_the_service() -> None:
    told = {
        line.split("|")[1].strip(): line.split("|")[2].strip()
        for line in (ROOT / "SECURITY.md").read_text("utf-8").splitlines()
        if line.count("|") == 4
    }
    options = gunicorn_server.OPTIONS
    requests, jitter = options["max_requests"], options["max_requests_jitter"]
    for row, numbers in {
        "body": [Settings().max_body_bytes],
        "JSON values in a body (counted by commas)": [request.MAX_JSON_VALUES],
        "JSON values in one answer of the FHIR server (counted by commas)": [fhir_client.MAX_JSON_VALUES],
        "fields in a form of the try-it page": [views.MAX_FIELDS],
        "a search in the evidence pages": [MAX_SEARCH_CHARS, MAX_RESULTS],
        "prefetch keys": [request.MAX_PREFETCH_KEYS],
        "resources in the prefetch": [prefetch.MAX_RESOURCES],
        "`userId`, `encounterId`, `fhirServer`; access token": [request.MAX_TEXT_CHARS, request.MAX_TOKEN_CHARS],
        "facts stated by the codings of one Observation or component": [MAX_FACTS_OF_A_CODE],
        "a number in a chart": [2 * LARGEST_EXPONENT, LARGEST_EXPONENT],
        "request line": [gunicorn_server.MAX_REQUEST_LINE_BYTES],
        "headers": [gunicorn_server.MAX_HEADERS, gunicorn_server.MAX_HEADER_BYTES],
        "time to send a request": [gunicorn_server.REQUEST_READ_TIMEOUT_S],
        "time to read the answer": [gunicorn_server.RESPONSE_WRITE_TIMEOUT_S],
        "evaluations at once": [MAX_CONCURRENT_EVALUATIONS, options["workers"]],
        "requests of one worker": [requests, requests + jitter],
        "stop (SIGTERM)": [options["graceful_timeout"]],
    }.items():
        found = [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", told[row])]
        assert found[: len(numbers)] == numbers, row


@pytest.mark.parametrize("system", ["icd-10-cm", "icd-10"])
def test_the_time_for_a_code_grows_no_faster_than_its_length(system: str) -> None:
    """A code of 400,000 letters once took 142 s, as each of its prefixes was looked up."""
    terminology = knowledge.load().terminology

    def seconds(length: int) -> float:
        coding = StandardCoding(system, "Z" * length)
        times = []
        for _ in range(5):
            start = time.process_time()
            terminology.meanings(coding)
            terminology.value("primary_site", coding)
            times.append(time.process_time() - start)
        return min(times)

    assert seconds(400_000) < 0.1
    # eight times the length takes a caching processor up to 15 times as long, and would take a search of prefixes 64 times
    assert seconds(16_000_000) < 20 * seconds(2_000_000) + 0.01
