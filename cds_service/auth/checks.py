"""The checks of a client's token (CH-126 to CH-143). A check yields its reasons to reject the token; without any it passes.

The service stops at the first reason and logs its word. `check-token` prints all reasons with what was expected.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from math import isfinite
from typing import Any

import jwt
from jwt import PyJWK

from cds_service.auth.client import Client
from cds_service.auth.keys import KeySet
from cds_service.auth.refusal import Refusal, Why, quoted, without_query

MAX_AUTHORIZATION_CHARS = 8_000
"""Longest Authorization header. gunicorn itself answers 400 a little above."""
REQUIRED_CLAIMS = ("iss", "aud", "exp", "iat", "jti")
UNVERIFIED_OPTIONS: jwt.types.Options = {"verify_signature": False}
SIGNATURE_OPTIONS: jwt.types.Options = {
    "verify_signature": True,
    "verify_aud": False,  # every claim is checked below, one by one, so that all reasons are known
    "verify_iss": False,
    "verify_jti": False,
    "verify_exp": False,  # PyJWT also accepts "exp" as a string, and has no longest lifetime
    "verify_iat": False,
    "verify_nbf": False,
    "verify_sub": False,  # not a claim of CDS Hooks; real clients send it
}

Parts = tuple[dict[str, Any], dict[str, Any]]
"""Header and claims."""


def read_bearer(authorization: str | None) -> str | Refusal:
    """Return the token of an Authorization header."""
    if not authorization:
        return Refusal(Why.NO_TOKEN, "There is no token.")
    if len(authorization) > MAX_AUTHORIZATION_CHARS:
        text = f"The Authorization header has {len(authorization)} characters. At most {MAX_AUTHORIZATION_CHARS} are read."
        return Refusal(Why.TOO_LONG, text)
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.isascii():
        text = "The Authorization header is not `Bearer`, a space and a token of ASCII characters."
        return Refusal(Why.NO_TOKEN, text)
    return token.strip()


def read_unverified(token: str) -> Parts | Refusal:
    """Return header and claims; the signature is not checked here."""
    try:
        found = jwt.decode_complete(token, options=UNVERIFIED_OPTIONS)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        because = quoted(str(error)) if isinstance(error, jwt.PyJWTError) else "a part of it cannot be decoded"
        parts = len(token.split("."))
        text = f"The token is not a signed JWT: {because}. It has {parts} part{'s'[: parts != 1]} between dots; 3 are expected."
        return Refusal(Why.NOT_A_TOKEN, text)
    return found["header"], found["payload"]


def header_refusals(header: Mapping[str, Any], client: Client | None) -> Iterator[Refusal]:
    """Check the header. Algorithm and key set address come from the site file; keys that a token brings along are ignored.

    Without a client only the fields that are the same for every client are checked.
    """
    if header.get("typ") != "JWT":
        yield Refusal(Why.TYP, f'Header: typ is {_found(header, "typ")}. Expected: "JWT".')
    if client is not None and not (isinstance(header.get("alg"), str) and header["alg"] in client.algorithms):
        allowed = ", ".join(sorted(client.algorithms))
        text = f"Header: alg is {_found(header, 'alg')}. This client may use {allowed} (`algorithms` in the site file)."
        yield Refusal(Why.ALGORITHM, text)
    if not isinstance(header.get("kid"), str):
        yield Refusal(Why.KID, f"Header: kid is {_found(header, 'kid')}. Expected: the name of a key, as a string.")
    if "crit" in header:
        yield Refusal(Why.CRIT, "Header: crit is present. This service knows no critical extension; leave it out.")
    if client is not None and "jku" in header and (not client.jku or header["jku"] != client.jku):
        yield Refusal(Why.JKU, _jku_text(header["jku"], client.jku))


def _jku_text(found: object, registered: str) -> str:
    if not registered:
        return f"Header: jku is {quoted(without_query(found))}. The site file registers no jku for this client; leave it out."
    text = (
        f"Header: jku is {quoted(without_query(found))}. Registered is {quoted(without_query(registered))}, letter by letter."
    )
    return f"{text} They differ after the question mark." if without_query(found) == without_query(registered) else text


def key_refusals(header: Mapping[str, Any], keys: KeySet) -> Iterator[Refusal]:
    """Check that the client's key set has a key with this kid for this algorithm."""
    kid, algorithm = header.get("kid"), header.get("alg")
    if not isinstance(kid, str) or (isinstance(algorithm, str) and (kid, algorithm) in keys):
        return
    if fitting := sorted(kind for name, kind in keys if name == kid):
        yield Refusal(Why.KEY, f"The key {quoted(kid)} is for {', '.join(fitting)}, not for the algorithm {quoted(algorithm)}.")
    else:
        listed = ", ".join(map(quoted, sorted({name for name, _ in keys}))) or "no usable key"
        text = f"Header: kid is {quoted(kid)}. The key set of this client has: {listed}. `check-site` reports unusable keys."
        yield Refusal(Why.KEY, text)


def signature_refusal(token: str, key: PyJWK) -> Refusal | None:
    """Check the signature alone, by the algorithm of the key. Return None if it is valid."""
    try:
        jwt.decode(token, key, algorithms=[key.algorithm_name], options=SIGNATURE_OPTIONS)
    except (jwt.PyJWTError, ValueError, TypeError):
        text = (
            f"The signature does not belong to this header and these claims under the key {quoted(key.key_id)}. "
            "Either another private key signed, or the token was changed afterwards."
        )
        return Refusal(Why.SIGNATURE, text)
    return None


def claim_refusals(claims: Mapping[str, Any], audiences: Collection[str]) -> Iterator[Refusal]:
    """Check that required claims are present, and `aud`. `audiences`: the addresses that a token may be meant for."""
    for name in REQUIRED_CLAIMS:
        if claims.get(name) is None or (name == "aud" and not claims["aud"]):
            yield Refusal(Why.CLAIMS, f"Claim {name} is missing. Every token needs {', '.join(REQUIRED_CLAIMS)}.")
    if claims.get("aud") and not _is_meant_for(claims["aud"], audiences):
        expected = " or ".join(map(quoted, audiences))
        text = f"Claim aud is {quoted(claims['aud'])}. Expected: {expected} (CDS_PUBLIC_URL and the path that is called)."
        yield Refusal(Why.AUDIENCE, text)
    if claims.get("jti") is not None and not isinstance(claims["jti"], str):
        yield Refusal(Why.CLAIMS, "Claim jti is not a string.")


def _is_meant_for(audience: object, audiences: Collection[str]) -> bool:
    """Return whether `aud` has one of the audiences: it is a string or a list of strings (RFC 7519 section 4.1.3)."""
    listed = [audience] if isinstance(audience, str) else audience
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        return False
    return not set(audiences).isdisjoint(listed)


def time_refusals(claims: Mapping[str, Any], client: Client, now: float) -> Iterator[Refusal]:
    """Check `exp`, `iat` and `nbf` (RFC 7519 sections 4.1.4 to 4.1.6) by the client's leeway and longest lifetime.

    A missing time passes: `claim_refusals` reports the required ones.
    """
    times = {name: claims[name] for name in ("exp", "iat", "nbf") if name in claims}
    sound = {name: float(value) for name, value in times.items() if _is_time(value)}
    for name in sorted(times.keys() - sound.keys()):
        text = f"Claim {name} is {quoted(claims[name])}. Expected: seconds since 1970, as a number."
        yield Refusal(Why.TIMES, text)
    leeway = f"The leeway of this client is {client.leeway} s. It is {_whole(now)} here"
    if "exp" in sound and sound["exp"] <= now - client.leeway:
        text = f"Claim exp is {_whole(sound['exp'])}: the token expired {_whole(now - sound['exp'])} s ago. {leeway}."
        yield Refusal(Why.EXPIRED, text)
    for name in ("iat", "nbf"):
        if name in sound and sound[name] > now + client.leeway:
            ahead = _whole(sound[name] - now)
            text = f"Claim {name} is {_whole(sound[name])}, {ahead} s in the future. {leeway}; compare the clocks."
            yield Refusal(Why.NOT_YET_VALID, text)
    if {"exp", "iat"} <= sound.keys() and not 0 < (lifetime := sound["exp"] - sound["iat"]) <= client.lifetime:
        allowed = f"more than 0, at most {client.lifetime} s (`max_lifetime`)"
        text = f"The token lives {_whole(lifetime)} s (exp - iat). Allowed: {allowed}."
        yield Refusal(Why.TOO_LONG_LIVED, text)


def _is_time(value: object) -> bool:
    """Return whether a value is seconds since 1970 as a number; a string of digits is not (CH-135)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e12 < value < 1e12 and isfinite(value)


def _whole(seconds: float) -> str:
    return f"{seconds:.0f}"


def _found(part: Mapping[str, Any], name: str) -> str:
    return quoted(part[name]) if name in part else "missing"
