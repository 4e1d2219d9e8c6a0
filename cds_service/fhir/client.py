"""What prefetch did not bring, asked of the EHR's FHIR server: in parallel, all pages, by what the server can do.

Nothing is cached and the token goes to the stated server only: a next page or a reference that leads elsewhere is not
called at all.
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
"""JSON values in one answer, counted by their commas, as in the body of a request: read, values take more than their bytes."""
MAX_PARALLEL_QUERIES = 8
EPIC_CATEGORIES = "laboratory,imaging,survey,exam,vital-signs,social-history"
ALL_CATEGORIES = f"{EPIC_CATEGORIES},procedure,therapy,activity"
CATEGORIES = (ALL_CATEGORIES, EPIC_CATEGORIES, "laboratory")
"""For servers that refuse an Observation search without a category: what to try, one after the other."""
FIRST_RETRY_DELAY_S = 0.1
"""Seconds before the first repetition after 429 or 503 without Retry-After; doubled each time, inside the deadline."""


@dataclass(frozen=True, slots=True)
class EhrServer:
    """The FHIR server that a hook request names, with its token where there is one."""

    base: str
    token: str = field(default="", repr=False)

    def url(self, query: str) -> str:
        return f"{self.base.rstrip('/')}/{query}"


@dataclass(frozen=True, slots=True)
class FetchResult:
    """The pages of one query as they came. `why`: why they are not all; None when they are. `status`: what the server
    answered in place of a page."""

    pages: tuple[bytes, ...] = ()
    why: Explanation | None = field(default=None, compare=False)
    status: int | None = None

    @property
    def whole(self) -> bool:
        return self.why is None


class PageLink(msgspec.Struct):
    relation: object = None
    url: object = None


class Page(msgspec.Struct):
    link: list[PageLink] | None = None


PAGE_DECODER = msgspec.json.Decoder(Page)


def fetch_queries(server: EhrServer, queries: Mapping[str, str], session: OutboundSession) -> dict[str, FetchResult]:
    """Every query answered, or why not, before the deadline of `session`. Never raises. A query is relative to the base."""
    return _run_parallel({key: partial(_search, server, query, session) for key, query in queries.items()}, session)


def fetch_references(server: EhrServer, references: Iterable[str], session: OutboundSession) -> dict[str, FetchResult]:
    """Single resources by their relative reference ("Medication/7"). Never raises."""
    return _run_parallel({name: partial(_read, server, name, session) for name in references}, session)


def fill_template(template: str, patient_id: str) -> str:
    """A template of ours for the patient of the context."""
    return template.replace("{{context.patientId}}", quote(patient_id, safe=""))


def _run_parallel(calls: Mapping[str, Callable[[], FetchResult]], session: OutboundSession) -> dict[str, FetchResult]:
    pool = ThreadPoolExecutor(MAX_PARALLEL_QUERIES)
    running: dict[str, Future[FetchResult]] = {key: pool.submit(call) for key, call in calls.items()}
    wait(running.values(), timeout=session.seconds_left)
    pool.shutdown(wait=False, cancel_futures=True)  # who still waits is woken when `session` is closed
    return {key: _result(run) for key, run in running.items()}


def _result(run: Future[FetchResult]) -> FetchResult:
    if not run.done() or run.cancelled():
        return FetchResult(why=Explanation(Reason.OVERDUE))
    if run.exception() is not None:  # one query never spoils the others
        return FetchResult(why=Explanation(Reason.ANSWER_UNREADABLE))
    return run.result()


def _read(server: EhrServer, reference: str, session: OutboundSession) -> FetchResult:
    try:
        return _page(_ask(server, reference, session))
    except CallFailed as error:
        return FetchResult(why=error.why)


def _search(server: EhrServer, query: str, session: OutboundSession) -> FetchResult:
    """Raises nothing: a call that fails ends the pages, and says so."""
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
    """The first list of categories that the server takes: never the whole answer, for an Observation need not have one."""
    for categories in CATEGORIES:
        found = _page(_ask(server, f"{query}&category={categories}", session))
        if found.status != 400:
            break
    return found, Explanation(Reason.BY_CATEGORY_ONLY, categories=categories.replace(",", ", "))


def _ask(server: EhrServer, query: str, session: OutboundSession) -> Reply:
    """By GET; by POST where the address is too long for the server."""
    reply = _call(server, server.url(query), session)
    if reply.status in {414, 431} and "?" in query:
        path, form = query.split("?", 1)
        return _call(server, server.url(f"{path}/_search"), session, form)
    return reply


def _call(server: EhrServer, url: str, session: OutboundSession, form: str | None = None) -> Reply:
    """Again after 429 and 503 while the deadline allows it. Raises CallFailed."""
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
    """Seconds, from either form of the header; nought without one."""
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
    """The address of the next page; Refused where it is not on the same server."""
    try:
        links = PAGE_DECODER.decode(body).link or []
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None  # whatever it is, it is read as a whole elsewhere, and told there
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
