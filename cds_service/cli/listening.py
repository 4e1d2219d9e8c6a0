"""Check where the service may listen, and describe who may call it."""

from __future__ import annotations

from dataclasses import replace

from cds_service.settings import Settings
from cds_service.sites.registry import SANDBOX, SiteRegistry, is_this_machine

SANDBOX_ORIGIN = "https://sandbox.cds-hooks.org"
"""The sandbox calls from a browser, and so needs CORS."""


def check_listening(settings: Settings, host: str, port: int) -> Settings:
    """Return the settings for this address; those of the sandbox profile with its origin and, on this machine, its public URLs.

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
    if not settings.profile:
        return settings
    names = (f"http://127.0.0.1:{port}", f"http://localhost:{port}") if here else ()
    return replace(
        settings,
        public_urls=settings.public_urls or names,
        allowed_origins=(*settings.allowed_origins, SANDBOX_ORIGIN),
    )


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
