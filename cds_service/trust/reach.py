"""Where the service may call on behalf of one site: a closed list, never what a caller asks for."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class Reach:
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
