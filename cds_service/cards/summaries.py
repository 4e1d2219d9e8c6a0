"""The summary of an overview: what can be discussed, else what is open, else why there is nothing (docs/cards.md, "Limits", 1).
It never says "none" while anything is open."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cds_service.cards import wording

MAX_SUMMARY_CHARS = 130
"""The limit for every card. CDS Hooks requires fewer than 140 (CH-76)."""


class Contraindicated(NamedTuple):
    name: str
    by: str
    """The text of the contraindication."""


class Outlook(NamedTuple):
    """The contents of the summary. Names are those used within a sentence."""

    to_discuss: Sequence[str]
    """Recommended or "consider", in the order of the overview."""
    nearly: Sequence[str]
    """Indicated, with only safety checks open."""
    open: Sequence[str]
    contraindicated: Sequence[Contraindicated]
    first_question: str
    """What to find out first, if anything is open."""
    first_steps: Sequence[str] = ()
    """Texts for what comes before any treatment ("cardiology first"), the fullest first."""


def say_outlook(disease: Sequence[str], outlook: Outlook) -> str:
    """Return the longest summary that fits. `disease`: texts for the disease, the fullest first."""
    said = list(_outlooks(outlook))
    return first_fitting(
        [*(_start_with(named, text) for text in said for named in disease), *(_start_with("", text) for text in said)]
    )


def _start_with(disease: str, said: str) -> str:
    """Return "disease: said", or `said` with a capital letter if `disease` is empty."""
    return f"{disease}: {said}" if disease else f"{said[:1].upper()}{said[1:]}"


def first_fitting(candidates: Iterable[str]) -> str:
    """Return the first text of at most MAX_SUMMARY_CHARS, else the last one."""
    last = ""
    for last in candidates:
        if len(last) <= MAX_SUMMARY_CHARS:
            return last
    return last


def _outlooks(outlook: Outlook) -> Iterable[str]:
    """Yield texts for the outlook, the fullest first. Each is complete in itself."""
    warned = [*_warnings(outlook), ""]
    if outlook.to_discuss:
        yield from _to_discuss(outlook)
    elif outlook.nearly:
        for said in _names(outlook.nearly):
            yield from (f"{said} indicated, safety checks open{warning}. First: {outlook.first_question}" for warning in warned)
        yield f"{outlook.nearly[0]} indicated, safety checks open"
    elif outlook.open:
        yield f"nothing to decide on yet. First: {outlook.first_question}"
        yield "nothing to decide on yet; questions for the board"
    elif outlook.contraindicated:
        name, by = outlook.contraindicated[0]
        more = len(outlook.contraindicated) - 1
        others = f" and {more} more" if more else ""
        yield f"{name}{others} contraindicated ({by}); nothing else meets its criteria: discuss individually"
        yield f"{name}{others} contraindicated; nothing else meets its criteria: discuss individually"
    else:
        yield "no criterion of these rules is met; discuss individually"


def _to_discuss(outlook: Outlook) -> Iterable[str]:
    steps = [f"{step}; " for step in outlook.first_steps] or [""]
    for said in _names(outlook.to_discuss):
        for step in steps:
            yield from (f"{step}discuss {said}{warning}" for warning in (*_warnings(outlook), ""))


def _warnings(outlook: Outlook) -> Iterable[str]:
    """Yield texts for what is contraindicated, to follow what can be discussed."""
    stopped = [part.name for part in outlook.contraindicated]
    if stopped:
        yield f"; {wording.join_words(stopped)} contraindicated"
    if len(stopped) > 1:
        yield f"; {len(stopped)} treatments contraindicated"


def _names(names: Sequence[str]) -> Iterable[str]:
    """Yield all names, then ever fewer with the number of the others."""
    yield wording.join_words(names)
    for shown in range(len(names) - 1, 0, -1):
        yield f"{', '.join(names[:shown])} and {len(names) - shown} more"
