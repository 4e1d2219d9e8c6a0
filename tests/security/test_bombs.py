"""Inputs that are small to send and expensive to read, in the service and on the try-it page. Also codes and tokens."""

from __future__ import annotations

import ast
import gc
import gzip
import json
import re
import resource as machine
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from cds_service.cards.card import EXTENSION
from cds_service.clinical_picture import Interval, Observed
from cds_service.fhir.chart import EVERYTHING_ARRIVED, Chart
from cds_service.fhir.chart_builder import ChartEntry, read_chart
from cds_service.fhir.plausibility import MAX_LIST_ITEMS
from cds_service.hooks import prefetch, request
from cds_service.pages.submission import remove_token
from cds_service.pages.views import MAX_RAW_CHARS
from tests.conftest import SERVICE, bare_request, bundle
from tests.security.test_attacks import FILES, rows_of
from tests.security.test_linear import all_facts
from tests.support.costs import DISEASE, DOORS, TODAY, client, coded, request_with, resource, slowness
from tests.support.servers import Running, running


def with_extension(content: bytes) -> bytes:
    return json.dumps(bare_request(prefetch={"conditions": None})).encode()[:-1] + b', "extension": {"x": ' + content + b"}}"


def with_prefetch(content: bytes) -> bytes:
    return json.dumps(bare_request()).encode()[:-1] + b', "prefetch": ' + content + b"}"


def with_decisive(fields: bytes) -> bytes:
    """Return a request with the raw JSON fields in a diagnosis that decides."""
    return request_with((), disease=True).replace(b'"id": "nen"', fields + b' "id": "nen"')


def with_identifiers(depth: int) -> bytes:
    """Return a request whose deciding diagnosis has an identifier with an assigner with an identifier …, nested deeply."""
    return with_decisive(b'"identifier": [%s{"value": "a"}%s],' % (b'{"assigner": {"identifier": ' * depth, b"}}" * depth))


def with_numbers(*numbers: str) -> bytes:
    """Return a request with these INR values as raw JSON."""
    sent = request_with(
        (resource("Observation", n, **INR, valueQuantity={"value": "@"}) for n in range(len(numbers))), disease=True
    )
    first, *parts = sent.split(b'"@"')
    return first + b"".join(number.encode() + part for number, part in zip(numbers, parts, strict=True))


def with_urls(urls: Iterable[str]) -> bytes:
    """Return a request with different diagnoses of one id, with these fullUrls."""
    entries = [{"fullUrl": url, "resource": resource("Condition", "same", code={"text": str(n)})} for n, url in enumerate(urls)]
    sent = bundle(*DISEASE)
    return json.dumps(bare_request(prefetch={"conditions": {**sent, "entry": [*sent["entry"], *entries]}})).encode()


def lists(content: bytes) -> bytes:
    return b'{"resourceType": "Bundle", "entry": [' + content + b"]}"


INR = {"status": "final", "code": coded("6301-6", "http://loinc.org"), "effectiveDateTime": "2026-11-20"}
HISTOLOGY = {
    "status": "final", "code": coded("59847-4", "http://loinc.org"),
    "valueCodeableConcept": coded("8240/3", "http://terminology.hl7.org/CodeSystem/icd-o-3"),
}  # fmt: skip
ORDERED = {"status": "active", "intent": "order", "medicationReference": {"reference": "urn:m"}}
LIVER = coded("10200004", "http://snomed.info/sct")
UNNAMED_SITE = {"coding": coded("C79.9")["coding"] * 1_000}
SIZE = {"status": "final", "code": coded("21889-1", "http://loinc.org"), "bodySite": LIVER}
KEY_COUNT = request.MAX_PREFETCH_KEYS + 1
BOMBS: dict[str, Callable[[], bytes]] = {
    "brackets nested 100,000 deep, in any field": lambda: with_extension(b"[" * 100_000),
    "a resource nested to any depth": lambda: with_prefetch(
        b'{"conditions": ' + lists(b'{"resource": {"resourceType": "Condition", "x": %s}}' % (b"[" * 900 + b"]" * 900)) + b"}"
    ),
    "millions of empty values": lambda: with_extension(b"[" + b"[]," * 1_000_001 + b"[]]"),
    "thousands of prefetch keys": lambda: with_prefetch(json.dumps({f"k{n}": None for n in range(KEY_COUNT)}).encode()),
    "50,000 resources": lambda: with_prefetch(
        b'{"conditions": ' + lists(b'{"resource": {"resourceType": "X"}},' * prefetch.MAX_RESOURCES + b"{}") + b"}"
    ),
    "a Bundle of invalid entries": lambda: with_prefetch(
        b'{"conditions": ' + lists(b"{}," * prefetch.MAX_RESOURCES + b"{}") + b"}"
    ),
    "huge and tiny numbers": lambda: request_with(
        (resource("Observation", n, **INR, valueQuantity={"value": f"1e{n}999999"}) for n in (1, -1, 99, -99)), disease=True
    ),
    "invalid UTF-8": lambda: with_extension(b'"\xff"'),
    "lone surrogates": lambda: with_extension(b'"\\ud800"'),
    "megabytes of text": lambda: request_with(
        [resource("Condition", "long", code={**coded("K76.0"), "text": "x. " * 1_000_000})], disease=True
    ),
    "thousands of diagnoses × thousands of histologies": lambda: request_with(
        [
            *(resource("Condition", n, code=coded("C18.7")) for n in range(2_000)),
            *(resource("Observation", f"h{n}", **HISTOLOGY) for n in range(2_000)),
        ],
        disease=True,
    ),
    "thousands of reasons for one card": lambda: request_with(
        (resource("Condition", n, code=coded("C18.7")) for n in range(2_000)), disease=True
    ),
    "tens of thousands of versions of one resource": lambda: request_with(
        (resource("Observation", "same", **INR, valueQuantity={"value": n + 1}) for n in range(10_000)), disease=True
    ),
    "a code of 400,000 letters, matched by prefix": lambda: request_with(
        [resource("Condition", "long", code=coded("Z" * 400_000))], disease=True
    ),
    "numbers with the same hash, in versions of a resource": lambda: request_with(
        (resource("Observation", "same", valueQuantity={"value": 5 + n * (2**61 - 1)}) for n in range(10_000)), disease=True
    ),
    "thousands of references to a resource with a long id": lambda: with_prefetch(
        b'{"conditions": %s, "medicationRequests": %s}'
        % (
            json.dumps(bundle(*DISEASE)).encode(),
            lists(
                b'{"fullUrl": "urn:m", "resource": {"resourceType": "Medication", "id": "%s"}},' % (b"a/" * 150_000)
                + b",".join(
                    json.dumps({"resource": resource("MedicationRequest", n, **ORDERED)}).encode() for n in range(4_000)
                )
            ),
        )
    ),
    "a gzip bomb, not declared": lambda: gzip.compress(b"[" * 50_000_000, 1),
    "a number with a gigabyte of digits when written out": lambda: with_numbers("1e-999999999", "1e999999999"),
    "duplicate keys": lambda: with_prefetch(b"{" + b'"conditions": {"id": 1, "id": 2}, ' * 300_000 + b'"conditions": null}'),
    "an access token, user or server of 100,000 characters": lambda: json.dumps(
        bare_request(
            context={"userId": "u" * 100_000, "patientId": "example"}, fhirServer=f"https://{'s' * 100_000}",
            fhirAuthorization={"access_token": "t" * 100_000, "token_type": "Bearer"},
        )
    ).encode(),
    "one id under thousands of hosts": lambda: with_urls(f"https://host{n}.example/Condition/same" for n in range(5_000)),
    "a very long fullUrl of slashes": lambda: with_urls(["https://" + "/" * 2_000_000, "https://a" + "/_history/" * 200_000]),
    'an ICD-10 code with a suffix: "C78.7 RULED OUT"': lambda: request_with(
        (resource("Condition", n, code=coded("C78.7 " + "RULED OUT " * 90)) for n in range(1_000)), disease=True
    ),
    "a tumour size that is not a number": lambda: request_with(
        (resource("Observation", n, **SIZE, valueQuantity={"value": "sNaN", "unit": "cm"}) for n in range(3_000)), disease=True
    ),
    "a number that cannot be compared, in two versions": lambda: request_with(
        (resource("Observation", "same", **INR, valueQuantity={"value": "sNaN", "unit": str(n)}) for n in range(3_000)),
        disease=True,
    ),
    "numbers with the same hash, as values of one day": lambda: with_numbers(
        *(f"{n * (2**61 - 1)}E-22" for n in range(4_000, 8_000))
    ),
    "a list above its limit, in a resource that is unreadable for another reason": lambda: request_with(
        [resource("Condition", "long", code={"coding": [{"code": "a"}] * 300_000}, onsetDateTime=5)], disease=True
    ),
    "thousands of codings × thousands of body sites": lambda: request_with(
        (resource("Condition", n, code=UNNAMED_SITE, bodySite=[LIVER] * 1_000) for n in range(8)), disease=True
    ),
    "the codings of an answer × the facts that it is checked for": lambda: request_with(
        (
            resource("Observation", n, **{**INR, "code": all_facts()}, valueCodeableConcept={"coding": [{}] * 1_000})
            for n in range(60)
        ),
        disease=True,
    ),
    "identifier, assigner, identifier … nested a hundred deep, in a resource that decides": lambda: with_identifiers(98),
    "data that makes the R4 validator fail, in a resource that decides": lambda: with_decisive(
        b'"_recordedDate": "2026", "contained": [{"resourceType": "patient"}, {"resourceType": []}],'
    ),
    "depth × values in the request that the page shows": lambda: with_extension(
        b"[" * 800 + b"0," * 900_000 + b"0" + b"]" * 800
    ),
}  # fmt: skip
WITHIN_S = 4.0


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("attack", BOMBS)
def test_a_bomb_is_answered_in_time_at_both_doors(attack: str, door: str) -> None:
    body = BOMBS[attack]()
    started = time.process_time()
    assert DOORS[door](body) in {200, 400, 412, 413}
    assert time.process_time() - started < WITHIN_S * slowness()


JSON, FORM = "application/json", "application/x-www-form-urlencoded"
SHORT = {
    JSON: json.dumps(bare_request(prefetch={"conditions": None})).encode(),
    FORM: b"chart=" + quote(json.dumps(bare_request(prefetch={"conditions": None}))).encode(),
}
ZIPPED = gzip.compress(b" " * 50_000_000, 1)
HTTP_BOMBS: dict[str, Callable[[str, str], tuple[bytes, Iterable[bytes]]]] = {
    "100 MB with a Content-Length": lambda path, kind: (
        head(path, kind, "Content-Length: 100000000"), (b"[" * 1_000_000 for _ in range(100))
    ),
    "100 MB in chunks": lambda path, kind: (
        head(path, kind, "Transfer-Encoding: chunked"), (b"100000\r\n" + b"[" * 0x100000 + b"\r\n" for _ in range(96))
    ),
    "a short chart and 20 MB of spaces in chunks": lambda path, kind: (
        head(path, kind, "Transfer-Encoding: chunked"),
        (b"%x\r\n%s\r\n" % (len(part), part) for part in (SHORT[kind], *[b" " * 1_000_000] * 80, b"")),
    ),
    "a gzip bomb, declared as gzip": lambda path, kind: (
        head(path, kind, f"Content-Encoding: gzip\r\nContent-Length: {len(ZIPPED)}"), [ZIPPED]
    ),
}  # fmt: skip
REFUSED = {"a gzip bomb, declared as gzip": {JSON: b"415", FORM: b"400"}}
"""Expected statuses; all others are 413."""


def head(path: str, kind: str, length: str) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nConnection: close\r\n{length}\r\n\r\n".encode()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("bombs"), TODAY, options={"workers": 1}, pages=True) as found:
        yield found


@pytest.mark.parametrize(("door", "kind"), [(SERVICE, JSON), ("/", FORM)])
@pytest.mark.parametrize("attack", HTTP_BOMBS)
def test_a_bomb_of_http_is_refused_at_both_doors(service: Running, attack: str, door: str, kind: str) -> None:
    first, parts = HTTP_BOMBS[attack](door, kind)
    before = sum(service.resident().values())
    with service.socket() as raw:

        def send() -> None:
            try:
                for part in (first, *parts):
                    raw.sendall(part)
            except OSError:  # the service closed the connection, as expected
                return

        sender = threading.Thread(target=send)
        sender.start()
        answer = raw.recv(65536)
        sender.join(20)
    assert answer.split(b" ")[1] == REFUSED.get(attack, {}).get(kind, b"413")
    assert sum(service.resident().values()) - before < 150_000


def test_no_depth_at_which_a_field_can_just_be_read_is_a_fault() -> None:
    """Decoding allows deeper nesting than the checks. For the levels between the two the answer was once 500."""
    for name in ("hook", "fhirServer", "fhirAuthorization", "context", "extension"):
        for depth in range(300, 1_000, 6):
            for left, right in ((b"[", b"]"), (b'{"a":', b"}")):
                body = json.dumps(bare_request(**{name: "@"})).encode().replace(b'"@"', left * depth + b"1" + right * depth)
                for door in DOORS:
                    assert DOORS[door](body) in {400, 412}, (name, depth, door)


CHOKES: dict[str, Callable[[int], bytes]] = {
    "identifier, assigner, identifier … nested a hundred deep, in a resource that decides": with_identifiers,
    "data that makes the R4 validator fail, in a resource that decides": lambda _: BOMBS[
        "data that makes the R4 validator fail, in a resource that decides"
    ](),
}


@pytest.mark.parametrize("attack", CHOKES)
def test_what_the_validator_of_r4_chokes_on_is_told_and_silences_nothing(attack: str) -> None:
    """At some depths, and for a string in place of an object, the validator once raised an exception and the answer was 500."""
    for depth in range(6, 99, 4):
        answer = client().post(SERVICE, data=CHOKES[attack](depth), content_type=JSON)
        assert answer.status_code == 200
        assert answer.json is not None
        cards = json.dumps(answer.json["cards"])
        assert '"verdict' in cards
    assert answer.json is not None
    overview = answer.json["cards"][0]
    told = [place for place in overview["extension"][EXTENSION]["provenance"] if place.get("reference") == "Condition/nen"]
    assert {place["value"] for place in told} & {"part-not-valid-r4", "whole-not-valid-r4", "nested-too-deeply"}


def test_nothing_of_thousands_of_readings_stays_in_memory() -> None:
    """Results are cached. Together with the readings of large charts the cache once filled the memory of a worker."""

    def kept() -> int:
        gc.collect()
        return sum(isinstance(held, Observed) for held in gc.get_objects())

    for door in DOORS.values():
        door(request_with((), disease=True))
    before = kept()
    for shift, name in enumerate(DOORS):
        values = (resource("Observation", n, **INR, valueQuantity={"value": 1 + (n + shift) / 10_000}) for n in range(3_000))
        assert DOORS[name](request_with(values, disease=True)) == 200
    assert kept() - before < 1_000


# ── every row of the table ────────────────────────────────────────────────────────────────────────────────────────
ONE_DOOR = {
    "millions of values in a small compressed answer of the FHIR server": "the page calls no server",
    "millions of empty values on the try-it page": "the row of the page, beside that of the service",
    "millions of fields in the form of the try-it page": "only the page has a form",
    "30 calls with the most expensive 60 KB, whose clients have disconnected": "on the page they take all slots longer: 503",
    "endless work": "the row of the service, beside that of the page",
    "endless work on the try-it page": "the row of the page, beside that of the service",
}
"""Rows that apply to one door only, with the reason."""


def test_every_bomb_of_the_table_goes_through_both_doors() -> None:
    """Each row is a case here, or has its own test that is parametrized by the door or tries both."""
    rows = {row["attack"]: row for row in rows_of("Bombs")}
    assert len(rows) > 40
    here = {**BOMBS, **HTTP_BOMBS}
    assert [attack for attack in (*here, *ONE_DOOR) if attack not in rows] == []
    assert [attack for attack in ONE_DOOR if attack in here] == []
    assert [attack for attack, row in rows.items() if attack not in {*here, *ONE_DOOR} and not takes_both_doors(row)] == []


def takes_both_doors(row: re.Match[str]) -> bool:
    """Return whether a test is parametrized by DOORS or by `tried` of test_linear.py, or uses DOORS itself."""
    tree = ast.parse(FILES[row["file"]].read_text("utf-8"))
    test = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == row["test"])
    decorated = any(
        isinstance(node, ast.Name) and node.id in {"DOORS", "tried"} for part in test.decorator_list for node in ast.walk(part)
    )
    used = any(isinstance(node, ast.Name) and node.id == "DOORS" for part in test.body for node in ast.walk(part))
    return used or (decorated and "door" in {argument.arg for argument in test.args.args})


def test_depth_times_values_is_printed_no_further_than_it_is_shown() -> None:
    """1.9 MB once took 3.3 GB and 51 s, as each value is indented by twice its depth."""
    body = BOMBS["depth × values in the request that the page shows"]()
    before = machine.getrusage(machine.RUSAGE_SELF).ru_maxrss
    answer = client().post("/", data={"chart": body.decode()})
    assert answer.status_code == 200
    assert b"cut here" in answer.data
    assert len(answer.data) < len(body) + 3 * MAX_RAW_CHARS + 200_000
    assert machine.getrusage(machine.RUSAGE_SELF).ru_maxrss - before < 500_000


def test_values_whose_numbers_have_one_hash_have_hashes_of_their_own() -> None:
    """Listing each reading of a calculation once took 2.3 s for 4,000 values of one day within the range of the fact."""
    of_one_hash = [Decimal(f"{number * (2**61 - 1)}E-22") for number in range(4_000, 5_000)]
    assert len(set(map(hash, of_one_hash))) == 1
    assert len({hash(Interval.from_number(number)) for number in of_one_hash}) > 990
    for one, other in (("1.0", "1.00"), ("0", "-0.00"), ("1E+2", "100")):
        assert hash(Interval.from_number(one)) == hash(Interval.from_number(other))


@pytest.mark.parametrize("kind", ["Condition", "Observation"])
def test_what_is_longer_than_read_is_no_question_either(kind: str) -> None:
    """The codes of an unreadable resource are still read, but never a list above its limit, whatever else is wrong in it."""
    fault: dict[str, Any] = {"onsetDateTime": 5} if kind == "Condition" else {"valueQuantity": "no quantity"}
    for count, kept in ((MAX_LIST_ITEMS, 1), (MAX_LIST_ITEMS + 1, 0)):
        sent = resource(kind, "a", status="final", code={"coding": [{"code": "6301-6"}] * count}, **fault)
        chart = read_chart([ChartEntry(json.dumps(sent).encode())], "example", EVERYTHING_ARRIVED)
        assert [len(chart.conditions) + len(chart.observations), len(chart.unreadable)] == [kept, 1]
        assert (kind in chart.incomplete_types) is (kept == 0)


# ── codes ─────────────────────────────────────────────────────────────────────────────────────────────────────────
SOUND_CODES = ["C78.7", "c787", " C78.7 ", "C78.7-", "C78.7+", "C78.70"]
NO_CODES = ["C78.7 RULED OUT", "C78.7?", "C78.70000000", "C78.7\u00a0x", "C78..7", "C78.7/C22.0", "C78.7" + "0" * 900]


def answer_for(code: str) -> list[dict[str, Any]]:
    sent = [DISEASE[0], resource("Condition", "liver", code=coded(code))]
    body = request_with(sent)
    found = client().post(SERVICE, data=body, content_type="application/json").json
    assert found is not None
    return list(found["cards"])


@pytest.mark.parametrize("code", SOUND_CODES)
def test_a_code_in_a_spelling_of_icd_10_is_read(code: str) -> None:
    assert any("verdict" in json.dumps(card) for card in answer_for(code))


@pytest.mark.parametrize("code", NO_CODES)
def test_a_code_that_icd_10_cannot_have_asks_and_never_answers(code: str) -> None:
    (card,) = answer_for(code)  # the card for a possible disease
    assert "verdict" not in json.dumps(card)


def test_the_systems_of_icd_10_are_those_that_are_matched_by_prefix() -> None:
    from cds_service import knowledge
    from cds_service.fhir.plausibility import ICD_10_URI
    from cds_service.knowledge.terminology import ICD_10_SYSTEMS

    for uri, name in knowledge.load().terminology.system_names.items():
        assert (ICD_10_URI.search(uri) is not None) == (name in ICD_10_SYSTEMS), uri
    assert ICD_10_URI.search("http://hl7.org/fhir/sid/icd-10-am")


def chart_of(code: dict[str, Any]) -> Chart:
    entry = ChartEntry(json.dumps(resource("Condition", "long", code=code)).encode())
    return read_chart([entry], "example", EVERYTHING_ARRIVED)


def test_a_list_or_a_code_longer_than_is_read_makes_its_resource_unreadable_and_is_named() -> None:
    for code in ({"coding": [{"code": "a"}] * 1_001}, coded("a" * 1_001, "http://snomed.info/sct")):
        assert [broken.what.seen_in for broken in chart_of(code).unreadable] == ["Condition/long"]
        assert "Condition" in chart_of(code).incomplete_types
    for code in ({"coding": [{"code": "a"}] * 1_000}, coded("a" * 1_000, "http://snomed.info/sct")):
        assert not chart_of(code).unreadable


# ── tokens and transfer encodings ─────────────────────────────────────────────────────────────────────────────────
TOKENS = [
    '["s3cret"]', '{"a": "s3cret"}', '[["x"], "s3cret"]', "'s3cret'", "s3cret", '"s3cret', '[["s3cret"', '"a\\"cret s3cret"',
]  # fmt: skip


@pytest.mark.parametrize("token", TOKENS)
def test_no_access_token_of_any_type_is_repeated_on_the_page(token: str) -> None:
    text = f'{{"hook": "patient-view", "fhirAuthorization": {{"access_token": {token}, "x": 1}}}}'
    assert "s3cret" not in remove_token(text)
    answer = client().post("/", data={"chart": text})
    assert "s3cret" not in answer.get_data(as_text=True)
    try:
        sent = json.loads(f'{{"fhirAuthorization": {{"access_token": {token}}}}}')
    except ValueError:
        return
    pasted = {**bundle({**DISEASE[0], "x": sent}, {"resourceType": "Patient", "id": "example"}), **sent}
    answer = client().post("/", data={"chart": json.dumps(pasted)})
    assert answer.status_code == 200
    assert "s3cret" not in answer.get_data(as_text=True)


@pytest.mark.parametrize("name", ["fhirAuthorization", "\\u0066hirAuthorization", "FHIRauthorization"])
@pytest.mark.parametrize("token", [token for token in TOKENS if not token.startswith("{")])
def test_no_authorization_that_is_the_bare_token_is_repeated_on_the_page(token: str, name: str) -> None:
    text = f'{{"hook": "patient-view", "{name}":\n {token}, "x": 1}}'
    assert "s3cret" not in remove_token(text)
    answer = client().post("/", data={"chart": text})
    assert answer.status_code == 400
    assert "s3cret" not in answer.get_data(as_text=True)


@pytest.mark.parametrize("sent", ["null", '{"token_type": "Bearer"}'])
def test_an_authorization_that_holds_no_token_stays_as_it_was_pasted(sent: str) -> None:
    text = f'{{"fhirAuthorization": {sent}}}'
    assert remove_token(text) == text


@pytest.mark.parametrize("encoding", ["gzip, chunked", "deflate, chunked"])
def test_a_body_in_another_transfer_encoding_is_501(tmp_path: Path, encoding: str) -> None:
    body = json.dumps(bare_request(prefetch={"conditions": None})).encode()
    head = f"POST {SERVICE} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: {encoding}\r\n\r\n"
    with running(tmp_path, TODAY, options={"workers": 1}) as service:
        answer = service.exchange(head.encode() + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
    assert answer.startswith(b"HTTP/1.1 501 ")
    assert b"OperationOutcome" in answer
