"""A client that a site trusts: its issuer, its keys, and the longest lifetime of its tokens."""

from __future__ import annotations

from dataclasses import dataclass, field

from cds_service.auth.keys import KeySet
from cds_service.outbound.policy import OutboundPolicy

MAX_LIFETIME_S = 900
"""Longest time from `iat` to `exp`, unless the site file sets another: Epic's 15 minutes; most clients send 5."""
LEEWAY_S = 60
"""Seconds that two clocks may differ (CH-135)."""
ALGORITHMS = ("ES384", "RS384")
"""The algorithms that CDS Hooks recommends (CH-140). A token alone never chooses its algorithm (CH-139)."""


@dataclass(frozen=True, eq=False)
class Client:
    """One `[[client]]` of a site file. Compared by identity.

    `jku`: the only key set address that a token may name; empty: a token may not name one.
    `keys`: the keys of the site file; None: they are fetched from `jku`, within `policy`.
    `tenants`: the tenants of the issuer that belong to the client; empty: every token of the issuer, with or without a tenant.
    `lifetime`, `leeway`: seconds.
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
