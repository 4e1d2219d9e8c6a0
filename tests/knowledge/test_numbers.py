"""If any number of the knowledge changes, no sentence still states the old one.

Sentences that restate a rule have no number of their own, only placeholders in braces and names of names.toml; the loader
rejects any other. So a sentence cannot contradict the limit that it states.
"""

from __future__ import annotations

import copy
import dataclasses
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec
import pytest

from cds_service import knowledge
from cds_service.knowledge import sentences
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.scores import Scores
from cds_service.knowledge.sentences import bound_sentences, free_numbers
from tests.conftest import PROOF, ROOT, Record
from tests.laws.test_scrambled_words import FACES, SENTENCES
from tests.pins import mutants

Path = tuple[str | int, ...]
NEW = 987654
"""A number that no sentence states."""

REST: Mapping[str, str] = {
    r"publications\.toml/.*/(year|reference)": "part of a citation: statements and publications are data",
    r"outcomes\.toml/row/.*/n": "the patients of a series: the loader holds that its statements give the same number",
    r"facts\.toml/fact/.*/range/\d": "what can be true of a value: said by no sentence",
    r"facts\.toml/fact/.*/adverse_above": "how an out-of-date number is settled: said by no sentence",
    r"facts\.toml/(imaging|laboratory)_window_.*": "told by the rule book from the number itself",
    r"scores\.toml/ckd_epi_2021/(?!adults).*": "the constants of a published equation: said by no sentence",
    r"scores\.toml/child_pugh/.*/(none|grade-.*)": "points of a score: the rule book tells them from the number itself",
    r"scores\.toml/timing/.*": "told by the rule book from the number itself",
    r"review\.toml/months/.*": "told as dates alone",
    r"statements\.toml/.*/population/.*": "whom a statement speaks of: data, and the statement's own number",
    r"modalities/.*/(rank|place)": "an order: said by no sentence",
}
"""Numbers that no sentence states, each with the reason why."""


def leaves(content: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(content, Mapping):
        for key, part in content.items():
            yield from leaves(part, (*path, key))
    elif isinstance(content, list):
        for number, part in enumerate(content):
            yield from leaves(part, (*path, number))
    elif isinstance(content, (int, Decimal)) and not isinstance(content, bool):
        yield path, content


def _rest(path: Path) -> str:
    return next((why for pattern, why in REST.items() if re.fullmatch(pattern, "/".join(map(str, path)))), "")


def built(files: dict[str, Any]) -> Knowledge:
    return knowledge._build(files, msgspec.convert(files["scores.toml"], Scores), "numbers")


def with_number(files: dict[str, Any], path: Path, number: object) -> dict[str, Any]:
    changed = {**files, str(path[0]): copy.deepcopy(files[str(path[0])])}
    table: Any = changed
    for step in path[:-1]:
        table = table[step]
    table[path[-1]] = number
    return changed


def told(known: Knowledge) -> dict[str, str]:
    """Return path → sentence as shown, for every sentence of the knowledge."""
    of_criterion = ("says", "then", "face", "lift", "worse", "before_procedure")
    said = {f"{key}.{part}": getattr(c, part) for key, c in known.criteria.items() for part in of_criterion}
    said |= {f"{key}.faces.{n}": face for key, c in known.criteria.items() for n, face in enumerate(c.faces)}
    said |= {f"fact {name}": fact.says for name, fact in known.facts.items()}
    said |= {f"fact {name}.{part}": getattr(fact, part) for name, fact in known.facts.items() for part in ("short", "face")}
    said |= {f"fact {name}.words.{answer}": words for name, fact in known.facts.items() for answer, words in fact.words.items()}
    said |= {f"derived {name}.{part}": getattr(d, part) for name, d in known.derived.items() for part in ("says", "how")}
    said |= {f"derived {name}.words.{answer}": words for name, d in known.derived.items() for answer, words in d.words.items()}
    for m in known.modalities:
        said |= {f"{m.id} {i.id}.{part}": getattr(i, part) for i in m.indications for part in ("says", "face", "change")}
        of_technique = ("says", "also", "short")
        of_line = ("title", "name", "does", "given", "adjust", "progressing", "adjusted", "change")
        said |= {f"{m.id} technique {n}.{part}": getattr(t, part) for n, t in enumerate(m.techniques) for part in of_technique}
        said |= {f"{m.id} line {n}.{part}": getattr(line, part) for n, line in enumerate(m.lines) for part in of_line}
        said |= {f"{m.id} line {n}.not_read": ", ".join(line.not_read) for n, line in enumerate(m.lines)}
        said |= {f"{m.id} not_read": ", ".join(m.not_read)}
        said |= {f"{m.id} shown {n}.{part}": getattr(p, part) for n, p in enumerate(m.shown) for part in ("says", "brief")}
        of_modality = (
            "title",
            "short",
            "contraindications_say",
            "excluded_say",
            "face_title",
            "face_name",
            "change",
            "nec_says",
        )
        said |= {f"{m.id} {part}": getattr(m, part) for part in of_modality}
    said |= {f"word {name}": words for name, words in known.words.items()}
    said |= {f"stage {name}": part.title for name, part in known.staging.items()}
    said |= {
        f"question {n}.{part}": getattr(question, part)
        for n, question in enumerate(known.board_questions)
        for part in ("says", "short", "then")
    }
    for row in known.outcomes:
        parts = ("groups", "treated", "survival", "symptoms", "course", "patients", "note", "defect")
        said |= {f"{row.id} {part}": getattr(row, part) for part in parts}
        said |= {f"table {row.table.number} {part}": getattr(row.table, part) for part in ("title", "design")}
    said |= {f"conflict {n}.{part}": getattr(c, part) for n, c in enumerate(known.conflicts) for part in ("topic", "service")}
    said |= {f"check {n}": check.says for n, check in enumerate(known.review.open)}
    said |= {f"stance {n}.{part}": getattr(row, part) for n, row in enumerate(known.stances) for part in ("situation", "says")}
    said |= {f"population of {s.id}": s.population.says for s in known.statements.values() if s.population}
    bounds = {**known.window_bounds, **known.limit_bounds}
    return said | {f"bound {name}": part.reason for name, part in bounds.items()}


@cache
def shipped() -> tuple[dict[str, Any], dict[str, str], dict[str, str]]:
    """Return the files, every sentence as shown, and every sentence as in the files."""
    files = mutants.read()
    known = built(files)
    assert known.unfilled
    return files, told(known), told(known.unfilled)


def own_sentences(path: Path) -> list[str]:
    """Return the sentences of the table that has a number."""
    match path[:3]:
        case ("criteria.toml", role, name):
            return [f"{role}.{name}.{part}" for part in ("says", "then", "face", "lift")]
        case ("facts.toml", "fact", name):
            return [f"fact {name}"]
    return []


def test_with_every_number_changed_in_turn_no_sentence_states_the_old_one(record_property: Record) -> None:
    files, before, templates = shipped()
    changed, mentioned, left_over = 0, 0, []
    for path, old in leaves(files):
        if _rest(path):
            continue
        changed += 1
        after = told(built(with_number(files, path, NEW)))
        touched = {place for place in before if after[place] != before[place]}
        mentioned += bool(touched)
        for place in touched:
            told_now = str(NEW) in after[place] or str(NEW + 1) in after[place]
            assert told_now, f"{place} changes with {path}, and does not say to what"
        for place in own_sentences(path):
            quoted = re.sub(r"\{[SM]\d{3}\.\w+\}", "", templates[place])  # a source's own figure stays as it is
            stated = before[place] if quoted == templates[place] else quoted
            if place not in touched and f"{old}" in sentences.numerals(stated):
                left_over.append(f"{path}: {place} still says {before[place]!r}")
    assert left_over == []
    rest = Counter(_rest(path) for path, _ in leaves(files) if _rest(path))
    total = sum(1 for _ in leaves(files))
    said = f"numbers: {changed} changed in turn, {mentioned} of them told by a sentence; {rest.total()} listed as the rest"
    record_property(PROOF, f"{said}; {total} in the files, {len(templates)} sentences")
    assert changed + rest.total() == total
    assert all(rest[why] for why in REST.values()), "a reason of the rest that no number has"


def test_a_number_of_the_rest_is_told_by_no_sentence() -> None:
    files, before, _ = shipped()
    for path, old in leaves(files):
        if not _rest(path) or path[0] in {"publications.toml", "outcomes.toml", "statements.toml"}:
            continue
        new = old + 1 if isinstance(old, int) else old + Decimal(1)
        assert told(built(with_number(files, path, new))) == before, path


def test_every_figure_of_a_statement_that_is_changed_changes_the_sentences_that_quote_it() -> None:
    files, before, templates = shipped()
    quoted = {place for text in templates.values() for place in re.findall(r"\{([SM]\d{3}\.\w+)\}", text)}
    for name, statement in files["statements.toml"].items():
        for figure in statement.get("figures", {}):
            assert f"{name}.{figure}" in quoted, f"{name}.{figure} is quoted nowhere"
            after = told(built(with_number(files, ("statements.toml", name, "figures", figure), str(NEW))))
            touched = [place for place in before if after[place] != before[place]]
            assert touched
            assert all(str(NEW) in after[place] for place in touched)


def test_a_sentence_of_which_a_number_is_written_out_is_refused() -> None:
    """In each sentence with a placeholder, the number is written instead."""
    files, before, templates = shipped()
    count = 0
    for sentence in bound_sentences(files):
        for place in re.findall(r"\{[^{}]+\}", sentence.text):
            if place.startswith(("{portal_drained", "{label:")):
                continue
            count += 1
            number = sentence.text.replace(place, "37", 1)
            assert free_numbers(number, sentences._names(files)) == ["37"], (sentence.path, number)
    assert count > 150
    assert {place for place in before if before[place] != templates[place]}


DATA = {"publications.toml", "scores.toml", "statements.toml"}
"""Files whose sentences are data with numbers of their own, except the `says` of populations. The `display` of a code is data
too."""


def with_every_sentence(added: str) -> tuple[dict[str, Any], set[str]]:
    """Return the files with `added` after every sentence for people, and the paths of these sentences."""
    files = copy.deepcopy(mutants.read())
    places: set[str] = set()

    def told(file: str, table: Any, key: Any, path: str) -> None:
        if isinstance(table[key], list):
            for number in range(len(table[key])):
                told(file, table[key], number, f"{path}.{number + 1}")
        else:
            table[key] = f"{table[key]} {added}"
            places.add(f"{file}: {path}")

    def within(file: str, keys: set[str], part: Any, path: str, whole: bool) -> None:
        for key, inner in part.items() if isinstance(part, dict) else enumerate(part):
            step = key + 1 if isinstance(key, int) else key
            here = f"{path}.{step}" if path else str(step)
            face_of_statement = key == "face" and inner in FACES
            if (key in keys or whole) and not face_of_statement and not isinstance(inner, dict):
                told(file, part, key, here)
            elif isinstance(inner, (dict, list)):
                within(file, keys, inner, here, whole or key == "words")

    for file, content in files.items():
        keys = SENTENCES.get("modalities" if file.startswith("modalities/") else file, set()) - {"display"}
        if isinstance(content, dict) and keys and file not in DATA:
            within(file, keys, content, "", whole=False)
    for name, statement in files["statements.toml"].items():
        if "says" in statement.get("population", {}):
            told("statements.toml", statement["population"], "says", f"{name}.population.says")
    return files, places


def test_a_number_typed_into_any_sentence_is_refused() -> None:
    """This includes sentences for cards only: "older than 55" as a requirement, "INR above 9" as what is worse."""
    files, places = with_every_sentence("above 9")
    assert places - {fault.where for fault in sentences.number_faults(files)} == set()
    for key in ("face", "not_read.1", "worse", "before_procedure", "nec_says", "change", "short", "adjusted", "words.true"):
        assert any(place.endswith(f".{key}") or place.endswith(f" {key}") for place in places), key


def test_the_place_of_a_number_in_any_sentence_is_filled() -> None:
    place = "{limit:caution.inr-above-limit}"
    files, places = with_every_sentence(place)
    assert {fault.where for fault in sentences.number_faults(files)} == set()
    known = built(files)
    assert known.unfilled
    standing = [text for text in texts(known.unfilled) if place in text]
    assert len(standing) > len(places), "a sentence of the files that the knowledge does not hold"
    assert [text for text in texts(known) if place in text] == []
    assert sum("1.8" in text for text in texts(known)) >= len(standing)


def texts(part: Any) -> Iterator[str]:
    """Yield every text in a part of the knowledge."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, Mapping):
        for inner in part.values():
            yield from texts(inner)
    elif isinstance(part, (tuple, list)):
        for inner in part:
            yield from texts(inner)
    elif dataclasses.is_dataclass(part):
        for field in dataclasses.fields(part):
            if field.name not in {"unfilled", "terminology", "drugs"}:
                yield from texts(getattr(part, field.name))


def test_no_bound_sentence_holds_a_number_of_its_own_and_every_listed_name_is_needed() -> None:
    files = mutants.read()
    assert list(sentences.number_faults(files)) == []
    for name in files["names.toml"]["names"]:
        less = {**files, "names.toml": {"names": [other for other in files["names.toml"]["names"] if other != name]}}
        if re.search(r"\d", name):
            assert list(sentences.number_faults(less)), f"{name} stands in no sentence"


def test_every_place_of_text_that_people_read_beside_the_knowledge_holds_none_of_its_numbers() -> None:
    """Numerals in the rule book's prose and in the words of reasons are names, chapters and counts."""
    allowed = re.compile(
        r"2010|2 mm²|1\.73 m²|10⁹|Ki-67|CKD-EPI 2021|\bG[1-3]\b|\bR4\b|M1[ac]|UTF-8|grade [1-4] or [1-4]|Tables? 1 to 3|"
        r"Chapters 1 to 9|90:853-861|Y3|\b1 diagnosis|R1"
    )
    for file in ("rulebook/prose.toml", "cards/reasons.toml"):
        content = tomllib.loads((ROOT / "cds_service" / file).read_text("utf-8"))
        for text in _texts(content):
            left = re.findall(r"\d+", allowed.sub("", re.sub(r"\{[^{}]*\}", "", text)))
            assert left == [], (file, text)


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, Mapping):
        for part in content.values():
            yield from _texts(part)
    elif isinstance(content, list):
        for part in content:
            yield from _texts(part)
    elif isinstance(content, str):
        yield content


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("INR {limit} or above", []), ("INR 1.8 or above", ["1.8"]), ("Grade G1 or G2", []), ("Grade G4", ["4"]),
        ("More than half of the liver", ["half"]), ("in 2010, and by D3", []), ("in 2011", ["2011"]), ("S030 says so", []),
        ("mL/min/1.73 m²", []), ("mL/min/1.74 m²", ["1.74"]), ("Four or more lesions", ["Four"]), ("T2 and M043", []),
        ("NETTER-3", ["3"]), ("120100", ["120100"]),
    ],
)  # fmt: skip
def test_a_number_that_is_neither_place_nor_name_is_found(sentence: str, found: list[str]) -> None:
    assert free_numbers(sentence, sentences._names(mutants.read())) == found
