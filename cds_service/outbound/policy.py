"""Where the service may call on behalf of one site: a closed list, never what a caller asks for."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from cds_service.reasons import Explanation, Reason

Network = IPv4Network | IPv6Network
LOOPBACK_NAMES = frozenset({"127.0.0.1", "[::1]", "localhost"})
METADATA_ADDRESSES = frozenset(
    ip_address(text) for text in ("168.63.129.16", "192.0.0.192", "100.100.100.200", "fd00:ec2::254")
)
"""Metadata services of clouds outside the link-local range, where 169.254.169.254 is."""
NAT64 = IPv6Network("64:ff9b::/96")


class CallFailed(Exception):
    """A call that gave no answer. `why` is one of ours: no address, no header, nothing of a patient."""

    def __init__(self, why: Explanation) -> None:
        super().__init__(why.reason.value)
        self.why = why


class CallNotAllowed(CallFailed):
    """Not allowed: no connection was made."""


@dataclass(frozen=True)
class OutboundPolicy:
    """`origins`: scheme, host and port of the FHIR servers ("https://fhir.hospital.example").

    Public addresses are reached by their origin alone; private ones only inside `networks`. Loopback needs
    `loopback`, which is for development and tests: with it and no origin, any server of this machine is meant.
    Link-local and metadata addresses are never reached. `open`: servers that need no token (CH-68).
    `seconds`: within which a hook call that fetches is to be answered. `ca_file`: the certificates of a private
    authority, which then replace the public ones.
    """

    origins: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    loopback: bool = False
    open: bool = False
    seconds: float = 2.0
    ca_file: Path | None = None


def origin_of(url: str) -> str:
    """ "https://fhir.example:8443" by the parser that will make the connection. Raises Refused."""
    try:
        parts = parse_url(url) if url.isprintable() and not set(url) & set(' \\"<>') else None
    except LocationParseError:
        parts = None
    if parts is None or parts.scheme not in {"http", "https"} or not parts.host or parts.auth is not None or parts.port == 0:
        raise CallNotAllowed(Explanation(Reason.NO_HTTP_ADDRESS))
    if not all(0 < len(label) < 64 for label in parts.host.removesuffix(".").split(".")):  # RFC 1035 section 2.3.4
        raise CallNotAllowed(Explanation(Reason.NO_HTTP_ADDRESS))
    port = "" if parts.port in {None, {"http": 80, "https": 443}[parts.scheme]} else f":{parts.port}"
    return f"{parts.scheme}://{parts.host.lower()}{port}"


def is_origin_allowed(origin: str, policy: OutboundPolicy) -> bool:
    """By name. A development site without origins means every server of this machine."""
    if policy.origins:
        return origin in policy.origins
    host = origin.split("://")[1]
    return policy.loopback and (host in LOOPBACK_NAMES or host.rsplit(":", 1)[0] in LOOPBACK_NAMES)


def is_address_allowed(text: str, policy: OutboundPolicy) -> bool:
    """By address, whatever name led to it; an IPv4 address wrapped in an IPv6 one counts as itself."""
    address = ip_address(text.split("%")[0])
    if isinstance(address, IPv6Address):
        inner: IPv4Address | None = address.ipv4_mapped or address.sixtofour
        if address in NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_address_allowed(str(inner), policy)
    if address.is_loopback:
        return policy.loopback
    if address in METADATA_ADDRESSES or address.is_link_local or address.is_multicast or address.is_unspecified:
        return False
    return any(address in network for network in policy.networks) or address.is_global
