"""Serves the evidence pages below /evidence/. They are the same for every caller and hold nothing of a patient."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, Response, g, redirect, request
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from cds_service.knowledge.model import Knowledge
from cds_service.rulebook import MAX_SEARCH_CHARS, rule_book_pages, style_policy

POLICY = f"{style_policy()}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
MAX_AGE_S = 300
"""How long a browser may show a page without asking whether it has changed."""


def evidence_blueprint(folders: Mapping[str, Knowledge]) -> Blueprint:
    """Return the blueprint of the evidence pages. `folders`: the folder below /evidence/ ("" or "north/") → the knowledge."""
    pages = Blueprint("evidence", __name__)

    @pages.get("/evidence/", defaults={"place": ""})
    @pages.get("/evidence/<path:place>")
    def show(place: str) -> AnyResponse:
        above, slash, name = place.rpartition("/")
        folder = above + slash
        if not request.path.endswith("/") and (f"{place}/" in folders or not place):
            return redirect(f"{name or 'evidence'}/", 308)
        if folder not in folders:
            raise NotFound
        book = rule_book_pages(folders[folder])
        query = request.args.get("q", "").strip()
        if query and not name:
            return _html(book.search(query), 400 if len(query) > MAX_SEARCH_CHARS else 200)
        if name not in book.html:
            return _html(book.missing(), 404)
        response = _html(book.html[name])
        response.set_etag(book.etags[name])
        g.cache_control = f"public, max-age={MAX_AGE_S}"
        return response.make_conditional(request)

    return pages


def _html(page: str, status: int = 200) -> Response:
    response = Response(page, status, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
