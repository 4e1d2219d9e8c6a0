"""A card before it is written: its paragraphs, its limits, and how much of it is left out so that it keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cds_service.cards.text import LAST_CUT, Paragraph, filled_lines, render, visible_length
from cds_service.knowledge.evidence import Publication


@dataclass(frozen=True, slots=True)
class Limits:
    """Characters that a reader sees, and lines that are not blank (CARDS, limits 3 and 4)."""

    chars: int
    lines: int


@dataclass(frozen=True, slots=True)
class Written:
    """The Markdown of a card and the publications that are linked in it."""

    detail: str
    linked: tuple[Publication, ...]
    short: bool
    """Whether no block has more lines than it may."""

    def fits(self, limits: Limits) -> bool:
        return self.short and self.length <= limits.chars and filled_lines(self.detail) <= limits.lines

    @property
    def length(self) -> int:
        return visible_length(self.detail)


@dataclass(frozen=True, slots=True)
class Draft:
    summary: str
    paragraphs: Sequence[Paragraph]
    limits: Limits
    _written: dict[int, Written] = field(default_factory=dict, compare=False)

    def write(self, squeeze: int) -> Written:
        if squeeze not in self._written:
            self._written[squeeze] = Written(*render(self.paragraphs, squeeze))
        return self._written[squeeze]

    def smallest_squeeze(self) -> int:
        """The first at which it keeps its limits; the last, where what may never be left out is too long."""
        return next((squeeze for squeeze in range(LAST_CUT + 1) if self.write(squeeze).fits(self.limits)), LAST_CUT)


def squeeze_all(drafts: Sequence[Draft], most_chars: int) -> list[int]:
    """A squeeze for each draft, so that each keeps its limits and all together have at most so many characters. The longest
    gives way first."""
    squeezes = [draft.smallest_squeeze() for draft in drafts]
    while sum(draft.write(at).length for draft, at in zip(drafts, squeezes, strict=True)) > most_chars:
        able = [number for number, at in enumerate(squeezes) if at < LAST_CUT]
        if not able:
            break
        longest = max(able, key=lambda number: drafts[number].write(squeezes[number]).length)
        squeezes[longest] += 1
    return squeezes
