"""Explain a failing vignette in a clinician's words: which number changed, and what it now does to this patient.

"INR 1.79 now raises the caution inr-above-limit: the limit was 1.8, is 1.5". The former numbers are in
tests/data/numbers-before.json, those with which all vignettes last passed; `pytest --update-golden` writes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal

import msgspec

from cds_service.clinical_picture import Interval
from cds_service.knowledge.modality import Criterion
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.numbers import _leaves
from cds_service.reasoning.facts import Facts
from cds_service.reasoning.judgement import judge_criterion
from tests.conftest import ROOT

FILE = ROOT / "tests/data/numbers-before.json"
RAISES = {True: "raises", False: "no longer raises", None: "leaves open"}
MEETS = {True: "meets", False: "no longer meets", None: "leaves open"}


def numbers_of(known: Knowledge) -> dict[str, str]:
    """Return path → number, for every deciding number of the knowledge."""
    found = {
        f"{key} {n}": str(test.limit)
        for key, criterion in known.criteria.items()
        for n, test in enumerate(criterion.tests)
        if isinstance(test.limit, Decimal)
    }
    found |= {f"days of {name}": str(fact.window_days) for name, fact in known.facts.items() if fact.window_days}
    return found | {f"scores.toml {place}": number for place, number in _leaves(msgspec.to_builtins(known.scores))}


def numbers_before() -> dict[str, str]:
    held: dict[str, str] = json.loads(FILE.read_text("utf-8"))
    return held


def as_a_clinician(facts: Facts, before: Mapping[str, str]) -> Iterator[str]:
    """Return what the changed numbers do to this patient; empty if none of them is the reason."""
    known = facts.knowledge
    for key, criterion in known.criteria.items():
        was = _as_it_was(criterion, before)
        if was is None:
            continue
        now, then = judge_criterion(criterion, facts).met, judge_criterion(was, facts).met
        if now is then:
            continue
        role = key.split(".")[0]
        does = (RAISES if role in {"caution", "technique"} else MEETS)[now]
        yield f"{_told(criterion, facts)} now {does} the {role} {criterion.id}: {_change(was, criterion)}"
    for place, number in numbers_of(known).items():
        old = before.get(place, number)
        if old == number or not place.startswith(("days", "scores")):
            continue
        if place.startswith("days of "):
            name = place.removeprefix("days of ")
            fact = facts[name]
            if fact.history or fact.seen:
                seen = (fact.history or fact.seen)[0]
                counts = "counts" if fact.known else "is out of date"
                yield f"{known.facts[name].says} of {seen.on} now {counts}: the window was {old} days, is {number}"
        else:
            yield f"the number {place.removeprefix('scores.toml ')} was {old}, is {number}"


def _as_it_was(criterion: Criterion, before: Mapping[str, str]) -> Criterion | None:
    """Return the criterion with its former limits; None if they are unchanged."""
    old = [before.get(f"{criterion.key} {n}", str(test.limit)) for n, test in enumerate(criterion.tests)]
    if all(number == str(test.limit) for number, test in zip(old, criterion.tests, strict=True)):
        return None
    tests = tuple(
        replace(test, limit=Decimal(number)) if isinstance(test.limit, Decimal) else test
        for number, test in zip(old, criterion.tests, strict=True)
    )
    return replace(criterion, tests=tests)


def _change(was: Criterion, now: Criterion) -> str:
    pairs = [(a.limit, b.limit) for a, b in zip(was.tests, now.tests, strict=True) if a.limit != b.limit]
    return "; ".join(f"the limit was {old}, is {new}" for old, new in pairs)


def _told(criterion: Criterion, facts: Facts) -> str:
    values = []
    for name in criterion.facts:
        fact, definition = facts[name], facts.knowledge.facts.get(name)
        says = definition.says if definition else facts.knowledge.derived[name].says
        unit = definition.unit_in_words if definition and isinstance(fact.value, Interval) else ""
        values.append(f"{says} {fact.value}{unit}" if fact.known else f"{says} {fact.state.value}")
    return ", ".join(values)
