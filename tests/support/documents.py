"""Reads the documents of the repository: their headings, links, code blocks, and marks of blocks that no test executes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.conftest import ROOT

EXECUTED = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
"""Documents whose commands and examples a test executes."""
WRITTEN = [*EXECUTED, *(ROOT / name for name in ("ARCHITECTURE.md", "CHANGELOG.md", "SECURITY.md"))]
"""All documents of the repository that are written for people."""
NOT_RUN = re.compile(r"<!-- not run: (?P<reason>\S.*\S) -->\s*")
RUN_BY = re.compile(r"<!-- this section is run by (?P<test>\S+) -->\s*")


@dataclass(frozen=True)
class Block:
    """A fenced code block. `name` is the file that it is saved as, from the line of its fence ("```toml north.toml")."""

    document: Path
    line: int
    language: str
    name: str
    text: str
    not_run: str = ""
    """The reason of its mark, if it carries one."""
    run_by: str = ""
    """The test that executes its section, if another one does."""

    @property
    def where(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


@cache
def tokens(document: Path) -> tuple[Token, ...]:
    """Return the Markdown tokens of a document, in order."""
    return tuple(MarkdownIt("commonmark").enable("table").parse(document.read_text("utf-8")))


def blocks(document: Path) -> list[Block]:
    """Return the fenced blocks of a document, each with the mark directly before it.

    Raises AssertionError for an indented block, and for a mark that precedes no fenced block.
    """
    found: list[Block] = []
    mark, section = "", ""
    for token in tokens(document):
        line = token.map[0] + 1 if token.map else 0
        assert token.type != "code_block", f"{document.name}:{line}: write this block with a fence and its language"
        assert not mark or token.type == "fence", f"{document.name}:{line}: the mark before this line belongs to no code block"
        if token.type == "heading_open" and token.tag in {"h1", "h2"}:
            section = ""
        elif token.type == "html_block" and (match := NOT_RUN.fullmatch(token.content)):
            mark = match["reason"]
        elif token.type == "html_block" and (match := RUN_BY.fullmatch(token.content)):
            section = match["test"]
        elif token.type == "fence":
            language, _, name = token.info.strip().partition(" ")
            found.append(Block(document, line, language, name, token.content, mark, section))
            mark = ""
    assert not mark, f"{document.name}: its last mark belongs to no code block"
    return found


def inline_code(document: Path) -> list[str]:
    """Return the code spans of a document."""
    children = (child for token in tokens(document) for child in token.children or ())
    return [child.content for child in children if child.type == "code_inline"]


def links(document: Path) -> list[str]:
    """Return the addresses of the links and pictures of a document."""
    children = [child for token in tokens(document) for child in token.children or ()]
    return [str(child.attrs[key]) for child in children for key in ("href", "src") if key in child.attrs]


def headings(document: Path, tag: str = "") -> list[str]:
    """Return the texts of the headings of a document; with `tag` ("h2") those of one level only."""
    listed = tokens(document)
    return [after.content for token, after in pairwise(listed) if token.type == "heading_open" and tag in {"", token.tag}]


def anchors(document: Path) -> set[str]:
    """Return the fragments under which GitHub shows the headings of a document."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(document)}
