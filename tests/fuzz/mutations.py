"""Generates mutated requests. Request number n of a seed is always the same, whatever was generated before it.

The mutations know the structure: a hook request from a fixture or from another chart is changed at random places of its JSON
tree and, more rarely, in its text, its bytes and its headers.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any

from cds_service.fhir.chart_files import ChartFile, build_request, read_file
from tests.conftest import FIXTURES, INSTANCE, PREFETCH, ROOT, SERVICE, request_of

Json = Any
JSON_TYPE = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `kind`: the kind of mutation, for the counts."""

    kind: str
    body: bytes
    method: str = "POST"
    path: str = SERVICE
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON_TYPE))


@cache
def sources() -> tuple[str, ...]:
    """Return hook requests as JSON text, from every fixture and from the smaller charts of other sources."""
    found = [request_of(fixture) for fixture in FIXTURES]
    for path in sorted((ROOT / "tests/data").rglob("*.json")):
        if 0 < path.stat().st_size < 40_000 and path.parent.name != "data":
            content = read_file(path)
            if isinstance(content, ChartFile):
                found.append(build_request(content, timedelta(0), INSTANCE, PREFETCH))
    return tuple(json.dumps(request) for request in found)


RAW = (
    "1e999999999", "-1e999999999", "1E400", "-0", "0.0000000000000000000000001", "9" * 30, "9" * 5000, "0." + "1" * 5000,
    "1e-400", '"\\u0000"', "[" * 20 + "]" * 20, '{"a":' * 100 + "1" + "}" * 100, '{"extension":[' * 400 + "]}" * 400,
    '{"a":1,"a":2}', '{"resourceType":"Patient","resourceType":"Condition"}', '{"id":"a","id":7}', '{"":""}',
)  # fmt: skip
"""Unusual JSON, such as no serializer would write."""
NO_JSON = (
    '"\\ud800"', '"\\udc00x"', "NaN", "Infinity", "-", "01", "tru", '"\\x"', "'a'", "[" * 3000 + "]" * 3000, "/**/1", "1,", "",
)  # fmt: skip
"""Invalid JSON, and JSON that is nested too deeply."""
VALUES: tuple[Json, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**25, 1.5, -0.1, 1e308, "", " ", "x", "0", "-1", "null", "true", [], {},
    [None], [[]], [{}], {"a": None}, "2026-02-30", "2026", "2026-13", "0000-00-00", "9999-12-31T23:59:60Z", "0001-01-01",
    "2026-11-23T00:00:00+99:99", "10000-01-01", "Patient/", "/", "//", "#", "#a", "urn:uuid:", "Patient/example/_history/1",
    "?a=b",
    "http://127.0.0.1:1/fhir/Patient/1", "final", "active", "entered-in-error", "C7B.02", "8240/3", "é" * 40, "\u202e\u200b",
    "<script>alert(1)</script>", "[a](https://evil.example)", "a" * 3000, "{{context.patientId}}", "%s%n", "../..",
    "\U0001f9ec",
)  # fmt: skip
NAMES = (
    "resourceType", "id", "code", "coding", "system", "value", "unit", "subject", "reference", "status", "entry", "resource",
    "link",
    "component", "valueQuantity", "valueCodeableConcept", "valueInteger", "valueString", "extension", "effectiveDateTime", "",
    "__proto__", "total", "prefetch", "context", "fullUrl", "bodySite", "focus", "verificationStatus", "a" * 200,
)  # fmt: skip

NOT_UTF8 = (b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\x00", b"\xf8\x88\x80\x80\x80", b"\xc0\xaf")

SERVERS = ("http://127.0.0.1:1/fhir", "http://169.254.169.254/", "file:///etc/passwd", "//a")
OURS = re.compile(r"C7[AB]|neuroendocrine|carcinoid|islet", re.IGNORECASE)

Place = tuple[Any, Any]
"""A container, and a key or index in it."""


def places(content: Json) -> list[Place]:
    found: list[Place] = []
    waiting = [content]
    while waiting:
        part = waiting.pop()
        pairs = part.items() if isinstance(part, dict) else enumerate(part)
        for key, value in pairs:
            found.append((part, key))
            if isinstance(value, (dict, list)):
                waiting.append(value)
    return found


class Mutator:
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.raw: list[str] = []

    def junk(self) -> Json:
        if self.chance.random() < 0.2:
            self.raw.append(self.chance.choice(RAW if self.chance.random() < 0.9 else NO_JSON))
            return f"@@raw{len(self.raw) - 1}@@"
        return json.loads(json.dumps(self.chance.choice(VALUES)))

    def replace(self, place: Place, _: Place) -> None:
        place[0][place[1]] = self.junk()

    def retype(self, place: Place, _: Place) -> None:
        value = place[0][place[1]]
        choices: list[Json] = [[value], {"value": value}, str(value)[:200], [value, value], json.dumps(value)[:2000]]
        if isinstance(value, list) and value:
            choices.append(value[0])
        if isinstance(value, str):
            choices += [len(value), value.upper(), value[::-1], value + " ", " " + value, value[: len(value) // 2], value * 3]
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            choices += [str(value), -value, value * 1000, value / 1000 if abs(value) < 1e300 else 0]
        place[0][place[1]] = self.chance.choice(choices)

    def delete(self, place: Place, _: Place) -> None:
        del place[0][place[1]]

    def double(self, place: Place, _: Place) -> None:
        container, key = place
        if isinstance(container, list):
            container[key:key] = [json.loads(json.dumps(container[key]))] * self.chance.choice((1, 2, 20))
        else:
            container[self.chance.choice(NAMES)] = json.loads(json.dumps(container[key]))

    def swap(self, place: Place, other: Place) -> None:
        (a, i), (b, j) = place, other
        a[i], b[j] = json.loads(json.dumps(b[j])), json.loads(json.dumps(a[i]))

    def rename(self, place: Place, _: Place) -> None:
        container, key = place
        if isinstance(container, dict):
            container[self.chance.choice((*NAMES, key.upper(), key + " "))] = container.pop(key)

    def add(self, place: Place, _: Place) -> None:
        container, _key = place
        if isinstance(container, dict):
            container[self.chance.choice(NAMES)] = self.junk()
        else:
            container.insert(self.chance.randrange(len(container) + 1), self.junk())

    def change(self, content: Json) -> None:
        """Make one change at a random place, in place."""
        found = places(content)
        if not found:
            return
        work: Callable[[Place, Place], None] = self.chance.choice(
            (self.replace, self.replace, self.retype, self.retype, self.delete, self.double, self.swap, self.rename, self.add)
        )
        work(self.chance.choice(found), self.chance.choice(found))

    def text(self, content: Json) -> str:
        """Return the JSON text, with the raw pieces inserted."""
        text = json.dumps(content, ensure_ascii=self.chance.random() < 0.5)
        for number, raw in enumerate(self.raw):
            text = text.replace(f'"@@raw{number}@@"', raw)
        return text


def base(chance: random.Random) -> Json:
    """Return a valid request: mostly a few resources under each key, sometimes the whole chart. Few small requests show the
    disease, as evaluating a chart with nothing else takes two hundred times as long as finding no disease."""
    request: Json = json.loads(chance.choice(sources()))
    if chance.random() < 0.88:
        for key, value in request["prefetch"].items():
            if isinstance(value, dict) and isinstance(value.get("entry"), list):
                sparse = key == "conditions" and chance.random() < 0.999
                entries = [entry for entry in value["entry"] if not (sparse and OURS.search(json.dumps(entry)))]
                value["entry"] = chance.sample(entries, min(len(entries), chance.choice((1, 2, 3, 6))))
    if chance.random() < 0.02:
        request["fhirServer"] = chance.choice(
            ("http://127.0.0.1:1/fhir", "http://169.254.169.254/", "file:///etc/passwd", "//a")
        )
        request["fhirAuthorization"] = {"access_token": "x", "token_type": "Bearer", "expires_in": 300}
    return request


def call(seed: int, number: int) -> Call:
    chance = random.Random(f"{seed}/{number}")
    kind = chance.choices(("tree", "envelope", "bytes", "http", "bomb"), (86, 6, 5, 3, 0.15))[0]
    mutator, request = Mutator(chance), base(chance)
    if kind == "bomb":
        return bomb(chance)
    if kind == "envelope":
        request["prefetch"] = {"conditions": None}
        for _ in range(chance.choice((1, 1, 2, 4))):
            mutator.change(request)
        return Call(kind, mutator.text(request).encode("utf-8", "surrogatepass"))
    for _ in range(chance.choice((0, 1, 1, 2, 3, 5, 10, 30))):
        mutator.change(request["prefetch"])
        if not isinstance(request["prefetch"], dict):
            break
    body = mutator.text(request).encode("utf-8", "surrogatepass")
    if kind == "bytes":
        return Call(kind, _bytes(chance, body))
    return _http(chance, body) if kind == "http" else Call(kind, body)


def _bytes(chance: random.Random, body: bytes) -> bytes:
    where = chance.randrange(len(body))
    changed = bytearray(body)
    match chance.randrange(7):
        case 0:
            return body[:where]
        case 1:
            for _ in range(chance.choice((1, 5, 50))):
                changed[chance.randrange(len(changed))] = chance.randrange(256)
        case 2:
            changed[where:where] = chance.choice(
                (b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\x00", b"\xf8\x88\x80\x80\x80", b"\xc0\xaf")
            )
        case 3:
            return chance.choice(
                (b"\xef\xbb\xbf" + body, body.decode("utf-8", "replace").encode("utf-16"), body + b"\x00", body * 2)
            )
        case 4:
            return body.replace(b'"prefetch":', b'"prefetch": null, "prefetch":').replace(b'"hook":', b'"hook": 1, "hook":')
        case 5:
            del changed[where : where + chance.choice((1, 10, 1000))]
        case _:
            end = where + chance.choice((1, 10, 100))
            changed[where:where] = changed[where:end] * chance.choice((2, 30))
    return bytes(changed)


def _http(chance: random.Random, body: bytes) -> Call:
    """Return unusual methods, paths and headers, except those that a client library refuses to send."""
    method = chance.choice(("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "BREW", "POST", "POST", "POST"))
    paths = ("/", "/cds-services", "/cds-services/", "/cds-services/x", f"{SERVICE}/feedback", "/health",
    "/..%2f..%2fetc/passwd",
             "/%00", "/static/../x", SERVICE, SERVICE, f"{SERVICE}?a=b%ff", "/" + "a" * 3000)  # fmt: skip
    extra: tuple[dict[str, str], ...] = (
        {}, {"Content-Type": "text/plain"}, {"Content-Type": "application/fhir+json"},
        {"Content-Type": "application/json; charset=x"},
        {"Content-Type": "multipart/form-data; boundary=x"}, {"Content-Encoding": "gzip"}, {"Content-Encoding": "identity"},
        {"Origin": "https://evil.example"}, {"Authorization": "Bearer " + "a" * 5000}, {"Host": "evil.example"},
        {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}, {"Accept": "text/html"}, {"Range": "bytes=0-1"},
        {"Expect": "nothing"}, {"X-HTTP-Method-Override": "DELETE"}, {"Content-Type": ""}, {"If-None-Match": "*"},
    )  # fmt: skip
    return Call("http", body, method, chance.choice(paths), {**JSON_TYPE, **chance.choice(extra)})


def bomb(chance: random.Random) -> Call:
    """Return bodies that are small to send and large to read, and one that is large to send."""
    envelope = json.dumps({"hook": "patient-view", "hookInstance": INSTANCE, "context": {"userId": "a", "patientId": "b"}})[:-1]
    size = chance.choice((100_000, 400_000, 3_000_000))
    many = b"[]," * size + b"[]"
    match chance.randrange(9):
        case 0:
            return Call("bomb", b"[" * 100_000_000)
        case 1:
            return Call("bomb", gzip.compress(b"[" * 50_000_000, 1), headers={**JSON_TYPE, "Content-Encoding": "gzip"})
        case 2:
            return Call("bomb", gzip.compress(b"[" * 50_000_000, 1))
        case 3:
            return Call("bomb", envelope.encode() + b',"extension":{"a":[' + many + b"]}}")
        case 4:
            entries = b'{"resourceType":"Bundle","entry":[' + many.replace(b"[]", b"{}") + b"]}"
            return Call("bomb", envelope.encode() + b',"prefetch":{"conditions":' + entries + b"}}")
        case 5:
            keys = b",".join(b'"%d":1' % number for number in range(size // 10))
            return Call("bomb", envelope.encode() + b',"prefetch":{' + keys + b"}}")
        case 6:
            return Call("bomb", envelope.encode() + b',"prefetch":{"conditions":' + b"[" * size + b"]" * size + b"}}")
        case 7:
            return Call("bomb", envelope.encode() + b',"a":"' + b"a" * 15_000_000 + b'","a":' + b"9" * 1_000_000 + b"}")
        case _:
            same = json.loads(chance.choice(sources()))
            observations = same["prefetch"].get("observations") or {}
            observations["entry"] = (observations.get("entry") or []) * 40
            return Call("bomb", json.dumps(same).encode())
