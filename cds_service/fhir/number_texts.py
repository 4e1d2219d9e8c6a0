"""Reads a text that is one number: "< 5 %", "15-20 %", "ca. 1.1", "INR 1.1". No text is searched for a number within it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import NamedTuple

from cds_service.knowledge.model import NumberWriting

POINT = r"\d{1,15}(?:\.\d{1,15})?"
"""A number with a decimal point. A comma is rejected, since 1,200 is ambiguous."""
BLANK = "[ \u00a0\u2009\u202f]"
COMMA = rf"(?:\d{{1,3}}(?:(?:\.\d{{3}}){{1,4}}|(?:{BLANK}\d{{3}}){{1,4}})|\d{{1,15}})(?:,\d{{1,15}})?"
"""A number with a decimal comma; a point or a blank separates thousands. "1,200.5" and "12.5" are rejected."""
MAX_CHARS = 200
"""Maximum characters of a text that is read as a number."""


def _whole(number: str) -> re.Pattern[str]:
    return re.compile(
        rf"(?P<comparator><=|>=|[<>≤≥])?\s*(?P<low>{number})(?:\s*(?:-|–|to)\s*(?P<high>{number}))?"
        r"(?:\s+(?P<unit>\S.*)|(?P<joined>[^\d\s.,].*))?"
    )


WITH_POINT, WITH_COMMA = _whole(POINT), _whole(COMMA)


class NumberText(NamedTuple):
    """A number or range as written, with its unit."""

    comparator: str
    low: Decimal
    high: Decimal | None
    unit: str | None
    inexact: bool
    """The text calls it approximate."""


def read_number_text(text: str, writing: NumberWriting, names: Iterable[str] = ()) -> NumberText | None:
    """Return the number that a text is; None if it is anything else. `names`: names of the analyte, one of which may stand
    before the number."""
    said = text.strip()
    if len(said) > MAX_CHARS:
        return None
    said = _behind_name(said, names)
    after = _behind_word(said, writing.inexact_words)
    found = (WITH_COMMA if writing.decimal_comma else WITH_POINT).fullmatch(said if after is None else after)
    if found is None or (after is not None and found["comparator"]):
        return None
    high = found["high"]
    return NumberText(
        found["comparator"] or "",
        _decimal(found["low"], writing),
        None if high is None else _decimal(high, writing),
        found["unit"] or found["joined"],
        after is not None,
    )


def _decimal(number: str, writing: NumberWriting) -> Decimal:
    if writing.decimal_comma:
        number = re.sub(BLANK, "", number.replace(".", "")).replace(",", ".")
    return Decimal(number)


def _behind_word(text: str, words: Iterable[str]) -> str | None:
    """Return the text behind the first word with which it begins, without blanks; None if it begins with none."""
    for word in words:
        if text[: len(word)].casefold() == word.casefold() and not text[len(word) : len(word) + 1].isalpha():
            return text[len(word) :].lstrip()
    return None


def _behind_name(text: str, names: Iterable[str]) -> str:
    """Return the text behind the longest name with which it begins. A blank or colon must follow, so that "Ki-67" is no part of
    "Ki-675"."""
    ends = [end for name in names if any(map(str.isalpha, name)) and (end := _end_of(name, text)) is not None]
    if not ends:
        return text
    rest = text[max(ends) :].lstrip(")]")
    behind = rest.lstrip().removeprefix(":").removeprefix("=").lstrip()
    return behind if behind != rest else text


def _end_of(name: str, text: str) -> int | None:
    """Return where a name ends with which the text begins; None if it does not. Only letters and digits are compared: "Ki-67",
    "Ki 67" and "KI67" are the same name."""
    wanted, sent = _signs(name), _signs(text)
    end = None
    for _, sign in wanted:
        place, other = next(sent, (0, ""))
        if other != sign:
            return None
        end = place + 1
    return end


def _signs(text: str) -> Iterator[tuple[int, str]]:
    return ((place, sign.casefold()) for place, sign in enumerate(text) if sign.isalnum())
