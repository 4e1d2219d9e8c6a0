"""The data of the clauses of CDS Hooks is well formed, docs/clauses.md is generated from it, and no reference is dangling."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import ROOT

DATA = ROOT / "cds_service/conformance/clauses.toml"
PAGE = ROOT / "docs/clauses.md"
STRENGTHS = {
    "SHALL", "SHALL NOT", "SHOULD", "SHOULD NOT", "MAY", "REQUIRED", "RECOMMENDED", "CONDITIONAL", "OPTIONAL", "DEPRECATED",
    "should", "informative",
}  # fmt: skip
VERSIONS = ["2.0", "2.0.1", "3.0-ballot"]
HOSTS = ("https://cds-hooks.hl7.org/", "https://build.fhir.org/ig/HL7/cds-hooks/", "https://cds-hooks.org/")
HEAD = """# Clauses of CDS Hooks

Comments and tests refer to the clauses of CDS Hooks by these ids. Each line is a paraphrase; the linked section has the exact
text. The service implements version 2.0.1. Clauses of the ballot of version 3 are listed so that its clients can be served.

This page is generated from [`clauses.toml`](../cds_service/conformance/clauses.toml). Change that file, then run
`pytest tests/test_clauses.py --update-golden`. The strength is the keyword of the specification. "should" is in lower case
there, and "informative" marks a sentence without a keyword. REQUIRED, OPTIONAL, CONDITIONAL and RECOMMENDED belong to fields.

| id | strength | whose duty | versions | clause |
|---|---|---|---|---|
"""


class Clause(NamedTuple):
    """One table of the data; the head of the file explains its keys."""

    id: str
    strength: str
    who: str
    versions: list[str]
    line: str
    url: str


def clauses() -> list[Clause]:
    """Return all clauses, in the order of the file. Raises TypeError if a clause lacks a key or has an unknown one."""
    return [Clause(**table) for table in tomllib.loads(DATA.read_text("utf-8"))["clause"]]


def render() -> str:
    return HEAD + "".join(
        f"| [{c.id}]({c.url}) | {c.strength} | {c.who} | {span(c.versions)} | {c.line} |\n" for c in clauses()
    )


def span(versions: list[str]) -> str:
    return "all" if versions == VERSIONS else ", ".join(versions)


def sources() -> Iterator[Path]:
    """Yield the files that may refer to a clause."""
    for folder in ("cds_service", "tests", "docs", "bench", ".ci"):
        for suffix in ("py", "toml", "md", "html", "json"):
            yield from (path for path in sorted((ROOT / folder).rglob(f"*.{suffix}")) if "data" not in path.parts)
    yield from (*sorted(ROOT.glob("*.md")), ROOT / "openapi.yaml", ROOT / "pyproject.toml")


def test_every_clause_is_well_formed() -> None:
    listed = clauses()
    assert [clause.id for clause in listed] == [f"CH-{number:02}" for number in range(1, len(listed) + 1)]
    for clause in listed:
        assert clause.strength in STRENGTHS, clause.id
        assert clause.who in {"service", "client", "both"}, clause.id
        assert clause.versions, clause.id
        assert clause.versions == [version for version in VERSIONS if version in clause.versions], clause.id
        assert clause.url.startswith(HOSTS), clause.id
        assert clause.line.endswith("."), clause.id
        assert len(clause.line) < 140, clause.id
        assert "|" not in clause.line, clause.id


def test_the_page_of_the_clauses_is_generated_from_the_data(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-golden"):
        PAGE.write_text(render(), "utf-8")
    assert PAGE.read_text("utf-8") == render(), "pytest tests/test_clauses.py --update-golden"


def test_every_clause_that_a_file_refers_to_exists() -> None:
    known = {clause.id for clause in clauses()}
    found = {(path, id) for path in sources() for id in re.findall(r"\bCH-\d+\b", path.read_text("utf-8", "replace"))}
    assert [f"{path.relative_to(ROOT)}: {id}" for path, id in sorted(found) if id not in known] == []
    assert len({path for path, _ in found if path.suffix == ".py"}) > 10
