"""Check where the service may listen, and describe who may call it."""

from __future__ import annotations

from dataclasses import replace

from cds_service.gunicorn_server import format_address
from cds_service.settings import Settings
from cds_service.sites.registry import SANDBOX, SiteRegistry, is_this_machine

SANDBOX_ORIGIN = "https://sandbox.cds-hooks.org"
"""The sandbox calls from a browser, and so needs CORS."""


def check_listening(settings: Settings, host: str, port: int) -> Settings:
    """Return the settings for this address; those of the sandbox profile with its origin and, on this machine, its public URLs.
    Cards link to the service by an address of this machine only if no public URL is set.

    Raises ValueError for an address beyond this machine without a site file or profile, and for a profile with a site file.
    """
    here = is_this_machine(host)
    if settings.profile and settings.sites:
        raise ValueError(f"--profile {settings.profile} cannot be used with a site file: anyone can call as the sandbox")
    if not (settings.profile or settings.sites or here):
        raise ValueError(
            f"--host {host} needs a site file, which lists who may call: --site FILE or CDS_SITES. Without one the service "
            "listens on this machine only. To try it with the public CDS Hooks sandbox: --profile sandbox"
        )
    settings = replace(settings, listens_at=f"http://{format_address(host, port)}" if here else "")
    if not settings.profile:
        return settings
    names = (f"http://127.0.0.1:{port}", f"http://localhost:{port}") if here else ()
    return replace(
        settings,
        public_urls=settings.public_urls or names,
        allowed_origins=(*settings.allowed_origins, SANDBOX_ORIGIN),
    )


def describe_evidence(registry: SiteRegistry, settings: Settings) -> str:
    """Return a sentence on where the evidence pages are, printed when the service starts."""
    if not any(site.evidence_pages for site in registry.sites):
        return "Evidence pages: turned off by the site file; cards do not link to them."
    if not settings.address_for_links:
        return "Evidence pages: at /evidence/, but cards do not link to them, as CDS_PUBLIC_URL is not set."
    return f"Evidence pages: {', '.join(site.evidence_url for site in registry.sites if site.evidence_pages)}"


def describe_access(registry: SiteRegistry, settings: Settings) -> str:
    """Return a sentence on who may call, printed when the service starts."""
    names = ", ".join(site.id for site in registry.sites)
    if registry.local:
        return "No site file: only this machine may call and be called, and callers are not authenticated (development)."
    if settings.profile == SANDBOX:
        return "Profile sandbox: anyone can call as the public CDS Hooks sandbox. Never with a patient's data."
    if registry.callers is None:
        return f"Site {names}: callers are NOT authenticated here; the proxy in front has to authenticate them."
    return f"Sites: {names}. Callers need a token whose audience begins with {' or '.join(settings.public_urls)}."
