"""Check that the sentences of the knowledge files that restate a rule have no numbers of their own.

A number, in figures or in words, must be a placeholder of a datum ({limit}, {S030.hazard}) or part of a name of names.toml
or of the id of an indication or statement. Statements, publications and terminology are data and are not checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from cds_service.errors import Fault
from cds_service.knowledge import numbers
from cds_service.knowledge.bound_texts import BOUND, POPULATION, WORDS

Tables = Mapping[str, Any]

OF_A_PATIENT = ("value", "number")
"""The placeholders that a card fills with the values of its patient; allowed in `face` and `faces` only."""

NUMBER = re.compile(
    r"\d+(?:\.\d+)?|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|half|quarters?|twice|dozen)\b",
    re.IGNORECASE,
)
STATEMENT = re.compile(r"\b[SM]\d{3}\b")


class Sentence(NamedTuple):
    """A sentence that must have no number of its own."""

    file: str
    path: str
    """Keys joined by dots; entries of lists counted from 1."""
    text: str
    table: Tables
    """The table that has the sentence, whose numbers its placeholders may use."""


def bound_sentences(files: Mapping[str, Tables]) -> Iterator[Sentence]:
    """Yield every sentence that bound_texts.py lists by file and key."""
    for file, content in files.items():
        keys = BOUND.get("modalities" if file.startswith("modalities/") else file, frozenset())
        yield from _within(file, content, "", keys, content)


def _within(file: str, content: Any, path: str, keys: frozenset[str], table: Tables) -> Iterator[Sentence]:
    if isinstance(content, Mapping):
        for key, part in content.items():
            inside = f"{path}.{key}" if path else str(key)
            bound = key in keys or (file in WORDS and WORDS[file].fullmatch(path)) or _tells_population(file, inside)
            if bound and isinstance(part, str):
                yield Sentence(file, inside, part, content)
            elif bound and isinstance(part, list):
                yield from (Sentence(file, f"{inside}.{number}", text, content) for number, text in enumerate(part, 1))
            else:
                yield from _within(file, part, inside, keys, content)
    elif isinstance(content, list):
        for number, part in enumerate(content, 1):
            yield from _within(file, part, f"{path}.{number}", keys, table)


def _tells_population(file: str, path: str) -> bool:
    return file == "statements.toml" and bool(POPULATION.fullmatch(path))


def number_faults(files: Mapping[str, Tables]) -> Iterator[Fault]:
    """Yield sentences with a number of their own or with an unknown placeholder."""
    known, names = numbers.known_placeholders(files), _names(files)
    for sentence in bound_sentences(files):
        where = f"{sentence.file}: {sentence.path}"
        own = own_places(sentence)
        for place in numbers.placeholders(sentence.text):
            if place not in known and place not in own:
                allowed = "a number of scores.toml, {limit}, {days:fact}, {limit:criterion} or a figure of a statement"
                yield Fault(where, f"has the placeholder {{{place}}}; allowed are {allowed}")
        if found := free_numbers(sentence.text, names):
            yield Fault(where, f"has the number {found[0]}, which must be a placeholder in braces or in a name of names.toml")


def own_places(sentence: Sentence) -> list[str]:
    """Return the placeholders that only sentences of this table may use."""
    of_patient = OF_A_PATIENT if re.search(r"\.faces?(\.\d+)?$", sentence.path) else ()
    if sentence.file == "facts.toml":
        return [*(["days"] if "window_days" in sentence.table else []), *of_patient]
    if sentence.file == "local.toml":
        return ["at_least", "at_most"]
    if sentence.file.startswith("modalities/"):
        if "drug" in sentence.table:
            return ["drug"]  # the current drug
        return ["state"] if "unless" in sentence.table else []  # the result of the indications of `unless` for one chart
    return [*numbers.own_places(sentence.table), *of_patient] if sentence.file == "criteria.toml" else []


def free_numbers(text: str, names: re.Pattern[str]) -> list[str]:
    """Return the numbers, in figures or words, that are neither in a placeholder nor in a name or id."""
    return NUMBER.findall(names.sub(" ", STATEMENT.sub(" ", numbers.PLACEHOLDER.sub(" ", text))))


def _names(files: Mapping[str, Tables]) -> re.Pattern[str]:
    """Return a pattern of all names and ids, longest first so that a name within another one does not match before it."""
    indications = [
        indication["id"] for file in files if file.startswith("modalities/") for indication in files[file]["indication"]
    ]
    listed = sorted([*files["names.toml"]["names"], *indications], key=len, reverse=True)
    return re.compile("|".join(rf"(?<![\w.]){re.escape(name)}(?![\w])" for name in listed))


def figure_faults(files: Mapping[str, Tables]) -> Iterator[Fault]:
    """Yield figures of a statement with numbers that the statement itself does not have."""
    for name, table in files["statements.toml"].items():
        held = numerals(table["says"], table.get("numbers", ""), *(str(part) for part in table.get("regulatory", ())))
        for figure, words in table.get("figures", {}).items():
            if missed := sorted(numerals(words) - held):
                where = f"statements.toml: {name}.figures.{figure}"
                yield Fault(where, f"has numbers that the statement itself does not have: {', '.join(missed)}")


def numerals(*texts: str) -> set[str]:
    """Return the numbers in figures of all texts, as written."""
    return {number for text in texts for number in re.findall(r"\d+(?:\.\d+)?|\.\d+", text)}
