"""The sentences of prose.toml, with the numbers of a chapter filled in."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any

from cds_service.rulebook.blocks import Block, Section, Text


@cache
def load_prose() -> dict[str, Any]:
    return tomllib.loads((resources.files("cds_service.rulebook") / "prose.toml").read_text("utf-8"))


def text(chapter: str, key: str, **numbers: object) -> str:
    text: str = load_prose()[chapter][key]
    return text.format(**numbers)


def chapter(name: str, *blocks: Block, sections: tuple[Section, ...] = (), **numbers: object) -> Section:
    """A section with its title and introduction."""
    intro = Text(text(name, "intro", **numbers))
    return Section(name, text(name, "title", **numbers), (intro, *blocks), sections)
