"""Limits how many evaluations run at once, and the processor time of each.

When all slots are taken, callers get 503 immediately; requests are never queued. A watchdog reads the processor clock of each
evaluating thread and raises `GivenUp` in a thread that exceeds its limit. A call into C (decoding JSON, a regular expression)
runs to its end before the exception arrives; its input is bounded.
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
"""Seconds between two checks of the watchdog."""
MAX_CONCURRENT_EVALUATIONS = 12
"""In each worker process. The evaluations share one interpreter, so more of them would only slow each other down."""
T = TypeVar("T")


class ConcurrencyLimit:
    """Limits the evaluations that run at once in a worker process."""

    def __init__(self, count: int = MAX_CONCURRENT_EVALUATIONS) -> None:
        self._free = Semaphore(count)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one slot for the duration of the `with` block. Raises Overloaded when all are taken."""
        if not self._free.acquire(blocking=False):
            problem = f"is busy; retry after {Overloaded.retry_after} seconds with a new token"
            raise Overloaded("the service is busy", [Fault("the service", problem)])
        try:
            yield
        finally:
            self._free.release()


class GivenUp(BaseException):
    """Raised by the watchdog in an evaluating thread. Not an Exception, so that no `except Exception` catches it."""


class _Work:
    """Work in one thread, which the watchdog may interrupt ("strike") with GivenUp.

    `over` (set by the thread) and `striking` (set by the watchdog): each side sets its own flag before it reads the other's.
    So no thread is interrupted after its work, and no lock is needed, which an interrupted thread could leave locked.
    """

    __slots__ = ("clock", "ends", "over", "strikes", "striking", "thread")

    def __init__(self, seconds: float) -> None:
        self.thread = threading.get_ident()
        # macOS cannot read the processor clock of another thread
        self.clock = time.pthread_getcpuclockid(self.thread) if hasattr(time, "pthread_getcpuclockid") else time.CLOCK_MONOTONIC
        self.ends = time.clock_gettime(self.clock) + seconds
        self.over = self.striking = False
        self.strikes = 0

    def finish(self) -> None:
        """Return when no interruption can arrive any more. Called in the working thread; if it is interrupted itself, it is
        called again."""
        self.over = True
        while self.striking:
            time.sleep(0.001)
        if not self.strikes:
            return
        try:  # a GivenUp that has not arrived must not arrive after this method: raise another, which replaces it, and wait
            _strike(self.thread)
            while True:
                pass
        except GivenUp:
            return

    def strike_if_overdue(self) -> bool:
        """Interrupt the thread if its time is up, and return whether this was the first interruption. Called by the watchdog.
        Repeats each second, as a finaliser may swallow the exception."""
        self.striking = True
        try:
            if self.over or time.clock_gettime(self.clock) < self.ends:
                return False
            self.strikes += 1
            _strike(self.thread)
            self.ends = time.clock_gettime(self.clock) + 1
            return self.strikes == 1
        except OSError:  # the thread has ended
            return False
        finally:
            self.striking = False


def _strike(thread: int) -> None:
    """Raise GivenUp in `thread` at its next loop iteration or call. It is never cancelled (with NULL): CPython 3.11 would then
    look for the exception for ever."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(GivenUp))


class CpuLimit:
    """Limits the processor time of each evaluation in a worker process. The watchdog starts with the first evaluation, that
    is, after the process was forked."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.given_up = 0
        """How many evaluations have been given up so far."""
        self._running: set[_Work] = set()
        self._something_runs = threading.Event()
        self._starting = threading.Lock()
        self._watchdog: threading.Thread | None = None

    def run(self, work: Callable[[], T]) -> T:
        """Return what `work` returns. Raises what it raises, and TookTooLong if it exceeds the processor time limit."""
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
                "the evaluation exceeded its processor time",
                [Fault("prefetch", "takes too long to evaluate; send fewer or shorter resources")],
            ) from None
        finally:
            piece.finish()  # again, as the call above may have been interrupted; a second interruption is a second away
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
    """The limits of a worker process: evaluations at once, and processor time of each."""

    def __init__(self, limit: ConcurrencyLimit, cpu_limit: CpuLimit) -> None:
        self.limit, self.cpu_limit = limit, cpu_limit

    def run(self, work: Callable[[], T]) -> T:
        """Return what `work` returns. Raises what it raises, Overloaded if no slot is free, and TookTooLong."""
        with self.limit.slot():
            return self.cpu_limit.run(work)
