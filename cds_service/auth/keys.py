"""The public keys of a caller: written in the site file, or fetched from the one pinned address and remembered."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK, PyJWTError

from cds_service.ledger import Ledger, LedgerDown
from cds_service.outbound.policy import CallFailed, OutboundPolicy, origin_of
from cds_service.outbound.session import OutboundSession
from cds_service.reasons import Explanation, Reason

LOG = logging.getLogger("cds_service")

KEY_KINDS: dict[str, dict[str, str]] = {
    "ES256": {"kty": "EC", "crv": "P-256"},
    "ES384": {"kty": "EC", "crv": "P-384"},
    "RS256": {"kty": "RSA"},
    "RS384": {"kty": "RSA"},
}
"""Algorithm → the keys it is for. Nothing symmetric and nothing unsigned is in here, so nothing of it can be chosen."""
MIN_RSA_BITS = 2048
MAX_KEY_SET_BYTES, MAX_KEYS = 64_000, 50

KEYS_FRESH_S = 3_600
"""Seconds that fetched keys are used before they are fetched again: so long a withdrawn key may still open."""
KEYS_USABLE_S = 24 * 3_600
"""Seconds that they are used when the address does not answer, also by workers that start meanwhile; after that nobody with
this issuer gets in."""
MIN_REFETCH_INTERVAL_S = 30
"""Seconds between two fetches at least, whatever is asked for: tokens with invented kids make no traffic."""

KeySet = Mapping[tuple[str, str], PyJWK]
"""(kid, algorithm) → key."""
Fetch = Callable[[str, OutboundPolicy], bytes]
"""An address → the body found there. Raises CallFailed."""


class NoKeysToBeHad(Exception):
    """No key set that may be used: it could not be fetched, and nobody fetched it within a day."""


class FetchedKeys:
    """Keys of a pinned address. One thread fetches; the others use what is there, and wait only if nothing is, no longer
    than a fetch may take. What was fetched is kept in the ledger's database, for every worker and the next start."""

    def __init__(self, site: str, jku: str, policy: OutboundPolicy, fetch: Fetch, ledger: Ledger) -> None:
        self.jku = jku
        self._site = site
        self._policy = policy
        self._fetch = fetch
        self._ledger = ledger
        self._keys: KeySet = {}
        self._fetched: float | None = None
        self._tried: float | None = None
        self._fetching = threading.Lock()

    def find_key(self, kid: str, algorithm: str, now: float) -> PyJWK | None:
        """The key of that name for that algorithm, or None. An unknown name is looked up again once (CH-130). Raises
        NoKeysToBeHad."""
        if (kid, algorithm) not in self._keys or self._older_than(KEYS_FRESH_S, now):
            self._refresh(now)
        if self._older_than(KEYS_USABLE_S, now):
            raise NoKeysToBeHad
        return self._keys.get((kid, algorithm))

    def _older_than(self, seconds: int, now: float) -> bool:
        return self._fetched is None or now - self._fetched > seconds

    def _refresh(self, now: float) -> None:
        if not self._fetching.acquire(timeout=self._policy.seconds if self._fetched is None else 0):
            return
        try:
            if self._tried is not None and now - self._tried < MIN_REFETCH_INTERVAL_S:
                return
            self._tried = now
            self._take_what_another_fetched(now)
            if self._fetched is None or now - self._fetched >= MIN_REFETCH_INTERVAL_S:
                body = self._fetch(self.jku, self._policy)
                self._keys, self._fetched = read_keys(body), now
                self._keep(body, now)
        except (CallFailed, ValueError) as error:
            why = error.why.reason.value if isinstance(error, CallFailed) else type(error).__name__
            LOG.warning(json.dumps({"keys": origin_of(self.jku), "not read": why}))  # its query may hold a secret
        finally:
            self._fetching.release()

    def _take_what_another_fetched(self, now: float) -> None:
        """Another worker, or this one before it was renewed."""
        try:
            kept = self._ledger.key_set(self._site, self.jku)
            if kept is not None and (self._fetched is None or kept.fetched > self._fetched):
                self._keys, self._fetched = read_keys(kept.body), min(kept.fetched, now)
        except (LedgerDown, ValueError) as error:
            LOG.error(json.dumps({"kept keys": origin_of(self.jku), "not read": type(error).__name__}))

    def _keep(self, body: bytes, now: float) -> None:
        try:
            self._ledger.keep_key_set(self._site, self.jku, body, int(now))
        except LedgerDown as error:
            LOG.error(json.dumps({"kept keys": origin_of(self.jku), "not written": str(error)}))


def fetch_keys(jku: str, policy: OutboundPolicy) -> bytes:
    """From the server of the pinned address alone, as guarded as FHIR servers are called. Raises CallFailed."""
    with OutboundSession(replace(policy, origins=(origin_of(jku),))) as session:
        reply = session.get(jku, {"Accept": "application/json"})
    if reply.status != 200:
        raise CallFailed(
            Explanation(Reason.STATUS_NOT_OK, status=reply.status)
        )  # a redirect too: it would lead away from the pinned address
    return reply.body


def read_keys(body: bytes) -> KeySet:
    """The usable keys of a JWK Set; none at all is an answer too. Raises ValueError if it is not a JWK Set."""
    if len(body) > MAX_KEY_SET_BYTES:
        raise ValueError("too large for a JWK Set")
    try:
        content = json.loads(body)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    listed = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise ValueError("not a JWK Set")
    return key_set([key for key in listed if not fault_of(key)])


def key_set(sound: list[dict[str, Any]]) -> KeySet:
    """Of two keys with one name none is taken: nobody could say which is meant (CH-130)."""
    names = [key["kid"] for key in sound]
    return {
        (key["kid"], algorithm): PyJWK(key, algorithm)
        for key in sound
        if names.count(key["kid"]) == 1
        for algorithm in algorithms_of(key)
    }


def algorithms_of(key: Mapping[str, Any]) -> list[str]:
    """The algorithms that a key is for: by its type and curve, and by its own `alg` if it has one."""
    return [
        algorithm
        for algorithm, kind in KEY_KINDS.items()
        if all(key.get(name) == value for name, value in kind.items()) and key.get("alg") in (None, algorithm)
    ]


def fault_of(key: object) -> str:
    """Why a JWK is no public key that a signature can be checked with; "" if it is one."""
    if not isinstance(key, dict):
        return "not a JSON object"
    if not isinstance(key.get("kid"), str) or not key["kid"]:
        return "no kid"
    if "d" in key or "k" in key:
        return "a private or symmetric key"
    operations = key.get("key_ops", ["verify"])
    if key.get("use") not in (None, "sig") or not isinstance(operations, list) or "verify" not in operations:
        return "not for signatures"
    algorithms = algorithms_of(key)
    if not algorithms:
        return f"not for {', '.join(KEY_KINDS)}"
    try:
        public = PyJWK(key, algorithms[0]).key
    except (PyJWTError, ValueError, TypeError, KeyError, AttributeError):
        return "not a sound key"
    if isinstance(public, RSAPublicKey) and public.key_size < MIN_RSA_BITS:
        return f"fewer than {MIN_RSA_BITS} bits"
    return ""
