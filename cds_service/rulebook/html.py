"""Render a rule book or a page of it as HTML: it loads no script, font, image or other address."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from cds_service.rulebook.blocks import Book, Bullets, Links, Section, Table, Text

STATEMENT = re.compile(r"\b[SM]\d{3}\b")
BOLD = re.compile(r"\*\*(.+?)\*\*")
ADDRESS = re.compile(r"&lt;(https?://[^\s&]+(?:&amp;[^\s&]+)*)&gt;")
KINDS = {Text: "text", Bullets: "bullets", Links: "links", Table: "table"}
MAX_SEARCH_CHARS = 100
"""Characters of a search."""


def render_html(book: Book) -> str:
    """Return the rule book as one self-contained page, to open from a file."""
    return _render(book, {}, served=False)


def render_page(book: Book, statements: Mapping[str, str], query: str = "") -> str:
    """Return a page as the service shows it: with links to the other pages and a search, which has `query` in it.

    `statements`: id → the address of a statement on another page, for those that the page does not list."""
    return _render(book, statements, served=True, query=query)


def _render(book: Book, elsewhere: Mapping[str, str], served: bool, query: str = "") -> str:
    known = set(_anchors(book.sections))
    given: set[str] = set()

    def linked(text: str, own: str = "") -> Markup:
        """Return escaped text with bold words, addresses and links to statements. `own`: id of its own row, not linked."""

        def link(found: re.Match[str]) -> str:
            name = found[0]
            address = f"#{name}" if name in known else elsewhere.get(name)
            return f'<a href="{address}">{name}</a>' if address and name != own else name

        safe = str(escape(text))
        safe = ADDRESS.sub(lambda m: f'<a href="{m[1]}">{"PubMed search" if "?term=" in m[1] else m[1]}</a>', safe)
        safe = safe.replace("\n", "<br>")
        safe = BOLD.sub(r"<strong>\1</strong>", safe)
        return Markup(STATEMENT.sub(link, safe))

    def first_id(anchor: str) -> str:
        """Return an anchor, or "" if an earlier row has it: an id must occur once."""
        first = anchor not in given
        given.add(anchor)
        return anchor if first else ""

    return _template().render(
        book=book,
        linked=linked,
        first_id=first_id,
        style=Markup(style_sheet()),
        policy=style_policy(),
        served=served,
        query=query,
        most_chars=MAX_SEARCH_CHARS,
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("cds_service.rulebook"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["kind"] = lambda block: KINDS[type(block)]
    return environment.get_template("rulebook.html")


@cache
def style_sheet() -> str:
    """Return the CSS of the pages."""
    return (resources.files("cds_service.rulebook") / "templates" / "rulebook.css").read_text("utf-8")


@cache
def style_policy() -> str:
    """Return the Content-Security-Policy of the pages, which allows only their own style sheet, by hash."""
    digest = base64.b64encode(hashlib.sha256(style_sheet().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'"


def _anchors(sections: tuple[Section, ...]) -> list[str]:
    found: list[str] = []
    for section in sections:
        found += [anchor for block in section.blocks if isinstance(block, Table | Bullets) for anchor in block.anchors]
        found += _anchors(section.sections)
    return found
