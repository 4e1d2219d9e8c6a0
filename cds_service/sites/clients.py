"""`[[client]]` of a site file: who may call, by whose keys; and the faults of it that the schema cannot see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import combinations
from typing import Any

from cds_service.auth.client import ALGORITHMS, LEEWAY_S, MAX_LIFETIME_S, Client
from cds_service.auth.keys import MAX_KEYS, algorithms_of, fault_of, key_set
from cds_service.errors import Fault
from cds_service.outbound.policy import PLAIN_SPELLING, CallNotAllowed, OutboundPolicy, is_plainly_spelt, origin_of

Tables = dict[str, Any]


def client_faults(tables: Tables) -> Iterator[Fault]:
    """A key is told by its place, never by its content."""
    fhir, listed = tables.get("fhir"), tables.get("client")
    loopback = isinstance(fhir, dict) and fhir.get("loopback") is True
    for place, client in enumerate(listed if isinstance(listed, list) else []):
        if not isinstance(client, dict):
            continue
        jku = client.get("jku")
        if isinstance(jku, str) and jku.startswith("http://") and not loopback:
            yield Fault(f"client.{place}.jku", "http", "https; http only for this machine, with loopback = true under [fhir]")
        if isinstance(jku, str) and jku.startswith(("http://", "https://")) and not _can_be_called(jku):
            yield Fault(f"client.{place}.jku", "an address that cannot be called", "a host, a port that there can be, no user")
        if isinstance(jku, str) and _can_be_called(jku) and not is_plainly_spelt(jku):
            yield Fault(f"client.{place}.jku", "another spelling of its server", PLAIN_SPELLING)
        if isinstance(jku, str) and "#" in jku:
            yield Fault(f"client.{place}.jku", "a fragment", "an address without #, as tokens name it")
        yield from _blanks(client, place)
        if "keys" in client:
            for fault in _key_faults(client["keys"], client.get("algorithms", ALGORITHMS)):
                yield replace(fault, where=f"client.{place}.{fault.where}")
    if listed and isinstance(tables.get("site"), dict) and tables["site"].get("authenticated_by_proxy") is True:
        yield Fault("site.authenticated_by_proxy", "true beside [[client]]", "one of the two")


def _blanks(client: Tables, place: int) -> Iterator[Fault]:
    """No token would ever fit, and only the log would tell."""
    if isinstance(issuer := client.get("iss"), str) and issuer and issuer != issuer.strip():
        yield Fault(f"client.{place}.iss", "blanks at an end", "the issuer as its tokens write it")
    tenants = client.get("tenants")
    for number, tenant in enumerate(tenants if isinstance(tenants, list) else []):
        if isinstance(tenant, str) and tenant and tenant != tenant.strip():
            yield Fault(f"client.{place}.tenants.{number}", "blanks at an end", "the tenant as its tokens write it")


def _can_be_called(url: str) -> bool:
    try:
        origin_of(url)
    except CallNotAllowed:
        return False
    return True


def _key_faults(keys: object, algorithms: object) -> Iterator[Fault]:
    if not isinstance(keys, list) or not 0 < len(keys) <= MAX_KEYS:
        yield Fault("keys", "something else", f"a list of at most {MAX_KEYS} JWKs: [[client.keys]]")
        return
    faults = [fault_of(key) for key in keys]
    for number, fault in enumerate(faults):
        if fault:
            yield Fault(f"keys.{number}", fault, "a public key as a JWK with kid, of type EC or RSA")
    sound = [key for key, fault in zip(keys, faults, strict=True) if not fault]
    names = [key["kid"] for key in sound]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Fault("keys", f"the kid {name!r} twice", "a kid for one key only")
    if (
        sound
        and isinstance(algorithms, list | tuple)
        and not {a for key in sound for a in algorithms_of(key)} & set(algorithms)
    ):
        yield Fault("algorithms", "none that the keys are for", "an algorithm of one of the keys")


def read_clients(tables: Tables, policy: OutboundPolicy) -> tuple[Client, ...]:
    """Of tables without faults. Keys of a `jku` are fetched as FHIR servers are: private addresses only in [fhir].networks."""
    return tuple(
        Client(
            site=tables["site"]["id"],
            issuer=table["iss"],
            jku=table.get("jku", ""),
            keys=key_set(table["keys"]) if "keys" in table else None,
            policy=policy,
            algorithms=frozenset(table.get("algorithms", ALGORITHMS)),
            tenants=frozenset(table.get("tenants", ())),
            lifetime=table.get("max_lifetime", MAX_LIFETIME_S),
            leeway=table.get("leeway", LEEWAY_S),
        )
        for table in tables.get("client", ())
    )


def issuer_faults(listed: Iterable[Client]) -> Iterator[Fault]:
    """Of all sites together: a token must lead to one client, and so to one site."""
    for one, other in combinations(listed, 2):
        if one.issuer != other.issuer:
            continue
        if not one.tenants or not other.tenants or one.tenants & other.tenants:
            where = f"iss {one.issuer!r}"
            yield Fault(where, f"in two [[client]] ({one.site}, {other.site})", "one, or tenants that tell them apart")
