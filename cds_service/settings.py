"""Settings, read once from the environment. Nothing that a standard fixes or a clinician decides is a setting."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PUBLIC_URL = re.compile(
    r"(https://[A-Za-z0-9.\-]+|http://(127\.0\.0\.1|localhost|\[::1\]))(:[0-9]{1,5})?(/[A-Za-z0-9._~\-]+)*", re.ASCII
)

PROXY_VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")


@dataclass(frozen=True)
class Settings:
    """The settings of the service; each names its environment variable."""

    allowed_origins: tuple[str, ...] = ()
    """CDS_ALLOWED_ORIGINS: browser origins that may call the service, comma-separated. Default: none."""
    max_body_bytes: int = 20_000_000
    """CDS_MAX_BODY_BYTES: largest request body; a larger body gets 413."""
    max_cpu_s: int = 10
    """CDS_MAX_CPU_SECONDS: processor time after which the evaluation of one chart is stopped with 503."""
    pages: bool | None = None
    """CDS_PAGES: `on` or `off` for the pages for people, which have no authentication. Default: on only without a site file.
    Does not affect the CDS Hooks endpoints."""
    sites: tuple[Path, ...] = ()
    """CDS_SITES: site files, separated as in PATH. Default: none; then only this machine is answered."""
    profile: str = ""
    """`serve --profile sandbox`: the public CDS Hooks sandbox, instead of a site file. Has no environment variable."""
    public_urls: tuple[str, ...] = ()
    """CDS_PUBLIC_URL: the URL by which callers reach the service, without /cds-services; several comma-separated. The `aud`
    claim of a token must match it."""
    listens_at: str = ""
    """The address that the service listens on, if it is one of this machine. Has no environment variable."""
    fhir_token: str = field(default="", repr=False)
    """CDS_FHIR_TOKEN: an access token of the FHIR server, for `check-site` alone."""
    proxy_variables: tuple[str, ...] = ()
    """HTTPS_PROXY and the like, by name, where set: the service uses no proxy, and `check-site` says so."""
    database: str = "sqlite:///cds-ledger.db"
    """CDS_DATABASE: stores seen tokens and fetched key sets: sqlite:///FILE, or postgresql://… for several machines."""

    def shows_pages(self) -> bool:
        """Return whether the pages for people are served."""
        return not (self.sites or self.profile) if self.pages is None else self.pages

    @property
    def address_for_links(self) -> str:
        """Return the address with which links to the service begin: the first public URL, else the address that it listens on;
        "" if there is neither."""
        return self.public_urls[0] if self.public_urls else self.listens_at

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from the environment. Raises ValueError, naming the variable, if a value is invalid."""
        env = os.environ if environment is None else environment
        origins = tuple(part.strip() for part in env.get("CDS_ALLOWED_ORIGINS", "").split(",") if part.strip())
        for origin in origins:
            if origin != "*" and not origin.startswith(("https://", "http://")):
                raise ValueError(f"CDS_ALLOWED_ORIGINS must list origins such as https://ehr.example, not {origin!r}")
        return cls(
            allowed_origins=origins,
            max_body_bytes=_positive(env, "CDS_MAX_BODY_BYTES", cls.max_body_bytes),
            max_cpu_s=_positive(env, "CDS_MAX_CPU_SECONDS", cls.max_cpu_s),
            pages=_switch(env, "CDS_PAGES"),
            sites=tuple(Path(part) for part in env.get("CDS_SITES", "").split(os.pathsep) if part),
            public_urls=_public_urls(env),
            database=env.get("CDS_DATABASE", "") or cls.database,
            fhir_token=env.get("CDS_FHIR_TOKEN", "").strip(),
            proxy_variables=tuple(name for name in PROXY_VARIABLES if env.get(name) or env.get(name.lower())),
        )


def _positive(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or int(text) == 0:
        raise ValueError(f"{name} must be a whole number above 0, not {text!r}")
    return int(text)


def _switch(env: Mapping[str, str], name: str) -> bool | None:
    text = env.get(name, "").strip().lower()
    if text not in {"", "on", "off"}:
        raise ValueError(f"{name} must be on or off, not {text!r}")
    return text == "on" if text else None


def _public_urls(env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the public URLs: https (CH-124), or http for this machine."""
    urls = tuple(part.strip().rstrip("/") for part in env.get("CDS_PUBLIC_URL", "").split(",") if part.strip())
    for url in urls:
        if not PUBLIC_URL.fullmatch(url):
            raise ValueError(
                f"CDS_PUBLIC_URL must be a URL such as https://cds.example or https://cds.example/nlm, not {url!r}"
            )
        if url.endswith("/cds-services"):
            raise ValueError(f"CDS_PUBLIC_URL must not include /cds-services, as {url!r} does")
    return urls
