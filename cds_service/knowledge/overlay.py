"""The bounds of what a site may set, and what it changed in the shipped knowledge."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds, both inclusive, within which a site may set a number (local.toml)."""

    at_least: Decimal
    at_most: Decimal
    reason: str
    """Why no further."""

    def contains(self, number: Decimal) -> bool:
        """Return whether a site may set this number."""
        return self.at_least <= number <= self.at_most


@dataclass(frozen=True, slots=True)
class SignOff:
    """The signature of a clinician of a site for the knowledge of one digest, including the site's overlay."""

    name: str
    role: str
    on: str
    """Day of the signature (YYYY-MM-DD)."""
    what: str
    """What was signed, in words."""
    knowledge: str
    """Digest of the knowledge that was signed."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """What a site changed in the shipped knowledge."""

    site: str
    """Id of the site."""
    digest: str = ""
    """Digest of the clinical part of the site file; empty if it changes nothing."""
    note: str = ""
    """A sentence that the site adds at the end of the overview card."""
    sign_off: SignOff | None = None
    choices: tuple[str, ...] = ()
    """The changes, one sentence each, for the clinician who signs."""


NO_SITE = Overlay("")
