"""Callers for tests: keys, tokens with any part made invalid, site files, a server of key sets."""

from __future__ import annotations

import base64
import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from flask.testing import FlaskClient
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from werkzeug.test import TestResponse

from cds_service.app import create_app
from cds_service.settings import Settings
from tests.conftest import SERVICE, CheckedClient, bare_request

BASE = "https://cds.example/nlm"
DISCOVERY = f"{BASE}/cds-services"
CALLED = f"{DISCOVERY}/nlm-patient-view"
NOW = 1_795_600_000
"""The current time of the tests, in seconds since 1970: a day in November 2026."""
REQUEST = bare_request(prefetch={"conditions": None})
"""A request that is answered without cards for every authorized caller."""
DROP: Any = object()
"""Value of a claim that is to be left out."""


@dataclass(frozen=True)
class Key:
    """A key pair; `jwk` is the public half."""

    kid: str
    algorithm: str
    private: EllipticCurvePrivateKey | RSAPrivateKey = field(repr=False)

    @property
    def jwk(self) -> dict[str, Any]:
        if isinstance(self.private, RSAPrivateKey):
            public = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        else:
            public = ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {"kid": self.kid, **{name: value for name, value in public.items() if name != "key_ops"}}


@cache
def ec_key(kid: str = "north-1", curve: str = "P-384") -> Key:
    if curve == "P-256":
        return Key(kid, "ES256", generate_private_key(SECP256R1()))
    return Key(kid, "ES384", generate_private_key(SECP384R1()))


@cache
def rsa_key(kid: str = "north-rsa", bits: int = 2048, algorithm: str = "RS384") -> Key:
    return Key(kid, algorithm, generate_rsa(65537, bits))


@dataclass
class Ehr:
    """A caller. `token()` is valid; `claims` and `header` replace, add or (DROP) leave out parts before it is signed."""

    issuer: str = "https://ehr.north.example"
    key: Key = field(default_factory=ec_key)
    now: float = NOW
    count: int = 0

    def claims(self, **changed: Any) -> dict[str, Any]:
        self.count += 1
        begin = int(self.now)
        sound = {"iss": self.issuer, "aud": CALLED, "iat": begin, "exp": begin + 300, "jti": f"{self.issuer} {self.count}"}
        return {name: value for name, value in {**sound, **changed}.items() if value is not DROP}

    def header(self, **changed: Any) -> dict[str, Any]:
        sound = {"alg": self.key.algorithm, "typ": "JWT", "kid": self.key.kid}
        return {name: value for name, value in {**sound, **changed}.items() if value is not DROP}

    def token(self, header: Mapping[str, Any] | None = None, key: Key | None = None, **claims: Any) -> str:
        return signed(self.header(**(header or {})), self.claims(**claims), key or self.key)


def part(content: object) -> str:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(header: Mapping[str, Any], claims: object, key: Key) -> str:
    """Sign with the key's own algorithm, regardless of the header."""
    body = f"{part(header)}.{part(claims)}"
    algorithm = jwt.get_algorithm_by_name(key.algorithm)
    return f"{body}.{part(algorithm.sign(body.encode(), key.private))}"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def site_file(
    id: str = "north", *, keys: list[dict[str, Any]] | None = None, fhir: str = "", issuer: str | None = None, **client: Any
) -> str:
    """Return TOML with one `[[client]]`. Values are JSON, whose strings, numbers and lists of strings are also TOML."""
    lines = ["[site]", f'id = "{id}"', f'title = "{id.title()} Hospital"', fhir]
    lines += ["[[client]]", f"iss = {json.dumps(issuer or f'https://ehr.{id}.example')}"]
    lines += [f"{name} = {json.dumps(value)}" for name, value in client.items()]
    for jwk in keys or []:
        lines += ["[[client.keys]]", *(f"{name} = {json.dumps(value)}" for name, value in jwk.items())]
    return "\n".join(lines) + "\n"


@dataclass
class Door:
    """The service with its sites, its database and its clock."""

    client: FlaskClient
    database: Path
    time: list[float]

    def call(self, headers: dict[str, str] | None = None, **more: Any) -> TestResponse:
        return self.client.post(SERVICE, json=REQUEST, headers=headers or {}, **more)

    def sql(self, statement: str) -> list[Any]:
        with closing(sqlite3.connect(self.database)) as connection, connection:
            return connection.execute(statement).fetchall()

    def seen(self) -> int:
        return int(self.sql("SELECT count(*) FROM seen_tokens")[0][0])


def open_door(folder: Path, *sites: str) -> Door:
    files = []
    for number, content in enumerate(sites):
        files.append(folder / f"{number}.toml")
        files[-1].write_text(content, "utf-8")
    time = [float(NOW)]
    database = folder / "ledger.db"
    settings = Settings(sites=tuple(files), public_urls=(BASE,), database=f"sqlite:///{database}")
    app = create_app(settings, lambda: date(2026, 11, 25), now=lambda: time[0])
    app.test_client_class = CheckedClient
    return Door(app.test_client(), database, time)


@dataclass
class Listener:
    """A server on this machine that serves a key set or any other answer, and records its requests."""

    port: int = 0
    paths: list[str] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    drip: float = 0
    """Seconds between two bytes."""
    drips_headers: bool = False
    """Send one endless header instead of an answer."""

    @property
    def asked(self) -> int:
        return len(self.paths)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def jku(self) -> str:
        return f"{self.address}/jwks.json"

    @property
    def fhir(self) -> str:
        """A site that may call this machine. In its two seconds a valid answer arrives even while other tests run."""
        return f'[fhir]\norigins = ["{self.address}"]\nloopback = true\nseconds = 2'

    def serve_keys(self, *keys: dict[str, Any]) -> None:
        self.status, self.headers, self.drip, self.drips_headers = 200, {}, 0, False
        self.body = json.dumps({"keys": list(keys)}).encode()


@contextmanager
def listener() -> Iterator[Listener]:
    told = Listener()
    ending = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.paths.append(self.path)
            told.tokens.add(self.headers["Authorization"])
            if told.drips_headers:
                self.drip_a_header()
                return
            self.send_response(told.status)
            for name, value in told.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(told.body)))
            self.end_headers()
            try:
                if told.drip:
                    for place in range(len(told.body)):
                        self.wfile.write(told.body[place : place + 1])
                        if ending.wait(told.drip):
                            return
                else:
                    self.wfile.write(told.body)
            except OSError:
                pass  # the service had enough

        def drip_a_header(self) -> None:
            self.wfile.write(b"HTTP/1.0 200 OK\r\nX-Long: ")
            while not ending.wait(0.05):
                try:
                    self.wfile.write(b"x")
                except OSError:
                    return

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield told
    finally:
        ending.set()
        server.shutdown()
        thread.join()
        server.server_close()
