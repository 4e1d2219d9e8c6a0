"""gunicorn as we run it: limits of HTTP itself, deadlines for slow clients, recycling, and nothing of a request in its words.

gthread: half-sent requests hold a thread each and no more. What gunicorn refuses it would answer as HTML that repeats the
request line, and log the same; here it is an OperationOutcome and a line without a value.
"""

from __future__ import annotations

import ctypes
import json
import logging
import resource
import socket
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from gunicorn.app.base import BaseApplication
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, ParseException
from gunicorn.workers.gthread import ThreadWorker

from cds_service.errors import CdsError, Fault

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]
LOG = logging.getLogger("cds_service")
MAX_REQUEST_LINE_BYTES, MAX_HEADERS, MAX_HEADER_BYTES = 4094, 100, 8190
REQUEST_READ_TIMEOUT_S, RESPONSE_WRITE_TIMEOUT_S = 20, 60
"""Seconds from the first byte: to send a request, and to take its answer. Then the connection is closed."""
OPTIONS: dict[str, Any] = {
    "workers": 2,
    "threads": 24,  # twice the evaluations at once (capacity.py): the other half reads slow bodies, and refuses
    "timeout": 30,  # a worker whose main loop stands still; never a request
    "graceful_timeout": 30,
    "keepalive": 5,
    "max_requests": 20_000,
    "max_requests_jitter": 2_000,  # so that the workers are not renewed at once
    "http_parser": "python",  # "auto" takes gunicorn_h1c wherever it is installed; its refusals are not those tested here
    "limit_request_line": MAX_REQUEST_LINE_BYTES,
    "limit_request_fields": MAX_HEADERS,
    "limit_request_field_size": MAX_HEADER_BYTES,
    "forwarded_allow_ips": "",  # whom we believe what a proxy says of a request: nobody; we need nothing of it
    "forwarder_headers": "",  # or a header SCRIPT_NAME, from this machine, would move the path
    "control_socket_disable": True,  # a door that nobody asked for
    "loglevel": "warning",
}


ARENA_MAX, MMAP_THRESHOLD = -8, -3
"""Names of glibc's mallopt(3)."""


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn is not typed
    """gthread with deadlines, and with refusals in our words."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._since: dict[Any, float] = {}

    def handle(self, conn: Any) -> Any:
        """In a thread: one request of a connection. A connection that ends is closed here: lingering until the client
        closes its side would stop the main loop, and with it every new connection, for two seconds each."""
        self._since[conn] = time.monotonic()
        try:
            kept = super().handle(conn)
        finally:
            del self._since[conn]
        if kept is False:
            conn.close(graceful=True)
        return kept

    def finish_request(self, conn: Any, fs: Any) -> None:
        if conn.sock.fileno() == -1:
            self.nr_conns -= 1
        else:
            super().finish_request(conn, fs)

    def murder_pending(self) -> None:
        """Each second, in the main loop: ends the reading, then the writing, of connections that are overdue."""
        super().murder_pending()
        now = time.monotonic()
        for conn, since in list(self._since.items()):
            if now - since > REQUEST_READ_TIMEOUT_S:
                try:
                    conn.sock.shutdown(socket.SHUT_RD if now - since < RESPONSE_WRITE_TIMEOUT_S else socket.SHUT_RDWR)
                except OSError:
                    continue  # closed in the meantime

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        refusal = describe_refusal(exc)
        LOG.warning(json.dumps({"refused": refusal.status, "because": type(exc).__name__}))
        body = json.dumps(refusal.error.outcome())
        head = (
            f"HTTP/1.1 {refusal.status} {refusal.reason}\r\n"
            f"Connection: close\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        )
        try:
            client.settimeout(2)
            client.sendall(f"{head}\r\n\r\n{body}".encode())
        except OSError:
            return  # the client has gone


class HttpRefusal(NamedTuple):
    """The answer to a request that is no HTTP we read: its status line, and the error of its body."""

    status: int
    reason: str
    error: CdsError


def describe_refusal(exc: Exception) -> HttpRefusal:
    """What to answer to what the parser of HTTP raised; without a word of the request."""
    if isinstance(exc, LimitRequestLine):
        return HttpRefusal(414, "URI Too Long", _error("too-long", "request line", f"at most {MAX_REQUEST_LINE_BYTES} bytes"))
    if isinstance(exc, LimitRequestHeaders):
        allowed = f"at most {MAX_HEADERS} headers of {MAX_HEADER_BYTES} bytes"
        return HttpRefusal(431, "Request Header Fields Too Large", _error("too-long", "headers", allowed))
    if isinstance(exc, ParseException):
        return HttpRefusal(400, "Bad Request", _error("invalid", "request", "HTTP/1.1 (RFC 9112)"))
    return HttpRefusal(500, "Internal Server Error", CdsError("a fault of the service; nothing was decided"))


def _error(code: str, where: str, allowed: str) -> CdsError:
    error = CdsError("the request could not be read", [Fault(where, "another one", allowed)])
    error.code = code
    return error


def _not_implemented(start_response: Any) -> Iterable[bytes]:
    """RFC 9112 section 6.1."""
    error = _error("not-supported", "Transfer-Encoding", "chunked, or none")
    LOG.warning(json.dumps({"refused": 501, "because": "Transfer-Encoding"}))
    start_response("501 Not Implemented", [("Content-Type", "application/json"), ("Connection", "close")])
    return [json.dumps(error.outcome()).encode()]


class Body:
    """wsgi.input. A malformed chunk is told as a connection that broke off, which Flask knows what to do with."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, size: int | None = None) -> bytes:
        try:
            return bytes(self._stream.read(size))
        except ParseException:
            raise OSError from None

    def readline(self, size: int | None = None) -> bytes:
        try:
            return bytes(self._stream.readline(size))
        except ParseException:
            raise OSError from None


class GunicornServer(BaseApplication):  # type: ignore[misc]  # gunicorn is not typed
    """`app`: built in the master, inherited by every worker at its fork; also by one that is renewed, or on SIGHUP. So all
    workers answer by the same files, and a file that is edited or broken meanwhile is not read before a restart."""

    def __init__(self, app: Wsgi, bind: str, options: dict[str, Any]) -> None:
        self._app = app
        self._options = {**OPTIONS, **options, "bind": bind, "worker_class": Worker}
        super().__init__()

    def load_config(self) -> None:
        for name, option in self._options.items():
            self.cfg.set(name, option)

    def load(self) -> Wsgi:
        app = self._app

        def wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            environ["wsgi.input"] = Body(environ["wsgi.input"])
            if environ.get("HTTP_TRANSFER_ENCODING", "chunked").strip().lower() != "chunked":
                return _not_implemented(start_response)  # gunicorn would pass on what it did not decode
            if environ.get("CONTENT_LENGTH"):
                environ.pop("wsgi.input_terminated", None)  # or a body that breaks off would pass for a short one
            return app(environ, start_response)

        return wsgi


class WithoutTraceback(logging.Filter):
    """A traceback ends in the message of an exception, which may hold what it choked on."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info:
            kind = record.exc_info[0]
            record.msg, record.args = "%s (%s)", (record.msg.split("%")[0].strip(), kind.__name__ if kind else "?")
            record.exc_info = record.exc_text = None
        return True


def return_memory() -> None:
    """glibc has every thread keep memory of its own, and after one large body keeps as much for the next: over 100,000
    requests a worker would double. Two arenas, and from 128 KiB on what is freed goes back at once. No glibc: as it is."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    for name, value in ((ARENA_MAX, 2), (MMAP_THRESHOLD, 128 * 1024)):
        if mallopt is not None:
            mallopt(name, value)


def format_address(host: str, port: int) -> str:
    """ "127.0.0.1:8080", "[::1]:8080". Raises ValueError if nobody can listen there."""
    if not 0 <= port <= 65535:
        raise ValueError(f"--port {port}: a port is a number from 0 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        why = str(error.strerror).split(" (")[0].lower()  # Python adds the address, which is told already
        raise ValueError(f"--host {host} --port {port}: cannot listen there: {why}") from None
    return f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"


def run_server(app: Wsgi, at: str, **options: Any) -> None:
    """Runs until it is told to stop. `at`: from `format_address`. Logs to standard error: our lines, and gunicorn's warnings;
    no other library's.

    `app`: holds no connection and has started no thread, as neither survives the fork of a worker.
    """
    return_memory()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would keep the charts in memory on a disk
    logging.getLogger().addHandler(logging.NullHandler())  # libraries warn with addresses, and an address names a patient
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(logging.Formatter("%(message)s"))
    LOG.addHandler(stream)
    LOG.setLevel(logging.INFO)
    logging.getLogger("gunicorn.error").addFilter(WithoutTraceback())
    GunicornServer(app, at, options).run()
