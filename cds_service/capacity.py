"""How many charts are judged at once, and for how long at most.

Who finds no free slot is told at once to come again, and waits for nobody. Work that takes more processor time than any chart
needs is given up, wherever it is: a watchdog looks at the processor clock of each thread that judges, and raises `GivenUp` in
it. What is one call into C (reading JSON, a regular expression) ends first: its input is bounded.
"""

from __future__ import annotations

import ctypes
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Semaphore
from typing import TypeVar

from cds_service.errors import Fault, Overloaded, TookTooLong

LOG = logging.getLogger("cds_service")
LOOK_INTERVAL_S = 0.25
"""Seconds between two looks of the watchdog."""
MAX_CONCURRENT_EVALUATIONS = 12
"""In each worker. They share one interpreter: more of them would only be slower, each and all."""
T = TypeVar("T")


class ConcurrencyLimit:
    """How many evaluations run at once in a worker."""

    def __init__(self, count: int = MAX_CONCURRENT_EVALUATIONS) -> None:
        self._free = Semaphore(count)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Raises Overloaded when all are taken."""
        if not self._free.acquire(blocking=False):
            raise Overloaded(
                "the service is busy",
                [Fault("service", "no free slot", "the same request again, later, with a token of its own")],
            )
        try:
            yield
        finally:
            self._free.release()


class GivenUp(BaseException):
    """Raised in a thread from outside. No Exception: nothing that judges may take it for a fault of its own."""


class _Work:
    """A piece of work in a thread. `over` and `striking`: each side says what it does, then looks at what the other said;
    so that no thread is struck once its work is over, without a lock that a stroke could leave taken."""

    __slots__ = ("clock", "ends", "over", "strikes", "striking", "thread")

    def __init__(self, seconds: float) -> None:
        self.thread = threading.get_ident()
        # a Mac has no clock of another thread
        self.clock = time.pthread_getcpuclockid(self.thread) if hasattr(time, "pthread_getcpuclockid") else time.CLOCK_MONOTONIC
        self.ends = time.clock_gettime(self.clock) + seconds
        self.over = self.striking = False
        self.strikes = 0

    def finish(self) -> None:
        """In its thread: from its return on nothing strikes. May be struck itself, and is then called again."""
        self.over = True
        while self.striking:
            time.sleep(0.001)
        if not self.strikes:
            return
        try:  # a stroke that has not arrived must not arrive later: one of our own takes its place, and arrives here
            _strike(self.thread)
            while True:
                pass
        except GivenUp:
            return

    def strike_if_overdue(self) -> bool:
        """In the watchdog. Whether it struck for the first time; again each second, where the first stroke was lost in a
        place that swallows it (a finaliser)."""
        self.striking = True
        try:
            if self.over or time.clock_gettime(self.clock) < self.ends:
                return False
            self.strikes += 1
            _strike(self.thread)
            self.ends = time.clock_gettime(self.clock) + 1
            return self.strikes == 1
        except OSError:  # no such thread any more
            return False
        finally:
            self.striking = False


def _strike(thread: int) -> None:
    """Raises GivenUp there at the next turn of a loop or call. (Never with NULL, to take it back: CPython 3.11 then looks for
    it for ever.)"""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(GivenUp))


class CpuLimit:
    """Shared by the threads of a worker. Its watchdog starts with the first work, so after the fork of the worker."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.given_up = 0
        """Pieces of work given up so far."""
        self._running: set[_Work] = set()
        self._something_runs = threading.Event()
        self._starting = threading.Lock()
        self._watchdog: threading.Thread | None = None

    def run(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises. Raises TookTooLong when it takes more than its share of processor time."""
        self._watch()
        piece = _Work(self.seconds)
        self._running.add(piece)
        self._something_runs.set()
        try:
            try:
                return work()
            finally:
                piece.finish()
        except GivenUp:
            raise TookTooLong(
                "judging this chart takes longer than any should",
                [Fault("prefetch", "data that take too long to judge", "a chart of fewer or shorter data")],
            ) from None
        finally:
            piece.finish()  # again: the one above may have been struck, which no more than one in a second is
            self._running.discard(piece)

    def _watch(self) -> None:
        if self._watchdog is None or not self._watchdog.is_alive():
            with self._starting:
                if self._watchdog is None or not self._watchdog.is_alive():
                    self._watchdog = threading.Thread(target=self._look, name="cpu limit", daemon=True)
                    self._watchdog.start()

    def _look(self) -> None:
        while True:
            self._something_runs.wait()
            self._something_runs.clear()
            while self._running:
                time.sleep(LOOK_INTERVAL_S)
                for piece in tuple(self._running):
                    if piece.strike_if_overdue():
                        self.given_up += 1
                        LOG.warning(
                            json.dumps({"given up": "processor time", "seconds": self.seconds, "so far": self.given_up})
                        )


class Capacity:
    """What a worker has for evaluations: how many may run at once, and the processor time of each."""

    def __init__(self, limit: ConcurrencyLimit, cpu_limit: CpuLimit) -> None:
        self.limit, self.cpu_limit = limit, cpu_limit

    def run(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises. Raises Overloaded where no slot is free, TookTooLong where it takes too long."""
        with self.limit.slot():
            return self.cpu_limit.run(work)
