"""A caller that a site trusts: who signs, with which keys, and how long a token of theirs may live."""

from __future__ import annotations

from dataclasses import dataclass, field

from cds_service.auth.keys import KeySet
from cds_service.outbound.policy import OutboundPolicy

MAX_LIFETIME_S = 900
"""Seconds from `iat` to `exp` at most, unless the site says otherwise: Epic's 15 minutes; most clients send 5."""
LEEWAY_S = 60
"""Seconds that two clocks may differ (CH-135)."""
ALGORITHMS = ("ES384", "RS384")
"""What CDS Hooks recommends (CH-140). Which algorithm counts is never read from a token alone (CH-139)."""


@dataclass(frozen=True, eq=False)
class Client:
    """One `[[client]]` of a site file. Compared by identity.

    `jku`: the one key set address that a token may name; empty: a token may name none.
    `keys`: written in the site file; without them they are fetched from `jku`, within `policy`.
    `tenants`: those of the issuer that are meant; empty: all of them, also none.
    """

    site: str
    issuer: str
    jku: str = ""
    keys: KeySet | None = field(default=None, repr=False)
    policy: OutboundPolicy = field(default_factory=OutboundPolicy)
    algorithms: frozenset[str] = frozenset(ALGORITHMS)
    tenants: frozenset[str] = frozenset()
    lifetime: int = MAX_LIFETIME_S
    leeway: int = LEEWAY_S
