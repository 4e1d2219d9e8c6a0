"""All pages of the rule book of one knowledge, rendered once."""

from __future__ import annotations

import hashlib
from functools import cache

from cds_service.knowledge.model import Knowledge
from cds_service.rulebook.blocks import Book, Link, Links, Section
from cds_service.rulebook.book import rule_book
from cds_service.rulebook.evidence_pages import INDEX, WHOLE, index_page, modality_page
from cds_service.rulebook.html import render_page
from cds_service.rulebook.prose import text
from cds_service.rulebook.search import list_entries, search_page


class RuleBookPages:
    """The pages by name: the index, one for each treatment, and the whole rule book."""

    def __init__(self, knowledge: Knowledge) -> None:
        treatments = {modality.id: modality_page(knowledge, modality) for modality in knowledge.modalities}
        whole = rule_book(knowledge)
        books = {INDEX: index_page(knowledge), **treatments, WHOLE: whole}
        self._statements = {name: f"{WHOLE}#{name}" for name in knowledge.statements}
        self.html = {name: render_page(book, self._statements) for name, book in books.items()}
        """Name → the page as HTML."""
        self.etags = {name: hashlib.sha256(page.encode()).hexdigest()[:32] for name, page in self.html.items()}
        """Name → a digest of the page."""
        self._entries = list_entries({**treatments, WHOLE: whole})

    def search(self, query: str) -> str:
        """Return the results of a search as HTML."""
        return render_page(search_page(self._entries, query), self._statements, query)

    def missing(self) -> str:
        """Return the page for a name that does not exist, with links to those that do."""
        links = Links(tuple(Link(name or "./", name or text("pages", "index_title")) for name in self.html))
        return render_page(Book(text("pages", "missing"), (), (Section("pages", text("pages", "others"), (links,)),)), {})


@cache
def rule_book_pages(knowledge: Knowledge) -> RuleBookPages:
    """Return the pages of this knowledge; the same ones on every call."""
    return RuleBookPages(knowledge)
