"""The text of a card: lines of phrases with their sources, shortened in one order where space runs out (CARDS, limit 9)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from cds_service.knowledge.evidence import Publication

MAX_LINE_CHARS = 220
"""Of a rendered line."""
MAX_LINKS = 5
"""Different links of a card. With the link to an evidence page it has six."""


class Cut(IntEnum):
    """What is left out where space runs out, the first first. A phrase with KEPT never is."""

    KEPT = 0
    REPEATED = 1
    """What another line says too, such as the day of a fact."""
    NORMAL_VALUE = 2
    FIGURES = 3
    """Of a statement that speaks for a treatment; its stance and its source stay."""
    DETAIL = 4
    """What names a thing more exactly than a reader needs to find it; a second risk."""
    WORDING = 5
    """The fuller words of what stays: a risk, a dissent."""


LAST_CUT = max(Cut)


@dataclass(frozen=True, slots=True)
class Phrase:
    """`brief` takes the place of `text` from `cut` on; where it is empty the phrase is left out, sources and all, unless
    `sources_stay`."""

    text: str
    sources: tuple[Publication, ...] = ()
    cut: Cut = Cut.KEPT
    brief: str = ""
    supporting: bool = False
    """Its sources become words first where a card would have more links than it may."""
    sources_stay: bool = False
    after: str = ""
    """What follows the sources."""
    last: Cut = Cut.KEPT
    """Where it is left out altogether, `brief` and all."""
    unsourced: Cut = Cut.KEPT
    """From where on it stands without its sources, where space runs out."""

    def at(self, squeeze: int) -> Phrase | None:
        """The phrase as it stands at a squeeze, or None where it is left out."""
        if self.last is not Cut.KEPT and squeeze >= self.last:
            return None
        if self.unsourced is not Cut.KEPT and squeeze >= self.unsourced:
            return replace(self, sources=(), unsourced=Cut.KEPT).at(squeeze)
        if self.cut is Cut.KEPT or squeeze < self.cut:
            return self if self.text or self.sources else None
        if not self.brief and not (self.sources_stay and self.sources):
            return None
        return replace(self, text=self.brief)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of Markdown: `lead` is bold, `phrases` are sentences, or the parts of a list where `listed`."""

    phrases: tuple[Phrase, ...]
    lead: str = ""
    bullet: str = ""
    """"- ", "1. " or nothing."""
    listed: bool = False
    joins: bool = False
    """Whether it may stand behind the line before it, where space runs out."""
    keep_whole: bool = False
    """A list none of whose parts may be counted instead of named."""

    def at(self, squeeze: int) -> Line | None:
        phrases = tuple(found for phrase in self.phrases if (found := phrase.at(squeeze)) is not None)
        return replace(self, phrases=phrases) if phrases or (self.lead and not self.phrases) else None


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Lines that stand together; a blank line divides paragraphs."""

    lines: tuple[Line, ...]
    most: int = 99
    """Lines that it may have when it is rendered."""

    def at(self, squeeze: int) -> Paragraph:
        return Paragraph(tuple(found for line in self.lines if (found := line.at(squeeze)) is not None), self.most)


def render(paragraphs: Iterable[Paragraph], squeeze: int) -> tuple[str, tuple[Publication, ...], bool]:
    """The Markdown at a squeeze, the publications that are linked in it, each once, and whether each paragraph has no more
    lines than it may."""
    cut = [paragraph.at(squeeze) for paragraph in paragraphs]
    linked = _linked([phrase for part in cut for line in part.lines for phrase in line.phrases])
    addresses = frozenset(publication.url for publication in linked)
    written = [_render_lines(part.lines, addresses, join=squeeze >= Cut.REPEATED) for part in cut]
    short = all(len(lines) <= part.most for lines, part in zip(written, cut, strict=True))
    return "\n\n".join("\n".join(lines) for lines in written if lines), linked, short


def _render_lines(lines: Sequence[Line], addresses: frozenset[str], join: bool) -> list[str]:
    found: list[str] = []
    for line in lines:
        texts = list(_render_line(line, addresses))
        if join and line.joins and found and len(texts) == 1:
            whole = f"{found[-1]} {texts[0].removeprefix(line.bullet)}"
            if visible_length(whole) <= MAX_LINE_CHARS:
                found[-1] = whole
                continue
        found += texts
    return found


def _linked(phrases: Sequence[Phrase]) -> tuple[Publication, ...]:
    """The publications that get a link: those of what decides first, then those of what supports it."""
    found: dict[str, Publication] = {}
    for supporting in (False, True):
        for phrase in phrases:
            if phrase.supporting is supporting:
                for publication in phrase.sources:
                    if publication.url and len(found) < MAX_LINKS:
                        found.setdefault(publication.url, publication)
    return tuple(found.values())


def _render_line(line: Line, addresses: frozenset[str]) -> Iterator[str]:
    """The line; where it would be too long, several, or the parts that fit and the number of the others."""
    if not line.phrases:
        yield f"{line.bullet}**{line.lead}**"
        return
    taken: list[Phrase] = []
    first = True
    for number, phrase in enumerate(line.phrases):
        if taken and visible_length(_write(line, [*taken, phrase], addresses, first)) > MAX_LINE_CHARS:
            if line.listed and not line.keep_whole:
                yield _counted(line, taken, len(line.phrases) - number, addresses)
                return
            yield _write(line, taken, addresses, first)
            taken, first = [], False
        taken.append(phrase)
    yield _write(line, taken, addresses, first)


def _write(line: Line, phrases: Sequence[Phrase], addresses: frozenset[str], first: bool) -> str:
    """One line of Markdown. `first`: it has the lead; a further one has it again where no bullet binds it to the first."""
    lead = f"**{line.lead}** " if line.lead and (first or not line.bullet) else ""
    parts = [_with_sources(phrase, addresses) for phrase in _each_source_once(phrases)]
    if line.listed:
        text = "; ".join(parts)
        text = text if first or not line.bullet else text[:1].upper() + text[1:]
        return _close(f"{line.bullet}{lead}{text}")
    sentences = [_as_sentence(part, begins=bool(place) or not lead) for place, part in enumerate(parts)]
    return f"{line.bullet}{lead}{' '.join(sentences)}"


def _counted(line: Line, taken: list[Phrase], left: int, addresses: frozenset[str]) -> str:
    """The parts of a list that fit, and how many more there are."""
    while True:
        text = _write(line, [*taken, Phrase(f"{left} more")], addresses, first=True)
        if len(taken) == 1 or visible_length(text) <= MAX_LINE_CHARS:
            return text
        taken.pop()
        left += 1


def _each_source_once(phrases: Sequence[Phrase]) -> list[Phrase]:
    """One source behind several phrases in a row stands behind the last of them."""
    following = [*phrases[1:], None]
    return [
        replace(phrase, sources=()) if after is not None and phrase.text and phrase.sources == after.sources else phrase
        for phrase, after in zip(phrases, following, strict=True)
    ]


def _close(text: str) -> str:
    return text if text.endswith((".", "?", ":")) else f"{text}."


def _as_sentence(text: str, begins: bool) -> str:
    """With a full stop and, where it `begins` a sentence, a capital; a remark in brackets as a whole has neither."""
    if text.startswith("(") and text.endswith(")") and ") " not in text:
        return text
    first = text.split(" ", 1)[0]
    if begins and first[:1].isalpha() and first.islower():
        text = text[0].upper() + text[1:]
    return text if text.endswith((".", "?", ":", ".**")) else f"{text}."


def _with_sources(phrase: Phrase, addresses: frozenset[str]) -> str:
    """ "more than 70 % is enough ([Mahuron 2023](https://doi.org/…))": the text reads the same with its links stripped."""
    if not phrase.sources:
        return f"{phrase.text}{phrase.after}"
    named = "; ".join(
        dict.fromkeys(
            f"[{source.label}]({source.url})" if source.url in addresses and source.url else source.label
            for source in phrase.sources
        )
    )
    return f"{phrase.text} ({named}){phrase.after}" if phrase.text else f"({named}){phrase.after}"


LINK = re.compile(r"\[([^\]]+)\]\(https?://[^)\s]+\)")


def visible_text(markdown: str) -> str:
    """What a reader sees: links by their label, without asterisks."""
    return LINK.sub(r"\1", markdown).replace("*", "")


def visible_length(markdown: str) -> int:
    """Characters that a reader sees; a line break counts as one."""
    return len(visible_text(markdown))


def filled_lines(markdown: str) -> int:
    return sum(bool(line.strip()) for line in markdown.splitlines())
