"""The only way out: allowed origins, checked addresses, one deadline for all, nothing followed, nothing kept.

A name is resolved once, every address it has is checked, and the connection is made to a checked one while TLS still
asks for the name: a second answer of the resolver (rebinding) is never used.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, LocationParseError, NewConnectionError
from urllib3.util import parse_url

from cds_service.trust.reach import Reach

LOOPBACK_NAMES = frozenset({"127.0.0.1", "[::1]", "localhost"})
METADATA = frozenset(ip_address(text) for text in ("168.63.129.16", "192.0.0.192", "100.100.100.200", "fd00:ec2::254"))
"""Metadata services of clouds outside the link-local range, where 169.254.169.254 is."""
NAT64 = IPv6Network("64:ff9b::/96")
MOST_BYTES = 20_000_000
"""Of all answers to one hook call together, unpacked: as much as the largest request body."""
CHUNK = 65_536
SHARE = 0.6
"""Of the seconds of a hook call for fetching; the rest is for the answer itself: where little is known, what would decide
is searched for, up to a second of a core."""


class CallFailed(Exception):
    """A call that gave no answer. Its text is one of ours: no address, no header, nothing of a patient."""


class Refused(CallFailed):
    """Not allowed: no connection was made."""


class Overdue(CallFailed):
    """The deadline of the whole hook call passed."""


@dataclass(frozen=True, slots=True)
class Reply:
    """`headers` with names in small letters; `body` unpacked."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


def origin_of(url: str) -> str:
    """ "https://fhir.example:8443" by the parser that will make the connection. Raises Refused."""
    try:
        parts = parse_url(url) if url.isprintable() and not set(url) & set(' \\"<>') else None
    except LocationParseError:
        parts = None
    if parts is None or parts.scheme not in {"http", "https"} or not parts.host or parts.auth is not None:
        raise Refused("not an http address that can be called")
    port = "" if parts.port in {None, {"http": 80, "https": 443}[parts.scheme]} else f":{parts.port}"
    return f"{parts.scheme}://{parts.host.lower()}{port}"


def allowed(origin: str, reach: Reach) -> bool:
    """By name. A development site without origins means every server of this machine."""
    if reach.origins:
        return origin in reach.origins
    host = origin.split("://")[1]
    return reach.loopback and (host in LOOPBACK_NAMES or host.rsplit(":", 1)[0] in LOOPBACK_NAMES)


def permitted(text: str, reach: Reach) -> bool:
    """By address, whatever name led to it; an IPv4 address wrapped in an IPv6 one counts as itself."""
    address = ip_address(text.split("%")[0])
    if isinstance(address, IPv6Address):
        inner: IPv4Address | None = address.ipv4_mapped or address.sixtofour
        if address in NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return permitted(str(inner), reach)
    if address.is_loopback:
        return reach.loopback
    if address in METADATA or address.is_link_local or address.is_multicast or address.is_unspecified:
        return False
    return any(address in network for network in reach.networks) or address.is_global


class _Lookup:
    """What a name stands for, once it is known."""

    def __init__(self, host: str, port: int) -> None:
        self.done, self.addresses = Event(), list[str]()
        self.error: OSError | None = None
        Thread(target=self._run, args=(host, port), daemon=True).start()

    def _run(self, host: str, port: int) -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            self.addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        except (OSError, UnicodeError) as error:
            self.error = error if isinstance(error, OSError) else OSError("no name")
        finally:
            self.done.set()


class Outbound:
    """The calls of one hook request. `get` and `post` may be used from several threads; leaving the context ends them all."""

    def __init__(self, reach: Reach) -> None:
        self.reach = reach
        self._ends = time.monotonic() + reach.seconds * SHARE
        self._twins: list[socket.socket] = []
        self._lock = Lock()
        self._closed = False
        self._room = MOST_BYTES
        self._lookups: dict[tuple[str, int], _Lookup] = {}
        self._session: requests.Session | None = None

    def __enter__(self) -> Outbound:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """A thread that still waits for a dripping server is woken by the end of its connection."""
        with self._lock:
            self._closed = True
            twins, self._twins = self._twins, []
        for twin in twins:
            _cut(twin)
        if self._session is not None:
            self._session.close()

    def _opened(self) -> requests.Session:
        """Made for the first call: a request whose prefetch is whole needs none."""
        with self._lock:
            if self._session is None:
                self._session = _session(self.reach, _GuardedAdapter(self._connect))
            return self._session

    @property
    def left(self) -> float:
        """Seconds until the deadline; never below nought."""
        return max(0.0, self._ends - time.monotonic())

    def get(self, url: str, headers: Mapping[str, str]) -> Reply:
        """Raises CallFailed: Refused before anything is sent, Overdue at the deadline."""
        return self._call("GET", url, headers, None)

    def post(self, url: str, headers: Mapping[str, str], form: str) -> Reply:
        """A search whose query is too long for an address. Raises as `get` does."""
        return self._call("POST", url, {**headers, "Content-Type": "application/x-www-form-urlencoded"}, form)

    def _call(self, method: str, url: str, headers: Mapping[str, str], form: str | None) -> Reply:
        if not allowed(origin_of(url), self.reach):
            raise Refused("its server is not among those allowed")
        if not self.left:
            raise Overdue("no answer in time")
        sent = {"Accept-Encoding": "gzip", "User-Agent": "cds-service", **headers}
        try:
            with self._opened().request(
                method, url, headers=sent, data=form, stream=True, allow_redirects=False, timeout=(self.left, self.left)
            ) as answer:
                names = {name.lower(): value for name, value in answer.headers.items()}
                return Reply(answer.status_code, names, self._body(answer))
        except CallFailed:
            raise
        except (requests.RequestException, HTTPError, HTTPException, OSError, ValueError) as error:
            if refused := _refusal(error):
                raise refused from None
            if not self.left or self._closed:
                raise Overdue("no answer in time") from None
            raise CallFailed(_why(error)) from None

    def _body(self, answer: requests.Response) -> bytes:
        """Piece by piece, so that neither a slow nor an endless nor a tightly packed answer goes past its bound."""
        pieces: list[bytes] = []
        while piece := answer.raw.read1(CHUNK, decode_content=True):
            pieces.append(piece)
            with self._lock:
                self._room -= len(piece)
                full = self._room < 0
            if full:
                raise CallFailed("larger than is read")
            if not self.left:
                raise Overdue("no answer in time")
        return b"".join(pieces)

    def _addresses(self, host: str, port: int) -> list[str]:
        """One look-up for each name, in a thread of its own: no resolver answers to a deadline. Raises Overdue, OSError."""
        with self._lock:
            lookup = self._lookups.get((host, port)) or _Lookup(host, port)
            self._lookups[host, port] = lookup
        if not lookup.done.wait(self.left):
            raise Overdue("no answer in time")
        if lookup.error:
            raise lookup.error
        return lookup.addresses

    def _connect(self, host: str, port: int) -> socket.socket:
        """A connection to a checked address of the name. Raises Refused; OSError as the system does."""
        addresses = self._addresses(host.strip("[]"), port)
        if not addresses or not all(permitted(address, self.reach) for address in addresses):
            raise Refused("its server has an address that may not be called")
        failure: OSError | None = None
        for address in addresses:
            try:
                made = socket.create_connection((address, port), timeout=max(self.left, 0.001))
                break
            except OSError as error:
                failure = error
        else:
            raise failure or OSError("no address")
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        twin = made.dup()  # stays the same connection when TLS takes the socket over
        twin.settimeout(0)  # or a look at it would wait
        with self._lock:
            if not self._closed:
                self._twins = [other for other in self._twins if _open(other)] + [twin]
                return made
        _cut(twin)
        return made


def _open(twin: socket.socket) -> bool:
    """Whether the connection still runs; what the other side has closed, and we have read, is let go."""
    try:
        ended = twin.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return True
    except OSError:
        ended = True
    if ended:
        twin.close()
    return not ended


def _cut(twin: socket.socket) -> None:
    with suppress(OSError):  # the other side may have been first
        twin.shutdown(socket.SHUT_RDWR)
    twin.close()


def _refusal(error: BaseException | None) -> Refused | None:
    """Our own refusal, if that is what ended the connection: urllib3 and requests wrap it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, Refused):
            return error
        seen.add(id(error))
        inner = [part for part in (*error.args, getattr(error, "reason", None)) if isinstance(part, BaseException)]
        error = error.__cause__ or error.__context__ or (inner[0] if inner else None)
    return None


def _why(error: Exception) -> str:
    match error:
        case requests.Timeout():
            return "no answer in time"
        case requests.exceptions.SSLError():
            return "its certificate was not accepted"
        case requests.ConnectionError():
            return "no connection"
    return "an answer that broke off"


def _session(reach: Reach, adapter: HTTPAdapter) -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # a proxy or a netrc entry of the machine would take the token elsewhere
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.verify = str(reach.ca_file) if reach.ca_file else True
    session.adapters.clear()
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


class _Guarded:
    """What both kinds of connection do instead of looking a name up themselves."""

    connect_to: Callable[[str, int], socket.socket]

    def _new_conn(self: Any) -> socket.socket:
        try:
            made: socket.socket = type(self).connect_to(self._dns_host, self.port)
            return made
        except Refused:
            raise
        except OSError as error:
            raise NewConnectionError(self, "no connection") from error


class _GuardedAdapter(HTTPAdapter):
    """Pools whose connections go through `connect_to`; no retries of its own, no proxies."""

    def __init__(self, connect_to: Callable[[str, int], socket.socket]) -> None:
        self._connect_to = staticmethod(connect_to)
        super().__init__(max_retries=0)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        inside = {"connect_to": self._connect_to}
        plain = type("GuardedHTTPConnection", (_Guarded, HTTPConnection), inside)
        secure = type("GuardedHTTPSConnection", (_Guarded, HTTPSConnection), inside)
        self.poolmanager.pool_classes_by_scheme = {
            "http": type("GuardedHTTPPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
            "https": type("GuardedHTTPSPool", (HTTPSConnectionPool,), {"ConnectionCls": secure}),
        }
