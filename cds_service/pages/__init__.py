"""The pages for people: the try-it page at `/`, which runs the service on an example or on the user's own chart (CDS_PAGES=off
disables it), and the evidence pages below `/evidence/`, which show the rule book (a site file can turn them off)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from io import BytesIO
from typing import IO

from flask import Flask, Request, Response

from cds_service.pages.evidence import evidence_blueprint
from cds_service.pages.views import pages_blueprint
from cds_service.sites import Site
from cds_service.sites.registry import SiteRegistry


class InMemory(Request):
    """Keeps uploads in memory: Flask would write a large upload, and so chart data, to a temporary file."""

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        return BytesIO()


def register_pages(
    app: Flask, site: Site, today: Callable[[], date], run: Callable[[Callable[[], Response]], Response]
) -> None:
    """Add the try-it page to `app`. `run`: runs work within the limits on evaluations, which the service shares."""
    app.request_class = InMemory
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.register_blueprint(pages_blueprint(site, today, run))


def register_evidence(app: Flask, registry: SiteRegistry) -> None:
    """Add the evidence pages of every site that has not turned them off."""
    folders = {site.evidence_folder: site.knowledge for site in registry.sites if site.evidence_pages}
    if folders:
        app.register_blueprint(evidence_blueprint(folders))
