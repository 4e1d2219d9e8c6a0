"""A progress bar on standard error, shown only on a terminal."""

from __future__ import annotations

import time
from typing import TextIO

BAR_WIDTH_CHARS, MIN_UPDATE_INTERVAL_S = 30, 0.1


class Progress:
    """One line that is redrawn, and cleared at the end. It does nothing if the stream is not a terminal."""

    def __init__(self, stream: TextIO, words: str, total: int) -> None:
        self._stream, self._words, self._total = stream, words, max(total, 1)
        self._done, self._drawn = 0, 0.0
        self._shown = stream.isatty()

    def step(self, amount: int) -> None:
        """Add to the amount done and redraw the bar."""
        self._done += amount
        now = time.monotonic()
        if self._shown and now - self._drawn >= MIN_UPDATE_INTERVAL_S:
            share = min(self._done / self._total, 1)
            bar = "█" * int(share * BAR_WIDTH_CHARS)
            self._stream.write(f"\r{self._words} {bar:·<{BAR_WIDTH_CHARS}} {share:4.0%}")
            self._stream.flush()
            self._drawn = now

    def end(self) -> None:
        """Clear the bar."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
