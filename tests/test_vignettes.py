"""Every vignette holds: patients as facts, verdicts and reasons as a clinician would say them (tests/vignettes/*.toml)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cds_service import knowledge
from cds_service.assessment import Assessed, assess
from cds_service.cards.board import assessment_of
from cds_service.derived import CALCULATIONS
from cds_service.settling import settle
from cds_service.staging import stage
from tests.pictures import picture

FOLDER = Path(__file__).parent / "vignettes"
KEYS = {"story", "given", "base", "unknown", "today", "expect", "best", "open", "missing", "missing_has", "because",
        "cautions", "no_cautions", "editions_2010", "stage", "findings"}  # fmt: skip


@dataclass(frozen=True)
class Vignette:
    story: str
    table: dict[str, Any]
    given: dict[str, Any]
    today: date


def vignettes() -> Iterator[Vignette]:
    """A vignette may build on a `base` of its file: what it gives replaces, the word "silent" takes away."""
    for path in sorted(FOLDER.glob("*.toml")):
        content = tomllib.loads(path.read_text("utf-8"))
        bases = content.get("base", {})
        for table in content["vignette"]:
            assert set(table) <= KEYS, f"{path.name}: {table['story']}: {set(table) - KEYS} not allowed"
            given = {**bases.get(table.get("base", ""), {}), **table.get("given", {})}
            given = {name: value for name, value in given.items() if value != "silent"}
            yield Vignette(f"{path.stem}: {table['story']}", table, given, table.get("today", content["today"]))


def without_search(modality: Assessed) -> Assessed:
    return replace(modality, search=lambda: ((), modality.verdict))


@pytest.mark.parametrize("vignette", list(vignettes()), ids=lambda vignette: vignette.story)
def test_vignette(vignette: Vignette) -> None:
    known, table = knowledge.load(), vignette.table
    facts = settle(
        picture(known, vignette.given, vignette.today, table.get("unknown", ())), known, vignette.today, CALCULATIONS
    )
    assessed = assess(facts)
    asks = {"missing", "missing_has", "best"} & set(table)  # the search for deciding facts is slow: only where it is asked
    of_interest = {name for key in asks for name in table[key]}
    found = {
        name: assessment_of(modality if name in of_interest else without_search(modality))
        for name, modality in assessed.items()
    }
    for name, verdict in table.get("expect", {}).items():
        assert found[name]["verdict"] == verdict, f"{name}: {found[name]}"
    for name, verdict in table.get("editions_2010", {}).items():
        assert found[name]["editions"]["2010"] == verdict, name
    for key, words in (("best", "best_possible"), ("open", "open"), ("missing", "missing")):
        for name, value in table.get(key, {}).items():
            assert found[name].get(words, []) == value, f"{name}: {key} is {found[name].get(words)}"
    for key, words in (("because", "decided_by"), ("cautions", "cautions"), ("missing_has", "missing")):
        for name, ids in table.get(key, {}).items():
            assert set(ids) <= set(found[name].get(words, [])), f"{name}: {key} is {found[name].get(words)}"
    for name, ids in table.get("no_cautions", {}).items():
        assert not set(ids) & set(found[name].get("cautions", [])), f"{name}: {found[name].get('cautions')}"
    for name, findings in table.get("findings", {}).items():
        by_id = {part["id"]: part["finding"] for part in found[name]["indications"]}
        assert {i: by_id[i] for i in findings} == findings, name
    stages = {name: part.value for name, part in stage(facts).items()}
    for name, value in table.get("stage", {}).items():
        assert stages[name] == value, name
