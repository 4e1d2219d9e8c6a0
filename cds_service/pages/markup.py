"""Converts card Markdown to HTML as an EHR would: without raw HTML, without pictures, and with links that send no referrer."""

from __future__ import annotations

from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup

REL = "noopener noreferrer"


def _link(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    tokens[index].attrSet("rel", REL)
    return renderer.renderToken(tokens, index, options, env)


# A picture would cause a request to the host in the text. A heading would break the outline of the page.
MARKDOWN = MarkdownIt("commonmark", {"html": False}).disable(["image", "html_block", "html_inline", "heading", "lheading"])
MARKDOWN.add_render_rule("link_open", _link)


WITHOUT_LINKS = MarkdownIt("commonmark", {"html": False}).disable(
    ["image", "html_block", "html_inline", "heading", "lheading", "autolink"]
)
WITHOUT_LINKS.add_render_rule("link_open", lambda *_: "")
WITHOUT_LINKS.add_render_rule("link_close", lambda *_: "")


def html_without_links(text: str) -> Markup:
    """Return card Markdown as safe HTML in which each link is only its words, as in EHRs that strip links."""
    return Markup(WITHOUT_LINKS.render(text))


def html_of(text: str) -> Markup:
    """Return card Markdown as safe HTML: markdown-it escapes all text and rejects javascript: links, and raw HTML is off."""
    return Markup(MARKDOWN.render(text))
