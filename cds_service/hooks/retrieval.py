"""Prefetch first, then the EHR's FHIR server for what prefetch did not bring (CH-45 to CH-58), within one deadline."""

from __future__ import annotations

import re
from dataclasses import replace

import msgspec

from cds_service.clinical_picture import Unreadable
from cds_service.fhir import credibility
from cds_service.fhir.chart import Chart
from cds_service.fhir.chart_lists import UnreadableResource
from cds_service.fhir.client import EhrServer, FetchResult, fetch_queries, fetch_references, fill_template
from cds_service.fhir.medication import referenced_medications
from cds_service.fhir.resources import Medication
from cds_service.hooks.prefetch import (
    KeyAnswer,
    PrefetchResult,
    PrefetchState,
    combine_answers,
    read_key,
    read_pages,
    read_prefetch,
)
from cds_service.hooks.request import HookRequest
from cds_service.outbound.policy import CallNotAllowed, is_origin_allowed, origin_of
from cds_service.outbound.session import OutboundSession
from cds_service.reasons import Explanation, Reason

REQUIRED_KEYS = ("conditions",)
"""Without conditions nobody can say whether the patient is one of ours (CLINICAL section 9)."""
MEDICATION_REFERENCE = re.compile(r"Medication/(?!\.{1,2}\Z)[A-Za-z0-9.\-]{1,64}")
"""On the same server: a reference that leads elsewhere is not called."""
MAX_MEDICATIONS = 40
"""Drugs read one by one where a prescription only refers to them."""


class Retrieval:
    """What one hook request can have of its patient. Used once, inside the `OutboundSession` of that request."""

    def __init__(self, request: HookRequest, queries: dict[str, str], session: OutboundSession) -> None:
        self.request, self.queries, self.session = request, queries, session
        self._not_allowed_because = _why_not_allowed(request, session)
        self._server = EhrServer(request.fhir_server, request.access.token if request.access else "")

    def retrieve(self) -> PrefetchResult:
        read = read_prefetch(self.request.prefetch)
        sent = combine_answers(read, self.queries)
        lacking = [key for key in self.queries if self._wanted(key, sent)]
        if not lacking or not self.request.fhir_server:
            return sent
        if self._not_allowed_because is not None:  # nobody failed: nobody was asked
            return replace(sent, answered=dict.fromkeys(lacking, self._not_allowed_because))
        queries = {key: fill_template(self.queries[key], self.request.patient_id) for key in lacking}
        answered: dict[str, Explanation] = {}
        for key, found in fetch_queries(self._server, queries, self.session).items():
            answer = read_pages(found.pages, whole=found.whole) if found.pages else None
            if answer is None or answer.state is PrefetchState.ERROR:
                answered[key] = found.why or Explanation(Reason.ANSWER_NO_BUNDLE)
            else:
                read[key] = _merge(read.get(key), answer)
                if read[key].state is PrefetchState.PARTIAL:
                    answered[key] = found.why or Explanation(Reason.ANSWER_NOT_WHOLE)
        return combine_answers(read, self.queries, answered)

    def _wanted(self, key: str, sent: PrefetchResult) -> bool:
        """Missing and partial keys, unless the same came under another name. A key in error was asked once already
        (CH-53): again only where nothing can be said without it."""
        state = sent.states[key]
        if state is PrefetchState.MISSING:
            return not sent.came_under_another_name(key)
        return state is PrefetchState.PARTIAL or (state is PrefetchState.ERROR and key in REQUIRED_KEYS)

    def with_medications(self, chart: Chart) -> Chart:
        """The chart with the Medications that its prescriptions only refer to. The same chart where none could be read."""
        if self._not_allowed_because is not None:
            return chart
        texts = (text.removeprefix(self._server.url("")).split("/_history/")[0] for text in referenced_medications(chart))
        wanted = sorted(text for text in texts if MEDICATION_REFERENCE.fullmatch(text))[:MAX_MEDICATIONS]
        return _with_fetched(chart, fetch_references(self._server, wanted, self.session))


def _with_fetched(chart: Chart, fetched: dict[str, FetchResult]) -> Chart:
    medications: dict[str, Medication] = {}
    unreadable: list[UnreadableResource] = []
    for reference, answer in fetched.items():
        for entry in (entry for page in answer.pages for entry in read_key(page).entries):
            try:
                medication = msgspec.json.decode(entry.raw, type=Medication)
            except (msgspec.MsgspecError, RecursionError):
                continue  # its name stays what the prescription displays
            if credibility.is_modified(medication):
                unreadable.append(UnreadableResource("Medication", Unreadable(None, reference, credibility.MODIFIED)))
                medication = Medication()  # the same
            medications[reference] = medication
    return chart.with_medications(medications, tuple(unreadable)) if medications else chart


def _merge(sent: KeyAnswer | None, fetched: KeyAnswer) -> KeyAnswer:
    """A whole answer replaces a part of it; two parts are put together. Nothing at all is no whole answer where
    something was sent: the server withholds it."""
    if sent is None or fetched.state is PrefetchState.PRESENT or (fetched.state is PrefetchState.EMPTY and not sent.entries):
        return fetched
    return KeyAnswer(PrefetchState.PARTIAL, (*sent.entries, *fetched.entries), sent.types | fetched.types)


def _why_not_allowed(request: HookRequest, session: OutboundSession) -> Explanation | None:
    """Why the server is not called, or None."""
    if not request.fhir_server:
        return Explanation(Reason.NO_SERVER_NAMED)
    try:
        if not is_origin_allowed(origin_of(request.fhir_server), session.policy) or set(request.fhir_server) & set("?#"):
            return Explanation(Reason.SERVER_NOT_ALLOWED)
    except CallNotAllowed as error:
        return error.why
    if request.access is None:
        return None if session.policy.open else Explanation(Reason.NO_TOKEN)
    if request.access.expired:
        return Explanation(Reason.TOKEN_EXPIRED)
    if request.access.patient_id not in {"", request.patient_id}:
        return Explanation(Reason.TOKEN_OF_ANOTHER_PATIENT)
    return None
