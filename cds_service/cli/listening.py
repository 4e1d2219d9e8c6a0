"""Where the service may listen, and what it reports when it starts."""

from __future__ import annotations

from dataclasses import replace

from cds_service.settings import Settings
from cds_service.sites.registry import SANDBOX, SiteRegistry, is_this_machine

SANDBOX_ORIGIN = "https://sandbox.cds-hooks.org"
"""The sandbox calls from the browser, and so needs CORS."""


def check_listening(settings: Settings, host: str, port: int) -> Settings:
    """Beyond this machine only with a site file, or the sandbox by its name. Raises ValueError.

    The sandbox on this machine knows its own address.
    """
    here = is_this_machine(host)
    if settings.profile and settings.sites:
        raise ValueError(f"--profile {settings.profile}: never beside a site file, as anyone can call as the sandbox")
    if not (settings.profile or settings.sites or here):
        raise ValueError(
            f"--host {host}: beyond this machine only with a site file, which says who may call: --site FILE or CDS_SITES. "
            "To try the service with the public CDS Hooks sandbox: --profile sandbox"
        )
    if not settings.profile:
        return settings
    names = (f"http://127.0.0.1:{port}", f"http://localhost:{port}") if here else ()
    return replace(
        settings,
        public_urls=settings.public_urls or names,
        allowed_origins=(*settings.allowed_origins, SANDBOX_ORIGIN),
    )


def describe_access(registry: SiteRegistry, settings: Settings) -> str:
    """Who may call, in a sentence for whoever starts the service."""
    names = ", ".join(site.id for site in registry.sites)
    if registry.local:
        return "No site file: a development site. Only this machine may call and be called; callers are not authenticated."
    if settings.profile == SANDBOX:
        return "Profile sandbox: anyone can call as the public CDS Hooks sandbox. Never with a patient's data."
    if registry.callers is None:
        return f"Site {names}: callers are NOT authenticated here; the proxy in front has to do it."
    return f"Sites: {names}. Callers are told by tokens that are meant for {' or '.join(settings.public_urls)}."
