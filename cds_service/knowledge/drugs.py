"""Find drugs by product code and by name in drug_products.csv, drug_names.csv and drugs.toml.

Reading a text takes time linear in its length: each word is looked up with at most as many following words as a name has.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from cds_service.errors import Fault
from cds_service.knowledge.shape import unknown_name
from cds_service.knowledge.terminology import Use, ValueSetMember

PRODUCTS, NAMES, RULES = "drug_products.csv", "drug_names.csv", "drugs.toml"
COLUMNS = {
    PRODUCTS: ("rxcui", "tty", "name", "name_seen", "concept", "form", "where_seen", "confidence"),
    NAMES: ("name", "region", "concept", "kind", "where_seen", "confidence"),
}
SHAPES = {
    "rxcui": re.compile(r"[1-9]\d{2,6}"),
    "tty": re.compile("IN|PIN|MIN|BN|SCDC|SBDC|SCDF|SBDF|SCDG|SBDG|SCD|SBD|GPCK|BPCK"),
    "name_seen": re.compile("yes|no"),
    "concept": re.compile(r"med\.[a-z0-9_]+"),
    "confidence": re.compile("high|medium"),
    "form": re.compile(".*"),
}
"""Column → the pattern that its cells match. Cells of a column not listed here must not be blank."""
RXNORM = "rxnorm"
WORD = re.compile(r"[^\W\d_]+|\d+")
LATIN_WORD = re.compile("[a-z]{3,}")
"""A word that may be the name of a drug: at least three letters, in the script of the names in the tables."""
STEM_LETTERS = 8
"""A name of at least this many letters is also found at the beginning of a longer word: Capecitabintabletten."""

LAST_VOWELS = "aeo"
"""Vowels dropped from the end of a name before it is compared: Metformin, metformine, metformina."""

Tables = Mapping[str, Any]
Row = Mapping[str, str]


def read_table(text: str) -> list[dict[str, str]]:
    """Return the rows of a generated CSV table. Raises ValueError if a row has more or fewer cells than the head."""
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    rows: list[dict[str, str]] = list(csv.DictReader(lines, strict=True))
    if any(None in row or None in row.values() for row in rows):
        raise ValueError("a row with more or fewer cells than the head")
    return rows


def words_of(text: str) -> list[str]:
    """Return the words and numbers of a text in lower case without accents: "5-FU (Fluorouracil)" → 5, fu, fluorouracil."""
    said = text.casefold()
    return WORD.findall(said if said.isascii() else "".join(map(_plain_letter, said)))


@lru_cache(maxsize=4096)
def _plain_letter(letter: str) -> str:
    """Strip the accents of one letter. Normalising a long run of accents at once takes time quadratic in its length."""
    return "".join(part for part in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(part))


class TextReading(NamedTuple):
    """What a display or text says about drugs."""

    named: frozenset[str]
    """Concepts that the text names."""
    asked: frozenset[str]
    """Named concepts that may be in a form that states nothing, as the text has a word of such a form: "heparin lock flush"."""
    names_a_drug: bool
    """True if the text alone identifies a drug, in the tables or not, by a known name or by a word beside a strength."""
    names_a_product: bool
    """True if the text, as the display of a product, identifies a drug by any word. A name in another script than the tables
    use does not count, as it could not be found there."""
    is_name: bool
    """True if the text may be the name of the drug whose code it accompanies: any word that is not listed as naming none."""


@dataclass(frozen=True)
class Drugs:
    """The names and words by which a text is read. Immutable; every word is in the form that `words_of` returns."""

    names: Mapping[tuple[str, ...], str]
    """The words of a name → its concept, or "" if the name states nothing."""
    with_other_forms: frozenset[str]
    """Concepts with a product whose form states nothing (`Use.CONTEXT`)."""
    form_words: tuple[str, ...]
    whole_form_words: frozenset[str]
    product_lists: frozenset[str]
    units: frozenset[str]
    other_drugs: frozenset[str]
    other_drug_endings: tuple[str, ...]
    names_none: tuple[str, ...]
    beside: frozenset[str]
    procedures: tuple[str, ...]
    procedure_words: frozenset[str]
    beside_procedures: frozenset[str]

    @cached_property
    def _lengths(self) -> Mapping[str, tuple[int, ...]]:
        """First word of a name → the lengths, in words, of the names that begin with it."""
        found: dict[str, set[int]] = {}
        for name in self.names:
            found.setdefault(name[0], set()).add(len(name))
        return {first: tuple(sorted(lengths)) for first, lengths in found.items()}

    @cached_property
    def _stem_lengths(self) -> tuple[int, ...]:
        return tuple(sorted({len(name[0]) for name in self.names if len(name) == 1 and len(name[0]) >= STEM_LETTERS}))

    def read_text(self, text: str) -> TextReading:
        """Return which drugs a display or text names, and whether it identifies one at all."""
        said = words_of(text)
        names = set(self._names_in(said))
        named = names - {""}
        in_form = any(word in self.whole_form_words or word.startswith(self.form_words) for word in said)
        asked = named & self.with_other_forms if in_form else set()
        telling = [word for word in said if word not in self.beside and word not in self.units]
        says_none = any(word.startswith(self.names_none) for word in telling)
        is_product = bool(names) or (not says_none and any(map(LATIN_WORD.match, telling)))
        return TextReading(
            named=frozenset(named - asked),
            asked=frozenset(asked),
            names_a_drug=bool(names) or (is_product and (self._has_strength(text, said) or any(map(self._is_other, telling)))),
            names_a_product=is_product,
            is_name=any(word.isalpha() and not word.startswith(self.names_none) for word in telling),
        )

    def _has_strength(self, text: str, said: Sequence[str]) -> bool:
        """Return whether a text has a number with a unit, or a percentage."""
        return "%" in text or any(number.isdigit() and unit in self.units for number, unit in pairwise(said))

    def _is_other(self, word: str) -> bool:
        """Return whether a word is the name of a drug that no fact asks for."""
        stem = word.rstrip(LAST_VOWELS)
        return stem in self.other_drugs or stem.endswith(self.other_drug_endings)

    def _names_in(self, said: Sequence[str]) -> Iterator[str]:
        shortest = self._stem_lengths[0] if self._stem_lengths else 0
        for place, word in enumerate(said):
            for length in self._lengths.get(word, ()):
                if (concept := self.names.get(tuple(said[place : place + length]))) is not None:
                    yield concept
            if len(word) > shortest:
                for length in self._stem_lengths:
                    if len(word) > length and (concept := self.names.get((word[:length],))) is not None:
                        yield concept

    def names_another_procedure(self, text: str) -> bool:
        """Return whether a text identifies a procedure that no fact may ask for."""
        said = words_of(text)
        if any(word in self.procedure_words or any(part in word for part in self.procedures) for word in said):
            return False
        return any(word not in self.beside_procedures and LATIN_WORD.match(word) for word in said)


def product_rows(files: Mapping[str, Any]) -> Iterator[ValueSetMember]:
    """Yield the RxNorm codes of drug_products.csv, each with its use."""
    rules = files[RULES]
    for row in files[PRODUCTS]:
        yield ValueSetMember(RXNORM, row["rxcui"], row["concept"], use_of(row, rules), row["name"])


def use_of(row: Row, rules: Tables) -> Use:
    """Return the use of a row: what drugs.toml says of its code, else of its form."""
    if row["rxcui"] in rules["product"]["states_nothing"]:
        return Use.CONTEXT
    if row["rxcui"] in rules["product"]["asks"]:
        return Use.QUESTION
    if not set(row["form"].split("; ")).isdisjoint(rules["form"]["states_nothing"]):
        return Use.CONTEXT
    return Use.QUESTION if row["name_seen"] == "no" else Use.DECIDES


def build_drugs(files: Mapping[str, Any]) -> Drugs:
    """Build the drug tables from the parsed files, which have to be free of `table_faults`."""
    rules = files[RULES]
    names = {tuple(words_of(row["name"])): row["concept"] for row in files[NAMES]}
    names |= {tuple(words_of(name)): concept for concept, added in rules["name"]["added"].items() for name in added}
    names |= {tuple(words_of(name)): "" for name in rules["name"]["state_nothing"]}
    return Drugs(
        names,
        frozenset(row.concept for row in product_rows(files) if row.use is Use.CONTEXT),
        tuple(rules["form"]["words"]),
        frozenset(rules["form"]["whole_words"]),
        frozenset(rules["text"]["product_lists"]),
        frozenset(rules["text"]["units"]),
        frozenset(rules["text"]["other_drugs"]),
        tuple(rules["text"]["other_drug_endings"]),
        tuple(rules["text"]["names_none"]),
        frozenset(rules["text"]["beside"]),
        tuple(rules["procedure"]["may_be_asked_for"]),
        frozenset(rules["procedure"]["may_be_asked_for_as_words"]),
        frozenset(rules["procedure"]["beside"]),
    )


def table_faults(files: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield the faults of the two tables and of drugs.toml. Rows are counted from 1, without the head."""
    for name, columns in COLUMNS.items():
        for number, row in enumerate(files[name], 1):
            where = f"{name}: row {number}"
            if tuple(row) != columns:
                yield Fault(where, f"must have the columns {', '.join(columns)}; it has {', '.join(map(str, row))}")
                return
            for column, cell in row.items():
                shape = SHAPES.get(column)
                if not (shape.fullmatch(cell) if shape else cell.strip()):
                    yield Fault.wrong(
                        f"{where}: {column}", repr(cell), f"text that matches {shape.pattern}" if shape else "text"
                    )
    yield from _codes(files)
    yield from _names(files)


def _codes(files: Mapping[str, Any]) -> Iterator[Fault]:
    rules, rows = files[RULES], files[PRODUCTS]
    held = {code for table in files["terminology.toml"]["value_set"] if table["system"] == RXNORM for code in table["codes"]}
    for row in rows:
        if row["rxcui"] in held:
            yield Fault(f"{PRODUCTS}: {row['rxcui']}", "appears twice, or in terminology.toml too")
        held.add(row["rxcui"])
    codes = {row["rxcui"] for row in rows}
    for key in ("asks", "states_nothing"):
        for code in rules["product"][key]:
            if code not in codes:
                yield unknown_name(f"{RULES}: product.{key}", code, f"a code of {PRODUCTS}")
    forms = {form for row in rows for form in row["form"].split("; ")}
    for form in rules["form"]["states_nothing"]:
        if form not in forms:
            yield unknown_name(f"{RULES}: form.states_nothing", form, f"a form of {PRODUCTS}")


def _names(files: Mapping[str, Any]) -> Iterator[Fault]:
    rules = files[RULES]
    concepts = {row["concept"] for row in files[PRODUCTS]}
    meant: dict[tuple[str, ...], str] = {}
    added = [(name, concept) for concept, names in rules["name"]["added"].items() for name in names]
    for name, concept in [*((row["name"], row["concept"]) for row in files[NAMES]), *added]:
        words = tuple(words_of(name))
        if not words or concept not in concepts:
            yield Fault(
                f"{NAMES} or {RULES}: {name!r}", f"must have a letter or digit, and a concept of {PRODUCTS}, not {concept!r}"
            )
        elif meant.setdefault(words, concept) != concept:
            yield Fault(f"{NAMES}: {name!r}", f"names two concepts, {meant[words]} and {concept}")
    for name in rules["name"]["state_nothing"]:
        if tuple(words_of(name)) not in meant:
            yield unknown_name(f"{RULES}: name.state_nothing", name, f"a name of {NAMES}")
    yield from _unwritten(rules)


def _unwritten(rules: Tables) -> Iterator[Fault]:
    """Yield words of drugs.toml in another form than `words_of` returns, which no text could ever match."""
    for table, keys in (("form", ("words", "whole_words")),
                        ("text", ("units", "other_drugs", "other_drug_endings", "names_none", "beside")),
                        ("procedure", ("may_be_asked_for", "may_be_asked_for_as_words", "beside"))):  # fmt: skip
        for key in keys:
            for word in rules[table][key]:
                if words_of(word) != [word]:
                    yield unknown_name(f"{RULES}: {table}.{key}", word, "one word in lower case without accents")
    for key in ("other_drugs", "other_drug_endings"):
        for word in rules["text"][key]:
            if word != word.rstrip(LAST_VOWELS):
                yield Fault(f"{RULES}: text.{key}", f"names {word!r}, which must not end in one of {', '.join(LAST_VOWELS)}")
