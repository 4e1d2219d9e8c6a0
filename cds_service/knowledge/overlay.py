"""What a site may set for itself, and what it laid over the knowledge that ships."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a site may set a number of its own (local.toml)."""

    at_least: Decimal
    at_most: Decimal
    reason: str

    def contains(self, number: Decimal) -> bool:
        return self.at_least <= number <= self.at_most


@dataclass(frozen=True, slots=True)
class SignOff:
    """A named clinician of a site answers for the knowledge of one digest, the site's overlay included."""

    name: str
    role: str
    on: str
    what: str
    knowledge: str


@dataclass(frozen=True, slots=True)
class Overlay:
    """What a site laid over the knowledge that ships. `digest`: of its clinical part; empty where it changes nothing."""

    site: str
    digest: str = ""
    note: str = ""
    """A sentence of the site at the end of the overview."""
    sign_off: SignOff | None = None
    choices: tuple[str, ...] = ()
    """What the site says, one sentence each, for who has to sign it."""


NO_SITE = Overlay("")
