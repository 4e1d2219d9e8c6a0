"""The gunicorn configuration: HTTP limits, deadlines for slow clients, worker recycling, errors that repeat no request data.

With gthread workers a half-sent request occupies one thread and nothing else. gunicorn itself would answer a malformed request
with HTML that repeats the request line, and log that line; this module sends an OperationOutcome and logs no request data.
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
"""Seconds from the first byte of a request until the client must have sent it, and until it must have read the answer. Then
the connection is closed."""
OPTIONS: dict[str, Any] = {
    "workers": 2,
    "threads": 24,  # twice MAX_CONCURRENT_EVALUATIONS: the other half reads slow bodies and answers 503
    "timeout": 30,  # kills a worker whose main loop hangs; does not limit a request
    "graceful_timeout": 30,
    "keepalive": 5,
    "max_requests": 20_000,
    "max_requests_jitter": 2_000,  # so that the workers are not replaced at the same time
    "http_parser": "python",  # "auto" uses gunicorn_h1c where installed, whose errors are not tested here
    "limit_request_line": MAX_REQUEST_LINE_BYTES,
    "limit_request_fields": MAX_HEADERS,
    "limit_request_field_size": MAX_HEADER_BYTES,
    "forwarded_allow_ips": "",  # trust no X-Forwarded-* header; none is used
    "forwarder_headers": "",  # else a SCRIPT_NAME header from this machine would change the path
    "control_socket_disable": True,  # not used
    "loglevel": "warning",
}


ARENA_MAX, MMAP_THRESHOLD = -8, -3
"""Parameters of glibc's mallopt(3)."""


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn is not typed
    """gthread worker with deadlines, and with OperationOutcomes for malformed requests."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._since: dict[Any, float] = {}

    def handle(self, conn: Any) -> Any:
        """Handle one request of a connection, in a thread. Close the connection here if it ends: gunicorn would close it in
        the main loop and wait there for the client, which blocks every new connection for two seconds."""
        self._since[conn] = time.monotonic()
        try:
            kept = super().handle(conn)
        finally:
            del self._since[conn]
        if kept is False:
            conn.close(graceful=True)
        return kept

    def finish_request(self, conn: Any, fs: Any) -> None:
        """Skip a connection that `handle` has closed, except for the count of connections."""
        if conn.sock.fileno() == -1:
            self.nr_conns -= 1
        else:
            super().finish_request(conn, fs)

    def murder_pending(self) -> None:
        """Shut down reading, and later writing, of overdue connections. gunicorn calls it each second in the main loop."""
        super().murder_pending()
        now = time.monotonic()
        for conn, since in list(self._since.items()):
            if now - since > REQUEST_READ_TIMEOUT_S:
                try:
                    conn.sock.shutdown(socket.SHUT_RD if now - since < RESPONSE_WRITE_TIMEOUT_S else socket.SHUT_RDWR)
                except OSError:
                    continue  # already closed

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer a malformed request with an OperationOutcome and log its status, without request data."""
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
    """The answer to a malformed HTTP request: status line, and the error for its body."""

    status: int
    reason: str
    error: CdsError


def describe_refusal(exc: Exception) -> HttpRefusal:
    """Return the answer to an exception of the HTTP parser. It repeats nothing of the request."""
    if isinstance(exc, LimitRequestLine):
        return HttpRefusal(
            414, "URI Too Long", _error("too-long", "request line", f"must be at most {MAX_REQUEST_LINE_BYTES} bytes")
        )
    if isinstance(exc, LimitRequestHeaders):
        problem = f"must be at most {MAX_HEADERS}, each of at most {MAX_HEADER_BYTES} bytes"
        return HttpRefusal(431, "Request Header Fields Too Large", _error("too-long", "headers", problem))
    if isinstance(exc, ParseException):
        return HttpRefusal(400, "Bad Request", _error("invalid", "request", "is not valid HTTP/1.1 (RFC 9112)"))
    return HttpRefusal(500, "Internal Server Error", CdsError("internal error; nothing was decided"))


def _error(code: str, where: str, problem: str) -> CdsError:
    error = CdsError("the request could not be read", [Fault(where, problem)])
    error.code = code
    return error


def _not_implemented(start_response: Any) -> Iterable[bytes]:
    """Answer 501 to an unknown transfer coding (RFC 9112 section 6.1)."""
    error = _error("not-supported", "Transfer-Encoding", "must be chunked or absent")
    LOG.warning(json.dumps({"refused": 501, "because": "Transfer-Encoding"}))
    start_response("501 Not Implemented", [("Content-Type", "application/json"), ("Connection", "close")])
    return [json.dumps(error.outcome()).encode()]


class Body:
    """Wraps wsgi.input. Raises OSError for a malformed chunk, as for a lost connection, which Flask handles (408)."""

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
    """Serves `app` with forked workers.

    The master builds `app` once; every worker inherits it, also a later replacement, and after SIGHUP. So all workers use the
    same files, and an edited file is not read before a restart.
    """

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
                return _not_implemented(start_response)  # gunicorn would pass the body on undecoded
            if environ.get("CONTENT_LENGTH"):
                environ.pop("wsgi.input_terminated", None)  # else a truncated body would be taken for a complete one
            return app(environ, start_response)

        return wsgi


class WithoutTraceback(logging.Filter):
    """Replaces tracebacks in the log by the type of the exception, whose message may contain request data."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info:
            kind = record.exc_info[0]
            record.msg, record.args = "%s (%s)", (record.msg.split("%")[0].strip(), kind.__name__ if kind else "?")
            record.exc_info = record.exc_text = None
        return True


def return_memory() -> None:
    """Make glibc return freed memory: two arenas only, and blocks of 128 KiB or more are returned at once. Does nothing
    without glibc.

    By default each thread keeps memory of its own, and as much as its largest body needed; a worker would double in size
    over 100,000 requests.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    for name, value in ((ARENA_MAX, 2), (MMAP_THRESHOLD, 128 * 1024)):
        if mallopt is not None:
            mallopt(name, value)


def format_address(host: str, port: int) -> str:
    """Return "127.0.0.1:8080" or "[::1]:8080". Raises ValueError if the address cannot be listened on."""
    if not 0 <= port <= 65535:
        raise ValueError(f"--port must be a number from 0 to 65535, not {port}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        why = str(error.strerror).split(" (")[0].lower()  # Python appends the address, which the message already has
        raise ValueError(f"cannot listen on --host {host} --port {port}: {why}") from None
    return f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"


def run_server(app: Wsgi, at: str, **options: Any) -> None:
    """Serve until stopped by a signal. `at`: from `format_address`. Log the service's own lines and gunicorn's warnings, but
    no other library's, to standard error.

    `app` must hold no connection and have started no thread, as neither survives the fork of a worker.
    """
    return_memory()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would write charts to disk
    logging.getLogger().addHandler(logging.NullHandler())  # libraries log URLs, which contain patient ids
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(logging.Formatter("%(message)s"))
    LOG.addHandler(stream)
    LOG.setLevel(logging.INFO)
    logging.getLogger("gunicorn.error").addFilter(WithoutTraceback())
    GunicornServer(app, at, options).run()
