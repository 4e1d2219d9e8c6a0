"""A FHIR R4 server on this machine that can be broken on demand: pages, latency, bearer, faults by query.

It answers what the service asks (reads; searches by patient, code, category, status; `_count`) from resources in memory
and remembers every request it got. Faults are functions that get the handler and answer instead of it.
"""

from __future__ import annotations

import gzip
import json
import re
import ssl
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

BASE = "/fhir"
Resource = dict[str, Any]
Fault = Callable[["Handler"], None]


@dataclass(frozen=True)
class Asked:
    """One request as received: "GET", "Condition?patient=7" (decoded), its headers with names in lower case."""

    method: str
    query: str
    headers: dict[str, str]


@dataclass
class FhirServer:
    resources: Iterable[Resource] = ()
    token: str = ""
    """If set, every request needs `Authorization: Bearer <token>`."""
    page: int = 1000
    """Largest number of entries of one page, regardless of `_count`."""
    latency: float = 0.0
    longest: int = 100_000
    """A longer request target is answered with 414."""
    categories: frozenset[str] = frozenset()
    """If set, an Observation search without one of these categories is answered with 400."""
    tls: ssl.SSLContext | None = None
    faults: dict[str, Fault] = field(default_factory=dict)
    """Regular expression on the query → what happens instead."""
    asked: list[Asked] = field(default_factory=list)

    def __enter__(self) -> FhirServer:
        self.stopped = Event()
        handler = type("BoundHandler", (Handler,), {"fhir": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self._http.block_on_close = False
        if self.tls:
            self._http.socket = self.tls.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        self.port: int = self._http.server_address[1]
        self.origin = f"{'https' if self.tls else 'http'}://{'localhost' if self.tls else '127.0.0.1'}:{self.port}"
        self.base = self.origin + BASE
        self._thread = Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stopped.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def queries(self) -> list[str]:
        return [asked.query for asked in self.asked]

    def search(self, kind: str, wanted: dict[str, str]) -> tuple[list[Resource], int]:
        """Return the entries of the requested page, and their total number."""
        found = [r for r in self.resources if r["resourceType"] == kind and _matches(r, wanted)]
        start = int(wanted.get("_offset", 0))
        size = min(int(wanted.get("_count", self.page)), self.page)
        return found[start : start + size], len(found)


def _tokens(concepts: Any) -> set[str]:
    """Return "system|code" and "code" of a CodeableConcept, of a list of them, or of a plain code."""
    if isinstance(concepts, str):
        return {concepts}
    found: set[str] = set()
    for concept in concepts if isinstance(concepts, list) else [concepts or {}]:
        for coding in concept.get("coding", []):
            found |= {f"{coding.get('system', '')}|{coding.get('code', '')}", coding.get("code", "")}
    return found


def _matches(resource: Resource, wanted: dict[str, str]) -> bool:
    patient = wanted.get("patient")
    if patient is not None and resource.get("subject", {}).get("reference") != f"Patient/{patient}":
        return False
    return all(
        name not in wanted or _tokens(resource.get(name)) & set(wanted[name].split(","))
        for name in ("code", "category", "status")
    )


class Handler(BaseHTTPRequestHandler):
    fhir: FhirServer
    protocol_version = "HTTP/1.1"
    server_version = "FhirServer"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._serve("")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())

    def _serve(self, form: str) -> None:
        path, _, query = self.path.partition("?")
        self.target = path.removeprefix(f"{BASE}/").removesuffix("/_search")
        self.wanted = dict(parse_qsl(form or query, keep_blank_values=True))
        plain = unquote(f"{self.target}?{form or query}" if self.wanted else self.target)
        self.fhir.asked.append(Asked(self.command, plain, {k.lower(): v for k, v in self.headers.items()}))
        time.sleep(self.fhir.latency)
        for pattern, fault in self.fhir.faults.items():
            if re.search(pattern, plain):
                return fault(self)
        return self.true_answer()

    def true_answer(self) -> None:
        fhir = self.fhir
        if fhir.token and self.headers.get("Authorization") != f"Bearer {fhir.token}":
            return self.outcome(401, "login")
        if len(self.path) > fhir.longest:
            return self.outcome(414, "too-long")
        if "/" in self.target:
            name = dict(zip(("resourceType", "id"), self.target.split("/"), strict=True))
            found = [r for r in fhir.resources if name.items() <= r.items()]
            return self.answer(200, found[0]) if found else self.outcome(404, "not-found")
        refused = not set(self.wanted.get("category", "").split(",")) <= fhir.categories
        if self.target == "Observation" and fhir.categories and refused:
            return self.outcome(400, "required")
        return self.answer(200, self.searchset())

    def searchset(self) -> Resource:
        entries, total = self.fhir.search(self.target, self.wanted)
        offset = int(self.wanted.get("_offset", 0)) + len(entries)
        links = [{"relation": "self", "url": f"{self.fhir.base}/{self.target}"}]
        if offset < total:
            query = urlencode({**self.wanted, "_offset": offset})
            links.append({"relation": "next", "url": f"{self.fhir.base}/{self.target}?{query}"})
        full = [
            {"fullUrl": f"{self.fhir.base}/{r['resourceType']}/{r['id']}", "resource": r, "search": {"mode": "match"}}
            for r in entries
        ]
        return {"resourceType": "Bundle", "type": "searchset", "total": total, "link": links, "entry": full}

    def answer(self, status: int, body: Any, **headers: str) -> None:
        """Send an answer. `body`: JSON, or raw bytes."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        named = {"Content-Type": "application/fhir+json", "Content-Length": str(len(data))}
        for name, value in (named | {k.replace("_", "-"): v for k, v in headers.items()}).items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(OSError):  # the client may have closed the connection
            self.wfile.write(data)

    def outcome(self, status: int, code: str, **headers: str) -> None:
        issue = {"severity": "error", "code": code}
        self.answer(status, {"resourceType": "OperationOutcome", "issue": [issue]}, **headers)


# ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────────


def status(code: int, **headers: str) -> Fault:
    return lambda handler: handler.outcome(code, "exception", **headers)


def body(content: Any, code: int = 200, **headers: str) -> Fault:
    return lambda handler: handler.answer(code, content, **headers)


def late(seconds: float) -> Fault:
    """Send the true answer later, or not at all if the server is stopped before."""

    def fault(handler: Handler) -> None:
        if not handler.fhir.stopped.wait(seconds):
            handler.true_answer()

    return fault


def dripping(every: float) -> Fault:
    """Send one byte at a time, so that each read is in time but the whole never is."""

    def fault(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        handler.close_connection = True
        while not handler.fhir.stopped.wait(every):
            try:
                handler.wfile.write(b" ")
            except OSError:
                return

    return fault


def cut(handler: Handler) -> None:
    """Close the connection in the middle of the body."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"resourceType": "Bundle"')
    handler.close_connection = True


def first(times: int, fault: Fault) -> Fault:
    """Send the fault a number of times, then the true answer."""
    left = [times]

    def either(handler: Handler) -> None:
        left[0] -= 1
        (fault if left[0] >= 0 else Handler.true_answer)(handler)

    return either


def packed(handler: Handler) -> None:
    """Send the true answer compressed."""
    handler.answer(200, gzip.compress(json.dumps(handler.searchset()).encode()), Content_Encoding="gzip")


@cache
def much_in_little() -> bytes:
    """Return 100 MB of blanks, compressed to 100 kB."""
    return gzip.compress(b" " * 100_000_000)


def bomb(handler: Handler) -> None:
    handler.answer(200, much_in_little(), Content_Encoding="gzip")


def next_page_at(url: str) -> Fault:
    """Send the true answer with a next page on another server."""

    def fault(handler: Handler) -> None:
        bundle = handler.searchset()
        bundle["link"] = [{"relation": "next", "url": url}]
        handler.answer(200, bundle)

    return fault
