"""Run the real service for tests: gunicorn on a free port of 127.0.0.1, in a separate process, stopped by its id."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from http.client import HTTPConnection
from pathlib import Path

from tests.conftest import ROOT


@dataclass
class Running:
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def connect(self, timeout: float = 30) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def socket(self, timeout: float = 30) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def post(self, body: bytes, path: str = "/cds-services/nlm-patient-view", **headers: str) -> tuple[int, bytes]:
        connection = self.connect()
        try:
            connection.request("POST", path, body, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def exchange(self, sent: bytes) -> bytes:
        """Send bytes and return the bytes received until the service closes the connection."""
        with self.socket() as raw:
            raw.sendall(sent)
            found = b""
            while part := raw.recv(65536):
                found += part
            return found

    def said(self) -> str:
        """Return everything that the service wrote to standard output and error."""
        return self.log.read_text("utf-8", "replace")

    def workers(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(child) for child in children.split()]

    def wait_for_workers(self, *, other_than: Collection[int], count: int) -> None:
        """Return when `count` workers run and none of `other_than` does. Raises AssertionError after 60 s, or if the
        service has ended."""
        until = time.monotonic() + 60
        while len(now := self.workers()) != count or set(now) & set(other_than):
            assert self.process.poll() is None, self.said()[-2000:]
            assert time.monotonic() < until, self.said()[-2000:]
            time.sleep(0.05)

    def threads(self, pid: int) -> int:
        return len(list(Path(f"/proc/{pid}/task").iterdir()))

    def all_have_answered(self) -> bool:
        """Return whether each worker has taken a request: gunicorn starts a thread only when it needs one."""
        return all(self.threads(pid) > 1 for pid in self.workers())

    def open_files(self, pid: int) -> list[str]:
        """List what the file descriptors of a process lead to."""
        return [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]

    def resident(self) -> dict[int, int]:
        """Return worker → its resident memory in kB."""
        found = {}
        for pid in self.workers():
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue
            found[pid] = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")), 0)
        return found


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens.

    Each worker of pytest-xdist draws from a range of its own, so that two of them never take the same port, and below those
    that the kernel gives to connections, so that none takes it before the service listens.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 20
    while True:
        port = 12_000 + 1_000 * worker + random.randrange(1_000)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


@contextmanager
def running(
    folder: Path, today: date, before: str = "", options: Mapping[str, object] | None = None, pages: bool = False
) -> Iterator[Running]:
    """`before`: Python that runs in the service's process first, to slow it down or to shorten a deadline."""
    port, log = free_port(), folder / "service.log"
    program = (
        "from datetime import date\n"
        "from cds_service import app, gunicorn_server\n"
        "from cds_service.settings import Settings\n"
        f"{before}\n"
        f"built = app.create_app(Settings(pages={pages}), lambda: {today!r})\n".replace("datetime.date", "date")
        + f"gunicorn_server.run_server(built, '127.0.0.1:{port}', **{dict(options or {})!r})\n"
    )
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-c", program], stdout=out, stderr=out, cwd=ROOT, env=environment)
    with _up(Running(process, port, log)) as service:
        yield service


@contextmanager
def serving(folder: Path, *arguments: str, port: int, **environment: str) -> Iterator[Running]:
    """Run `serve` of the command line with its two workers; its output goes to serve.log in `folder`."""
    log = folder / "serve.log"
    command = [sys.executable, "-m", "cds_service", "serve", "--port", str(port), *arguments]
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=ROOT, env={**os.environ, **environment})
    with _up(Running(process, port, log)) as service:
        yield service


@contextmanager
def _up(service: Running) -> Iterator[Running]:
    """Yield from the first answer of the service until it is stopped by its process id."""
    try:
        _wait(service)
        yield service
    finally:
        if service.process.poll() is None:
            service.process.send_signal(signal.SIGTERM)
            try:
                service.process.wait(30)
            except subprocess.TimeoutExpired:
                service.process.kill()
                service.process.wait()


def _wait(service: Running) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert service.process.poll() is None, service.said()
        try:
            connection = service.connect(5)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200 and len(service.workers()) >= 1:
                return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise AssertionError(f"the service did not start: {service.said()}")
