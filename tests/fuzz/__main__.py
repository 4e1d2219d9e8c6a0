"""`python -m tests.fuzz [--requests N] [--seed N] [--first N]`: sends mutated requests to the running service.

Prints the counts by status, the slowest answers and the memory of the workers. Fails on a 5xx other than 503, on an answer
that is not JSON as documented, on an answer that takes longer than LONGEST, and on growing memory.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from queue import SimpleQueue

from tests.fuzz.mutations import Call, call
from tests.support.servers import Running, running

LONGEST = 30.0
"""Seconds, on a machine with other work."""
GROWTH = 1.1
"""Largest allowed ratio of the workers' memory in the last tenth of the requests to that in the first."""
CLIENTS = 3
TODAY = date(2026, 11, 23)


@dataclass
class Seen:
    """The answers so far. `faults`: for each failed request its number and the reason."""

    statuses: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    times: list[tuple[float, int, str]] = field(default_factory=list)
    cards: int = 0

    def add(self, number: int, made: Call, status: int | None, body: bytes, seconds: float) -> None:
        self.statuses["broken off" if status is None else str(status)] += 1
        self.kinds[f"{made.kind} {status or 'broken off'}"] += 1
        self.times = sorted([*self.times, (seconds, number, made.kind)], reverse=True)[:5]
        if why := self._fault(made, status, body, seconds):
            self.faults.append(f"request {number} ({made.kind}, {made.method} {made.path[:60]}): {why}")
            print(self.faults[-1], flush=True)

    def _fault(self, made: Call, status: int | None, body: bytes, seconds: float) -> str:
        if seconds > LONGEST:
            return f"{seconds:.1f} s"
        if status is None:  # rejected while still being sent: allowed only for a body above the size limit
            return "" if len(made.body) > 20_000_000 else "no answer"
        if status >= 500 and status != 503:
            return f"{status} {body[:200]!r}"
        if made.method in {"HEAD", "OPTIONS"}:
            return ""
        try:
            content = json.loads(body)
        except ValueError:
            return f"{status}, and no JSON: {body[:100]!r}"
        if made.method == "POST" and status == 200:
            self.cards += len(content["cards"])
        return "" if status == 200 or content.get("resourceType") == "OperationOutcome" else f"{status} without an outcome"


class Client:
    """The client of one thread, with a persistent connection."""

    connection: HTTPConnection | None = None

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def send(self, service: Running, made: Call) -> tuple[int | None, bytes]:
        if self.connection is None:
            self.connection = service.connect(LONGEST * 3)
        try:
            self.connection.request(made.method, made.path, made.body, made.headers)
            answer = self.connection.getresponse()
            return answer.status, answer.read()
        except (OSError, HTTPException):
            self.close()
            return None, b""


def fuzz(service: Running, seed: int, numbers: range) -> tuple[Seen, list[int]]:
    """Return the answers, and samples of the memory of all workers together in kilobytes."""
    seen, lock, memory = Seen(), threading.Lock(), [0]
    idle = SimpleQueue[Client]()
    for _ in range(CLIENTS):
        idle.put(Client())

    def one(number: int) -> None:
        client = idle.get()
        made = call(seed, number)
        started = time.perf_counter()
        status, body = client.send(service, made)
        if status is None and len(made.body) <= 20_000_000:  # the persistent connection may have been closed: retry once
            status, body = client.send(service, made)
        seconds = time.perf_counter() - started
        idle.put(client)
        with lock:
            seen.add(number, made, status, body, seconds)
            done = sum(seen.statuses.values())
            if done % max(1, len(numbers) // 100) == 0:
                memory.append(sum(service.resident().values()))
            if done % 2000 == 0:
                print(f"{done} requests, {memory[-1] // 1024} MiB, {dict(seen.statuses)}", flush=True)

    with ThreadPoolExecutor(CLIENTS) as pool:
        for start in range(numbers.start, numbers.stop, 1000):  # in portions, to limit the memory for queued requests
            list(pool.map(one, range(start, min(start + 1000, numbers.stop))))
    for _ in range(CLIENTS):
        idle.get().close()
    return seen, memory[1:]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--first", type=int, default=0, help="number of the first request")
    chosen = parser.parse_args()
    numbers = range(chosen.first, chosen.first + chosen.requests)
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), TODAY, options={"max_requests": 0}) as service:
        started, workers = time.perf_counter(), service.workers()
        seen, memory = fuzz(service, chosen.seed, numbers)
        seconds = time.perf_counter() - started
        if service.workers() != workers:
            seen.faults.append("a worker died")
    tenth = max(1, len(memory) // 10)
    early, late = max(memory[:tenth]), max(memory[-tenth:])
    if late > early * GROWTH:
        seen.faults.append(f"memory grew from {early // 1024} to {late // 1024} MiB")
    print(f"{len(numbers)} requests of seed {chosen.seed} in {seconds:.0f} s, {seen.cards} cards")
    print("by status:", dict(sorted(seen.statuses.items())))
    print("by kind:", dict(sorted(seen.kinds.items())))
    print("slowest:", ", ".join(f"{took:.2f} s (request {number}, {kind})" for took, number, kind in seen.times))
    print("memory of the workers, MiB:", ", ".join(str(memory[len(memory) * part // 10] // 1024) for part in range(10)),
          f"… {memory[-1] // 1024}; highest {max(memory) // 1024}")  # fmt: skip
    print(*seen.faults, sep="\n")
    return 1 if seen.faults else 0


if __name__ == "__main__":
    sys.exit(main())
