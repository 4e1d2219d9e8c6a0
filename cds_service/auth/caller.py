"""Who calls: a CDS Hooks client JWT, checked whole (CH-126 to CH-143). Whoever cannot be told is refused without a reason.

The reason stands in the log, as one word of a closed list; of a token only the issuer gets there, and only one we know.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

import jwt
from jwt import PyJWK

from cds_service.auth.client import Client
from cds_service.auth.keys import Fetch, FetchedKeys, NoKeysToBeHad
from cds_service.errors import Overloaded, Unauthorized
from cds_service.ledger import Ledger, LedgerDown

LOG = logging.getLogger("cds_service")

MAX_AUTHORIZATION_CHARS = 8_000
"""Characters of an Authorization header. gunicorn itself answers 400 a little above."""
REPLAY_MEMORY_MARGIN_S = 300
"""Seconds that a seen token is remembered beyond its end: clocks of several machines differ."""
REQUIRED_CLAIMS = ["iss", "aud", "exp", "iat", "jti"]
UNVERIFIED_OPTIONS: jwt.types.Options = {"verify_signature": False}
VERIFIED_OPTIONS: jwt.types.Options = {
    "require": REQUIRED_CLAIMS,
    "verify_exp": False,  # times are checked below: PyJWT takes "exp" as a string, too, and knows no longest life
    "verify_iat": False,
    "verify_nbf": False,
    "verify_sub": False,  # not a claim of CDS Hooks; real clients send it
}


class Callers:
    """The clients of all sites. `bases`: the public addresses of this service, never what a request says of itself."""

    def __init__(self, clients: Iterable[Client], bases: Iterable[str], ledger: Ledger, fetch: Fetch) -> None:
        self._clients = tuple(clients)
        self._fetched = {
            client: FetchedKeys(client.site, client.jku, client.policy, fetch, ledger)
            for client in self._clients
            if client.keys is None
        }
        self._issuers = frozenset(client.issuer for client in self._clients)
        self._bases = tuple(bases)
        self._ledger = ledger

    def identify_client(self, authorization: str | None, path: str, now: float) -> Client:
        """The client that signed the token of an Authorization header for this path.

        Raises Unauthorized, always the same; Overloaded when nobody knows whether the token is new, or by which keys.
        """
        token = _bearer(authorization)
        header, claims = _unchecked(token)
        client = self._client(claims)
        issuer = client.issuer
        _check_header(header, client)
        key = self._key(client, header["kid"], header["alg"], now)
        if key is None:
            raise reject("unknown key", issuer)
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],  # one of the client's own list, by _check_header
                audience=[base + path for base in self._bases],
                issuer=issuer,
                options=VERIFIED_OPTIONS,
            )
        except jwt.InvalidAudienceError:
            raise reject("another audience", issuer) from None
        except jwt.InvalidSignatureError:
            raise reject("signature", issuer) from None
        except (jwt.PyJWTError, ValueError, TypeError):
            raise reject("claims", issuer) from None
        _check_times(claims, client, now)
        identity = claims["jti"]
        if not isinstance(identity, str) or not identity:
            raise reject("jti", issuer)
        if client.tenants:  # each signs by itself, and none can use up a name of its neighbour
            identity = json.dumps([claims["tenant"], identity])
        if not self._first_time(client, identity, int(claims["exp"]) + client.leeway + REPLAY_MEMORY_MARGIN_S, now):
            raise reject("seen before", issuer)
        return client

    def _client(self, claims: Mapping[str, Any]) -> Client:
        """By issuer, and by tenant where one issuer signs for several: what is not yet checked only chooses the keys."""
        issuer, tenant = claims.get("iss"), claims.get("tenant")
        if not isinstance(issuer, str) or issuer not in self._issuers:
            raise reject("unknown issuer")
        for client in self._clients:
            if client.issuer == issuer and (not client.tenants or (isinstance(tenant, str) and tenant in client.tenants)):
                return client
        raise reject("another tenant", issuer)

    def _first_time(self, client: Client, identity: str, forget_after: int, now: float) -> bool:
        digest = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()
        try:
            return self._ledger.first_time(client.issuer, digest, forget_after, now)
        except LedgerDown as error:
            LOG.error(json.dumps({"ledger": str(error)}))
            raise Overloaded("the service cannot answer at present") from None

    def _key(self, client: Client, kid: str, algorithm: str, now: float) -> PyJWK | None:
        if client.keys is not None:
            return client.keys.get((kid, algorithm))
        try:
            return self._fetched[client].find_key(kid, algorithm, now)
        except NoKeysToBeHad:
            LOG.error(json.dumps({"keys of": client.issuer, "not read": "never, or not for a day"}))
            raise Overloaded("the service cannot answer at present") from None


def reject(why: str, issuer: str = "") -> Unauthorized:
    """To be raised. `why`: words of ours, for the log alone. `issuer`: only one of a site file."""
    LOG.warning(json.dumps({"refused": why} | ({"issuer": issuer} if issuer else {})))
    return Unauthorized()


def _bearer(authorization: str | None) -> str:
    if not authorization:
        raise reject("no token")
    if len(authorization) > MAX_AUTHORIZATION_CHARS:
        raise reject("too long")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.isascii():
        raise reject("no token")
    return token.strip()


def _unchecked(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        found = jwt.decode_complete(token, options=UNVERIFIED_OPTIONS)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise reject("not a token") from None
    return found["header"], found["payload"]


def _check_header(header: Mapping[str, Any], client: Client) -> None:
    """Algorithm and address by the site's record, never by the token. Keys that a token brings along are not looked at."""
    if header.get("typ") != "JWT":
        raise reject("typ", client.issuer)
    if not isinstance(header.get("alg"), str) or header["alg"] not in client.algorithms:
        raise reject("algorithm", client.issuer)
    if not isinstance(header.get("kid"), str):
        raise reject("kid", client.issuer)
    if "crit" in header:
        raise reject("crit", client.issuer)
    if "jku" in header and (not client.jku or header["jku"] != client.jku):
        raise reject("jku", client.issuer)


def _check_times(claims: Mapping[str, Any], client: Client, now: float) -> None:
    """RFC 7519 section 4.1.4 to 4.1.6, with the leeway of the client."""
    times = {name: claims[name] for name in ("exp", "iat", "nbf") if name in claims}
    if not all(_is_time(value) for value in times.values()):
        raise reject("times", client.issuer)
    begin, end = times["iat"], times["exp"]
    if end <= now - client.leeway:
        raise reject("expired", client.issuer)
    if max(begin, times.get("nbf", begin)) > now + client.leeway:
        raise reject("not yet valid", client.issuer)
    if not 0 < end - begin <= client.lifetime:
        raise reject("too long-lived", client.issuer)


def _is_time(value: object) -> bool:
    """Seconds since 1970 as a number; a string of digits is none (CH-135)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e12 < value < 1e12 and isfinite(value)
