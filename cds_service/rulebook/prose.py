"""Read the sentences of prose.toml and fill in the numbers of a chapter."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any

from cds_service.rulebook.blocks import Block, Section, Text


@cache
def load_prose() -> dict[str, Any]:
    """Return the parsed prose.toml."""
    return tomllib.loads((resources.files("cds_service.rulebook") / "prose.toml").read_text("utf-8"))


def text(chapter: str, key: str, **numbers: object) -> str:
    """Return a sentence of a chapter with its placeholders filled. Raises KeyError for an unknown key or placeholder."""
    text: str = load_prose()[chapter][key]
    return text.format(**numbers)


def chapter(name: str, *blocks: Block, sections: tuple[Section, ...] = (), **numbers: object) -> Section:
    """Return a chapter with the title and introduction of prose.toml before `blocks`."""
    intro = Text(text(name, "intro", **numbers))
    return Section(name, text(name, "title", **numbers), (intro, *blocks), sections)
