"""The rule book: what the service knows and how it decides, for clinicians, as Markdown and as HTML.

A pure function of a Knowledge, and so with everything that a site adds, limits or signs.
"""

from __future__ import annotations

from cds_service.rulebook.book import rule_book
from cds_service.rulebook.due import due_list
from cds_service.rulebook.html import MAX_SEARCH_CHARS, render_html, style_policy
from cds_service.rulebook.markdown import render_markdown
from cds_service.rulebook.site_pages import rule_book_pages

__all__ = ["MAX_SEARCH_CHARS", "due_list", "render_html", "render_markdown", "rule_book", "rule_book_pages", "style_policy"]
