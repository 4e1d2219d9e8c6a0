"""The rule book: what the service knows and how it decides, for clinicians, as Markdown and as HTML.

A pure function of a Knowledge, and so with everything that a site adds, limits or signs.
"""

from __future__ import annotations

from cds_service.rulebook.book import rule_book
from cds_service.rulebook.due import due_list
from cds_service.rulebook.html import render_html
from cds_service.rulebook.markdown import render_markdown

__all__ = ["due_list", "render_html", "render_markdown", "rule_book"]
