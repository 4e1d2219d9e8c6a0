"""The servers that the service may call for one site: a closed list, which no request can extend."""

from __future__ import annotations

import re
from collections.abc import Iterable
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
"""Metadata services of clouds outside the link-local range (which has 169.254.169.254)."""
NAT64 = IPv6Network("64:ff9b::/96")
PUBLIC_IPV6 = IPv6Network("2000::/3")
"""All IPv6 addresses that are routed between networks. The others are internal, and some lead to an IPv4 address:
::127.0.0.1, ::ffff:0:127.0.0.1 (translated), 64:ff9b:1::/48 (NAT64 of a network's own), fec0::/10 (site-local)."""
RELAYS_6TO4 = IPv4Network("192.88.99.0/24")
CARRIERS_OF_IPV4 = (
    IPv6Network("::/96"), IPv6Network("::ffff:0:0/96"), IPv6Network("::ffff:0:0:0/96"), NAT64, IPv6Network("64:ff9b:1::/48"),
    IPv6Network("2002::/16"), IPv6Network("2001::/32"),
)  # fmt: skip
NUMBER_AT_THE_END = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)", re.ASCII | re.IGNORECASE | re.DOTALL)
"""A host that is read as an IPv4 address in any spelling (WHATWG URL, "ends in a number")."""
PLAIN_SPELLING = "a name without a dot at its end, or an address in its plain spelling: 10.1.0.1, [fd00::1]"


class CallFailed(Exception):
    """A call that brought no answer. `why` has no address, no header and no patient data."""

    def __init__(self, why: Explanation) -> None:
        super().__init__(why.reason.value)
        self.why = why


class UnexpectedStatus(CallFailed):
    """An answer whose status is not 200."""

    def __init__(self, status: int) -> None:
        super().__init__(Explanation(Reason.STATUS_NOT_OK, status=status))
        self.status = status


class CallNotAllowed(CallFailed):
    """A call that the policy forbids: no connection was made."""


class AddressNotPermitted(CallNotAllowed):
    """A name that has no address, or one that may not be called. `addresses`: all of them; only `check-site` prints them."""

    def __init__(self, addresses: Iterable[str]) -> None:
        super().__init__(Explanation(Reason.ADDRESS_NOT_PERMITTED))
        self.addresses = tuple(addresses)


@dataclass(frozen=True)
class OutboundPolicy:
    """`origins`: scheme, host and port of the FHIR servers ("https://fhir.hospital.example").

    An origin with a public address may be called; one with a private address only if it is inside `networks`. Loopback needs
    `loopback`, which is for development and tests: with it and no origin, every server of this machine may be called.
    Link-local and metadata addresses are never called. `open`: the servers need no token (CH-68). `seconds`: the time in
    which a hook call that fetches is answered. `ca_file`: certificates of a private authority, in place of the public ones.
    """

    origins: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    loopback: bool = False
    open: bool = False
    seconds: float = 2.0
    ca_file: Path | None = None


def origin_of(url: str) -> str:
    """Return the origin of a URL, such as https://fhir.example:8443, by the parser that connects. Raises CallNotAllowed."""
    try:
        parts = parse_url(url) if url.isprintable() and not set(url) & set(' \\"<>') else None
    except LocationParseError:
        parts = None
    if parts is None or parts.scheme not in {"http", "https"} or not parts.host or parts.auth is not None or parts.port == 0:
        raise CallNotAllowed(Explanation(Reason.NO_HTTP_ADDRESS))
    if not all(0 < len(label) < 64 for label in parts.host.removesuffix(".").split(".")):  # RFC 1035 section 2.3.4
        raise CallNotAllowed(Explanation(Reason.NO_HTTP_ADDRESS))
    host = _plain_host(parts.host)
    port = "" if parts.port in {None, {"http": 80, "https": 443}[parts.scheme]} else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def _plain_host(host: str) -> str:
    """Return the host in lower case and without its last dot, an IPv6 address in its shortest spelling."""
    if not host.startswith("["):
        return host.lower().removesuffix(".")
    try:
        return f"[{IPv6Address(host.strip('[]'))}]"
    except ValueError:
        return host.lower()


def is_plainly_spelt(url: str) -> bool:
    """Return whether a site file may spell the server of a URL like this.

    It may not end a host with a dot, write an IPv4 address other than as four numbers, or put one into an IPv6 address: these
    are second names of a server, which do not look like its first. Raises CallNotAllowed.
    """
    origin_of(url)
    host = str(parse_url(url).host)
    if host.startswith("["):
        try:
            address = IPv6Address(host.strip("[]"))
        except ValueError:
            return False
        return address.is_loopback or not (address.scope_id or any(address in network for network in CARRIERS_OF_IPV4))
    if host.endswith("."):
        return False
    try:
        return not NUMBER_AT_THE_END.fullmatch(host) or str(IPv4Address(host)) == host
    except ValueError:
        return False


def is_origin_allowed(origin: str, policy: OutboundPolicy) -> bool:
    """Return whether the policy allows an origin by its name. A development site without origins allows this machine."""
    if policy.origins:
        return origin in policy.origins
    host = origin.split("://")[1]
    return policy.loopback and (host in LOOPBACK_NAMES or host.rsplit(":", 1)[0] in LOOPBACK_NAMES)


def is_address_allowed(text: str, policy: OutboundPolicy) -> bool:
    """Return whether the policy allows an address, whatever its name. An IPv4 address inside an IPv6 one counts as itself."""
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
    if any(address in network for network in policy.networks):
        return True
    return address.is_global and (address in PUBLIC_IPV6 if isinstance(address, IPv6Address) else address not in RELAYS_6TO4)
