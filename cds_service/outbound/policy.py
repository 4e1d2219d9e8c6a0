"""Where the service may call on behalf of one site: a closed list, never what a caller asks for."""

from __future__ import annotations

import re
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
PUBLIC_IPV6 = IPv6Network("2000::/3")
"""All that is routed between networks. What else there is leads inside, some of it to an IPv4 address: ::127.0.0.1,
::ffff:0:127.0.0.1 (translated), 64:ff9b:1::/48 (NAT64 of a network's own), fec0::/10 (site-local)."""
RELAYS_6TO4 = IPv4Network("192.88.99.0/24")
CARRIERS_OF_IPV4 = (
    IPv6Network("::/96"), IPv6Network("::ffff:0:0/96"), IPv6Network("::ffff:0:0:0/96"), NAT64, IPv6Network("64:ff9b:1::/48"),
    IPv6Network("2002::/16"), IPv6Network("2001::/32"),
)  # fmt: skip
NUMBER_AT_THE_END = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)", re.ASCII | re.IGNORECASE | re.DOTALL)
"""A host that is read as an IPv4 address, in whatever spelling (WHATWG URL, "ends in a number")."""
PLAIN_SPELLING = "a name without a dot at its end, or an address in its plain spelling: 10.1.0.1, [fd00::1]"


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
    host = _plain_host(parts.host)
    port = "" if parts.port in {None, {"http": 80, "https": 443}[parts.scheme]} else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def _plain_host(host: str) -> str:
    """In small letters, without the last dot; an IPv6 address in its shortest spelling: one server has one origin."""
    if not host.startswith("["):
        return host.lower().removesuffix(".")
    try:
        return f"[{IPv6Address(host.strip('[]'))}]"
    except ValueError:
        return host.lower()


def is_plainly_spelt(url: str) -> bool:
    """Whether a site file may name it so: no dot at the end of a host, no IPv4 address in another spelling than four numbers,
    none within an IPv6 one. Each is a second name of a server that its first does not look like. Raises CallNotAllowed."""
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
    if any(address in network for network in policy.networks):
        return True
    return address.is_global and (address in PUBLIC_IPV6 if isinstance(address, IPv6Address) else address not in RELAYS_6TO4)
