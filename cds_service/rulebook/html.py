"""Render a rule book as one self-contained HTML page for print: it loads no script, font, image or other address."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from cds_service.rulebook.blocks import Book, Bullets, Section, Table, Text

STATEMENT = re.compile(r"\b[SM]\d{3}\b")
BOLD = re.compile(r"\*\*(.+?)\*\*")
ADDRESS = re.compile(r"&lt;(https?://[^\s&]+(?:&amp;[^\s&]+)*)&gt;")
KINDS = {Text: "text", Bullets: "bullets", Table: "table"}


def render_html(book: Book) -> str:
    """Return the page. Its Content-Security-Policy allows only its own style sheet, by hash."""
    environment = Environment(
        loader=PackageLoader("cds_service.rulebook"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    known = set(_anchors(book.sections))

    def linked(text: str, own: str = "") -> Markup:
        """Return escaped text with bold words, addresses and links to statements. `own`: id of its own row, not linked."""
        safe = str(escape(text))
        safe = ADDRESS.sub(lambda m: f'<a href="{m[1]}">{"PubMed search" if "?term=" in m[1] else m[1]}</a>', safe)
        safe = safe.replace("\n", "<br>")
        safe = BOLD.sub(r"<strong>\1</strong>", safe)
        return Markup(STATEMENT.sub(lambda m: f'<a href="#{m[0]}">{m[0]}</a>' if m[0] in known - {own} else m[0], safe))

    environment.filters["linked"] = linked
    environment.filters["kind"] = lambda block: KINDS[type(block)]
    style = (resources.files("cds_service.rulebook") / "templates" / "rulebook.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template("rulebook.html").render(book=book, style=Markup(style), digest=digest)


def _anchors(sections: tuple[Section, ...]) -> list[str]:
    found: list[str] = []
    for section in sections:
        found += [anchor for block in section.blocks if isinstance(block, Table) for anchor in block.anchors]
        found += _anchors(section.sections)
    return found
