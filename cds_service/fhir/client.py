"""Fetches from the EHR's FHIR server what prefetch did not bring: in parallel, all pages, adapted to what the server supports.

Nothing is cached, and the token goes to the stated server only: next pages and references on another server are not called.
"""

from __future__ import annotations

import email.utils
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import quote, urljoin

import msgspec

from cds_service.outbound.policy import CallFailed, CallNotAllowed, origin_of
from cds_service.outbound.session import OutboundSession, Reply
from cds_service.reasons import Explanation, Reason

FHIR_JSON = "application/fhir+json, application/json;q=0.9"
MAX_PAGES = 50
MAX_JSON_VALUES = 1_000_000
"""Maximum JSON values in one response, counted by commas as for request bodies, since decoded values take more memory than
their bytes."""
MAX_PARALLEL_QUERIES = 8
EPIC_CATEGORIES = "laboratory,imaging,survey,exam,vital-signs,social-history"
ALL_CATEGORIES = f"{EPIC_CATEGORIES},procedure,therapy,activity"
CATEGORIES = (ALL_CATEGORIES, EPIC_CATEGORIES, "laboratory")
"""Category lists to try in order, for servers that reject an Observation search without a category."""
FIRST_RETRY_DELAY_S = 0.1
"""Delay before the first retry after 429 or 503 without Retry-After. It doubles with each retry, within the deadline."""


@dataclass(frozen=True, slots=True)
class EhrServer:
    """The FHIR server named by a hook request, with its token if there is one."""

    base: str
    token: str = field(default="", repr=False)

    def url(self, query: str) -> str:
        """Return the absolute URL of a query."""
        return f"{self.base.rstrip('/')}/{query}"


@dataclass(frozen=True, slots=True)
class FetchResult:
    """The pages of one query as received. `why`: why they are incomplete, or None. `status`: the HTTP status returned in place
    of a page."""

    pages: tuple[bytes, ...] = ()
    why: Explanation | None = field(default=None, compare=False)
    status: int | None = None

    @property
    def whole(self) -> bool:
        """Return True if all pages arrived."""
        return self.why is None


class PageLink(msgspec.Struct):
    relation: object = None
    url: object = None


class Page(msgspec.Struct):
    link: list[PageLink] | None = None


PAGE_DECODER = msgspec.json.Decoder(Page)


def fetch_queries(server: EhrServer, queries: Mapping[str, str], session: OutboundSession) -> dict[str, FetchResult]:
    """Return the result of each query before the deadline of `session`. Queries are relative to the base. Never raises;
    failures are in the results."""
    return _run_parallel({key: partial(_search, server, query, session) for key, query in queries.items()}, session)


def fetch_references(server: EhrServer, references: Iterable[str], session: OutboundSession) -> dict[str, FetchResult]:
    """Return single resources by relative reference ("Medication/7"). Never raises; failures are in the results."""
    return _run_parallel({name: partial(_read, server, name, session) for name in references}, session)


def fill_template(template: str, patient_id: str) -> str:
    """Return a query template filled in for one patient."""
    return template.replace("{{context.patientId}}", quote(patient_id, safe=""))


def _run_parallel(calls: Mapping[str, Callable[[], FetchResult]], session: OutboundSession) -> dict[str, FetchResult]:
    pool = ThreadPoolExecutor(MAX_PARALLEL_QUERIES)
    running: dict[str, Future[FetchResult]] = {key: pool.submit(call) for key, call in calls.items()}
    wait(running.values(), timeout=session.seconds_left)
    pool.shutdown(wait=False, cancel_futures=True)  # closing `session` wakes the threads still waiting
    return {key: _result(run) for key, run in running.items()}


def _result(run: Future[FetchResult]) -> FetchResult:
    if not run.done() or run.cancelled():
        return FetchResult(why=Explanation(Reason.OVERDUE))
    if run.exception() is not None:  # one failing query must not affect the others
        return FetchResult(why=Explanation(Reason.ANSWER_UNREADABLE))
    return run.result()


def _read(server: EhrServer, reference: str, session: OutboundSession) -> FetchResult:
    try:
        return _page(_ask(server, reference, session))
    except CallFailed as error:
        return FetchResult(why=error.why)


def _search(server: EhrServer, query: str, session: OutboundSession) -> FetchResult:
    """Return all pages of a search. A failed call ends the pages and is reported in `why`; nothing is raised."""
    pages: list[bytes] = []
    why: Explanation | None = None
    try:
        found = _page(_ask(server, query, session))
        if found.status == 400 and query.startswith("Observation?") and "category=" not in query:
            found, why = _by_category(server, query, session)
        while found.why is None:
            (body,) = found.pages
            pages.append(body)
            following = _next(server, body)
            if following is None:
                return FetchResult(tuple(pages), why)
            if len(pages) == MAX_PAGES:
                return FetchResult(tuple(pages), Explanation(Reason.TOO_MANY_PAGES, most=MAX_PAGES))
            found = _page(_call(server, following, session))
        return FetchResult(tuple(pages), _of_page(found.why, pages), found.status)
    except CallFailed as error:
        return FetchResult(tuple(pages), _of_page(error.why, pages))


def _of_page(why: Explanation, before: Sequence[bytes]) -> Explanation:
    return Explanation(Reason.FURTHER_PAGE, because=why) if before else why


def _by_category(server: EhrServer, query: str, session: OutboundSession) -> tuple[FetchResult, Explanation]:
    """Search with the first category list that the server accepts. The result is never complete, since an Observation need not
    have a category."""
    for categories in CATEGORIES:
        found = _page(_ask(server, f"{query}&category={categories}", session))
        if found.status != 400:
            break
    return found, Explanation(Reason.BY_CATEGORY_ONLY, categories=categories.replace(",", ", "))


def _ask(server: EhrServer, query: str, session: OutboundSession) -> Reply:
    """Query by GET, or by POST if the URL is too long for the server. Raises CallFailed."""
    reply = _call(server, server.url(query), session)
    if reply.status in {414, 431} and "?" in query:
        path, form = query.split("?", 1)
        return _call(server, server.url(f"{path}/_search"), session, form)
    return reply


def _call(server: EhrServer, url: str, session: OutboundSession, form: str | None = None) -> Reply:
    """Call once, and retry after 429 and 503 within the deadline. Raises CallFailed."""
    headers = {"Accept": FHIR_JSON, "Cache-Control": "no-cache"}
    if server.token:
        headers["Authorization"] = f"Bearer {server.token}"
    pause = FIRST_RETRY_DELAY_S
    while True:
        reply = session.get(url, headers) if form is None else session.post(url, headers, form)
        if reply.status not in {429, 503}:
            return reply
        pause = _retry_after(reply) or pause
        if pause >= session.seconds_left:
            return reply
        time.sleep(pause)
        pause *= 2


def _retry_after(reply: Reply) -> float:
    """Return the seconds of a Retry-After header in either form, or zero without one."""
    text = reply.headers.get("retry-after", "")
    if text.isdecimal():
        return float(text[:6])
    try:
        when = email.utils.parsedate_to_datetime(text)
        return max(0.0, when.timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0


def _page(reply: Reply) -> FetchResult:
    if reply.status == 200:
        if reply.body.count(b",") > MAX_JSON_VALUES:
            return FetchResult(why=Explanation(Reason.TOO_LARGE))
        return FetchResult((reply.body,))
    if 300 <= reply.status < 400:
        return FetchResult(why=Explanation(Reason.REDIRECTED), status=reply.status)
    return FetchResult(why=Explanation(Reason.STATUS_NOT_OK, status=reply.status), status=reply.status)


def _next(server: EhrServer, body: bytes) -> str | None:
    """Return the URL of the next page, or None. Raises CallNotAllowed if it is on another server."""
    try:
        links = PAGE_DECODER.decode(body).link or []
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None  # the page is decoded later, which reports the error
    for link in links:
        if link.relation == "next":
            try:
                url = urljoin(server.url(""), link.url) if isinstance(link.url, str) and link.url else ""
            except ValueError:
                url = ""
            if not url or origin_of(url) != origin_of(server.base):
                raise CallNotAllowed(Explanation(Reason.PAGE_ON_ANOTHER_SERVER))
            return url
    return None
