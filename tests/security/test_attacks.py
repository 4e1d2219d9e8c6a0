"""docs/attacks.md names existing tests and existing cases of them."""

from __future__ import annotations

import ast
import importlib
import re
from typing import Any

from tests.conftest import ROOT

ROW = re.compile(
    r"^\| (?P<attack>[^|]+) \| (?P<answer>[^|]+) \| `(?P<file>test_\w+)\.py::(?P<test>test_\w+)(?:\[(?P<case>[^`]+)\])?` \|$"
)
LINES = [line for line in (ROOT / "docs/attacks.md").read_text("utf-8").splitlines() if line.startswith("| ")]
ROWS = [found for line in LINES if (found := ROW.match(line))]
FILES = {path.stem: path for path in sorted((ROOT / "tests").rglob("test_*.py"))}
"""Test files by name. The table names no folders, so that files can move."""


def rows_of(section: str) -> list[re.Match[str]]:
    """Return the rows of a section of the table. `section` is the beginning of its name: "Bombs"."""
    places = [place for place, line in enumerate(LINES) if line.startswith("| **")]
    begin = next(place for place in places if LINES[place].startswith(f"| **{section}"))
    end = next((place for place in places if place > begin), len(LINES))
    return [found for line in LINES[begin:end] if (found := ROW.match(line))]


def cases(module: Any, name: str) -> set[str]:
    """Return the cases of a parametrized test, as text, and all lists of test_linear.py, whose short form uses only some."""
    marks = getattr(getattr(module, name), "pytestmark", [])
    taken = {str(value) for mark in marks if mark.name == "parametrize" for value in mark.args[1]}
    return taken | set(getattr(module, "LISTS", ()))


def test_every_row_of_the_table_is_a_row_that_is_checked() -> None:
    others = [line for line in LINES if not ROW.match(line) and not line.startswith(("| **", "| attack |"))]
    assert others == []


def test_every_attack_of_the_table_is_tried_by_a_test_of_that_name() -> None:
    for row in ROWS:
        path = FILES[row["file"]]
        tree = ast.parse(path.read_text("utf-8"))
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert row["test"] in functions, row[0]
        if row["case"]:
            module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
            assert row["case"] in cases(module, row["test"]), row[0]


def test_no_two_test_files_have_the_same_name() -> None:
    assert len(FILES) == len(list((ROOT / "tests").rglob("test_*.py")))


def test_no_attack_is_in_the_table_twice() -> None:
    attacks = [row["attack"] for row in ROWS]
    assert len(attacks) == len(set(attacks))


def test_the_table_has_no_fewer_attacks_than_required() -> None:
    text = sum("chart_becomes" in row["test"] for row in ROWS)
    assert text >= 20
    assert len(ROWS) - text >= 40
