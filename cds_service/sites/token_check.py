"""Tell an integrator why the service refuses a client's token. Only the command line uses it: HTTP answers stay generic."""

from __future__ import annotations

from dataclasses import dataclass

from cds_service.auth.caller import Callers
from cds_service.auth.refusal import UNDECIDED, Refusal
from cds_service.ledger import ReadOnlyLedger, open_read_only
from cds_service.settings import Settings
from cds_service.sites import Site
from cds_service.sites.registry import open_callers


@dataclass(frozen=True)
class TokenReport:
    """What the service would do with a token, and why."""

    accepted: bool
    refusals: tuple[Refusal, ...]
    not_checked: tuple[str, ...]
    issuer: str
    """The issuer of the client, as in the site file; empty if no client has the token's issuer."""
    site: str
    """The id of the client's site; empty like `issuer`."""
    database_exists: bool

    def lines(self) -> list[str]:
        """Return the report for a terminal, one line for each reason."""
        client = f" (client {self.issuer} of site {self.site})" if self.issuer else ""
        if self.accepted:
            found = [f"accepted{client}. Nothing was recorded: the token can still be used once."]
        else:
            status = 503 if self.refusals and self.refusals[0].word in UNDECIDED else 401
            count = f"{len(self.refusals)} reason{'s'[: len(self.refusals) != 1]}"
            found = [f"refused with {status}, {count}{client}. The log of the service has the first one."]
            found += [f"  {refusal.word}: {refusal.text}" for refusal in self.refusals]
        found += [f"  not checked: {part}, because of what is refused above" for part in self.not_checked]
        if not self.database_exists:
            found.append("  note: the database of CDS_DATABASE does not exist yet, so no token counts as used.")
        return found


def check_token(token: str, path: str, sites: tuple[Site, ...], settings: Settings, now: float) -> TokenReport:
    """Check a token as the service would for a call of `path`, and go on after the first refusal.

    The token is not recorded as seen. Raises ValueError for a setting that is missing or wrong, and for a site without clients.
    """
    opened: list[ReadOnlyLedger] = []

    def open_database(address: str) -> ReadOnlyLedger:
        opened.append(open_read_only(address))
        return opened[0]

    callers: Callers | None = open_callers(sites, settings, open_database)
    if callers is None:
        raise ValueError("the site file has no [[client]]: the service checks no token there")
    found, refusals = callers.list_refusals(_authorization_header(token), path, now)
    return TokenReport(
        found.accepted is not None,
        tuple(refusals),
        tuple(found.not_checked),
        found.client.issuer if found.client else "",
        found.client.site if found.client else "",
        opened[0].exists,
    )


def _authorization_header(text: str) -> str:
    """Accept the token alone, with `Bearer`, or the whole header line."""
    words = text.split()
    if words and words[0].lower() == "authorization:":
        words = words[1:]
    if words and words[0].lower() == "bearer":
        words = words[1:]
    return f"Bearer {' '.join(words)}" if words else ""
