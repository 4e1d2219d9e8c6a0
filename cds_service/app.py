"""The web application: routes, CORS and error responses. Contains no clinical logic."""

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
from cds_service.pages import register_evidence, register_pages
from cds_service.settings import Settings
from cds_service.sites import Site, development_site
from cds_service.sites.registry import SiteRegistry, link_evidence, open_registry

LOG = logging.getLogger("cds_service")
JSON = "application/json"
ENCODER = msgspec.json.Encoder()


def current_date() -> date:
    """Return today's date in local time. Each request reads it once and passes it down."""
    return datetime.now(UTC).astimezone().date()


def create_app(
    settings: Settings | None = None,
    today: Callable[[], date] = current_date,
    site: Site | None = None,
    now: Callable[[], float] = time.time,
    registry: SiteRegistry | None = None,
    capacity: Capacity | None = None,
) -> Flask:
    """Return the WSGI application. Raises KnowledgeError or SiteError, listing every error, if a file is invalid.

    `site`: served to this machine only, instead of the sites in the settings. `registry`: the sites of the settings, if they
    are already loaded. `capacity`: limits on evaluations (default: from the settings).
    """
    settings = settings or Settings.from_environment()
    if registry is None:
        registry = SiteRegistry((link_evidence(site, settings),), local=True) if site else open_registry(settings, today())
    anyone = registry.site_for_anyone or development_site()
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.url_map.strict_slashes = app.url_map.merge_slashes = False  # a redirect would repeat the caller's path
    capacity = capacity or Capacity(ConcurrencyLimit(), CpuLimit(settings.max_cpu_s))
    register_evidence(app, registry)
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
            raise UnknownService("no such service", [Fault("path", f"must end with a service id: {', '.join(SERVICES)}")])
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
            return None  # an unknown path gets 404, but its CORS preflight 204: else a browser hides the 404 from its page
        methods = app.make_default_options_response()
        methods.status_code = 204  # Flask answers 200 with an empty HTML body
        del methods.headers["Content-Type"]
        return methods

    @app.after_request
    def finish(response: Response) -> Response:
        _allow_origin(response, settings)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = g.get("cache_control", "no-store")
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
        # log the type and the place, never the message, which may contain a value of the chart
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = f"{place.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{place.tb_lineno}" if place else "?"
        LOG.error("fault %s at %s", type(error).__name__, where)
        return handle_cds_error(Internal(INTERNAL_ERROR))

    return app


def _json(status: int, body: object) -> Response:
    return Response(json.dumps(body, ensure_ascii=False), status, content_type=JSON)


def _require_json() -> None:
    kind = (request.mimetype or "").lower()
    if kind != JSON and not kind.endswith("+json"):
        raise UnsupportedMedia("the media type is not JSON", [Fault("Content-Type", f"must be {JSON} or end with +json")])
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("the body is compressed", [Fault("Content-Encoding", "must be absent or identity")])


def _body() -> bytes:
    body = request.get_data(cache=False)
    request.stream.read(1)  # Werkzeug raises 413 for an oversized chunked body only on the next read
    return body


def _translate(error: HTTPException, settings: Settings) -> CdsError:
    """Return the CdsError for an error of Flask or Werkzeug."""
    if isinstance(error, ClientDisconnected):
        return TooSlow("the body did not arrive completely", [Fault("body", "was cut off, malformed or too slow")])
    match error.code:
        case 404:
            paths = "/cds-services, /cds-services/{id}, /evidence/ or /health"
            return UnknownService("no such path", [Fault("path", f"must be {paths}")])
        case 405:
            allowed = ", ".join(sorted(getattr(error, "valid_methods", None) or []))
            found = request.method if request.method in KNOWN_METHODS else "an unknown method"
            return WrongMethod("wrong method", [Fault.wrong("method", found, f"one of {allowed}")])
        case 413:
            return TooLarge("the body is too large", [Fault("body", f"must be at most {settings.max_body_bytes} bytes")])
    if error.code is not None and 400 <= error.code < 500:
        return BadRequest("the request could not be read", [Fault("request", f"cannot be read ({error.name})")])
    return Internal(INTERNAL_ERROR)


INTERNAL_ERROR = "internal error; nothing was decided"
KNOWN_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"})


def _allow_origin(response: Response, settings: Settings) -> None:
    """Add CORS headers for the allowed origins, to error responses too (CH-144)."""
    response.headers["Vary"] = "Origin"
    origin = request.headers.get("Origin")
    if origin is None or not (origin in settings.allowed_origins or "*" in settings.allowed_origins):
        return
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Allow-Methods"] = "GET, POST, OPTIONS"
    response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
    response.headers["Access-Control-Max-Age"] = "600"


def _log(response: Response) -> None:
    """Log one line for the request: service, status, counts, duration. Never patient data, a token or a path."""
    site: Site | None = g.site  # None if there are several sites and the caller was not authenticated
    line = {
        "service": g.get("service"),
        "status": response.status_code,
        **g.get("log_fields", {}),
        "site": site and site.id,
        "knowledge": site and site.knowledge.digest,
        "ms": round((time.perf_counter() - g.started) * 1000, 1),
    }
    LOG.info(json.dumps(line))
