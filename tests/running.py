"""The service and PostgreSQL as processes of their own, for what only several workers and a restart can show."""

from __future__ import annotations

import http.client
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import ROOT, SERVICE

PATIENCE = 30
"""Seconds to wait for a process to come up."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Running:
    port: int

    def post(self, body: object, headers: Mapping[str, str], path: str = SERVICE) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            sent = json.dumps(body).encode()
            connection.request("POST", path, sent, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


@contextmanager
def service(folder: Path, *arguments: str, port: int, **environment: str) -> Iterator[Running]:
    """`serve` with its two workers; what it says goes to serve.log in `folder`."""
    with (folder / "serve.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "cds_service", "serve", "--port", str(port), *arguments],
            stdout=log,
            stderr=log,
            cwd=ROOT,
            env={**os.environ, **environment},
        )
        try:
            wait_for(port, process)
            yield Running(port)
        finally:
            process.terminate()
            process.wait(PATIENCE)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        assert process.poll() is None, "the service ended before it answered"
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health")
            connection.getresponse().read()
            return
        except OSError:
            time.sleep(0.05)
        finally:
            connection.close()
    raise AssertionError("the service does not answer")


def postgres_programs() -> Path | None:
    """Where Debian's PostgreSQL keeps its programs, if it is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).resolve().parent if on_path else None


@contextmanager
def postgres() -> Iterator[str]:
    """The address of an empty database on 127.0.0.1. The server refuses to run as root, so it runs as postgres."""
    programs = postgres_programs()
    assert programs
    folder, port = Path(tempfile.mkdtemp(prefix="cds-postgres-")), free_port()
    as_postgres: list[str] = []
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        as_postgres = ["runuser", "-u", "postgres", "--"]

    def run(program: str, *arguments: str) -> None:
        subprocess.run([*as_postgres, str(programs / program), *arguments], check=True, stdout=subprocess.DEVNULL, cwd=folder)

    data = str(folder / "data")
    try:
        run("initdb", "-D", data, "-A", "trust", "-U", "cds", "--no-sync")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c fsync=off -k {folder}"
        run("pg_ctl", "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
        try:
            yield f"postgresql://cds@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder)
