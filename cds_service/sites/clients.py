"""`[[client]]` of a site file: who may call, by whose keys; and the faults of it that the schema cannot see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import Any

from cds_service.errors import Fault
from cds_service.trust.client import ALGORITHMS, LEEWAY, LIFETIME, Client
from cds_service.trust.keys import algorithms_of, fault_of, key_set
from cds_service.trust.reach import Reach

Tables = dict[str, Any]


def client_faults(tables: Tables) -> Iterator[tuple[str, str, str]]:
    """Place, what was found, what is allowed. A key is told by its place, never by its content."""
    fhir, listed = tables.get("fhir"), tables.get("client")
    loopback = isinstance(fhir, dict) and fhir.get("loopback") is True
    for place, client in enumerate(listed if isinstance(listed, list) else []):
        if not isinstance(client, dict):
            continue
        jku = client.get("jku")
        if isinstance(jku, str) and jku.startswith("http://") and not loopback:
            yield f"client.{place}.jku", "http", "https; http only for this machine, with loopback = true under [fhir]"
        keys = client.get("keys", [])
        keys = [key for key in keys if isinstance(key, dict)] if isinstance(keys, list) else []
        for number, key in enumerate(keys):
            if fault := fault_of(key):
                yield f"client.{place}.keys.{number}", fault, "a public key as a JWK with kid, of type EC or RSA"
        names = [str(key.get("kid")) for key in keys]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"client.{place}.keys", f"the kid {name!r} twice", "a kid for one key only"
        algorithms = client.get("algorithms", ALGORITHMS)
        if keys and isinstance(algorithms, list | tuple) and not any(set(algorithms_of(key)) & set(algorithms) for key in keys):
            yield f"client.{place}.algorithms", "none that the keys are for", "an algorithm of one of the keys"
    if listed and isinstance(tables.get("site"), dict) and tables["site"].get("authenticated_by_proxy") is True:
        yield "site.authenticated_by_proxy", "true beside [[client]]", "one of the two"


def clients(tables: Tables, reach: Reach) -> tuple[Client, ...]:
    """Of tables without faults. Keys of a `jku` are fetched as FHIR servers are: private addresses only in [fhir].networks."""
    return tuple(
        Client(
            site=tables["site"]["id"],
            issuer=table["iss"],
            jku=table.get("jku", ""),
            keys=key_set(table["keys"]) if "keys" in table else None,
            reach=reach,
            algorithms=frozenset(table.get("algorithms", ALGORITHMS)),
            tenants=frozenset(table.get("tenants", ())),
            lifetime=table.get("max_lifetime", LIFETIME),
            leeway=table.get("leeway", LEEWAY),
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
