"""Read a site file (TOML) into a Site. If anything in it is wrong, it is rejected with all its faults."""

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
from cds_service.knowledge.shape import describe_errors
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
from cds_service.sites.suggestions import read_suggestions, suggestion_faults

Tables = dict[str, Any]
LEFT_OUT_TOGETHER = {"code": 2, "limits": 2, "site": 1, "sign_off": 1}
"""Sections in which one wrong value takes more than itself out of the further checks: with 1 the whole section, with 2 the
whole entry that holds it. In other sections only the wrong value is left out."""


def read_sites(paths: Iterable[Path], today: date | None = None) -> tuple[Site, ...]:
    """Return one site for each file. Raises SiteError with the faults of all files."""
    found: list[Site] = []
    faults: list[Fault] = []
    for path in paths:
        try:
            found.append(read_site(path, today))
        except SiteError as error:
            faults += error.faults
    names = [site.id for site in found]
    faults += [Fault("site.id", f"is {name!r} in two site files") for name in sorted(set(names)) if names.count(name) > 1]
    faults += _shared_origins(found)
    if faults:
        raise SiteError(faults)
    return tuple(found)


def _shared_origins(sites: Iterable[Site]) -> Iterator[Fault]:
    """Yield a fault for each server in two sites.

    A caller names the path on an allowed server, so it could have its token sent to a path of the other site.
    """
    for one, other in combinations(sites, 2):
        for origin in sorted(set(one.policy.origins) & set(other.policy.origins)):
            text = f"has {origin} in two sites ({one.id}, {other.id}); remove it from one, or run a service for each site"
            yield Fault("fhir.origins", text)


def read_site(path: Path, today: date | None = None) -> Site:
    """Return the site of a file. `today`: the latest day on which it can have been signed.

    Raises SiteError with every fault of the file.
    """
    try:
        return _read(path, today)
    except RecursionError:
        raise SiteError([Fault(path.name, "has tables that are nested too deeply to be read")]) from None


def _read(path: Path, today: date | None) -> Site:
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SiteError([Fault(str(path), f"cannot be read ({error.strerror or type(error).__name__})")]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SiteError([Fault(str(path), f"is not TOML in UTF-8: {error}")]) from None
    misfits = list(_validator().iter_errors(tables))
    faults = describe_errors(path.name, misfits)
    laid, clinical = lay_over(knowledge.load(), _fitting(tables, misfits), today)
    unoffered = suggestion_faults(tables.get("suggestions"), laid)
    for fault in (*_fhir_faults(tables.get("fhir"), path.parent), *client_faults(tables), *unoffered, *clinical):
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
        suggestions=read_suggestions(tables.get("suggestions")),
        evidence_pages=site.get("evidence_pages", True),
        evidence_folder=f"{site['id']}/",
    )


def _fitting(tables: Tables, misfits: Iterable[jsonschema.ValidationError]) -> Tables:
    """Return the clinical part without the entries that do not fit the schema, so that the others are still checked.

    Entries of [[code]] keep their numbers: one that is left out becomes None.
    """
    kept: Tables = copy.deepcopy(tables)
    for misfit in misfits:
        path = list(misfit.absolute_path)
        if not path or path[0] not in (*CLINICAL, "site", "sign_off"):
            continue
        if path == ["wording"] and misfit.validator == "additionalProperties":
            continue  # the known keys of the table are still checked
        *above, last = path[: LEFT_OUT_TOGETHER.get(str(path[0]), len(path))]
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
    """Yield the faults that the schema cannot see, such as plain http to another machine (CH-30)."""
    if not isinstance(fhir, dict):
        return
    for number, origin in _numbered_strings(fhir.get("origins")):
        where = f"fhir.origins.{number}"
        try:
            if not is_plainly_spelt(origin):
                yield Fault(where, f"is {origin!r}; it must name its server by {PLAIN_SPELLING}")
        except CallNotAllowed:
            if origin.startswith(("http://", "https://")) and "@" not in origin:  # other origins do not fit the schema
                yield Fault(where, f"is {origin!r}, which cannot be called; an example: https://fhir.north.example")
            continue
        host = origin.split("://")[-1].rsplit(":", 1)[0].strip("[]")
        if origin.startswith("http://") and not (fhir.get("loopback") is True and host in {"127.0.0.1", "::1", "localhost"}):
            yield Fault(where, f"is {origin!r}, and must be https; http is only for this machine, with loopback = true")
    for number, text in _numbered_strings(fhir.get("networks")):
        where = f"fhir.networks.{number}"
        try:
            network = ipaddress.ip_network(text)
        except ValueError:
            yield Fault(where, f"is {text!r}, and must be a network such as 10.20.0.0/16")
            continue
        if network.is_loopback or network.is_link_local or not network.is_private or _is_never_a_hospitals(network):
            yield Fault(where, f"is {text!r}, and must be a private network that is neither loopback nor link-local")
    if isinstance(fhir.get("seconds"), float) and isnan(fhir["seconds"]):  # no bound of the schema excludes nan
        yield Fault("fhir.seconds", "must be a number from 0.1 to 10, not nan")
    ca_file = fhir.get("ca_file")
    if isinstance(ca_file, str) and not _holds_certificates(folder / ca_file):
        text = f"is {ca_file!r}, which holds no certificates (PEM) that can be read; its path counts from the site file"
        yield Fault("fhir.ca_file", text)


def _is_never_a_hospitals(network: Network) -> bool:
    """Return whether no hospital can have the network: 0.0.0.0/8, 240.0.0.0/4, and IPv6 ranges that carry IPv4 addresses.

    Python counts these as private.
    """
    if isinstance(network, ipaddress.IPv4Network):
        return network.is_reserved or network.network_address.packed[0] == 0
    return any(network.overlaps(carrier) for carrier in CARRIERS_OF_IPV4)


def _holds_certificates(file: Path) -> bool:
    """Return whether TLS can read the file; if not, every call would fail later."""
    try:
        ssl.create_default_context(cafile=str(file))
    except (OSError, ValueError):  # an ssl.SSLError is an OSError
        return False
    return True


def _numbered_strings(items: Any) -> list[tuple[int, str]]:
    """Return the strings of a list with their places, counted from 1."""
    return [(number, item) for number, item in enumerate(items, 1) if isinstance(item, str)] if isinstance(items, list) else []


def _reach(fhir: Tables | None, folder: Path) -> OutboundPolicy:
    """Return the policy of `[fhir]`. Without it the site answers from prefetch alone, and nothing may be called."""
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
