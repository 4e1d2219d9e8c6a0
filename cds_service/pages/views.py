"""The views of the try-it page. They keep nothing between requests and log no chart data."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from urllib.parse import urlsplit

import msgspec
from flask import Blueprint, Response, current_app, render_template, request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import ClientDisconnected, HTTPException

from cds_service.cards import wording
from cds_service.errors import (
    BadRequest,
    CdsError,
    ChartError,
    Fault,
    Forbidden,
    Internal,
    Overloaded,
    TooLarge,
    TooSlow,
    UnknownService,
)
from cds_service.knowledge.orders import OrderKind
from cds_service.outbound.policy import OutboundPolicy
from cds_service.pages.controls import Entered, control_groups
from cds_service.pages.drafted_order import cards_for_order, drafted_kind
from cds_service.pages.evaluate import Trial, rerun_trial, run_trial
from cds_service.pages.fixtures import START, fixtures
from cds_service.pages.ignored_data import gate_lines, ignored_data, unjudged_because
from cds_service.pages.markup import html_of, html_without_links
from cds_service.pages.moves import option_label, stage_moves, verdict_moves
from cds_service.pages.phrases import describe_readings
from cds_service.pages.submission import Submission, chart_mark, remove_token, submission_from_fixture, submission_from_text
from cds_service.pages.supposed import Supposed, read_controls, readings_by_fact
from cds_service.pages.trace import statements_of, trace_evaluation
from cds_service.sites import Site

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
MAX_RAW_CHARS = 300_000
"""Characters of the request that the page shows."""
MAX_FIELDS = 1000
"""Fields of a form; Werkzeug has the same limit for a multipart form."""
NOT_PLAIN = re.compile(r"[^\n -~]")
UNSEEN = frozenset({"Cc", "Cf", "Zl", "Zp"})
"""Unicode categories of characters that are invisible or change the direction of the text around them."""


@dataclass(frozen=True, slots=True)
class PageView:
    """Everything that the template shows of one chart."""

    submission: Submission
    chart: Trial
    now: Trial
    entered: Entered
    supposed: dict[str, Supposed]
    order: OrderKind | None = None
    """The order that is drafted."""


def pages_blueprint(site: Site, today: Callable[[], date], run: Callable[[Callable[[], Response]], Response]) -> Blueprint:
    """Return the blueprint of the try-it page. `run`: runs work within the limits on evaluations."""
    site = replace(site, policy=OutboundPolicy())  # data entered on the page is never sent to a FHIR server
    pages = Blueprint("pages", __name__, template_folder="templates", static_folder="static", static_url_path="/static")
    pages.add_app_template_filter(html_of, "card_markdown")
    pages.add_app_template_filter(html_without_links, "card_markdown_without_links")

    @pages.get("/")
    def try_it() -> Response:
        name = request.args.get("fixture", "")
        if not name:
            return _page(site, None)
        return run(lambda: _page(site, _show(_fixture(site, name, today()), site, today())))

    @pages.post("/")
    def judge_form() -> Response:
        form = _form()  # read before the slot is taken, so that a slow client does not occupy one
        name = form.get("fixture", "")

        def judge() -> Response:
            submission = _fixture(site, name, today()) if name else submission_from_text(_text(), site.knowledge)
            same = bool(name) or form.get("of") == submission.mark
            shown = _show(submission, site, today(), change=same and "reset" not in form)
            return _page(site, shown, status=400 if shown.entered.faults else 200)

        return run(judge)

    @pages.after_request
    def guard(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = POLICY
        # with "no-referrer" a browser would send `Origin: null` for the page's own form
        response.headers["Referrer-Policy"] = "same-origin"
        return response

    @pages.errorhandler(CdsError)
    def handle_cds_error(error: CdsError) -> Response:
        response = _page(site, None, problem=error, status=error.status)
        if isinstance(error, Overloaded):
            response.headers["Retry-After"] = str(error.retry_after)
        return response

    @pages.errorhandler(ChartError)
    def handle_broken_example(_: ChartError) -> Response:
        return handle_cds_error(Internal("this example could not be read"))

    @pages.errorhandler(HTTPException)
    def handle_http_error(error: HTTPException) -> Response:
        if error.code == 413:
            problem = f"must be at most {current_app.config['MAX_CONTENT_LENGTH']:,} bytes"
            return handle_cds_error(TooLarge("too large", [Fault("the input", problem)]))
        if isinstance(error, ClientDisconnected):
            return handle_cds_error(TooSlow("the form did not arrive completely"))
        if error.code == 404:
            return handle_cds_error(UnknownService("no such page", [Fault("path", "must be /")]))
        return handle_cds_error(BadRequest("the form could not be read", [Fault("form", f"cannot be read ({error.name})")]))

    return pages


def _fixture(site: Site, name: str, today: date) -> Submission:
    found = fixtures().get(name)
    if found is None:
        names = ", ".join(fixtures())
        problem = f"must be one of {names}" if names else "cannot be chosen, as no examples are installed"
        raise UnknownService("no such example", [Fault("fixture", problem)])
    return submission_from_fixture(found, site.knowledge, today)


def _form() -> MultiDict[str, str]:
    """Return the submitted form. Raises Forbidden if another website made the browser send it, TooLarge if it has too many
    fields."""
    origin = request.headers.get("Origin")
    if request.headers.get("Sec-Fetch-Site") in {"cross-site", "same-site"} or (origin and _host(origin) != request.host):
        raise Forbidden("not sent by this page", [Fault("form", "must be sent from this page, not from another website")])
    # a pasted chart may be as large as a request; MAX_CONTENT_LENGTH still holds
    request.max_form_memory_size = current_app.config["MAX_CONTENT_LENGTH"]
    sent = request.get_data()
    request.stream.read(1)  # Werkzeug raises 413 for an oversized chunked form only on the next read
    if request.mimetype == "application/x-www-form-urlencoded" and sent.count(b"&") > MAX_FIELDS:
        raise TooLarge("too large", [Fault("form", f"must have at most {MAX_FIELDS} fields")])
    return request.form


def _host(origin: str) -> str:
    """Return host and port of an origin; "" if it is "null" or invalid."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _text() -> str:
    """Return the content of the uploaded file, or the pasted text if there is none. Raises BadRequest if it is not UTF-8."""
    upload = request.files.get("file")
    sent = upload.read() if upload and upload.filename else b""
    if not sent:
        return request.form.get("chart", "")
    try:
        return sent.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadRequest("not a text file", [Fault("file", "must be JSON in UTF-8")]) from None


def _show(submission: Submission, site: Site, today: date, change: bool = False) -> PageView:
    chart = run_trial(submission.body, site, today)
    if not change or chart.evaluation is None:
        return PageView(submission, chart, chart, Entered({}, {}, {}), {})
    order = drafted_kind(site.knowledge, request.form.get("order", ""))
    entered, supposed = read_controls(request.form, chart.evaluation.facts, today)
    now = rerun_trial(chart, readings_by_fact(supposed), site, today) if supposed else chart
    return PageView(submission, chart, now, entered, supposed, order)


def _page(site: Site, shown: PageView | None, problem: CdsError | None = None, status: int = 200) -> Response:
    kept = shown.submission.text if shown else _pasted() if problem else ""
    html = render_template(
        "pages/try_it.html",
        knowledge=site.knowledge,
        fixtures=list(fixtures().values()),
        chosen=shown.submission.fixture.name if shown and shown.submission.fixture else START,
        text=kept,
        of=chart_mark(kept),
        problem=problem,
        shown=shown,
        evidence=site.evidence_folder if site.evidence_pages else None,
        **(_context(shown, site) if shown else {}),
    )
    return Response(html, status, content_type="text/html; charset=utf-8")


def _pasted() -> str:
    """Return the pasted text, to show it again beside an error; "" if the form cannot be read."""
    try:
        return remove_token(_form().get("chart", "")) if request.method == "POST" else ""
    except (CdsError, HTTPException):
        return ""


def _context(shown: PageView, site: Site) -> dict[str, Any]:
    knowledge = site.knowledge
    evaluation, before = shown.now.evaluation, shown.chart.evaluation
    context: dict[str, Any] = {
        "cards": shown.now.cards,
        "gate_because": unjudged_because(shown.now),
        "gate_lines": gate_lines(shown.now),
        "ignored": ignored_data(shown.submission, shown.now),
        "raw_request": _raw(shown.submission.body),
        "raw_response": msgspec.json.format(msgspec.json.encode({"cards": shown.now.cards}), indent=2).decode(),
        "times": list(shown.now.milliseconds.items()),
        "evaluation": evaluation,
    }
    if evaluation and before:
        traces = trace_evaluation(evaluation)
        context |= {
            "traces": traces,
            "statements": [knowledge.statements[name] for name in statements_of(traces)],
            "stage": [_stage_part(shown, name) for name in evaluation.stage],
            "groups": control_groups(before.facts, evaluation, shown.entered),
            "moves": verdict_moves(before, evaluation),
            "stage_moves": stage_moves(before, evaluation),
            "before": before,
            "order_kinds": knowledge.orders.kinds,
            "order_cards": cards_for_order(shown.now, shown.order, site) if shown.order else [],
            "words": wording.VERDICT_WORDS,
        }
    return context


def _stage_part(shown: PageView, name: str) -> dict[str, Any]:
    assert shown.now.evaluation is not None
    part, knowledge = shown.now.evaluation.stage[name], shown.now.evaluation.knowledge
    return {
        "title": knowledge.staging[name].title,
        "value": option_label(knowledge.words, part.value),
        "because": "; ".join(map(wording.explain, part.because)),
        "readings": describe_readings(knowledge, part.seen),
    }


def _raw(body: bytes) -> str:
    """Return the request as indented JSON without its access token, cut at MAX_RAW_CHARS with a note. It is cut while it is
    printed, as the indentation could turn a small request into gigabytes."""
    try:
        content = json.loads(body)
        if "fhirAuthorization" in content:
            content["fhirAuthorization"] = "(not shown)"
        text, whole = _printed(content)
        text = remove_token(text)  # a resource may contain one
    except (ValueError, RecursionError):
        return "(could not be printed)"
    shown = NOT_PLAIN.sub(lambda found: _seen(found[0]), text.encode("utf-8", "replace").decode())
    return shown if whole else f"{shown}\n… cut here: {len(body):,} bytes in all"


def _printed(content: object) -> tuple[str, bool]:
    """Return the first MAX_RAW_CHARS characters of the indented JSON, and whether that is all of it."""
    pieces, room = [], MAX_RAW_CHARS
    for piece in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(content):
        pieces.append(piece[:room])
        room -= len(piece)
        if room < 0:
            return "".join(pieces), False
    return "".join(pieces), True


def _seen(letter: str) -> str:
    """Return a character, or its JSON escape if it is invisible."""
    return json.dumps(letter)[1:-1] if unicodedata.category(letter) in UNSEEN else letter
