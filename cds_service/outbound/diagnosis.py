"""Say why a call failed, in a sentence for the integrator's terminal. The service itself reports the reason alone."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from typing import Any

from cds_service.outbound.policy import AddressNotPermitted, CallFailed, OutboundPolicy, UnexpectedStatus, is_address_allowed
from cds_service.reasons import Explanation, Reason

CERTIFICATE_PROBLEMS = {
    9: "is not valid yet",
    10: "has expired",
    18: "is self-signed, and is no authority that this site trusts",
    19: "is signed by an authority that this site does not trust",
    20: "is signed by an authority that this site does not trust, or its intermediate certificate is not sent",
    21: "is signed by an authority that this site does not trust, or its intermediate certificate is not sent",
    62: "is for another host name",
    64: "is for another address",
}
"""X509_V_ERR_… of OpenSSL."""
UNTRUSTED = frozenset({18, 19, 20, 21})
SENTENCES = {
    Reason.NO_HTTP_ADDRESS: "is no http or https address that can be called",
    Reason.SERVER_NOT_ALLOWED: "is not one of fhir.origins",
    Reason.OVERDUE: "did not answer in time",
    Reason.BROKEN_OFF: "broke off its answer, or sent no HTTP",
    Reason.TOO_LARGE: "sent more than the service reads",
    Reason.NO_CONNECTION: "accepted no connection",
    Reason.CERTIFICATE_NOT_ACCEPTED: "sent a certificate that was not accepted",
    Reason.ANSWER_UNREADABLE: "sent an answer that could not be read",
    Reason.PAGE_ON_ANOTHER_SERVER: "names a next page on another server, which is not called",
}


def describe_reason(why: Explanation) -> str:
    """Return the rest of a sentence about a server whose answer is missing or incomplete."""
    if is_by_category(why):
        return "answers this search only with a category, so Observations without one stay unknown"
    return SENTENCES.get(why.reason, f"gave no complete answer ({why.reason.value})")


def is_overdue(why: Explanation | None) -> bool:
    """Return whether the deadline passed before the answer."""
    return why is not None and why.reason is Reason.OVERDUE


def is_by_category(why: Explanation | None) -> bool:
    """Return whether a search was answered, but only with a category, as Epic does."""
    return why is not None and why.reason is Reason.BY_CATEGORY_ONLY


def may_need_proxy(error: CallFailed) -> bool:
    """Return whether a call may have failed because the network only lets a proxy out."""
    return error.why.reason in {Reason.NO_CONNECTION, Reason.OVERDUE, Reason.CERTIFICATE_NOT_ACCEPTED}


def describe_failure(error: CallFailed, policy: OutboundPolicy) -> str:
    """Return the rest of a sentence about the server: what failed, and what to change."""
    if isinstance(error, AddressNotPermitted):
        return _describe_addresses(error.addresses, policy)
    if isinstance(error, UnexpectedStatus):
        return f"answered {error.status}, and 200 is expected"
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _describe_certificate(cause, policy)
        if isinstance(cause, ssl.SSLError):
            return f"could not agree on TLS ({cause.reason or 'no reason given'})"
        if isinstance(cause, socket.gaierror):
            return "has a name that is not known to the resolver of this machine"
        if isinstance(cause, OSError) and cause.errno in (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH):
            refused = cause.errno == errno.ECONNREFUSED
            return "accepts no connection at this port" if refused else "has no route from this machine"
    return describe_reason(error.why)


def _describe_addresses(addresses: tuple[str, ...], policy: OutboundPolicy) -> str:
    if not addresses:
        return "has a name without an address"
    denied = [address for address in addresses if not is_address_allowed(address, policy)]
    return (
        f"resolves to {', '.join(denied)}, which the service never calls unless its private network is listed in "
        "fhir.networks (loopback: fhir.loopback)"
    )


def _describe_certificate(error: ssl.SSLCertVerificationError, policy: OutboundPolicy) -> str:
    problem = CERTIFICATE_PROBLEMS.get(error.verify_code, f"was not accepted ({error.verify_message})")
    if error.verify_code not in UNTRUSTED:
        return f"sent a certificate that {problem}"
    trusted = (
        f"the authorities in {policy.ca_file.name}" if policy.ca_file else "the public authorities (fhir.ca_file is not set)"
    )
    return f"sent a certificate that {problem}; trusted are {trusted}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions that a call wrapped, outermost first."""
    waiting: list[Any] = [error]
    seen: set[int] = set()
    while waiting:
        inner = waiting.pop(0)
        if not isinstance(inner, BaseException) or id(inner) in seen:
            continue
        seen.add(id(inner))
        yield inner
        waiting += [inner.__cause__, inner.__context__, getattr(inner, "reason", None), *inner.args]
