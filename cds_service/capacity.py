"""How many charts are judged at once. Who finds no place is told at once to come again, and waits for nobody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Semaphore

from cds_service.errors import Fault, Overloaded

MAX_CONCURRENT_EVALUATIONS = 12
"""In each worker. They share one interpreter: more of them would only be slower, each and all."""


class ConcurrencyLimit:
    def __init__(self, count: int = MAX_CONCURRENT_EVALUATIONS) -> None:
        self._free = Semaphore(count)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Raises Overloaded when all are taken."""
        if not self._free.acquire(blocking=False):
            raise Overloaded(
                "the service is busy",
                [Fault("service", "no free place", "the same request again, later, with a token of its own")],
            )
        try:
            yield
        finally:
            self._free.release()
