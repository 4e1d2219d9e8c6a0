"""Drafts of cards: paragraphs with limits, and how much has to be left out to keep within them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cds_service.cards.text import LAST_CUT, Paragraph, filled_lines, render, visible_length
from cds_service.knowledge.evidence import Publication


@dataclass(frozen=True, slots=True)
class Limits:
    """Characters that a reader sees, and lines that are not blank (docs/cards.md, "Limits", 3 and 4)."""

    chars: int
    lines: int


@dataclass(frozen=True, slots=True)
class WrittenDraft:
    """The Markdown of a card and the publications linked in it."""

    detail: str
    linked: tuple[Publication, ...]
    short: bool
    """Whether no paragraph has more lines than it may."""

    def fits(self, limits: Limits) -> bool:
        """Return whether all limits are kept."""
        return self.short and self.length <= limits.chars and filled_lines(self.detail) <= limits.lines

    @property
    def length(self) -> int:
        """Characters that a reader sees."""
        return visible_length(self.detail)


@dataclass(frozen=True, slots=True)
class Draft:
    """The summary and the paragraphs of a card, before anything is left out."""

    summary: str
    paragraphs: Sequence[Paragraph]
    limits: Limits
    _written: dict[int, WrittenDraft] = field(default_factory=dict, compare=False)

    def write(self, squeeze: int) -> WrittenDraft:
        """Return the text at a squeeze (see text.py), cached."""
        if squeeze not in self._written:
            self._written[squeeze] = WrittenDraft(*render(self.paragraphs, squeeze))
        return self._written[squeeze]

    def smallest_squeeze(self) -> int:
        """Return the first squeeze at which the limits are kept, or LAST_CUT if the text that is never left out is too long."""
        return next((squeeze for squeeze in range(LAST_CUT + 1) if self.write(squeeze).fits(self.limits)), LAST_CUT)


def squeeze_all(drafts: Sequence[Draft], most_chars: int) -> list[int]:
    """Return a squeeze for each draft, so that each keeps its limits and all together have at most `most_chars`. The longest is
    shortened first."""
    squeezes = [draft.smallest_squeeze() for draft in drafts]
    while sum(draft.write(at).length for draft, at in zip(drafts, squeezes, strict=True)) > most_chars:
        able = [number for number, at in enumerate(squeezes) if at < LAST_CUT]
        if not able:
            break
        longest = max(able, key=lambda number: drafts[number].write(squeezes[number]).length)
        squeezes[longest] += 1
    return squeezes
