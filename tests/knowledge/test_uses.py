"""The `use` of a code is a member of a closed enum; the program reads its properties and never its text."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

from cds_service import knowledge
from cds_service.errors import SiteError
from cds_service.knowledge.terminology import Use
from cds_service.sites.loader import read_site

FOLDER = resources.files("cds_service.knowledge")
PACKAGE = Path(knowledge.__file__).parent.parent
KNOWN = knowledge.load()
USES = {"use", "uses"}


def test_the_schema_and_the_head_of_the_terminology_know_each_use_and_no_other() -> None:
    schema = json.loads((FOLDER / "schema.json").read_text("utf-8"))
    assert schema["$defs"]["use"]["enum"] == [use.value for use in Use]
    head = (FOLDER / "terminology.toml").read_text("utf-8").split("[systems]")[0]
    assert [use.value for use in Use if f" {use.value} " not in head.replace(",", " ")] == []


def test_each_use_is_that_of_some_code() -> None:
    assert {meaning.use for _, meaning in KNOWN.terminology.all_rows()} == set(Use)


def _is_a_use(node: ast.AST) -> bool:
    """Return whether an expression is a use: `use`, `uses`, `meaning.use`, `definition.uses`."""
    return (isinstance(node, ast.Name) and node.id in USES) or (isinstance(node, ast.Attribute) and node.attr in USES)


def _texts(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Constant) and isinstance(part.value, str) for part in ast.walk(node))


def looked_into(tree: ast.AST) -> Iterator[int]:
    """Yield the lines on which a use is compared with a text, searched or sliced."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare():
                sides = [node.left, *node.comparators]
                if any(map(_is_a_use, sides)) and any(map(_texts, sides)):
                    yield node.lineno
            case ast.Attribute(value=value) if hasattr(str, node.attr) and _is_a_use(value):
                yield node.lineno
            case ast.Subscript(value=value) if _is_a_use(value):
                yield node.lineno


def test_no_line_of_the_program_looks_into_the_text_of_a_use() -> None:
    found = [
        f"{file.relative_to(PACKAGE)}:{line}: ask a property of Use (knowledge/terminology.py), or compare with a member"
        for file in sorted(PACKAGE.rglob("*.py"))
        for line in looked_into(ast.parse(file.read_text("utf-8")))
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        'm.use == "decides"', 'use in ("a", "b")', 'm.use.startswith("d")', "use[:3]", '"d" in m.use', 'm.use != "context"',
        '"decides" in definition.uses', "use.split()",
    ],
)  # fmt: skip
def test_a_line_that_does_is_found(line: str) -> None:
    assert list(looked_into(ast.parse(line))) == [1]


@pytest.mark.parametrize(
    ("concept", "former", "now"),
    [
        ("cond.ci.renal", "decides renal failure", "context, decides-if-recent, decides-lasting"),
        ("cond.ci.coagulopathy", "question: correctable?", "question"),
        ("cond.extrahepatic_mets", "nodal: regional or distant unknown", "decides, nodal, question-site"),
    ],
)
def test_the_fault_of_a_site_file_with_a_former_use_lists_the_uses_of_its_concept(
    tmp_path: Path, concept: str, former: str, now: str
) -> None:
    file = tmp_path / "site.toml"
    head = '[site]\nid = "north"\ntitle = "North Hospital"\nauthenticated_by_proxy = true\n'
    code = f'[[code]]\nsystem = "urn:oid:2.999.1"\ncode = "X"\nconcept = "{concept}"\n'
    file.write_text(f'{head}{code}use = "{former}"\n', "utf-8")
    with pytest.raises(SiteError) as told:
        read_site(file)
    assert f"code.1.use is '{former}', which {concept} does not have; its uses: {now}" in str(told.value)
    file.write_text(f'{head}{code}use = "{now.split(", ")[0]}"\n', "utf-8")
    assert "X" in {meaning.code for _, meaning in read_site(file).knowledge.terminology.all_rows()}
