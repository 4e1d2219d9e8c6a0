"""The law of silent loss: what is hidden of a resource that decided makes no verdict bolder, and the loss is told.

A resource decided if the facts, the disease or the orders differ without it. Each hiding (tests/support/hidings.py) makes of it
what a hospital sends in its place. Told means: a card or its extension, or else the coverage report, is not as if the resource
had never been there. The short form tries one resource for each kind of hiding and resource type, the full form many, of all
fixtures and of drawn charts.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import pytest

from tests.conftest import FIXTURES, PROOF
from tests.laws.test_chart_laws import CHARTS, KNOWN, POOL, SLOW, TODAY
from tests.support import depth
from tests.support.hidings import CODED, HIDINGS, Hiding, Resource
from tests.support.losses import Outcome, State, bolder, outcome

BOLDER_BY_RULE = {
    "status unknown": "docs/knowledge.md, Facts: such a result does not count",
    "status preliminary or provisional": "docs/knowledge.md, Facts: such a result does not count",
    "a result that a report names and that was not sent": "which result it is cannot be known; the card says that it lacks",
    "code of the site without a word": "only coverage can tell",
    "no code and no text": "only coverage can tell",
}
"""Kinds of hiding after which an older value, or silence, may decide."""
TRIED_OF_A_CELL = 1, 12
"""Resources tried for each kind of hiding and resource type: short and full form."""
DRAWN = 20
"""Charts that the full form draws, each of a fixture and resources of others."""
SNOMED, LOINC = "http://snomed.info/sct", "http://loinc.org"
(ABLATION, *_) = KNOWN.terminology.codes(["proc.ablation"], "snomed-ct")


def order(name: str, system: str, code: str, display: str) -> Resource:
    return {
        "resourceType": "ServiceRequest", "id": name, "status": "active", "intent": "order", "authoredOn": "2026-10-30",
        "subject": {"reference": "Patient/p"}, "code": {"coding": [{"system": system, "code": code, "display": display}]},
    }  # fmt: skip


ORDERS = [
    order("order-ablation", SNOMED, ABLATION, "Ablation of lesion of liver"),
    order("order-cga", LOINC, "9811-1", "Chromogranin A [Mass/volume] in Serum or Plasma"),
]


def charts() -> list[tuple[str, list[Resource]]]:
    """Return the charts of the fixtures, each with orders; in the full form also drawn ones."""
    names = [name for name in FIXTURES if name not in SLOW]
    found = [(name, [*chart, *ORDERS]) for name, chart in zip(names, CHARTS, strict=True)]
    if depth.full:
        drawn = random.Random(16)
        for number in range(DRAWN):
            _, chart = found[drawn.randrange(len(names))]
            more = [POOL[name] for name in drawn.sample(sorted(POOL), 8)]
            mixed = {resource["id"]: resource for resource in (*drawn.sample(chart, len(chart) - 3), *more)}
            found.append((f"drawn {number}", list(mixed.values())))
    return found


class Deciding(NamedTuple):
    """A resource that decided, with the chart before and without it."""

    where: str
    resource: Resource
    rest: list[Resource]
    before: State
    without: State


def deciding(kind: str) -> Iterator[Deciding]:
    """Yield the resources of a type that decided, in an order that mixes the charts."""
    drawn = random.Random(kind)
    found = [(name, chart, place) for name, chart in charts() for place, it in enumerate(chart) if it["resourceType"] == kind]
    drawn.shuffle(found)
    states: dict[str, State] = {}
    for name, chart, place in found:
        rest = chart[:place] + chart[place + 1 :]
        before = states.setdefault(name, State(chart, TODAY))
        without = State(rest, TODAY)
        if without.decided != before.decided:
            yield Deciding(f"{name}: {chart[place]['id']}", chart[place], rest, before, without)


class Cells:
    """What became of the hidden resources of one type."""

    def __init__(self, kind: str) -> None:
        wanted = TRIED_OF_A_CELL[depth.full]
        self.found: dict[str, Counter[Outcome]] = {h.name: Counter() for h in HIDINGS if kind in h.types}
        self.untold: list[str] = []
        self.bolder: list[str] = []
        self.by_rule = 0
        for seen in deciding(kind):
            for hiding in HIDINGS:
                if kind in hiding.types and self.found[hiding.name].total() < wanted:
                    self._try(hiding, seen)
            if all(outcomes.total() >= wanted for outcomes in self.found.values()):
                break

    def _try(self, hiding: Hiding, seen: Deciding) -> None:
        replaced = hiding.hide(seen.resource)
        if replaced is None:
            return
        after = State([*seen.rest, *replaced], TODAY)
        what = outcome(seen.before, after, seen.without)
        self.found[hiding.name][what] += 1
        if what is Outcome.UNTOLD:
            self.untold.append(f"{hiding.name}: {seen.where}")
        if stronger := bolder(seen.before, after):
            if hiding.name in BOLDER_BY_RULE:
                self.by_rule += 1
            else:
                self.bolder.append(f"{hiding.name}: {seen.where}: {stronger}")


@cache
def cells(kind: str) -> Cells:
    return Cells(kind)


@pytest.mark.parametrize("kind", CODED)
def test_what_is_hidden_makes_no_verdict_bolder_and_is_told(kind: str, request: pytest.FixtureRequest) -> None:
    found = cells(kind)
    tried = sum(outcomes.total() for outcomes in found.found.values())
    figures = f"{tried} in {len(found.found)} cells, {len(found.bolder)} bolder, {len(found.untold)} untold"
    request.node.user_properties.append((PROOF, f"nothing lost: {kind}: {figures}, {found.by_rule} bolder by a named rule"))
    assert not found.bolder, "\n".join(found.bolder)
    assert not found.untold, "\n".join(found.untold)


def test_the_table_of_hidings_and_types(request: pytest.FixtureRequest) -> None:
    """It is printed in the summary: for each hiding, each type with what became of the resources tried."""
    for hiding in HIDINGS:
        row = []
        for kind in hiding.types:
            outcomes = cells(kind).found[hiding.name]
            assert outcomes, f"{hiding.name} never occurs with {kind}"
            row.append(f"{kind} {outcomes.total()} ({', '.join(f'{n} {what.value}' for what, n in sorted(outcomes.items()))})")
        request.node.user_properties.append((PROOF, f"nothing lost: {hiding.name}: {'; '.join(row)}"))


def test_there_are_many_kinds_of_hiding_and_each_rule_is_one_of_them() -> None:
    names = [hiding.name for hiding in HIDINGS]
    assert len(names) == len(set(names)) > 40
    assert set(BOLDER_BY_RULE) <= set(names)
    assert {hiding.name for hiding in HIDINGS if hiding.speechless} <= set(BOLDER_BY_RULE)
