"""Each entry in the triage of surviving mutants (`make mutants`) refers to existing, unique code and gives a reason."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from tests.conftest import ROOT
from tests.mutation.mutants import places

TRIAGE: list[dict[str, Any]] = tomllib.loads((ROOT / "tests/mutation/triage.toml").read_text("utf-8"))["survivor"]


def lines(entry: dict[str, Any]) -> list[str]:
    return entry["line"] if isinstance(entry["line"], list) else [entry["line"]]


def test_every_triaged_survivor_is_of_a_line_that_is_there() -> None:
    gone = []
    for entry in TRIAGE:
        known = {place.function: place for place in places(Path(ROOT / entry["path"]))}
        place = known.get(entry["function"])
        parts = [part for line in lines(entry) for part in line.split(" / ")]
        if not place or not all(place.lines(part) for part in parts):
            gone.append(f"{entry['path']} {entry['function']}: {entry['line']}")
    assert gone == []


def test_every_triaged_survivor_has_its_own_reason() -> None:
    for entry in TRIAGE:
        assert set(entry) <= {"path", "function", "line", "becomes", "reason"}
        assert len(entry["reason"]) > 10, entry["line"]
    named = [
        (entry["path"], entry["function"], line, becomes)
        for entry in TRIAGE
        for line in lines(entry)
        for becomes in entry.get("becomes", [""])
    ]
    assert len(set(named)) == len(named)
