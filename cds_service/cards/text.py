"""The text of a card: lines of phrases with their sources, which are shortened in a fixed order if space runs out
(docs/cards.md, "Limits", 9).

A *squeeze* is a number from 0 to `LAST_CUT`: everything with a `Cut` up to that number is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from cds_service.knowledge.evidence import Publication

MAX_LINE_CHARS = 220
"""Characters of a rendered line, as a reader sees it."""
MAX_LINKS = 5
"""Different links in the text of a card. The link to an evidence page is the sixth."""


class Cut(IntEnum):
    """The order in which parts are left out if space runs out. KEPT is never left out."""

    KEPT = 0
    REPEATED = 1
    """What another line says too, such as the day of a fact."""
    NORMAL_VALUE = 2
    FIGURES = 3
    """Figures of a statement for a treatment. Its stance and its source are kept."""
    DETAIL = 4
    """Details beyond what a reader needs to recognise something; a second risk."""
    WORDING = 5
    """The fuller wording of what is kept, such as a risk or a dissent."""


LAST_CUT = max(Cut)


@dataclass(frozen=True, slots=True)
class Phrase:
    """A piece of text with its sources. When the squeeze reaches `cut`, `brief` is shown in place of `text`. If `brief` is
    empty, the phrase is left out with its sources; if `sources_stay` is set, the sources are still shown."""

    text: str
    sources: tuple[Publication, ...] = ()
    cut: Cut = Cut.KEPT
    brief: str = ""
    supporting: bool = False
    """If a card has too many links, its sources lose theirs first and are shown as text."""
    sources_stay: bool = False
    after: str = ""
    """Text after the sources."""
    last: Cut = Cut.KEPT
    """From here on the phrase is left out completely, with `brief`."""
    unsourced: Cut = Cut.KEPT
    """From here on it is shown without its sources."""

    def at(self, squeeze: int) -> Phrase | None:
        """Return the phrase at a squeeze, or None if it is left out."""
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
    """One line of Markdown. `lead` is bold; `phrases` are sentences, or the items of a list if `listed`."""

    phrases: tuple[Phrase, ...]
    lead: str = ""
    bullet: str = ""
    """"- ", "1. " or nothing."""
    listed: bool = False
    joins: bool = False
    """Whether it may be appended to the previous line if space runs out."""
    keep_whole: bool = False
    """Whether all items of a list must be named; else those that do not fit are counted."""

    def at(self, squeeze: int) -> Line | None:
        """Return the line at a squeeze, or None if all its phrases are left out."""
        phrases = tuple(found for phrase in self.phrases if (found := phrase.at(squeeze)) is not None)
        return replace(self, phrases=phrases) if phrases or (self.lead and not self.phrases) else None


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Lines without blank lines between them; a blank line separates paragraphs."""

    lines: tuple[Line, ...]
    most: int = 99
    """The maximum number of rendered lines."""

    def at(self, squeeze: int) -> Paragraph:
        """Return the paragraph at a squeeze, which may be without lines."""
        return Paragraph(tuple(found for line in self.lines if (found := line.at(squeeze)) is not None), self.most)


def render(paragraphs: Iterable[Paragraph], squeeze: int) -> tuple[str, tuple[Publication, ...], bool]:
    """Return the Markdown at a squeeze, the publications linked in it, each once, and whether no paragraph has more lines than
    its `most`."""
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
    """Return the publications that get a link: first those of deciding, then those of supporting phrases."""
    found: dict[str, Publication] = {}
    for supporting in (False, True):
        for phrase in phrases:
            if phrase.supporting is supporting:
                for publication in phrase.sources:
                    if publication.url and len(found) < MAX_LINKS:
                        found.setdefault(publication.url, publication)
    return tuple(found.values())


def _render_line(line: Line, addresses: frozenset[str]) -> Iterator[str]:
    """Yield the line. If it is too long, yield several lines, or the items that fit with the number of the others."""
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
    """Return one line of Markdown. The `first` line has the lead; further lines repeat it if there is no bullet."""
    lead = f"**{line.lead}** " if line.lead and (first or not line.bullet) else ""
    parts = [_with_sources(phrase, addresses) for phrase in _each_source_once(phrases)]
    if line.listed:
        text = "; ".join(parts)
        text = text if first or not line.bullet else text[:1].upper() + text[1:]
        return _close(f"{line.bullet}{lead}{text}")
    sentences = [_as_sentence(part, begins=bool(place) or not lead) for place, part in enumerate(parts)]
    return f"{line.bullet}{lead}{' '.join(sentences)}"


def _counted(line: Line, taken: list[Phrase], left: int, addresses: frozenset[str]) -> str:
    """Return the items of a list that fit, and the number of the others."""
    while True:
        text = _write(line, [*taken, Phrase(f"{left} more")], addresses, first=True)
        if len(taken) == 1 or visible_length(text) <= MAX_LINE_CHARS:
            return text
        taken.pop()
        left += 1


def _each_source_once(phrases: Sequence[Phrase]) -> list[Phrase]:
    """Return the phrases, with a source that consecutive phrases share after the last of them only."""
    following = [*phrases[1:], None]
    return [
        replace(phrase, sources=()) if after is not None and phrase.text and phrase.sources == after.sources else phrase
        for phrase, after in zip(phrases, following, strict=True)
    ]


def _close(text: str) -> str:
    return text if text.endswith((".", "?", ":")) else f"{text}."


def _as_sentence(text: str, begins: bool) -> str:
    """Return the text with a full stop and, if it `begins` a sentence, a capital letter. A text that is one remark in brackets
    is unchanged."""
    if text.startswith("(") and text.endswith(")") and ") " not in text:
        return text
    first = text.split(" ", 1)[0]
    if begins and first[:1].isalpha() and first.islower():
        text = text[0].upper() + text[1:]
    return text if text.endswith((".", "?", ":", ".**")) else f"{text}."


def _with_sources(phrase: Phrase, addresses: frozenset[str]) -> str:
    """Return, for example, "more than 70 % is enough ([Mahuron 2023](https://doi.org/…))", which reads the same without
    links."""
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
    """Return the text as a reader sees it: links by their label, without asterisks."""
    return LINK.sub(r"\1", markdown).replace("*", "")


def visible_length(markdown: str) -> int:
    """Return the number of characters that a reader sees. A line break counts as one."""
    return len(visible_text(markdown))


def filled_lines(markdown: str) -> int:
    """Return the number of lines that are not blank."""
    return sum(bool(line.strip()) for line in markdown.splitlines())
