"""Map a request to a site by its authenticated caller, never by anything in the request."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from importlib import resources
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from cds_service.auth.caller import Callers, reject
from cds_service.auth.keys import fetch_keys
from cds_service.auth.refusal import Why
from cds_service.errors import Fault, SiteError
from cds_service.ledger import Ledger, open_ledger
from cds_service.settings import Settings
from cds_service.sites import Site, development_site
from cds_service.sites.clients import issuer_faults
from cds_service.sites.loader import read_site, read_sites

HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z.\-]+))(?::[0-9]{1,5})?")
SANDBOX = "sandbox"


@dataclass(frozen=True)
class SiteRegistry:
    """The sites that are served."""

    sites: tuple[Site, ...]
    callers: Callers | None = None
    """The clients that may call; None where callers are not authenticated here: the development site, or a site whose proxy
    does it."""
    local: bool = False
    """The development site: only this machine is answered, whatever address the server listens on."""

    @property
    def only_site(self) -> Site | None:
        """Return the site if there is one only, else None."""
        return self.sites[0] if len(self.sites) == 1 else None

    @property
    def site_for_anyone(self) -> Site | None:
        """Return a site for a caller that is not authenticated: any, if all have the same knowledge; else None."""
        return self.sites[0] if len({site.knowledge.digest for site in self.sites}) == 1 else None

    def site_of(self, authorization: str | None, path: str, now: float) -> Site:
        """Return the site of the caller of this path. Raises Unauthorized; Overloaded if keys or ledger are not available."""
        if self.callers is None:
            return self.sites[0]
        client = self.callers.identify_client(authorization, path, now)
        return next(site for site in self.sites if client in site.clients)

    def site_for_discovery(self, authorization: str | None, path: str, now: float) -> Site:
        """Return the site whose discovery is answered. Discovery needs no token, but one that is sent is verified.

        A token is required where the sites' prefetch templates can differ. Raises as `site_of` does.
        """
        if authorization or self.site_for_anyone is None:
            return self.site_of(authorization, path, now)
        return self.site_for_anyone

    def check_peer(self, address: str | None, host: str | None) -> None:
        """Raise Unauthorized for a request of another machine, if only this machine is served.

        `host`: the Host header. A web site whose name was pointed at this machine (DNS rebinding) is recognised by it.
        """
        if self.local and not is_this_machine(address or ""):
            raise reject(Why.NOT_THIS_MACHINE)
        if self.local and not ((named := HOST.fullmatch(host or "")) and is_this_machine(named[1] or named[2])):
            raise reject(Why.NAME_OF_ANOTHER_MACHINE)


def open_registry(settings: Settings, today: date | None = None) -> SiteRegistry:
    """Return the sites of the settings and who may call them.

    Raises SiteError with the faults of all files; ValueError for a setting that is missing or wrong.
    """
    if not (settings.profile or settings.sites):
        return SiteRegistry((link_evidence(development_site(), settings),), local=True)
    sites = tuple(link_evidence(site, settings) for site in served_sites(settings, today))
    return SiteRegistry(sites, open_callers(sites, settings, open_ledger))


def link_evidence(site: Site, settings: Settings) -> Site:
    """Return the site with the address of its evidence pages, to which its cards link."""
    base = settings.address_for_links
    return replace(site, evidence_url=f"{base}/evidence/{site.evidence_folder}") if base and site.evidence_pages else site


def served_sites(settings: Settings, today: date | None = None) -> tuple[Site, ...]:
    """Return the sites of the settings, each with a client or a proxy. Raises SiteError with the faults of all files."""
    sites = (sandbox_site(),) if settings.profile else read_sites(settings.sites, today)
    clients = [client for site in sites for client in site.clients]
    if faults := [*issuer_faults(clients), *_unguarded(sites)]:
        raise SiteError(faults)
    return sites


def open_callers(sites: tuple[Site, ...], settings: Settings, open_database: Callable[[str], Ledger]) -> Callers | None:
    """Return the callers of all sites, or None where no site has a client. Raises ValueError for a missing or wrong setting."""
    clients = [client for site in sites for client in site.clients]
    if not clients:
        return None
    if not settings.public_urls:
        raise ValueError("CDS_PUBLIC_URL is not set; tokens must be meant for the address at which callers reach the service")
    return Callers(clients, settings.public_urls, open_database(settings.database), fetch_keys)


def sandbox_site() -> Site:
    """Return the site of the CDS Hooks sandbox. Its private key is public, so anyone can call; every card says so."""
    with resources.as_file(resources.files("cds_service.sites") / "sandbox.toml") as file:
        return read_site(Path(file))


def _unguarded(sites: tuple[Site, ...]) -> Iterator[Fault]:
    """Yield a fault for each site whose callers nothing authenticates, and for a proxied site beside another."""
    for site in sites:
        if not site.clients and not site.authenticated_by_proxy:
            text = "is required; or authenticated_by_proxy = true in [site], if a proxy in front authenticates every caller"
            yield Fault(f"site {site.id}: client", text)
        if site.authenticated_by_proxy and len(sites) > 1:
            text = "must not be used together with other sites: without tokens, nothing tells their callers apart"
            yield Fault(f"site {site.id}: authenticated_by_proxy", text)


def is_this_machine(host: str) -> bool:
    """Return whether a host or address is a loopback address, or the name localhost."""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (inner or address).is_loopback
