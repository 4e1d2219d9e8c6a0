"""The web application: routes, CORS and errors. No clinical word in here."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, date, datetime

import msgspec
from flask import Flask, Response, g, request
from werkzeug.exceptions import ClientDisconnected, HTTPException

from cds_service.capacity import Capacity, ConcurrencyLimit, CpuLimit
from cds_service.errors import (
    BadRequest,
    CdsError,
    Fault,
    Internal,
    Overloaded,
    TooLarge,
    TooSlow,
    Unauthorized,
    UnknownService,
    UnsupportedMedia,
    WrongMethod,
)
from cds_service.hooks import SERVICES
from cds_service.hooks.request import parse_request
from cds_service.pages import register_pages
from cds_service.settings import Settings
from cds_service.sites import Site, development_site
from cds_service.sites.registry import SiteRegistry, open_registry

LOG = logging.getLogger("cds_service")
JSON = "application/json"
ENCODER = msgspec.json.Encoder()


def current_date() -> date:
    """The clock, read once a request and passed down."""
    return datetime.now(UTC).astimezone().date()


def create_app(
    settings: Settings | None = None,
    today: Callable[[], date] = current_date,
    site: Site | None = None,
    now: Callable[[], float] = time.time,
    registry: SiteRegistry | None = None,
    capacity: Capacity | None = None,
) -> Flask:
    """The WSGI application. Raises KnowledgeError or SiteError, with every fault, if a file is not sound.

    `site`: served instead of what the settings name, to this machine alone. `registry`: what the settings name, opened already.
    `capacity`: of evaluations; by the settings, if not given.
    """
    settings = settings or Settings.from_environment()
    if registry is None:
        registry = SiteRegistry((site,), local=True) if site else open_registry(settings, today())
    anyone = registry.site_for_anyone or development_site()
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.url_map.strict_slashes = app.url_map.merge_slashes = False  # no redirect: its address would be made of the caller's
    capacity = capacity or Capacity(ConcurrencyLimit(), CpuLimit(settings.max_cpu_s))
    if settings.shows_pages():
        register_pages(app, anyone, today, capacity.run)

    @app.get("/cds-services")
    def discovery() -> Response:
        g.site = registry.site_for_discovery(request.headers.get("Authorization"), "/cds-services", now())
        return _json(200, {"services": [service.describe(g.site.knowledge) for service in SERVICES.values()]})

    @app.post("/cds-services/<service_id>")
    def call(service_id: str) -> Response:
        service = SERVICES.get(service_id)
        if service is None:
            raise UnknownService("no such service", [Fault("path", "an unknown service id", ", ".join(SERVICES))])
        g.service = service.id
        g.site = registry.site_of(request.headers.get("Authorization"), f"/cds-services/{service.id}", now())
        _require_json()
        body = _body()  # read before the slot is taken, so that a slow client does not occupy one
        site, day = g.site, today()
        answer = capacity.run(lambda: service.answer(parse_request(body, service.hook), site, day))
        g.log_fields = answer.log_fields()
        return Response(ENCODER.encode({"cards": answer.cards}), 200, content_type=JSON)

    @app.get("/health")
    def health() -> Response:
        return _json(200, {"status": "ok", "knowledge": anyone.knowledge.digest})

    @app.before_request
    def start() -> Response | None:
        g.started, g.site = time.perf_counter(), registry.only_site
        registry.check_peer(request.remote_addr, request.headers.get("Host"))
        if request.method != "OPTIONS" or (request.url_rule is None and "Origin" not in request.headers):
            return None  # of no path: 404; its preflight stays 204, so that a browser shows the 404 to its page
        methods = app.make_default_options_response()
        methods.status_code = 204  # Flask's own is 200, and HTML without a word of it
        del methods.headers["Content-Type"]
        return methods

    @app.after_request
    def finish(response: Response) -> Response:
        _allow_origin(response, settings)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "no-store"
        _log(response)
        return response

    @app.errorhandler(CdsError)
    def handle_cds_error(error: CdsError) -> Response:
        response = _json(error.status, error.outcome())
        if isinstance(error, Unauthorized):
            response.headers["WWW-Authenticate"] = "Bearer"
        if isinstance(error, Overloaded):
            response.headers["Retry-After"] = str(error.retry_after)
        return response

    @app.errorhandler(HTTPException)
    def handle_http_error(error: HTTPException) -> Response:
        response = handle_cds_error(_translate(error, settings))
        if methods := getattr(error, "valid_methods", None):
            response.headers["Allow"] = ", ".join(sorted(methods))
        return response

    @app.errorhandler(Exception)
    def handle_unexpected(error: Exception) -> Response:
        # the type and the place, never the message: it may hold a value of the chart
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = f"{place.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{place.tb_lineno}" if place else "?"
        LOG.error("fault %s at %s", type(error).__name__, where)
        return handle_cds_error(Internal("a fault of the service; nothing was decided"))

    return app


def _json(status: int, body: object) -> Response:
    return Response(json.dumps(body, ensure_ascii=False), status, content_type=JSON)


def _require_json() -> None:
    kind = (request.mimetype or "").lower()
    if kind != JSON and not kind.endswith("+json"):
        raise UnsupportedMedia("the media type is not JSON", [Fault("Content-Type", "another media type", JSON)])
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("compressed bodies are not read", [Fault("Content-Encoding", "a compression", "none")])


def _body() -> bytes:
    body = request.get_data(cache=False)
    request.stream.read(1)  # a chunked body is cut at the limit; only who reads on is told (413)
    return body


def _translate(error: HTTPException, settings: Settings) -> CdsError:
    """What Flask and Werkzeug refuse, as an error of ours."""
    if isinstance(error, ClientDisconnected):
        return TooSlow("the body did not arrive whole in time", [Fault("body", "a part of it", "the whole body")])
    match error.code:
        case 404:
            paths = "/cds-services, /cds-services/{id}, /health"
            return UnknownService("no such page", [Fault("path", "an unknown path", paths)])
        case 405:
            allowed = ", ".join(sorted(getattr(error, "valid_methods", None) or []))
            found = request.method if request.method in KNOWN_METHODS else "another method"
            return WrongMethod("wrong method", [Fault("method", found, allowed)])
        case 413:
            limit = f"at most {settings.max_body_bytes} bytes"
            return TooLarge("the body is too large", [Fault("body", "a larger body", limit)])
    if error.code is not None and 400 <= error.code < 500:
        return BadRequest("the request could not be read", [Fault("request", error.name, "a CDS Hooks request")])
    return Internal("a fault of the service; nothing was decided")


KNOWN_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"})


def _allow_origin(response: Response, settings: Settings) -> None:
    """CORS for browser-side clients, for the origins that are allowed by name; errors included (CH-144)."""
    response.headers["Vary"] = "Origin"
    origin = request.headers.get("Origin")
    if origin is None or not (origin in settings.allowed_origins or "*" in settings.allowed_origins):
        return
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Allow-Methods"] = "GET, POST, OPTIONS"
    response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
    response.headers["Access-Control-Max-Age"] = "600"


def _log(response: Response) -> None:
    """One line a request: what was asked of which service, how it ended. Nothing of a patient, no token, no path."""
    site: Site | None = g.site  # of several, the caller's; nobody's if the caller could not be told
    line = {
        "service": g.get("service"),
        "status": response.status_code,
        **g.get("log_fields", {}),
        "site": site and site.id,
        "knowledge": site and site.knowledge.digest,
        "ms": round((time.perf_counter() - g.started) * 1000, 1),
    }
    LOG.info(json.dumps(line))
