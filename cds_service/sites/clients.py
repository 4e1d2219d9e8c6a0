"""Read `[[client]]` of a site file, and find the faults in it that the schema cannot see."""

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
    """Yield the faults of the `[[client]]` tables. Keys are named by their number; their content is never repeated."""
    fhir, listed = tables.get("fhir"), tables.get("client")
    loopback = isinstance(fhir, dict) and fhir.get("loopback") is True
    for number, client in enumerate(listed if isinstance(listed, list) else [], 1):
        if not isinstance(client, dict):
            continue
        if isinstance(jku := client.get("jku"), str):
            yield from _address_faults(f"client.{number}.jku", jku, loopback)
        yield from _blank_faults(client, number)
        if "keys" in client:
            for fault in _key_faults(client["keys"], client.get("algorithms", ALGORITHMS)):
                yield replace(fault, where=f"client.{number}.{fault.where}")
    if listed and isinstance(tables.get("site"), dict) and tables["site"].get("authenticated_by_proxy") is True:
        yield Fault("site.authenticated_by_proxy", "must not be used together with [[client]]; remove one of the two")


def _address_faults(where: str, jku: str, loopback: bool) -> Iterator[Fault]:
    if jku.startswith("http://") and not loopback:
        text = "must be an https address; http is only for this machine, with loopback = true under [fhir]"
        yield Fault(where, text)
    if jku.startswith(("http://", "https://")) and not _can_be_called(jku):
        yield Fault(where, "cannot be called; it needs a host, a port from 1 to 65535 and no user name")
    if _can_be_called(jku) and not is_plainly_spelt(jku):
        yield Fault(where, f"must name its server by {PLAIN_SPELLING}")
    if "#" in jku:
        yield Fault(where, "must not have a fragment (#…): it has to be the address that tokens name")


def _blank_faults(client: Tables, number: int) -> Iterator[Fault]:
    """Report blanks that would make every token of the client fail, which only the log would show."""
    if isinstance(issuer := client.get("iss"), str) and issuer and issuer != issuer.strip():
        yield Fault(f"client.{number}.iss", "must not begin or end with a blank: tokens have the issuer without it")
    tenants = client.get("tenants")
    for place, tenant in enumerate(tenants if isinstance(tenants, list) else [], 1):
        if isinstance(tenant, str) and tenant and tenant != tenant.strip():
            where = f"client.{number}.tenants.{place}"
            yield Fault(where, "must not begin or end with a blank: tokens have the tenant without it")


def _can_be_called(url: str) -> bool:
    try:
        origin_of(url)
    except CallNotAllowed:
        return False
    return True


def _key_faults(keys: object, algorithms: object) -> Iterator[Fault]:
    if not isinstance(keys, list) or not 0 < len(keys) <= MAX_KEYS:
        yield Fault("keys", f"must be a list of 1 to {MAX_KEYS} JWKs ([[client.keys]])")
        return
    faults = [fault_of(key) for key in keys]
    for number, fault in enumerate(faults, 1):
        if fault:
            yield Fault(f"keys.{number}", f"must be a public EC or RSA key as a JWK with kid; it is {fault}")
    sound = [key for key, fault in zip(keys, faults, strict=True) if not fault]
    names = [key["kid"] for key in sound]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Fault("keys", f"has two keys with the kid {name!r}; each key needs its own")
    if (
        sound
        and isinstance(algorithms, list | tuple)
        and not {a for key in sound for a in algorithms_of(key)} & set(algorithms)
    ):
        yield Fault("algorithms", "has no algorithm that one of the keys is for")


def read_clients(tables: Tables, policy: OutboundPolicy) -> tuple[Client, ...]:
    """Return the clients of tables without faults.

    The keys of a `jku` are fetched within `policy`: private addresses only if [fhir].networks lists them.
    """
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
    """Yield a fault for each two clients that one token could belong to: it must lead to one client, and so to one site."""
    for one, other in combinations(listed, 2):
        if one.issuer != other.issuer:
            continue
        if not one.tenants or not other.tenants or one.tenants & other.tenants:
            text = f"is in two [[client]] ({one.site}, {other.site}); use one, or tenants that differ"
            yield Fault(f"iss {one.issuer!r}", text)
