"""The package has the layers that ARCHITECTURE.md draws: imports run downwards only, and I/O stays at the edge."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "cds_service"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in MODULES.items()}

BELOW: dict[str, set[str]] = {
    "errors": set(),
    "settings": set(),
    "clinical_picture": {"reasons"},
    "ledger": set(),
    "outbound": {"reasons"},
    "knowledge": {"clinical_picture", "errors"},
    "rulebook": {"clinical_picture", "knowledge"},
    "reasoning": {"clinical_picture", "knowledge", "reasons"},
    "auth": {"errors", "ledger", "outbound"},
    "fhir": {"clinical_picture", "errors", "knowledge", "outbound", "reasons"},
    "sites": {"auth", "errors", "fhir", "knowledge", "ledger", "outbound", "settings"},
    "cards": {"clinical_picture", "knowledge", "reasoning", "reasons"},
    "hooks": {"cards", "clinical_picture", "errors", "fhir", "knowledge", "outbound", "reasoning", "reasons", "sites"},
    "coverage": {"cards", "clinical_picture", "errors", "fhir", "hooks", "knowledge", "reasoning", "reasons"},
    "capacity": {"errors"},
    "gunicorn_server": {"errors"},
    "app": {"capacity", "errors", "hooks", "pages", "settings", "sites"},
    "reasons": set(),
}
"""Part of the package → the parts below it that it may import, from the bottom up."""
EDGE = {"__init__", "__main__", "cli", "pages"}
"""Parts that may import every other part, and that only app imports."""


def part_of(module: str) -> str:
    return [*module.split("."), "__init__"][1]


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield every imported name in full: `from a import b` as a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(module: str) -> set[str]:
    """Return the modules of the package that a module imports."""
    names = {name for name in imported(TREES[module]) if name.startswith("cds_service.")}
    return {name if name in MODULES else name.rsplit(".", 1)[0] for name in names}


def importers(library: str) -> set[str]:
    return {part_of(module) for module, tree in TREES.items() if library in {name.split(".")[0] for name in imported(tree)}}


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_downwards_only(module: str) -> None:
    part = part_of(module)
    if part in EDGE:
        return
    assert part in BELOW, f"{part} is new: add what it may import to BELOW"
    upwards = {name for name in ours(module) if part_of(name) not in BELOW[part] | {part}}
    assert not upwards, f"{module} imports {upwards}"


def test_no_module_imports_itself_in_a_cycle() -> None:
    TopologicalSorter({module: ours(module) - {module} for module in MODULES}).prepare()


def test_every_permitted_import_is_used() -> None:
    used: dict[str, set[str]] = {part: set() for part in BELOW}
    for module in MODULES:
        if part_of(module) in BELOW:
            used[part_of(module)] |= {part_of(name) for name in ours(module)} - {part_of(module)}
    assert {part: BELOW[part] - names for part, names in used.items() if BELOW[part] - names} == {}


def test_only_app_and_pages_import_flask() -> None:
    assert importers("flask") <= {"app", "pages"}
    assert importers("werkzeug") <= {"app", "pages"}


def test_only_outbound_opens_a_connection() -> None:
    for library in ("requests", "urllib3", "http"):
        assert importers(library) == {"outbound"}, library
    assert importers("socket") == {"gunicorn_server", "outbound"}, "gunicorn_server only shuts sockets down"
    for library in ("httpx", "aiohttp", "subprocess"):
        assert importers(library) == set(), library
    assert not [name for tree in TREES.values() for name in imported(tree) if name.startswith("urllib.request")]


def test_only_settings_reads_the_environment() -> None:
    assert importers("os") <= {"settings"}


def test_only_app_reads_the_clock() -> None:
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in {"today", "now", "utcnow"} and isinstance(node.value, ast.Name):
                assert node.value.id not in {"date", "datetime"} or part_of(module) == "app", f"{module}:{node.lineno}"


def test_nothing_is_evaluated_as_code() -> None:
    for module, tree in TREES.items():
        called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
        assert not called & {"eval", "exec", "compile", "__import__"}, module


def test_no_module_has_a_catch_all_name() -> None:
    names = {part for path in MODULES.values() for part in (*path.relative_to(PACKAGE).parts[:-1], path.stem)}
    assert not names & {"utils", "util", "helpers", "common", "models", "misc", "base"}


def test_every_module_has_a_docstring() -> None:
    assert [name for name, tree in TREES.items() if not ast.get_docstring(tree)] == []


def test_every_module_belongs_to_a_known_part() -> None:
    assert Path(PACKAGE / "app.py") in MODULES.values()
    assert {part_of(module) for module in MODULES} <= set(BELOW) | EDGE


BOUNDS = {"rooms": 22, "arrows": 78, "floors": 10, "longest file": 351}
"""Upper limits. A room is a folder or module at the top of the package, an arrow a pair of rooms with an import, floors the
longest chain of arrows; the longest file is in lines. Before 2026-12 they were 32, 123, 14 and 351."""


def test_the_package_stays_within_its_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    arrows: dict[str, set[str]] = {part_of(module): set() for module in MODULES}
    for module in MODULES:
        arrows[part_of(module)] |= {part_of(name) for name in ours(module)} - {part_of(module)}
    floors: dict[str, int] = {}
    for room in TopologicalSorter(arrows).static_order():  # raises CycleError for a cycle of rooms
        floors[room] = 1 + max((floors[below] for below in arrows[room]), default=0)
    longest = max(len(path.read_text("utf-8").splitlines()) for path in MODULES.values())
    counts = {
        "rooms": len(arrows),
        "arrows": sum(map(len, arrows.values())),
        "floors": max(floors.values()),
        "longest file": longest,
    }
    with capsys.disabled():
        print(f"\n{', '.join(f'{name} {count}' for name, count in counts.items())}")
    assert {name: count for name, count in counts.items() if count > BOUNDS[name]} == {}
