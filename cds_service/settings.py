"""Settings, read once from the environment. What a standard fixes or a clinician decides is never a setting."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PUBLIC_URL = re.compile(
    r"(https://[A-Za-z0-9.\-]+|http://(127\.0\.0\.1|localhost|\[::1\]))(:[0-9]{1,5})?(/[A-Za-z0-9._~\-]+)*", re.ASCII
)


@dataclass(frozen=True)
class Settings:
    allowed_origins: tuple[str, ...] = ()
    """CDS_ALLOWED_ORIGINS: browser origins that may call the service, comma-separated (none by default)."""
    max_body_bytes: int = 20_000_000
    """CDS_MAX_BODY_BYTES: largest request body; above it 413."""
    max_cpu_s: int = 10
    """CDS_MAX_CPU_SECONDS: processor time after which the judging of one chart is given up with 503."""
    pages: bool | None = None
    """CDS_PAGES: `on` or `off` for every page meant for people, which ask nobody who they are. Without it they are there
    only where there is no site file. The CDS Hooks service is the same."""
    sites: tuple[Path, ...] = ()
    """CDS_SITES: site files, separated as in PATH (none by default: this machine only)."""
    profile: str = ""
    """`serve --profile sandbox`: the public CDS Hooks sandbox instead of a site file. No variable sets it."""
    public_urls: tuple[str, ...] = ()
    """CDS_PUBLIC_URL: the address at which callers reach the service, up to /cds-services; several comma-separated. A token
    must be meant for it."""
    database: str = "sqlite:///cds-ledger.db"
    """CDS_DATABASE: where seen tokens are kept: sqlite:///FILE, or postgresql://… for several machines."""

    def shows_pages(self) -> bool:
        return not (self.sites or self.profile) if self.pages is None else self.pages

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Raises ValueError naming the variable when a value is not usable."""
        env = os.environ if environment is None else environment
        origins = tuple(part.strip() for part in env.get("CDS_ALLOWED_ORIGINS", "").split(",") if part.strip())
        for origin in origins:
            if origin != "*" and not origin.startswith(("https://", "http://")):
                raise ValueError(f"CDS_ALLOWED_ORIGINS: {origin!r} is not an origin such as https://ehr.example")
        return cls(
            allowed_origins=origins,
            max_body_bytes=_positive(env, "CDS_MAX_BODY_BYTES", cls.max_body_bytes),
            max_cpu_s=_positive(env, "CDS_MAX_CPU_SECONDS", cls.max_cpu_s),
            pages=_switch(env, "CDS_PAGES"),
            sites=tuple(Path(part) for part in env.get("CDS_SITES", "").split(os.pathsep) if part),
            public_urls=_public_urls(env),
            database=env.get("CDS_DATABASE", "") or cls.database,
        )


def _positive(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or int(text) == 0:
        raise ValueError(f"{name}: {text!r} is not a whole number above 0")
    return int(text)


def _switch(env: Mapping[str, str], name: str) -> bool | None:
    text = env.get(name, "").strip().lower()
    if text not in {"", "on", "off"}:
        raise ValueError(f"{name}: {text!r} is neither on nor off")
    return text == "on" if text else None


def _public_urls(env: Mapping[str, str]) -> tuple[str, ...]:
    """https (CH-124); http only for this machine."""
    urls = tuple(part.strip().rstrip("/") for part in env.get("CDS_PUBLIC_URL", "").split(",") if part.strip())
    for url in urls:
        if not PUBLIC_URL.fullmatch(url):
            raise ValueError(
                f"CDS_PUBLIC_URL: {url!r} is not an address such as https://cds.example or https://cds.example/nlm"
            )
        if url.endswith("/cds-services"):
            raise ValueError(f"CDS_PUBLIC_URL: {url!r}: without /cds-services, only what callers write before it")
    return urls
