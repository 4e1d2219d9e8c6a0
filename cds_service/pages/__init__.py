"""Pages for people: at `/` somebody tries the service on an example or a chart of their own. Off with CDS_PAGES=off."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from io import BytesIO
from typing import IO

from flask import Flask, Request, Response

from cds_service.pages.views import pages_blueprint
from cds_service.sites import Site


class InMemory(Request):
    """An upload is never spooled to a file: nothing of a chart reaches a disk."""

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
    """Adds the try-it page. `run`: does a piece of work within the limits of evaluations, shared with the service."""
    app.request_class = InMemory
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.register_blueprint(pages_blueprint(site, today, run))
