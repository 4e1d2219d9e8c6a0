"""The rule book: what the service knows and how it decides, for a clinician to read. One text, as Markdown and as HTML.

A pure function of a Knowledge: whatever a site adds, limits or signs stands in it.
"""

from __future__ import annotations

from cds_service.rulebook.book import rule_book
from cds_service.rulebook.due import due_list
from cds_service.rulebook.html import render_html
from cds_service.rulebook.markdown import render_markdown

__all__ = ["due_list", "render_html", "render_markdown", "rule_book"]
