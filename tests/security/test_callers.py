"""Authentication: every attack of the table gets the same 401, leaves nothing behind, and locks no caller out."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from werkzeug.test import TestResponse

from cds_service.auth import caller
from cds_service.auth import keys as trusted_keys
from cds_service.ledger import open_ledger
from cds_service.outbound.policy import CallFailed, OutboundPolicy
from cds_service.reasons import Explanation, Reason
from tests.conftest import SERVICE
from tests.support.callers import (
    BASE,
    CALLED,
    DISCOVERY,
    DROP,
    NOW,
    REQUEST,
    Door,
    Ehr,
    Listener,
    bearer,
    ec_key,
    listener,
    open_door,
    part,
    rsa_key,
    signed,
    site_file,
)

REFUSED = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "login", "details": {"text": "not authorized"}, "diagnostics": "not authorized"}],
}
JKU = "https://ehr.north.example/jwks.json"


@pytest.fixture
def ehr() -> Ehr:
    return Ehr()


@pytest.fixture
def door(tmp_path: Path) -> Door:
    """One site whose client has an EC and an RSA key, a registered key set address and one tenant."""
    written = [ec_key().jwk, rsa_key().jwk]
    return open_door(tmp_path, site_file(keys=written, jku=JKU, tenants=["main"]))


def at_main(ehr: Ehr, **parts: Any) -> str:
    return ehr.token(**{"tenant": "main", **parts})


def assert_refused(answer: TestResponse) -> None:
    assert answer.status_code == 401
    assert answer.json == REFUSED
    assert answer.headers["WWW-Authenticate"] == "Bearer"


# ── what is let in ───────────────────────────────────────────────────────────────────────────────────────────────

SOUND: dict[str, Callable[[Ehr], str]] = {
    "ES384": lambda ehr: at_main(ehr),
    "RS384": lambda ehr: at_main(ehr, header={"kid": "north-rsa", "alg": "RS384"}, key=rsa_key()),
    "with the pinned jku": lambda ehr: at_main(ehr, header={"jku": JKU}),
    "aud in a list": lambda ehr: at_main(ehr, aud=["https://other.example", CALLED]),
    "nbf five minutes back": lambda ehr: at_main(ehr, nbf=NOW - 300),
    "fifteen minutes long": lambda ehr: at_main(ehr, exp=NOW + 900),
    "times with a fraction": lambda ehr: at_main(ehr, iat=NOW - 0.5, exp=NOW + 299.5),
    "other claims": lambda ehr: at_main(ehr, sub=7, scope="x", extension={"a": None}),
    "jti of any characters": lambda ehr: at_main(ehr, jti="\ud800 ' -- 💊"),
    "a clock a minute behind": lambda ehr: at_main(ehr, iat=NOW - 359, exp=NOW - 59),
    "a clock a minute ahead": lambda ehr: at_main(ehr, iat=NOW + 60, exp=NOW + 360),
}


@pytest.mark.parametrize("case", SOUND)
def test_a_sound_token_is_let_in(door: Door, ehr: Ehr, case: str) -> None:
    answer = door.call(bearer(SOUND[case](ehr)))
    assert answer.status_code == 200
    assert answer.json == {"cards": []}
    assert door.seen() == 1


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_read_in_any_case(door: Door, ehr: Ehr, scheme: str) -> None:
    assert door.call({"Authorization": f"{scheme} {at_main(ehr)}"}).status_code == 200


# ── the attack table ─────────────────────────────────────────────────────────────────────────────────────────────

EVIL = ec_key("north-1-evil")
PEM = ec_key().private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
DER = rsa_key().private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def unsigned(ehr: Ehr, algorithm: str) -> str:
    return f"{part(ehr.header(alg=algorithm))}.{part(ehr.claims(tenant='main'))}."


def by_secret(ehr: Ehr, algorithm: str, secret: bytes, **header: Any) -> str:
    """Return a token with a symmetric signature, which the service must not accept."""
    body = f"{part(ehr.header(alg=algorithm, **header))}.{part(ehr.claims(tenant='main'))}"
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[algorithm]
    return f"{body}.{part(hmac.new(secret, body.encode(), digest).digest())}"


def altered(token: str, where: int, change: Callable[[str], str]) -> str:
    parts = token.split(".")
    parts[where] = change(parts[where])
    return ".".join(parts)


def with_claims(ehr: Ehr, claims: bytes) -> str:
    return signed(ehr.header(), claims, ehr.key)


def swapped(ehr: Ehr) -> str:
    """Return a token with the signature of another token."""
    one, other = at_main(ehr).split("."), at_main(ehr, jti="other").split(".")
    return ".".join([*one[:2], other[2]])


ATTACKS: dict[str, tuple[str, Callable[[Ehr], str]]] = {
    # no signature, or one that anyone could make
    "alg none": ("algorithm", lambda ehr: unsigned(ehr, "none")),
    "alg None": ("algorithm", lambda ehr: unsigned(ehr, "None")),
    "alg nOnE": ("algorithm", lambda ehr: unsigned(ehr, "nOnE")),
    "alg empty": ("algorithm", lambda ehr: unsigned(ehr, "")),
    "alg missing": ("algorithm", lambda ehr: at_main(ehr, header={"alg": DROP})),
    "alg a list": ("algorithm", lambda ehr: at_main(ehr, header={"alg": ["ES384"]})),
    "HS256": ("algorithm", lambda ehr: by_secret(ehr, "HS256", b"secret")),
    "key confusion, PEM as secret": ("algorithm", lambda ehr: by_secret(ehr, "HS256", PEM)),
    "key confusion, DER as secret": ("algorithm", lambda ehr: by_secret(ehr, "HS384", DER, kid="north-rsa")),
    "key confusion, JWK as secret": ("algorithm", lambda ehr: by_secret(ehr, "HS512", json.dumps(ec_key().jwk).encode())),
    "key confusion, RS384 with an EC key": ("unknown key", lambda ehr: at_main(ehr, header={"alg": "RS384"})),
    "key confusion, ES384 with an RSA key": ("unknown key", lambda ehr: at_main(ehr, header={"kid": "north-rsa"})),
    "an algorithm that is not this caller's": (
        "algorithm",
        lambda ehr: at_main(ehr, header={"alg": "ES256"}, key=ec_key("north-256", "P-256")),
    ),
    "RS256 by a key for RS384": (
        "algorithm",
        lambda ehr: at_main(ehr, header={"alg": "RS256", "kid": "north-rsa"}, key=rsa_key()),
    ),
    "another key under the kid": ("signature", lambda ehr: at_main(ehr, key=EVIL)),
    "signature cut off": ("signature", lambda ehr: altered(at_main(ehr), 2, lambda _: "")),
    "signature shortened": ("signature", lambda ehr: altered(at_main(ehr), 2, lambda s: s[:-4])),
    "signature of zeros": ("signature", lambda ehr: altered(at_main(ehr), 2, lambda _: part(bytes(96)))),
    "signature of another token": ("signature", swapped),
    # kid
    "unknown kid": ("unknown key", lambda ehr: at_main(ehr, header={"kid": "north-2"})),
    "kid missing": ("kid", lambda ehr: at_main(ehr, header={"kid": DROP})),
    "kid a number": ("not a token", lambda ehr: at_main(ehr, header={"kid": 1})),
    "kid a list": ("not a token", lambda ehr: at_main(ehr, header={"kid": ["north-1"]})),
    "kid a path": ("unknown key", lambda ehr: at_main(ehr, header={"kid": "../../../../dev/null"})),
    "kid a query": ("unknown key", lambda ehr: at_main(ehr, header={"kid": "x' UNION SELECT 'north-1"})),
    "kid with a zero byte": ("unknown key", lambda ehr: at_main(ehr, header={"kid": "north-1\0"})),
    "kid of another spelling": ("unknown key", lambda ehr: at_main(ehr, header={"kid": "NORTH-1"})),
    # keys and key set addresses in the header
    "jwk in the header": ("signature", lambda ehr: at_main(ehr, header={"jwk": EVIL.jwk}, key=EVIL)),
    "x5u in the header": ("signature", lambda ehr: at_main(ehr, header={"x5u": "https://evil.example/c"}, key=EVIL)),
    "x5c in the header": ("signature", lambda ehr: at_main(ehr, header={"x5c": ["MIIB"]}, key=EVIL)),
    "foreign jku": ("jku", lambda ehr: at_main(ehr, header={"jku": "https://evil.example/jwks.json"}, key=EVIL)),
    "foreign jku, own key": ("jku", lambda ehr: at_main(ehr, header={"jku": "https://evil.example/jwks.json"})),
    "jku of another file": ("jku", lambda ehr: at_main(ehr, header={"jku": JKU.replace("jwks", "evil")})),
    "jku with a query": ("jku", lambda ehr: at_main(ehr, header={"jku": f"{JKU}?x=1"})),
    "jku with a fragment": ("jku", lambda ehr: at_main(ehr, header={"jku": f"{JKU}#x"})),
    "jku with a user": ("jku", lambda ehr: at_main(ehr, header={"jku": "https://ehr.north.example@evil.example/jwks.json"})),
    "jku in plain http": ("jku", lambda ehr: at_main(ehr, header={"jku": JKU.replace("https", "http")})),
    "jku null": ("jku", lambda ehr: at_main(ehr, header={"jku": None})),
    "jku a list": ("jku", lambda ehr: at_main(ehr, header={"jku": [JKU]})),
    # other fields of the header
    "typ missing": ("typ", lambda ehr: at_main(ehr, header={"typ": DROP})),
    "typ at+jwt": ("typ", lambda ehr: at_main(ehr, header={"typ": "at+jwt"})),
    "typ jwt": ("typ", lambda ehr: at_main(ehr, header={"typ": "jwt"})),
    "crit that is known": ("crit", lambda ehr: at_main(ehr, header={"crit": ["b64"], "b64": True})),
    "crit that is not known": ("not a token", lambda ehr: at_main(ehr, header={"crit": ["exp"], "exp": NOW})),
    "b64 false": ("not a token", lambda ehr: at_main(ehr, header={"b64": False, "crit": ["b64"]})),
    "header a list": ("not a token", lambda ehr: f"{part([])}.{at_main(ehr).split('.', 1)[1]}"),
    # times
    "expired": ("expired", lambda ehr: at_main(ehr, iat=NOW - 400, exp=NOW - 100)),
    "expired by the leeway": ("expired", lambda ehr: at_main(ehr, iat=NOW - 360, exp=NOW - 60)),
    "not yet valid": ("not yet valid", lambda ehr: at_main(ehr, iat=NOW + 61, exp=NOW + 361)),
    "nbf in the future": ("not yet valid", lambda ehr: at_main(ehr, nbf=NOW + 61)),
    "too long-lived": ("too long-lived", lambda ehr: at_main(ehr, exp=NOW + 901)),
    "a year long": ("too long-lived", lambda ehr: at_main(ehr, exp=NOW + 31_536_000)),
    "ends before it begins": ("too long-lived", lambda ehr: at_main(ehr, iat=NOW + 10, exp=NOW + 10)),
    "exp a string": ("times", lambda ehr: at_main(ehr, exp=str(NOW + 300))),
    "iat a string": ("times", lambda ehr: at_main(ehr, iat=str(NOW))),
    "nbf a string": ("times", lambda ehr: at_main(ehr, nbf=str(NOW))),
    "exp true": ("times", lambda ehr: at_main(ehr, exp=True)),
    "exp null": ("claims", lambda ehr: at_main(ehr, exp=None)),
    "exp infinite": ("times", lambda ehr: at_main(ehr, exp=float("inf"))),
    "exp no number": ("times", lambda ehr: at_main(ehr, exp=float("nan"))),
    "exp of 400 digits": ("times", lambda ehr: at_main(ehr, exp=10**400)),
    "iat of 400 digits": ("times", lambda ehr: at_main(ehr, iat=-(10**400))),
    # audience
    "another aud": ("another audience", lambda ehr: at_main(ehr, aud="https://other.example/cds-services/nlm-patient-view")),
    "aud of discovery": ("another audience", lambda ehr: at_main(ehr, aud=DISCOVERY)),
    "aud the base alone": ("another audience", lambda ehr: at_main(ehr, aud=BASE)),
    "aud a part of ours": ("another audience", lambda ehr: at_main(ehr, aud=CALLED[:-1])),
    "aud longer than ours": ("another audience", lambda ehr: at_main(ehr, aud=f"{CALLED}x")),
    "aud by the Host header": ("another audience", lambda ehr: at_main(ehr, aud=f"http://localhost{SERVICE}")),
    "aud a list without ours": ("another audience", lambda ehr: at_main(ehr, aud=["https://other.example", DISCOVERY])),
    "aud an empty list": ("claims", lambda ehr: at_main(ehr, aud=[])),
    "aud a number": ("another audience", lambda ehr: at_main(ehr, aud=1)),
    "aud an object": ("another audience", lambda ehr: at_main(ehr, aud={CALLED: CALLED})),
    "aud null": ("claims", lambda ehr: at_main(ehr, aud=None)),
    # issuer, tenant, missing claims
    "unknown iss": ("unknown issuer", lambda ehr: at_main(ehr, iss="https://evil.example")),
    "iss with a slash more": ("unknown issuer", lambda ehr: at_main(ehr, iss="https://ehr.north.example/")),
    "iss a list": ("unknown issuer", lambda ehr: at_main(ehr, iss=["https://ehr.north.example"])),
    "another tenant": ("another tenant", lambda ehr: at_main(ehr, tenant="other")),
    "tenant missing": ("another tenant", lambda ehr: at_main(ehr, tenant=DROP)),
    "tenant a list": ("another tenant", lambda ehr: at_main(ehr, tenant=["main"])),
    "iss missing": ("unknown issuer", lambda ehr: at_main(ehr, iss=DROP)),
    "aud missing": ("claims", lambda ehr: at_main(ehr, aud=DROP)),
    "exp missing": ("claims", lambda ehr: at_main(ehr, exp=DROP)),
    "iat missing": ("claims", lambda ehr: at_main(ehr, iat=DROP)),
    "jti missing": ("claims", lambda ehr: at_main(ehr, jti=DROP)),
    "jti empty": ("jti", lambda ehr: at_main(ehr, jti="")),
    "jti a number": ("claims", lambda ehr: at_main(ehr, jti=7)),
    # not a token
    "claims exchanged": (
        "signature",
        lambda ehr: altered(at_main(ehr), 1, lambda _: part(ehr.claims(tenant="main", sub="administrator"))),
    ),
    "header exchanged": ("signature", lambda ehr: altered(at_main(ehr), 0, lambda _: part(ehr.header(x=1)))),
    "one part": ("not a token", lambda ehr: at_main(ehr).split(".")[0]),
    "two parts": ("not a token", lambda ehr: at_main(ehr).rsplit(".", 1)[0]),
    "five parts": ("not a token", lambda ehr: f"{at_main(ehr)}.x.y"),
    "not base64": ("not a token", lambda ehr: "a!.b!.c!"),
    "claims a list": ("not a token", lambda ehr: with_claims(ehr, b"[]")),
    "claims no JSON": ("not a token", lambda ehr: with_claims(ehr, b"{")),
    "claims no UTF-8": ("not a token", lambda ehr: with_claims(ehr, b'{"iss": "\xff"}')),
    "claims nested deeply": ("not a token", lambda ehr: with_claims(ehr, b"[" * 2800)),
    "a number of 5,000 digits": ("not a token", lambda ehr: with_claims(ehr, b'{"exp": ' + b"9" * 5_000 + b"}")),
    "oversized": ("too long", lambda ehr: at_main(ehr, x="x" * 8_000)),
    "oversized and no token": ("too long", lambda ehr: "." * 100_000),
    "letters beyond ASCII": ("no token", lambda ehr: f"{at_main(ehr)}ä"),
    "empty": ("not a token", lambda ehr: ""),
}


def test_the_attack_table_is_as_long_as_promised() -> None:
    assert len(ATTACKS) >= 100


@pytest.mark.parametrize("case", ATTACKS)
def test_an_attack_is_refused_without_a_reason_and_shuts_nobody_out(
    door: Door, ehr: Ehr, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    why, make = ATTACKS[case]
    caplog.set_level(logging.DEBUG)
    token = make(ehr)
    assert_refused(door.call(bearer(token)))
    refusals = [json.loads(record.getMessage()) for record in caplog.records if "refused" in record.getMessage()]
    assert [refusal["refused"] for refusal in refusals] == [why]
    assert set(refusals[0]) <= {"refused", "issuer"}
    assert refusals[0].get("issuer", ehr.issuer) == ehr.issuer
    assert door.seen() == 0
    assert door.call(bearer(at_main(ehr, jti="the next one"))).status_code == 200
    assert not any(piece in caplog.text for piece in token.split(".") if len(piece) > 10)


def test_a_refusal_is_logged_with_the_issuer_only_if_a_site_file_has_it(
    door: Door, ehr: Ehr, caplog: pytest.LogCaptureFixture
) -> None:
    for claims in ({"tenant": "other"}, {"exp": NOW}, {"iss": "https://evil.example"}):
        door.call(bearer(at_main(ehr, **claims)))
    logged = [json.loads(record.getMessage()) for record in caplog.records if "refused" in record.getMessage()]
    assert [refusal.get("issuer") for refusal in logged] == [ehr.issuer, ehr.issuer, None]


def test_without_a_verified_signature_no_token_is_accepted_whatever_the_other_checks_say(
    door: Door, ehr: Ehr, monkeypatch: pytest.MonkeyPatch
) -> None:
    for check in ("header_refusals", "key_refusals"):
        monkeypatch.setattr(caller, check, lambda *_: iter(()))
    for header in ({"kid": "north-2"}, {"alg": "none"}, {"alg": "HS256"}, {"kid": DROP}):
        assert_refused(door.call(bearer(at_main(ehr, header=header))))
    assert door.seen() == 0
    assert door.call(bearer(at_main(ehr))).status_code == 200


def test_without_a_token_nobody_is_let_in(door: Door) -> None:
    for headers in ({}, {"Authorization": ""}, {"Authorization": "Basic bm9ydGg6c2VjcmV0"}, {"Authorization": "Bearer"}):
        assert_refused(door.call(headers))


def test_a_token_is_taken_from_its_header_and_from_nowhere_else(door: Door, ehr: Ehr) -> None:
    token = at_main(ehr)
    assert_refused(door.call(query_string={"access_token": token}))
    assert_refused(door.call({"Cookie": f"Authorization=Bearer {token}", "X-Authorization": f"Bearer {token}"}))
    assert_refused(door.call({"Authorization": token}))
    assert_refused(door.call({"Authorization": f"Basic {token}"}))
    assert_refused(door.call({"Authorization": f"Bearer {token}, Bearer {token}"}))
    assert door.call(bearer(token)).status_code == 200


def test_the_host_header_decides_nothing(door: Door, ehr: Ehr) -> None:
    evil = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    for scheme in ("http", "https"):
        token = at_main(ehr, aud=f"{scheme}://evil.example{SERVICE}")
        assert_refused(door.call({**evil, **bearer(token)}))
    assert door.call({**evil, **bearer(at_main(ehr))}).status_code == 200


def test_every_refusal_has_the_same_bytes(door: Door, ehr: Ehr) -> None:
    answers = {door.call(bearer(make(ehr))).data for _, make in ATTACKS.values()}
    assert len(answers) == 1


def test_who_calls_is_asked_before_anything_of_the_body_is_read(door: Door) -> None:
    for body, kind in ((b"{", "application/json"), (b"x", "text/plain"), (b" " * 30_000_000, "application/json")):
        assert_refused(door.client.post(SERVICE, data=body, content_type=kind))


def test_nothing_of_a_token_is_kept_but_issuer_digest_and_end(door: Door, ehr: Ehr) -> None:
    claims = ehr.claims(tenant="main", jti="the-one-and-only", sub="Practitioner-4711")
    assert door.call(bearer(signed(ehr.header(), claims, ehr.key))).status_code == 200
    ((issuer, token, forget_after),) = door.sql("SELECT * FROM seen_tokens")
    assert issuer == ehr.issuer
    assert token == hashlib.sha256(b'["main", "the-one-and-only"]').hexdigest()
    assert claims["exp"] < forget_after <= claims["exp"] + 600
    kept = b"".join(path.read_bytes() for path in door.database.parent.glob("ledger.db*"))
    for secret in (b"the-one-and-only", b"Practitioner-4711", CALLED.encode()):
        assert secret not in kept


# ── replay ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_token_opens_once(door: Door, ehr: Ehr) -> None:
    headers = bearer(at_main(ehr))
    assert door.call(headers).status_code == 200
    assert_refused(door.call(headers))
    again = bearer(at_main(ehr, jti=f"{ehr.issuer} 1", iat=NOW + 1))
    assert_refused(door.call(again))


def test_a_token_that_was_refused_can_still_be_used_where_it_is_meant_for(door: Door, ehr: Ehr) -> None:
    """Only an accepted token counts as seen."""
    headers = bearer(at_main(ehr))
    assert_refused(door.client.get("/cds-services", headers=headers))
    assert door.call(headers).status_code == 200


def test_a_token_is_not_let_in_again_after_it_was_forgotten(door: Door, ehr: Ehr) -> None:
    headers = bearer(at_main(ehr))
    assert door.call(headers).status_code == 200
    door.time[0] = ehr.now = NOW + 10_000
    assert door.call(bearer(at_main(ehr, jti="makes room"))).status_code == 200
    assert door.seen() == 1
    assert_refused(door.call(headers))


def test_while_nobody_knows_what_was_seen_nobody_is_let_in_and_asked_to_come_again(door: Door, ehr: Ehr) -> None:
    door.sql("ALTER TABLE seen_tokens RENAME TO away")
    headers = bearer(at_main(ehr))
    answer = door.call(headers)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert_refused(door.call(bearer(at_main(ehr, key=EVIL))))
    door.sql("ALTER TABLE away RENAME TO seen_tokens")
    assert door.call(headers).status_code == 200


# ── discovery ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_discovery_is_open_but_a_token_sent_there_is_checked(door: Door, ehr: Ehr) -> None:
    assert door.client.get("/cds-services").status_code == 200
    assert door.client.get("/cds-services", headers=bearer(at_main(ehr, aud=DISCOVERY))).status_code == 200
    for wrong in (
        bearer(at_main(ehr, aud=CALLED)),
        bearer(at_main(ehr, aud=DISCOVERY, key=EVIL)),
        bearer(at_main(ehr, aud=DISCOVERY, exp=NOW - 100, iat=NOW - 400)),
        {"Authorization": "Basic bm9ydGg6c2VjcmV0"},
    ):
        assert_refused(door.client.get("/cds-services", headers=wrong))


def test_preflight_and_health_ask_for_no_token(door: Door) -> None:
    assert door.client.options(SERVICE, headers={"Origin": "https://ehr.example"}).status_code == 204
    assert door.client.get("/health").status_code == 200


# ── key sets that are fetched ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def server() -> Iterator[Listener]:
    with listener() as server:
        server.serve_keys(ec_key().jwk)
        yield server


@pytest.fixture
def fetching(tmp_path: Path, server: Listener) -> Door:
    return open_door(tmp_path, site_file(fhir=server.fhir, jku=server.jku))


def status(door: Door, ehr: Ehr, **parts: Any) -> int:
    ehr.now = door.time[0]
    return door.call(bearer(ehr.token(**parts))).status_code


def test_keys_are_fetched_once_and_remembered(fetching: Door, ehr: Ehr, server: Listener) -> None:
    assert [status(fetching, ehr) for _ in range(5)] == [200] * 5
    assert [status(fetching, ehr, header={"jku": server.jku}) for _ in range(5)] == [200] * 5
    assert server.asked == 1


def test_invented_kids_make_one_request_and_no_more(fetching: Door, ehr: Ehr, server: Listener) -> None:
    assert status(fetching, ehr) == 200
    fetching.time[0] += trusted_keys.MIN_REFETCH_INTERVAL_S
    for number in range(50):
        assert status(fetching, ehr, header={"kid": f"invented-{number}"}) == 401
    assert server.asked == 2
    assert status(fetching, ehr) == 200


def test_a_new_key_is_found_by_looking_again_and_the_old_one_ends(fetching: Door, ehr: Ehr, server: Listener) -> None:
    assert status(fetching, ehr) == 200
    old, new = ehr.key, ec_key("north-2026")
    server.serve_keys(new.jwk)
    ehr.key = new
    assert status(fetching, ehr) == 401  # the keys were fetched a moment ago
    fetching.time[0] += trusted_keys.MIN_REFETCH_INTERVAL_S
    assert status(fetching, ehr) == 200
    ehr.key = old
    assert status(fetching, ehr) == 401
    assert server.asked == 2


def test_a_withdrawn_key_opens_no_longer_than_an_hour(fetching: Door, ehr: Ehr, server: Listener) -> None:
    assert status(fetching, ehr) == 200
    server.serve_keys()
    fetching.time[0] += trusted_keys.KEYS_FRESH_S + 1
    assert status(fetching, ehr) == 401


def test_a_key_swapped_under_its_name_does_not_open_with_the_old_one(fetching: Door, ehr: Ehr, server: Listener) -> None:
    assert status(fetching, ehr) == 200
    server.serve_keys({**EVIL.jwk, "kid": ehr.key.kid})
    fetching.time[0] += trusted_keys.KEYS_FRESH_S + 1
    assert status(fetching, ehr) == 401
    assert status(fetching, ehr, key=EVIL) == 200  # the keys at the registered address count


def down(server: Listener) -> None:
    server.status = 503


def not_json(server: Listener) -> None:
    server.body = b"<html>please log in</html>"


def no_key_set(server: Listener) -> None:
    server.body = b"{}"


def nested(server: Listener) -> None:
    server.body = b'{"keys": ' + b"[" * 30_000


def too_large(server: Listener) -> None:
    server.body = json.dumps({"keys": [ec_key().jwk], "x": "x" * trusted_keys.MAX_KEY_SET_BYTES}).encode()


def too_many(server: Listener) -> None:
    server.body = json.dumps({"keys": [ec_key().jwk] * (trusted_keys.MAX_KEYS + 1)}).encode()


def slow(server: Listener) -> None:
    server.drip = 0.2


def redirecting(server: Listener) -> None:
    server.status, server.headers = 302, {"Location": f"{server.jku}?elsewhere"}


def slow_in_its_headers(server: Listener) -> None:
    server.drips_headers = True


OUTAGES = [down, not_json, no_key_set, nested, too_large, too_many, slow, slow_in_its_headers, redirecting]


@pytest.mark.parametrize("outage", OUTAGES)
def test_while_the_key_server_is_ill_the_remembered_keys_serve_for_a_day(
    fetching: Door, ehr: Ehr, server: Listener, outage: Callable[[Listener], None]
) -> None:
    assert status(fetching, ehr) == 200
    outage(server)
    fetching.time[0] += trusted_keys.KEYS_FRESH_S + 1
    assert status(fetching, ehr) == 200
    assert status(fetching, ehr, key=EVIL) == 401
    assert server.asked == 2
    fetching.time[0] = NOW + trusted_keys.KEYS_USABLE_S + 1
    assert status(fetching, ehr) == 503
    server.serve_keys(ec_key().jwk)
    fetching.time[0] += trusted_keys.MIN_REFETCH_INTERVAL_S
    assert status(fetching, ehr) == 200


@pytest.mark.parametrize("outage", OUTAGES)
def test_keys_that_were_never_had_let_nobody_in(
    fetching: Door, ehr: Ehr, server: Listener, outage: Callable[[Listener], None], caplog: pytest.LogCaptureFixture
) -> None:
    outage(server)
    assert [status(fetching, ehr) for _ in range(3)] == [503] * 3
    assert server.asked == 1
    assert "not read" in caplog.text
    server.serve_keys(ec_key().jwk)
    fetching.time[0] += trusted_keys.MIN_REFETCH_INTERVAL_S
    assert status(fetching, ehr) == 200


def test_remembered_keys_serve_a_worker_that_starts_while_the_key_server_is_down(
    tmp_path: Path, ehr: Ehr, server: Listener
) -> None:
    """A worker is renewed after a number of requests, and refused ones count: keys kept by a worker alone would be lost."""
    site = site_file(fhir=server.fhir, jku=server.jku)
    assert status(open_door(tmp_path, site), ehr) == 200
    down(server)
    for hours, answered in ((0.001, 200), (2, 200), (23, 200), (25, 503)):
        renewed = open_door(tmp_path, site)
        renewed.time[0] += hours * 3600
        assert status(renewed, ehr) == answered
        if answered == 200:
            assert status(renewed, ehr, key=EVIL) == 401


def test_workers_share_what_one_of_them_fetched(tmp_path: Path, ehr: Ehr, server: Listener) -> None:
    site = site_file(fhir=server.fhir, jku=server.jku)
    doors = [open_door(tmp_path, site) for _ in range(5)]
    assert [status(door, ehr) for door in doors] == [200] * 5
    assert server.asked == 1


def test_a_kept_key_set_opens_no_longer_than_it_would_have_in_memory(tmp_path: Path, ehr: Ehr, server: Listener) -> None:
    site = site_file(fhir=server.fhir, jku=server.jku)
    assert status(open_door(tmp_path, site), ehr) == 200
    server.serve_keys()
    renewed = open_door(tmp_path, site)
    renewed.time[0] += trusted_keys.KEYS_FRESH_S + 1
    assert status(renewed, ehr) == 401


def test_a_kept_key_set_that_is_none_is_fetched_again(tmp_path: Path, ehr: Ehr, server: Listener) -> None:
    site = site_file(fhir=server.fhir, jku=server.jku)
    door = open_door(tmp_path, site)
    assert status(door, ehr) == 200
    door.sql("UPDATE key_sets SET body = x'00'")
    assert status(open_door(tmp_path, site), ehr) == 200
    assert server.asked == 2


def test_nobody_spends_the_jti_of_another_tenant(tmp_path: Path) -> None:
    one, other = ec_key("one"), ec_key("other")
    issuer = "https://ehr.shared.example"
    door = open_door(
        tmp_path,
        site_file("north", keys=[one.jwk], issuer=issuer, tenants=["north"]),
        site_file("south", keys=[other.jwk], issuer=issuer, tenants=["south"]),
    )
    for key, tenant, answered in ((one, "north", 200), (other, "south", 200), (one, "north", 401), (other, "south", 401)):
        assert status(door, Ehr(issuer, key), tenant=tenant, jti="guessed") == answered


def test_the_log_names_the_server_of_a_key_set_and_not_its_query(
    tmp_path: Path, ehr: Ehr, server: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    down(server)
    door = open_door(tmp_path, site_file(fhir=server.fhir, jku=f"{server.jku}?token=secret-4711"))
    assert status(door, ehr) == 503
    assert server.address in caplog.text
    assert "secret-4711" not in caplog.text


def test_a_key_server_that_drips_holds_nobody_up_and_is_asked_again(tmp_path: Path, server: Listener) -> None:
    """Threads that wait for the keys are released in time, and other sites are answered meanwhile."""
    slow_in_its_headers(server)
    door = open_door(
        tmp_path,
        site_file(fhir=server.fhir, jku=server.jku),
        site_file("south", keys=[ec_key("south-1").jwk]),
    )
    north, south = Ehr(), Ehr("https://ehr.south.example", ec_key("south-1"))
    answers: SimpleQueue[int] = SimpleQueue()

    def call(headers: dict[str, str]) -> None:
        answers.put(door.client.application.test_client().post(SERVICE, json=REQUEST, headers=headers).status_code)

    for _ in range(4):
        Thread(target=call, args=(bearer(north.token()),), daemon=True).start()
    until = time.monotonic() + 5
    while not server.asked and time.monotonic() < until:
        time.sleep(0.01)
    assert status(door, south) == 200
    assert [answers.get(timeout=5) for _ in range(4)] == [503] * 4
    server.serve_keys(ec_key().jwk)
    door.time[0] += trusted_keys.MIN_REFETCH_INTERVAL_S
    assert status(door, north) == 200
    assert server.asked == 2


def test_who_waits_for_the_first_keys_waits_no_longer_than_a_fetch_may_take(tmp_path: Path) -> None:
    going, done = Event(), Event()

    def stuck(jku: str, reach: OutboundPolicy) -> bytes:
        going.set()
        done.wait(10)
        raise CallFailed(Explanation(Reason.OVERDUE))

    keys = trusted_keys.FetchedKeys(
        "north", JKU, OutboundPolicy(seconds=0.2), stuck, open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    )
    answers: SimpleQueue[type[Exception]] = SimpleQueue()

    def ask() -> None:
        try:
            keys.keys_for("a", "ES384", NOW)
        except trusted_keys.NoKeysToBeHad as error:
            answers.put(type(error))

    first = Thread(target=ask, daemon=True)
    first.start()
    assert going.wait(5)
    Thread(target=ask, daemon=True).start()
    assert answers.get(timeout=5) is trusted_keys.NoKeysToBeHad
    done.set()
    first.join()


def test_an_address_that_nobody_answers_lets_nobody_in(tmp_path: Path, ehr: Ehr) -> None:
    with listener() as gone:
        pass
    door = open_door(tmp_path, site_file(fhir=gone.fhir, jku=gone.jku))
    answer = door.call(bearer(ehr.token()))
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


BAD_KEYS: dict[str, dict[str, Any]] = {
    "symmetric": {"kty": "oct", "k": part(b"secret" * 8), "kid": "north-1"},
    "symmetric, under another type": {**ec_key().jwk, "k": "c2VjcmV0"},
    "with its private half": {**ec_key().jwk, "d": "c2VjcmV0"},
    "for encryption": {**ec_key().jwk, "use": "enc"},
    "for signing, not for checking": {**ec_key().jwk, "key_ops": ["sign"]},
    "operations no list": {**ec_key().jwk, "key_ops": 1},
    "for another algorithm": {**ec_key().jwk, "alg": "ES256"},
    "alg a list": {**ec_key().jwk, "alg": ["ES384"]},
    "of another curve": {**ec_key("north-1", "P-256").jwk},
    "off its curve": {**ec_key().jwk, "x": ec_key().jwk["y"]},
    "without a part": {name: value for name, value in ec_key().jwk.items() if name != "y"},
    "a part no text": {**ec_key().jwk, "y": 1},
    "short RSA": {**rsa_key("short", 1024).jwk, "kid": "north-1"},
    "no kid": {name: value for name, value in ec_key().jwk.items() if name != "kid"},
    "kid a number": {**ec_key().jwk, "kid": 1},
}


@pytest.mark.parametrize("case", BAD_KEYS)
def test_a_key_that_is_no_public_signing_key_is_passed_over(fetching: Door, ehr: Ehr, server: Listener, case: str) -> None:
    good = ec_key("north-good")
    server.serve_keys(BAD_KEYS[case], good.jwk)
    assert status(fetching, ehr) == 401
    ehr.key = good
    assert status(fetching, ehr) == 200


@pytest.mark.parametrize(("bits", "answered"), [(1024, 401), (2047, 401), (2048, 200)])
def test_a_short_key_opens_nothing(fetching: Door, ehr: Ehr, server: Listener, bits: int, answered: int) -> None:
    ehr.key = rsa_key("north-short", bits)
    server.serve_keys(ehr.key.jwk)
    assert status(fetching, ehr) == answered


def test_of_two_keys_with_one_name_none_opens(fetching: Door, ehr: Ehr, server: Listener) -> None:
    server.serve_keys(ec_key().jwk, {**EVIL.jwk, "kid": "north-1"})
    assert status(fetching, ehr) == 401
    assert status(fetching, ehr, key=EVIL) == 401


def test_a_foreign_jku_is_never_asked(fetching: Door, ehr: Ehr) -> None:
    with listener() as foreign:
        foreign.serve_keys(EVIL.jwk)
        ehr.key = EVIL
        assert status(fetching, ehr, header={"jku": foreign.jku}) == 401
        assert foreign.asked == 0
