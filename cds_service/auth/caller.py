"""Identify the caller by its CDS Hooks client JWT (CH-126 to CH-143).

A caller that is not identified gets 401 without a reason. The log has the reason as one word of a closed list. Of a token
only the issuer is logged, and only a registered one.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jwt import PyJWK

from cds_service.auth.checks import (
    claim_refusals,
    header_refusals,
    key_refusals,
    read_bearer,
    read_unverified,
    signature_refusal,
    time_refusals,
)
from cds_service.auth.client import Client
from cds_service.auth.keys import Fetch, FetchedKeys, KeySet, NoKeysToBeHad
from cds_service.auth.refusal import UNDECIDED, Refusal, Why, quoted
from cds_service.errors import Overloaded, Unauthorized
from cds_service.ledger import Ledger, LedgerDown, ReadOnlyLedger
from cds_service.outbound.policy import origin_of

LOG = logging.getLogger("cds_service")

REPLAY_MEMORY_MARGIN_S = 300
"""Seconds that a seen token is remembered after it expired: the clocks of several machines differ."""
SEEN_BEFORE = Refusal(Why.SEEN_BEFORE, "A token with this jti was accepted before. A token is valid for one call.")


@dataclass
class Examination:
    """The result of the checks of one token."""

    client: Client | None = None
    """The client whose issuer and tenant the token names; not yet authenticated."""
    issuer: str = ""
    """The issuer of the token, if a site file has it: the only part of a token that is logged."""
    signature_verified: bool = False
    accepted: Client | None = None
    """The authenticated client: set only after the last check passed."""
    not_checked: list[str] = field(default_factory=list)
    """The checks that an earlier refusal made impossible."""
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The claims, not verified."""


class Callers:
    """The clients of all sites. `bases`: the public addresses of this service, never those that a request names."""

    def __init__(self, clients: Iterable[Client], bases: Iterable[str], ledger: Ledger, fetch: Fetch) -> None:
        self._clients = tuple(clients)
        self._fetched = {
            client: FetchedKeys(client.site, client.jku, client.policy, fetch, ledger)
            for client in self._clients
            if client.keys is None
        }
        self._bases = tuple(bases)
        self._ledger = ledger

    def identify_client(self, authorization: str | None, path: str, now: float) -> Client:
        """Return the client that signed the token of an Authorization header for this path.

        Raises Unauthorized, always with the same text; Overloaded when the keys or the ledger are not available.
        """
        found = Examination()
        refusal = next(self.examine(authorization, path, now, found), None)  # the checks after the first refusal are not made
        if found.accepted is not None:
            return found.accepted
        if refusal is not None and refusal.word in UNDECIDED:
            raise Overloaded("the service cannot answer at present")
        raise reject(refusal.word if refusal else Why.SIGNATURE, found.issuer)

    def list_refusals(self, authorization: str | None, path: str, now: float) -> tuple[Examination, list[Refusal]]:
        """Return every reason to reject a token, for `check-token`. Raises TypeError for a ledger that records tokens.

        A token that fails another check is also looked up in the ledger: one that was used and has expired has both reasons.
        """
        if not isinstance(self._ledger, ReadOnlyLedger):
            raise TypeError("a token that is only examined must not be recorded as seen")
        found = Examination()
        refusals = list(self.examine(authorization, path, now, found))
        if found.accepted or found.client is None or not isinstance(found.claims.get("jti"), str):
            return found, refusals
        if any(refusal.word in {Why.SEEN_BEFORE, Why.NO_LEDGER} for refusal in refusals):
            return found, refusals
        try:
            if self._ledger.has_seen(found.client.issuer, _token_digest(found.client, found.claims), now):
                refusals.append(SEEN_BEFORE)
        except LedgerDown:
            found.not_checked.append("replay")
        return found, refusals

    def examine(self, authorization: str | None, path: str, now: float, found: Examination) -> Iterator[Refusal]:
        """Yield the reasons to reject a token, in the order of the checks. Each check is made when its reason is asked for.

        A token without any reason is recorded in the ledger as seen, and its client is set in `found`.
        """
        token = read_bearer(authorization)
        if isinstance(token, Refusal):
            yield token
            return
        parts = read_unverified(token)
        if isinstance(parts, Refusal):
            yield parts
            return
        header, claims = parts
        found.claims = claims
        refused = False
        for refusal in self._refusals(token, header, claims, path, now, found):
            refused = True
            yield refusal
        if refused or found.client is None or not found.signature_verified:
            return
        replay = self._seen_before(found.client, claims, now)
        if replay is not None:
            yield replay
            return
        found.accepted = found.client

    def _refusals(
        self, token: str, header: Mapping[str, Any], claims: Mapping[str, Any], path: str, now: float, found: Examination
    ) -> Iterator[Refusal]:
        """Yield the reasons of every check but replay."""
        client = self._client(claims)
        if isinstance(client, Refusal):
            if client.word is Why.TENANT:
                found.issuer = str(claims["iss"])
            yield client
            found.not_checked += ["alg, jku, key and signature", "times and jti"]
            yield from header_refusals(header, None)
            yield from claim_refusals(claims, self._audiences(path))
            return
        found.client, found.issuer = client, client.issuer
        yield from header_refusals(header, client)
        key: PyJWK | None = None
        try:
            keys = self._keys(client, header, now)
            yield from key_refusals(header, keys)
            key = keys.get((str(header.get("kid")), str(header.get("alg"))))
        except NoKeysToBeHad:
            LOG.error(json.dumps({"keys of": client.issuer, "not read": "never, or not for a day"}))
            yield Refusal(Why.NO_KEYS, self._why_no_keys(client))
        if key is None:
            found.not_checked.append("signature")
        elif (refusal := signature_refusal(token, key)) is not None:
            yield refusal
        else:
            found.signature_verified = True
        yield from claim_refusals(claims, self._audiences(path))
        yield from time_refusals(claims, client, now)
        if claims.get("jti") == "":
            yield Refusal(Why.JTI, "Claim jti is empty. Expected: a name that no other token of this client has.")

    def _audiences(self, path: str) -> list[str]:
        return [base + path for base in self._bases]

    def _client(self, claims: Mapping[str, Any]) -> Client | Refusal:
        """Return the client of the issuer, and of the tenant where one issuer signs for several.

        The claims are not yet verified: they only choose the keys.
        """
        issuer, tenant = claims.get("iss"), claims.get("tenant")
        of_issuer = [client for client in self._clients if client.issuer == issuer]
        for client in of_issuer:
            if not client.tenants or (isinstance(tenant, str) and tenant in client.tenants):
                return client
        if of_issuer:
            expected = ", ".join(quoted(name) for client in of_issuer for name in sorted(client.tenants))
            return Refusal(Why.TENANT, f"Claim tenant is {quoted(tenant)}. The site files have for this iss: {expected}.")
        known = ", ".join(sorted({quoted(client.issuer) for client in self._clients}))
        return Refusal(Why.ISSUER, f"Claim iss is {quoted(issuer)}. The site files have: {known}, letter by letter.")

    def _seen_before(self, client: Client, claims: Mapping[str, Any], now: float) -> Refusal | None:
        """Return None for a token that the ledger has not seen. The ledger then records it."""
        forget_after = int(claims["exp"]) + client.leeway + REPLAY_MEMORY_MARGIN_S
        try:
            if self._ledger.first_time(client.issuer, _token_digest(client, claims), forget_after, now):
                return None
        except LedgerDown as error:
            LOG.error(json.dumps({"ledger": str(error)}))
            return Refusal(Why.NO_LEDGER, "CDS_DATABASE did not answer, so it is not known whether the token was used before.")
        return SEEN_BEFORE

    def _keys(self, client: Client, header: Mapping[str, Any], now: float) -> KeySet:
        """Return the key set in which to look for the key of a header. Raises NoKeysToBeHad."""
        if client.keys is not None:
            return client.keys
        return self._fetched[client].keys_for(header.get("kid"), header.get("alg"), now)

    def _why_no_keys(self, client: Client) -> str:
        because = self._fetched[client].failure or "not tried again within 30 s"
        return (
            f"The key set of this client could not be read from {origin_of(client.jku)} ({because}), and none is remembered. "
            "The service answers 503 until it can."
        )


def _token_digest(client: Client, claims: Mapping[str, Any]) -> str:
    """The name of a token in the ledger."""
    identity = claims["jti"]
    if client.tenants:  # each tenant signs by itself, and cannot use up a jti of another tenant
        identity = json.dumps([claims["tenant"], identity])
    return hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()


def reject(why: Why, issuer: str = "") -> Unauthorized:
    """Log a refusal and return the error to raise. `issuer`: only one of a site file."""
    LOG.warning(json.dumps({"refused": why} | ({"issuer": issuer} if issuer else {})))
    return Unauthorized()
