"""Connect to checked addresses: a name is looked up once, and TLS still verifies the name."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from http.cookiejar import DefaultCookiePolicy
from threading import Event, Thread
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError

from cds_service.outbound.policy import CallNotAllowed, OutboundPolicy


class Lookup:
    """The look-up of a name in a thread of its own. `done` is set when `addresses` or `error` is."""

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


def open_session(policy: OutboundPolicy, connect_to: Callable[[str, int], socket.socket]) -> requests.Session:
    """Return a session whose every connection is made by `connect_to`, without proxies, cookies and retries."""
    made = requests.Session()
    made.trust_env = False  # or a proxy or netrc entry of the machine could send the token elsewhere
    made.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    made.verify = str(policy.ca_file) if policy.ca_file else True
    adapter = _GuardedAdapter(connect_to)
    made.adapters.clear()
    made.mount("https://", adapter)
    made.mount("http://", adapter)
    return made


class _Guarded:
    """Mixin of both kinds of connection: `connect_to` replaces their own name look-up."""

    connect_to: Callable[[str, int], socket.socket]

    def _new_conn(self: Any) -> socket.socket:
        try:
            made: socket.socket = type(self).connect_to(self._dns_host, self.port)
            return made
        except CallNotAllowed:
            raise
        except OSError as error:
            raise NewConnectionError(self, "no connection") from error


class _GuardedAdapter(HTTPAdapter):
    """An adapter whose connections are made by `connect_to`, without retries and proxies."""

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


def is_open(twin: socket.socket) -> bool:
    """Return whether a connection is open. One that the other side has closed, and that is read to its end, is closed here."""
    try:
        ended = twin.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return True
    except OSError:
        ended = True
    if ended:
        twin.close()
    return not ended


def shut_socket(twin: socket.socket) -> None:
    """End a connection, which wakes a thread that reads from it."""
    with suppress(OSError):  # the other side may have closed it first
        twin.shutdown(socket.SHUT_RDWR)
    twin.close()
