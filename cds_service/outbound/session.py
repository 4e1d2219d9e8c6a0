"""Call other servers: only allowed origins and checked addresses, with one deadline for all calls. No redirect is followed.

A name is resolved once, all its addresses are checked, and the connection is made to a checked one, while TLS still
verifies the name. A second answer of the resolver (DNS rebinding) is never used.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from threading import Lock, Timer
from types import TracebackType

import requests
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

from cds_service.outbound.connections import Lookup, is_open, open_session, shut_socket
from cds_service.outbound.policy import (
    AddressNotPermitted,
    CallFailed,
    CallNotAllowed,
    OutboundPolicy,
    is_address_allowed,
    is_origin_allowed,
    origin_of,
)
from cds_service.reasons import Explanation, Reason

MAX_RESPONSE_BYTES = 20_000_000
"""Bytes of all answers to one hook call together, unpacked: as many as the largest request body has."""
CHUNK_BYTES = 65_536
FETCH_SHARE_OF_DEADLINE = 0.6
"""Share of the seconds of a hook call that fetching may take. The rest is for the answer: where little is known, the search
for the facts that would decide takes about half a second of a core."""


class DeadlinePassed(CallFailed):
    """The deadline of the whole hook call passed."""

    def __init__(self) -> None:
        super().__init__(Explanation(Reason.OVERDUE))


@dataclass(frozen=True, slots=True)
class Reply:
    """`headers` with names in small letters; `body` unpacked."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class OutboundSession:
    """The calls of one hook request. `get` and `post` may be used from several threads.

    Leaving the context ends all calls, and so does the deadline: a socket's own time limit starts again with each byte, so
    a server that drips would never exceed it.
    """

    def __init__(self, policy: OutboundPolicy) -> None:
        self.policy = policy
        self._ends = time.monotonic() + policy.seconds * FETCH_SHARE_OF_DEADLINE
        self._watched_sockets: list[socket.socket] = []
        self._lock = Lock()
        self._closed = False
        self._room = MAX_RESPONSE_BYTES
        self._lookups: dict[tuple[str, int], Lookup] = {}
        self._session: requests.Session | None = None
        self._end: Timer | None = None

    def __enter__(self) -> OutboundSession:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._end is not None:
            self._end.cancel()
        self._cut_all()
        if self._session is not None:
            self._session.close()

    def _cut_all(self) -> None:
        """Close all connections, which also wakes a thread that waits for a dripping server."""
        with self._lock:
            self._closed = True
            twins, self._watched_sockets = self._watched_sockets, []
        for twin in twins:
            shut_socket(twin)

    def _opened(self) -> requests.Session:
        """Return the session, made for the first call: a request whose prefetch is complete needs none."""
        with self._lock:
            if self._session is None:
                self._session = open_session(self.policy, self._connect)
                self._end = Timer(self.seconds_left, self._cut_all)
                self._end.daemon = True
                self._end.start()
            return self._session

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline; never below zero."""
        return max(0.0, self._ends - time.monotonic())

    def resolve(self, url: str) -> list[str]:
        """Return the addresses of the server of a URL without connecting to it. Raises CallFailed as `get` does."""
        if not is_origin_allowed(origin_of(url), self.policy):
            raise CallNotAllowed(Explanation(Reason.SERVER_NOT_ALLOWED))
        parts = parse_url(url)
        try:
            return self._addresses(str(parts.host).strip("[]"), parts.port or (443 if parts.scheme == "https" else 80))
        except OSError:
            raise CallFailed(Explanation(Reason.NO_CONNECTION)) from None

    def get(self, url: str, headers: Mapping[str, str]) -> Reply:
        """Return the answer, whatever its status. Raises CallNotAllowed before anything is sent, DeadlinePassed, CallFailed."""
        return self._call("GET", url, headers, None)

    def post(self, url: str, headers: Mapping[str, str], form: str) -> Reply:
        """Send a search whose query is too long for an address. Raises as `get` does."""
        return self._call("POST", url, {**headers, "Content-Type": "application/x-www-form-urlencoded"}, form)

    def _call(self, method: str, url: str, headers: Mapping[str, str], form: str | None) -> Reply:
        if not is_origin_allowed(origin_of(url), self.policy):
            raise CallNotAllowed(Explanation(Reason.SERVER_NOT_ALLOWED))
        if not self.seconds_left:
            raise DeadlinePassed
        sent = {"Accept-Encoding": "gzip", "User-Agent": "cds-service", **headers}
        try:
            with self._opened().request(
                method,
                url,
                headers=sent,
                data=form,
                stream=True,
                allow_redirects=False,
                timeout=(self.seconds_left, self.seconds_left),
            ) as answer:
                names = {name.lower(): value for name, value in answer.headers.items()}
                reply = Reply(answer.status_code, names, self._body(answer))
            if self._closed:  # an answer without a length looks complete when it was cut
                raise DeadlinePassed
            return reply
        except CallFailed:
            raise
        except (requests.RequestException, HTTPError, HTTPException, OSError, ValueError) as error:
            if refused := _refusal(error):
                raise refused from None
            if not self.seconds_left or self._closed:
                raise DeadlinePassed from None
            raise CallFailed(_why(error)) from None

    def _body(self, answer: requests.Response) -> bytes:
        """Read the body in pieces, so that a slow, endless or highly compressed answer stops at its limit."""
        pieces: list[bytes] = []
        while piece := answer.raw.read1(CHUNK_BYTES, decode_content=True):
            pieces.append(piece)
            with self._lock:
                self._room -= len(piece)
                full = self._room < 0
            if full:
                raise CallFailed(Explanation(Reason.TOO_LARGE))
            if not self.seconds_left:
                raise DeadlinePassed
        return b"".join(pieces)

    def _addresses(self, host: str, port: int) -> list[str]:
        """Return the addresses of a name, looked up once and in a thread of its own: no resolver answers to a deadline.

        Raises DeadlinePassed; AddressNotPermitted if there is none or one may not be called; OSError as the resolver does.
        """
        with self._lock:
            lookup = self._lookups.get((host, port)) or Lookup(host, port)
            self._lookups[host, port] = lookup
        if not lookup.done.wait(self.seconds_left):
            raise DeadlinePassed
        if lookup.error:
            raise lookup.error
        if not lookup.addresses or not all(is_address_allowed(address, self.policy) for address in lookup.addresses):
            raise AddressNotPermitted(lookup.addresses)
        return lookup.addresses

    def _connect(self, host: str, port: int) -> socket.socket:
        """Return a connection to a checked address of the name. Raises CallNotAllowed; OSError as the system does."""
        addresses = self._addresses(host.strip("[]"), port)
        failure: OSError | None = None
        for address in addresses:
            try:
                made = socket.create_connection((address, port), timeout=max(self.seconds_left, 0.001))
                break
            except OSError as error:
                failure = error
        else:
            raise failure or OSError("no address")
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        twin = made.dup()  # a second handle: it works after TLS has taken over the first, so the deadline can close it
        twin.settimeout(0)  # never block, or `is_open` would wait for data
        with self._lock:
            if not self._closed:
                self._watched_sockets = [other for other in self._watched_sockets if is_open(other)] + [twin]
                return made
        shut_socket(twin)
        return made


def _refusal(error: BaseException | None) -> CallNotAllowed | None:
    """Return the CallNotAllowed that urllib3 and requests wrapped, if one ended the connection."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, CallNotAllowed):
            return error
        seen.add(id(error))
        inner = [part for part in (*error.args, getattr(error, "reason", None)) if isinstance(part, BaseException)]
        error = error.__cause__ or error.__context__ or (inner[0] if inner else None)
    return None


def _why(error: Exception) -> Explanation:
    match error:
        case requests.Timeout():
            return Explanation(Reason.OVERDUE)
        case requests.exceptions.SSLError():
            return Explanation(Reason.CERTIFICATE_NOT_ACCEPTED)
        case requests.ConnectionError():
            return Explanation(Reason.NO_CONNECTION)
    return Explanation(Reason.BROKEN_OFF)
