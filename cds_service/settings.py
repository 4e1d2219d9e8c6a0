"""Settings, read once from the environment. What a standard fixes or a clinician decides is never a setting."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    allowed_origins: tuple[str, ...] = ()
    """CDS_ALLOWED_ORIGINS: browser origins that may call the service, comma-separated (none by default)."""
    max_body_bytes: int = 20_000_000
    """CDS_MAX_BODY_BYTES: largest request body; above it 413."""
    pages: bool = True
    """CDS_PAGES: `off` leaves out every page meant for people; the CDS Hooks service is the same."""
    sites: tuple[Path, ...] = ()
    """CDS_SITES: site files, separated as in PATH (none by default: this machine only)."""

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
            pages=_switch(env, "CDS_PAGES", cls.pages),
            sites=tuple(Path(part) for part in env.get("CDS_SITES", "").split(os.pathsep) if part),
        )


def _positive(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or int(text) == 0:
        raise ValueError(f"{name}: {text!r} is not a whole number above 0")
    return int(text)


def _switch(env: Mapping[str, str], name: str, default: bool) -> bool:
    text = env.get(name, "").strip().lower()
    if text not in {"", "on", "off"}:
        raise ValueError(f"{name}: {text!r} is neither on nor off")
    return default if not text else text == "on"
