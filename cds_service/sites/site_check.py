"""Try the settings, the database and the key sets of a site before it goes live, and report every fault in one run.

Only the command line uses it. All calls go through the session and the policy that the service uses.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from time import monotonic

from cds_service.auth.client import Client
from cds_service.auth.keys import KeySet, fetch_keys, read_keys, unusable_keys
from cds_service.ledger import DatabaseState, try_writing
from cds_service.outbound.diagnosis import describe_failure, may_need_proxy
from cds_service.outbound.policy import CallFailed, OutboundPolicy, origin_of
from cds_service.outbound.session import FETCH_SHARE_OF_DEADLINE
from cds_service.settings import Settings
from cds_service.sites import Site

CHECK_DEADLINE_S = 10
"""Seconds for one call. What takes longer than the service waits, but less than this, is reported as slow."""


class Outcome(StrEnum):
    """The first word of a line."""

    OK = "ok"
    FAULT = "fault"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Check:
    """One line: what was checked, and the result as a sentence about it."""

    outcome: Outcome
    subject: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.outcome:<8}{self.subject} {self.sentence}"


def report_ok(subject: str, sentence: str) -> Check:
    return Check(Outcome.OK, subject, sentence)


def report_fault(subject: str, sentence: str) -> Check:
    return Check(Outcome.FAULT, subject, sentence)


def report_skip(subject: str, sentence: str) -> Check:
    return Check(Outcome.SKIPPED, subject, sentence)


def service_limit_s(policy: OutboundPolicy) -> float:
    """Return the seconds that the service waits for all calls of one hook request."""
    return policy.seconds * FETCH_SHARE_OF_DEADLINE


def policy_with_time(policy: OutboundPolicy) -> OutboundPolicy:
    """Return the same policy with time enough to tell a slow server from a silent one."""
    return replace(policy, seconds=max(policy.seconds, CHECK_DEADLINE_S / FETCH_SHARE_OF_DEADLINE))


def describe_delay(seconds: float, policy: OutboundPolicy) -> str:
    """Return the rest of a sentence about an answer that came too late for the service; "" for one in time."""
    limit = service_limit_s(policy)
    if seconds <= limit:
        return ""
    return f"answered after {seconds:.1f} s, and the service waits {limit:.1f} s (60 % of fhir.seconds = {policy.seconds:g})"


def check_public_url(settings: Settings, sites: Sequence[Site], path: str) -> Iterator[Check]:
    """Check that there is an address that the tokens of callers can be meant for. `sites`: empty if no site file is valid."""
    name = "CDS_PUBLIC_URL"
    if sites and not any(site.clients for site in sites):
        yield report_skip(name, "is not needed: a proxy in front authenticates the callers")
    elif not settings.public_urls:
        yield report_fault(name, "is not set; set it to the address at which callers reach the service, before /cds-services")
    for url in settings.public_urls:
        yield report_ok(name, f"is {url}; tokens need aud {json.dumps(url + path)}")


def check_database(settings: Settings) -> Iterator[Check]:
    """Check that the database can be written."""
    try:
        state = try_writing(settings.database)
    except ValueError as error:
        yield report_fault("CDS_DATABASE", str(error).removeprefix("CDS_DATABASE "))
        return
    described = {
        DatabaseState.NOT_MADE_YET: "can be created by `serve`",
        DatabaseState.OLDER: "can be written; `serve` brings its tables up to date",
        DatabaseState.CURRENT: "can be written",
    }
    yield report_ok("CDS_DATABASE", described[state])


def check_clients(site: Site, proxies: Sequence[str] = ()) -> Iterator[Check]:
    """Check that each client has a key that it may sign with."""
    for number, client in enumerate(site.clients, 1):
        subject = f"client.{number} ({client.issuer})"
        if client.keys is not None:
            yield report_ok(subject, f"has in the site file {_list_keys(client.keys, client)}")
        else:
            yield _check_key_set(subject, client, proxies)


def _check_key_set(subject: str, client: Client, proxies: Sequence[str]) -> Check:
    origin, begun = origin_of(client.jku), monotonic()
    try:
        body = fetch_keys(client.jku, policy_with_time(client.policy))
        usable, unusable = read_keys(body), unusable_keys(body)
    except CallFailed as error:
        return report_fault(
            subject,
            f"has a key set address whose server {origin} {describe_failure(error, client.policy)}{proxy_hint(error, proxies)}",
        )
    except ValueError as error:
        return report_fault(subject, f"has a key set address at {origin} that serves no JWK Set ({type(error).__name__})")
    if late := describe_delay(monotonic() - begun, client.policy):
        return report_fault(subject, f"has a key set address whose server {origin} {late}")
    ignored = "".join(f"; not usable: {json.dumps(kid)} ({why})" for kid, why in unusable)
    if not any(algorithm in client.algorithms for _, algorithm in usable):
        allowed = ", ".join(sorted(client.algorithms))
        other = f"; for other algorithms: {_name_keys(usable)}" if usable else ""
        return report_fault(subject, f"has no key at {origin} that it may sign with ({allowed}){other}{ignored}")
    return report_ok(subject, f"has at {origin} {_list_keys(usable, client)}{ignored}")


def _list_keys(keys: KeySet, client: Client) -> str:
    allowed = {pair: key for pair, key in keys.items() if pair[1] in client.algorithms}
    return f"the keys {_name_keys(allowed)}" if len(allowed) > 1 else f"the key {_name_keys(allowed)}"


def _name_keys(keys: KeySet) -> str:
    return ", ".join(f"{json.dumps(kid)} for {algorithm}" for kid, algorithm in sorted(keys))


def proxy_hint(error: CallFailed, proxies: Sequence[str]) -> str:
    """Return a sentence where the machine has a proxy and the service, which uses none, could not connect; else ""."""
    if not proxies or not may_need_proxy(error):
        return ""
    return f". {', '.join(proxies)} is set, but the service never uses a proxy: it needs a direct connection"
