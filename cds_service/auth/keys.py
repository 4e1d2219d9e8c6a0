"""The public keys of a client: from its site file, or fetched from the one registered address and kept."""

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
from cds_service.outbound.policy import CallFailed, OutboundPolicy, UnexpectedStatus, origin_of
from cds_service.outbound.session import OutboundSession

LOG = logging.getLogger("cds_service")

KEY_KINDS: dict[str, dict[str, str]] = {
    "ES256": {"kty": "EC", "crv": "P-256"},
    "ES384": {"kty": "EC", "crv": "P-384"},
    "RS256": {"kty": "RSA"},
    "RS384": {"kty": "RSA"},
}
"""Algorithm → the keys it is for. Symmetric algorithms and `none` are left out, so that no token can choose them."""
MIN_RSA_BITS = 2048
MAX_KEY_SET_BYTES, MAX_KEYS = 64_000, 50

KEYS_FRESH_S = 3_600
"""Seconds before fetched keys are fetched again. A withdrawn key may still be accepted for this long."""
KEYS_USABLE_S = 24 * 3_600
"""Seconds that keys are used when their address does not answer, also by workers that start meanwhile. After that the
service answers 503 to tokens of this issuer."""
MIN_REFETCH_INTERVAL_S = 30
"""Shortest time between two fetches, so that tokens with invented kids make no traffic."""

KeySet = Mapping[tuple[str, str], PyJWK]
"""(kid, algorithm) → key."""
Fetch = Callable[[str, OutboundPolicy], bytes]
"""An address → the body of its answer. Raises CallFailed."""


class NoKeysToBeHad(Exception):
    """No key set may be used: it could not be fetched now, nor within a day."""


class FetchedKeys:
    """The keys at a registered address.

    One thread fetches. The others use the keys they have; without any they wait, no longer than a fetch may take. A fetched
    key set is kept in the ledger, for every worker and the next start.
    """

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
        self.failure = ""
        """Why the last fetch failed, as a word of the log; empty after a fetch that brought keys."""

    def keys_for(self, kid: object, algorithm: object, now: float) -> KeySet:
        """Return the key set in which to look for a key. It is fetched again once for an unknown kid (CH-130).

        Raises NoKeysToBeHad.
        """
        known = isinstance(kid, str) and isinstance(algorithm, str) and (kid, algorithm) in self._keys
        if not known or self._older_than(KEYS_FRESH_S, now):
            self._refresh(now)
        if self._older_than(KEYS_USABLE_S, now):
            raise NoKeysToBeHad
        return self._keys

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
                self._keys, self._fetched, self.failure = read_keys(body), now, ""
                self._keep(body, now)
        except (CallFailed, ValueError) as error:
            self.failure = error.why.reason.value if isinstance(error, CallFailed) else type(error).__name__
            LOG.warning(json.dumps({"keys": origin_of(self.jku), "not read": self.failure}))  # its query may hold a secret
        finally:
            self._fetching.release()

    def _take_what_another_fetched(self, now: float) -> None:
        """Use a newer key set of the ledger, which another worker or an earlier process of this one fetched."""
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
    """Return the body at a registered address, under the same policy as FHIR servers. Raises CallFailed."""
    with OutboundSession(replace(policy, origins=(origin_of(jku),))) as session:
        reply = session.get(jku, {"Accept": "application/json"})
    if reply.status != 200:
        # a redirect too: it would lead away from the registered address
        raise UnexpectedStatus(reply.status)
    return reply.body


def read_keys(body: bytes) -> KeySet:
    """Return the usable keys of a JWK Set, which may be none. Raises ValueError if it is not a JWK Set."""
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


def unusable_keys(body: bytes) -> list[tuple[str, str]]:
    """Return (kid, reason) for each key of a JWK Set that `read_keys` leaves out. Raises ValueError as `read_keys` does."""
    used = {kid for kid, _ in read_keys(body)}
    listed = [(key, fault_of(key)) for key in json.loads(body)["keys"]]
    named = [(str(key.get("kid", "")) if isinstance(key, dict) else "", fault) for key, fault in listed]
    return [(kid, fault or "two keys have this kid") for kid, fault in named if fault or kid not in used]


def key_set(sound: list[dict[str, Any]]) -> KeySet:
    """Return the keys by kid and algorithm. Keys that share a kid are left out: it would be unknown which is meant (CH-130)."""
    names = [key["kid"] for key in sound]
    return {
        (key["kid"], algorithm): PyJWK(key, algorithm)
        for key in sound
        if names.count(key["kid"]) == 1
        for algorithm in algorithms_of(key)
    }


def algorithms_of(key: Mapping[str, Any]) -> list[str]:
    """Return the algorithms that a key is for: by its type and curve, and by its own `alg` if it has one."""
    return [
        algorithm
        for algorithm, kind in KEY_KINDS.items()
        if all(key.get(name) == value for name, value in kind.items()) and key.get("alg") in (None, algorithm)
    ]


def fault_of(key: object) -> str:
    """Return why a JWK cannot check a signature, for a sentence after "it is"; "" if it can."""
    if not isinstance(key, dict):
        return "not a JSON object"
    if not isinstance(key.get("kid"), str) or not key["kid"]:
        return "without a kid"
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
        return "not a valid key"
    if isinstance(public, RSAPublicKey) and public.key_size < MIN_RSA_BITS:
        return f"shorter than {MIN_RSA_BITS} bits"
    return ""
