"""A site file (TOML) → a Site. Refused whole when anything is wrong, with every fault at once."""

from __future__ import annotations

import copy
import ipaddress
import json
import ssl
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date
from functools import cache
from importlib import resources
from itertools import combinations
from math import isnan
from pathlib import Path
from typing import Any

import jsonschema

from cds_service import knowledge
from cds_service.errors import Fault, SiteError
from cds_service.knowledge.shape import describe_error
from cds_service.outbound.policy import (
    CARRIERS_OF_IPV4,
    PLAIN_SPELLING,
    CallNotAllowed,
    Network,
    OutboundPolicy,
    is_plainly_spelt,
    origin_of,
)
from cds_service.sites import Site
from cds_service.sites.clients import client_faults, read_clients
from cds_service.sites.overlay import CLINICAL, lay_over

Tables = dict[str, Any]
WHOLE_FILE = {"code": 2, "limits": 2, "site": 1, "sign_off": 1}
"""Section → how deep the tables lie that are read whole or not at all."""


def read_sites(paths: Iterable[Path], today: date | None = None) -> tuple[Site, ...]:
    """One site a file. Raises SiteError with the faults of all files."""
    found: list[Site] = []
    faults: list[Fault] = []
    for path in paths:
        try:
            found.append(read_site(path, today))
        except SiteError as error:
            faults += error.faults
    names = [site.id for site in found]
    faults += [
        Fault("site.id", repr(name), "an id that no other site file has") for name in set(names) if names.count(name) > 1
    ]
    faults += _shared_origins(found)
    if faults:
        raise SiteError(faults)
    return tuple(found)


def _shared_origins(sites: Iterable[Site]) -> Iterator[Fault]:
    """A caller names the path on an allowed server, so its token could be sent to what the other site has there."""
    for one, other in combinations(sites, 2):
        for origin in sorted(set(one.policy.origins) & set(other.policy.origins)):
            where = f"origins: {origin}"
            yield Fault(where, f"in two sites ({one.id}, {other.id})", "a server of one site only, or a service for each site")


def read_site(path: Path, today: date | None = None) -> Site:
    """Raises SiteError. `today`: the day after which nobody can have signed yet."""
    try:
        return _read(path, today)
    except RecursionError:
        raise SiteError([Fault(str(path), "tables within tables, too deep to be read", "the tables of a site file")]) from None


def _read(path: Path, today: date | None) -> Site:
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SiteError([Fault(str(path), error.strerror or "no file", "a readable file")]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SiteError([Fault(str(path), str(error), "TOML in UTF-8")]) from None
    misfits = sorted(_validator().iter_errors(tables), key=lambda e: [str(step) for step in e.absolute_path])
    faults = [fault for misfit in misfits for fault in describe_error(path.name, misfit)]
    laid, clinical = lay_over(knowledge.load(), _fitting(tables, misfits), today)
    for fault in (*_fhir_faults(tables.get("fhir"), path.parent), *client_faults(tables), *clinical):
        faults.append(replace(fault, where=f"{path.name}: {fault.where}"))
    if faults:
        raise SiteError(faults)
    site = tables["site"]
    policy = _reach(tables.get("fhir"), path.parent)
    return Site(
        id=site["id"],
        title=site["title"],
        knowledge=laid,
        policy=policy,
        clients=read_clients(tables, policy),
        authenticated_by_proxy=site.get("authenticated_by_proxy", False),
        banner=site.get("banner", ""),
    )


def _fitting(tables: Tables, misfits: Iterable[jsonschema.ValidationError]) -> Tables:
    """The clinical part without the entries that do not fit the schema: the faults of the others are told all the same.

    Entries of [[code]] keep their numbers: None stands for one that is left out.
    """
    kept: Tables = copy.deepcopy(tables)
    for misfit in misfits:
        path = list(misfit.absolute_path)
        if not path or path[0] not in (*CLINICAL, "site", "sign_off"):
            continue
        if path == ["wording"] and misfit.validator == "additionalProperties":
            continue  # the keys beside the unknown one are looked at
        *above, last = path[: WHOLE_FILE.get(str(path[0]), len(path))]
        part: Any = kept
        for step in above:
            part = part.get(step, {})
        if isinstance(part, list):
            part[int(last)] = None
        else:
            part.pop(last, None)
    return kept


@cache
def _validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(
        json.loads((resources.files("cds_service.sites") / "schema.json").read_text("utf-8"))
    )


def _fhir_faults(fhir: Any, folder: Path) -> Iterator[Fault]:
    """What the schema cannot see: addresses that are none, plain http beyond this machine (CH-30)."""
    if not isinstance(fhir, dict):
        return
    for origin in _strings(fhir.get("origins")):
        try:
            if not is_plainly_spelt(origin):
                yield Fault("fhir.origins", repr(origin), PLAIN_SPELLING)
        except CallNotAllowed:
            if origin.startswith(("http://", "https://")) and "@" not in origin:  # else the schema has told it
                yield Fault("fhir.origins", repr(origin), "an address that can be called, such as https://fhir.north.example")
            continue
        host = origin.split("://")[-1].rsplit(":", 1)[0].strip("[]")
        if origin.startswith("http://") and not (fhir.get("loopback") is True and host in {"127.0.0.1", "::1", "localhost"}):
            yield Fault("fhir.origins", repr(origin), "https; http only for this machine, with loopback = true")
    for text in _strings(fhir.get("networks")):
        try:
            network = ipaddress.ip_network(text)
        except ValueError:
            yield Fault("fhir.networks", repr(text), "a network such as 10.20.0.0/16")
            continue
        if network.is_loopback or network.is_link_local or not network.is_private or _is_nobodys(network):
            yield Fault("fhir.networks", repr(text), "a private network; loopback and link-local ones are no choice here")
    if isinstance(fhir.get("seconds"), float) and isnan(fhir["seconds"]):  # neither above nor below a bound
        yield Fault("fhir.seconds", "nan", "a number from 0.1 to 10")
    ca_file = fhir.get("ca_file")
    if isinstance(ca_file, str) and not _holds_certificates(folder / ca_file):
        yield Fault("fhir.ca_file", repr(ca_file), "a file of certificates (PEM), by its path from the site file")


def _is_nobodys(network: Network) -> bool:
    """0.0.0.0/8, 240.0.0.0/4 and what of IPv6 carries IPv4 addresses: Python calls them private, and no hospital has them."""
    if isinstance(network, ipaddress.IPv4Network):
        return network.is_reserved or network.network_address.packed[0] == 0
    return any(network.overlaps(carrier) for carrier in CARRIERS_OF_IPV4)


def _holds_certificates(file: Path) -> bool:
    """As TLS will read it: else every call would fail, and only then."""
    try:
        ssl.create_default_context(cafile=str(file))
    except (OSError, ValueError):  # an ssl.SSLError is an OSError
        return False
    return True


def _strings(items: Any) -> list[str]:
    return [item for item in items if isinstance(item, str)] if isinstance(items, list) else []


def _reach(fhir: Tables | None, folder: Path) -> OutboundPolicy:
    """Without [fhir] the site answers from prefetch alone: nothing may be called."""
    if fhir is None:
        return OutboundPolicy()
    networks: tuple[Network, ...] = tuple(ipaddress.ip_network(text) for text in fhir.get("networks", ()))
    return OutboundPolicy(
        origins=tuple(dict.fromkeys(map(origin_of, fhir["origins"]))),  # as calls are compared: no default port
        networks=networks,
        loopback=fhir.get("loopback", False),
        open=fhir.get("open", False),
        seconds=float(fhir.get("seconds", OutboundPolicy.seconds)),
        ca_file=folder / fhir["ca_file"] if "ca_file" in fhir else None,
    )
