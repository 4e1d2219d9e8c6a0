"""Which sites are served, and whose a request is: the site of the caller that signed it, never one that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from importlib import resources
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from cds_service.auth.caller import Callers, reject
from cds_service.auth.keys import fetch_keys
from cds_service.errors import Fault, SiteError
from cds_service.ledger import open_ledger
from cds_service.settings import Settings
from cds_service.sites import Site, development_site
from cds_service.sites.clients import issuer_faults
from cds_service.sites.loader import read_site, read_sites

HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z.\-]+))(?::[0-9]{1,5})?")
SANDBOX = "sandbox"


@dataclass(frozen=True)
class SiteRegistry:
    """`callers`: who may call; None where nobody is told apart: the development site, or one behind a proxy that does it."""

    sites: tuple[Site, ...]
    callers: Callers | None = None
    local: bool = False
    """The development site: only this machine is answered, whatever address the server listens on."""

    @property
    def only_site(self) -> Site | None:
        return self.sites[0] if len(self.sites) == 1 else None

    @property
    def site_for_anyone(self) -> Site | None:
        """The site by which to answer somebody unknown: any, if all judge by the same knowledge; else nobody can say."""
        return self.sites[0] if len({site.knowledge.digest for site in self.sites}) == 1 else None

    def site_of(self, authorization: str | None, path: str, now: float) -> Site:
        """The site of whoever calls this path. Raises Unauthorized; Overloaded when the ledger does not answer."""
        if self.callers is None:
            return self.sites[0]
        client = self.callers.identify_client(authorization, path, now)
        return next(site for site in self.sites if client in site.clients)

    def site_for_discovery(self, authorization: str | None, path: str, now: float) -> Site:
        """Discovery is open; but a token that comes is checked, and where sites differ in what they ask, one has to come."""
        if authorization or self.site_for_anyone is None:
            return self.site_of(authorization, path, now)
        return self.site_for_anyone

    def check_peer(self, address: str | None, host: str | None) -> None:
        """Raises Unauthorized for another machine than this one, if only this one is served. `host`: the header. A browser
        of this machine names a web site there whose name was made to lead to us (DNS rebinding)."""
        if self.local and not is_this_machine(address or ""):
            raise reject("no site file, and not of this machine")
        if self.local and not ((named := HOST.fullmatch(host or "")) and is_this_machine(named[1] or named[2])):
            raise reject("no site file, and called by another name than this machine's")


def open_registry(settings: Settings, today: date | None = None) -> SiteRegistry:
    """Raises SiteError with every fault of all files together; ValueError for a setting that is missing or wrong."""
    if settings.profile:
        sites: tuple[Site, ...] = (sandbox_site(),)
    elif settings.sites:
        sites = read_sites(settings.sites, today)
    else:
        return SiteRegistry((development_site(),), local=True)
    clients = [client for site in sites for client in site.clients]
    if faults := [*issuer_faults(clients), *_unguarded(sites)]:
        raise SiteError(faults)
    if not clients:
        return SiteRegistry(sites)
    if not settings.public_urls:
        raise ValueError("CDS_PUBLIC_URL: not set; callers sign for the address at which they reach the service")
    return SiteRegistry(sites, Callers(clients, settings.public_urls, open_ledger(settings.database), fetch_keys))


def sandbox_site() -> Site:
    """Anyone can call as the sandbox, whose private key is public; every card says so."""
    with resources.as_file(resources.files("cds_service.sites") / "sandbox.toml") as file:
        return read_site(Path(file))


def _unguarded(sites: tuple[Site, ...]) -> Iterator[Fault]:
    """A site that anyone could call is asked for by name, and stands alone."""
    for site in sites:
        if not site.clients and not site.authenticated_by_proxy:
            allowed = "[[client]]; or, if a proxy in front authenticates every caller, authenticated_by_proxy = true in [site]"
            yield Fault(f"site {site.id}: client", "nothing", allowed)
        if site.authenticated_by_proxy and len(sites) > 1:
            yield Fault(
                f"site {site.id}: authenticated_by_proxy", "other sites beside it", "this site alone: nothing tells them apart"
            )


def is_this_machine(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (inner or address).is_loopback
