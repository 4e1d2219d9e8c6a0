"""Try the FHIR servers of a site: address, TLS, version, clock, and each query of the service."""

from __future__ import annotations

import email.utils
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic, time
from typing import Any

from cds_service.fhir.client import FHIR_JSON, EhrServer, FetchResult, fetch_queries, fill_template
from cds_service.fhir.queries import build_queries
from cds_service.outbound.diagnosis import describe_failure, describe_reason, is_by_category, is_overdue
from cds_service.outbound.policy import CallFailed, CallNotAllowed, OutboundPolicy, origin_of
from cds_service.outbound.session import OutboundSession, Reply
from cds_service.sites import Site
from cds_service.sites.site_check import (
    Check,
    Outcome,
    describe_delay,
    policy_with_time,
    proxy_hint,
    report_fault,
    report_ok,
    report_skip,
    service_limit_s,
)

NO_PATIENT = "check-site-no-such-patient"
"""An id that no patient has: the answers are empty, and no chart is read."""
MAX_CLOCK_DIFFERENCE_S = 30
NOT_FOUND = frozenset({404, 410})
ADVICE = {
    401: "the token is not accepted",
    403: "the token has no scope for this query, or the client is not registered for it",
    404: "if the base of the server has a path, name it with --fhir-base",
}


@dataclass(frozen=True)
class ServerAccess:
    """How the FHIR servers are tried."""

    bases: tuple[str, ...] = ()
    """FHIR base addresses, as requests name them in `fhirServer`; an origin without one is its own base."""
    token: str = field(default="", repr=False)
    """An access token. It is sent to the bases named here; without any, only where the site has a single server."""
    patient: str = ""
    """The id of a test patient; empty: NO_PATIENT."""
    proxies: tuple[str, ...] = ()
    """Names of environment variables that set a proxy."""


def check_servers(sites: Sequence[Site], access: ServerAccess) -> Iterator[Check]:
    """Check every FHIR server of the sites. Every call fails by itself, so that one run reports all faults."""
    of_origin = {origin: site for site in sites for origin in site.policy.origins}
    named: dict[str, list[str]] = {}
    for number, base in enumerate(access.bases, 1):
        try:
            origin = "" if set(base) & set("?#") else origin_of(base)
        except CallNotAllowed:
            origin = ""
        if origin in of_origin:
            named.setdefault(origin, []).append(base.rstrip("/"))
            continue
        subject = base if origin else f"--fhir-base number {number}"  # not repeated: it may hold a password
        yield report_fault(subject, f"is not on one of the servers in fhir.origins ({', '.join(of_origin) or 'none'})")
    for site in sites:
        if not site.policy.origins:
            yield report_skip(f"site {site.id}", "has no [fhir]: it answers from prefetch alone, and no server is called")
    for origin, site in of_origin.items():
        trusted = origin in named or len(of_origin) == 1
        for base in named.get(origin, [origin]):
            yield from _check_server(base, site, replace(access, token=access.token if trusted else ""))


def _check_server(base: str, site: Site, access: ServerAccess) -> Iterator[Check]:
    policy = site.policy
    url = f"{base}/metadata"
    begun = monotonic()
    try:
        with OutboundSession(policy_with_time(policy)) as session:
            addresses = session.resolve(url)
            reply = session.get(url, {"Accept": FHIR_JSON})
    except CallFailed as error:
        yield report_fault(base, f"{describe_failure(error, policy)}{proxy_hint(error, access.proxies)}")
        yield report_skip(base, "was not asked for its FHIR version, its clock and the queries, because it was not reached")
        return
    waited, clock = monotonic() - begun, time()
    secure = "its TLS certificate is valid" if base.startswith("https:") else "plain http, on this machine"
    yield report_ok(base, f"is reached ({', '.join(addresses)}); {secure}")
    yield _check_metadata(base, reply, waited)
    yield _check_clock(base, reply, clock)
    yield from _check_queries(base, site, access)


def _check_metadata(base: str, reply: Reply, waited: float) -> Check:
    if reply.status in {401, 403}:
        return report_skip(f"{base}/metadata", f"answered {reply.status} without a token, so the FHIR version was not read")
    if reply.status != 200:
        return report_fault(f"{base}/metadata", f"answered {_status(reply.status)}, and 200 is expected")
    try:
        content = json.loads(reply.body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or content.get("resourceType") != "CapabilityStatement":
        return report_fault(f"{base}/metadata", "is no CapabilityStatement in JSON")
    version = content.get("fhirVersion")
    if not isinstance(version, str) or not version.startswith("4.0."):
        return report_fault(f"{base}/metadata", f"has fhirVersion {json.dumps(version)[:40]}; the service reads R4 (4.0.1)")
    return report_ok(f"{base}/metadata", f"has fhirVersion {json.dumps(version[:20])}, R4; it took {waited:.2f} s")


def _check_clock(base: str, reply: Reply, here: float) -> Check:
    try:
        there = email.utils.parsedate_to_datetime(reply.headers.get("date", "")).timestamp()
    except (ValueError, OverflowError):
        return report_skip(base, "sent no Date header, so the clocks were not compared")
    seconds = round(there - here)
    if abs(seconds) <= MAX_CLOCK_DIFFERENCE_S:
        return report_ok(base, f"has a clock that differs from the one here by {abs(seconds)} s")
    direction = "ahead of" if seconds > 0 else "behind"
    text = f"has a clock {abs(seconds)} s {direction} the one here; more than {MAX_CLOCK_DIFFERENCE_S} s make tokens fail"
    return report_fault(base, text)


def _check_queries(base: str, site: Site, access: ServerAccess) -> Iterator[Check]:
    policy = site.policy
    if not access.token and not policy.open:
        text = "was not asked the queries of the service: they need an access token (CDS_FHIR_TOKEN or --fhir-token-file)"
        yield report_skip(base, f"{text}, sent where the site has one server or --fhir-base names it")
        return
    server = EhrServer(base, access.token)
    templates = build_queries(site.knowledge)
    queries = {key: fill_template(query, access.patient or NO_PATIENT) for key, query in templates.items()}
    sound: set[str] = set()
    for key, query in queries.items():
        begun = monotonic()
        with OutboundSession(policy_with_time(policy)) as session:
            result = fetch_queries(server, {key: query}, session)[key]
        waited, subject = monotonic() - begun, f"{base} {key} ({query.split('?')[0]})"
        if result.status in NOT_FOUND and "?" not in query and not access.patient:
            check = report_ok(subject, f"answered {result.status} in {waited:.2f} s: there is no such patient, as intended")
        else:
            check = _check_result(subject, result, bool(access.patient), waited, policy)
        if check.outcome is Outcome.OK:
            sound.add(key)
        yield check
    if sound:
        yield _check_together(base, server, {key: queries[key] for key in sound}, policy)


def _check_result(subject: str, result: FetchResult, patient_exists: bool, waited: float, policy: OutboundPolicy) -> Check:
    if result.status is not None:
        return report_fault(subject, f"answered {_status(result.status)}")
    if result.why is not None and not is_by_category(result.why):
        return report_fault(subject, describe_reason(result.why))
    content = _content(result)
    if content is None:
        return report_fault(subject, "answered 200 without a FHIR resource in JSON")
    if not patient_exists and _holds_matches(content):
        return report_fault(subject, "found data of a patient that does not exist: the server ignores the patient of the query")
    if late := describe_delay(waited, policy):
        return report_fault(subject, late)
    note = f"; it {describe_reason(result.why)}" if result.why else ""
    return report_ok(subject, f"answered 200 in {waited:.2f} s{note}")


def _content(result: FetchResult) -> Mapping[str, Any] | None:
    try:
        content = json.loads(result.pages[0])
    except (ValueError, RecursionError, IndexError):
        return None
    return content if isinstance(content, dict) and isinstance(content.get("resourceType"), str) else None


def _holds_matches(content: Mapping[str, Any]) -> bool:
    if content["resourceType"] != "Bundle":
        return bool(content["resourceType"] != "OperationOutcome")
    entries = content.get("entry")
    resources = [entry.get("resource") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return any(isinstance(one, dict) and one.get("resourceType") != "OperationOutcome" for one in resources)


def _check_together(base: str, server: EhrServer, queries: Mapping[str, str], policy: OutboundPolicy) -> Check:
    """Run the queries at once and within the deadline, as the service does."""
    begun, limit = monotonic(), service_limit_s(policy)
    with OutboundSession(policy) as session:
        results = fetch_queries(server, queries, session)
    missing = [key for key, result in results.items() if is_overdue(result.why)]
    subject = f"{base} all {len(queries)} queries together"
    if missing:
        return report_fault(
            subject, f"took more than {limit:.1f} s (60 % of fhir.seconds = {policy.seconds:g}) for {', '.join(missing)}"
        )
    if limited := [key for key, result in results.items() if result.status in {429, 503}]:
        return report_fault(subject, f"are too many for the server, which answered 429 or 503 to {', '.join(limited)}")
    return report_ok(subject, f"took {monotonic() - begun:.2f} s; the service waits {limit:.1f} s")


def _status(status: int) -> str:
    return f"{status}: {ADVICE[status]}" if status in ADVICE else str(status)
