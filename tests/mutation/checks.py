"""The checks that a mutant must pass to survive: vignettes, cards of fixtures, tests of reading, current facts and units."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from types import ModuleType
from typing import Any

import msgspec

from cds_service import knowledge
from cds_service.hooks import patient_view
from tests.charts import test_reading, test_units, test_values
from tests.conftest import FIXTURES, INSTANCE, as_of, chart_file, folder_of
from tests.knowledge.test_vignettes import test_vignette
from tests.support.vignette import SEARCHED, vignettes
from tests.unit import test_assessment, test_current_facts, test_staging

SLOW = {"almost-nothing-known"}

Check = Callable[[], None]


def checks() -> dict[str, Check]:
    """Return the checks, the most specific first, as they kill soonest."""
    found = dict(_tests(test_current_facts, test_staging, test_assessment))
    for vignette in vignettes():
        table = {key: part for key, part in vignette.table.items() if key not in SEARCHED}
        found[vignette.story] = partial(test_vignette, replace(vignette, table=table))
    found |= dict(_tests(test_reading, test_units, test_values))
    return found | {f"fixture {fixture}": partial(_cards, fixture) for fixture in FIXTURES if fixture not in SLOW}


def _tests(*modules: ModuleType) -> Iterator[tuple[str, Check]]:
    for module in modules:
        for name, test in vars(module).items():
            if name.startswith("test_"):
                yield from ((f"{name} {place}", partial(test, **given)) for place, given in enumerate(_cases(test)))


def _cards(fixture: str) -> None:
    cards = patient_view.cards_of_chart(chart_file(fixture).chart(), knowledge.load(), as_of(fixture), INSTANCE)
    golden = json.loads((folder_of(fixture) / "cards.json").read_text("utf-8"))
    assert json.loads(msgspec.json.encode(cards)) == golden["cards"]


def _cases(test: Any) -> Iterator[dict[str, Any]]:
    """Yield the arguments of every case of a parametrized test."""
    marks = [mark.args for mark in getattr(test, "pytestmark", ()) if mark.name == "parametrize"]
    names = [[part.strip() for part in args[0].split(",")] if isinstance(args[0], str) else list(args[0]) for args in marks]
    for values in product(*(args[1] for args in marks)):
        found: dict[str, Any] = {}
        for several, value in zip(names, values, strict=True):
            found |= {several[0]: value} if len(several) == 1 else dict(zip(several, value, strict=True))
        yield found
