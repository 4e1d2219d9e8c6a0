"""Collects the patient's data: from prefetch, and from the EHR's FHIR server what prefetch lacks, within one deadline (CH-45 to
CH-58)."""

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
"""Prefetch keys without which the disease cannot be ruled out (docs/knowledge.md, "Who gets a card")."""
MEDICATION_REFERENCE = re.compile(r"Medication/(?!\.{1,2}\Z)[A-Za-z0-9.\-]{1,64}")
"""A reference on the same server. Other references are not fetched."""
MAX_MEDICATIONS = 40
"""Medications fetched one by one because a prescription only refers to them."""


class Retrieval:
    """Retrieves the data for one hook request. Used once, inside the `OutboundSession` of that request."""

    def __init__(self, request: HookRequest, queries: dict[str, str], session: OutboundSession) -> None:
        self.request, self.queries, self.session = request, queries, session
        self._not_allowed_because = _why_not_allowed(request, session)
        self._server = EhrServer(request.fhir_server, request.access.token if request.access else "")

    def retrieve(self) -> PrefetchResult:
        """Return the prefetch, completed from the FHIR server where it is allowed. Raises TooLarge if the prefetch has too many
        resources."""
        read = read_prefetch(self.request.prefetch)
        sent = combine_answers(read, self.queries)
        lacking = [key for key in self.queries if self._wanted(key, sent)]
        if not lacking or not self.request.fhir_server:
            return sent
        if self._not_allowed_because is not None:  # a server that was not called did not fail
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
        """Return whether to fetch a key: one that is missing (also under other keys) or partial. A key in error has been
        queried by the EHR already (CH-53), so it is fetched only if it is required."""
        state = sent.states[key]
        if state is PrefetchState.MISSING:
            return not sent.came_under_another_name(key)
        return state is PrefetchState.PARTIAL or (state is PrefetchState.ERROR and key in REQUIRED_KEYS)

    def with_medications(self, chart: Chart) -> Chart:
        """Return the chart with the Medications that its prescriptions refer to, or the same object if none could be read."""
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
                continue  # the prescription's display name is used instead
            if credibility.is_modified(medication):
                unreadable.append(UnreadableResource("Medication", Unreadable(None, reference, credibility.MODIFIED)))
                medication = Medication()  # here, too, the display name is used
            medications[reference] = medication
    return chart.with_medications(medications, tuple(unreadable)) if medications else chart


def _merge(sent: KeyAnswer | None, fetched: KeyAnswer) -> KeyAnswer:
    """Return the content of a key from prefetch and fetch. A complete fetch replaces partial prefetch; two partial results are
    merged. An empty fetch does not replace non-empty prefetch, since the server may be withholding data."""
    if sent is None or fetched.state is PrefetchState.PRESENT or (fetched.state is PrefetchState.EMPTY and not sent.entries):
        return fetched
    return KeyAnswer(PrefetchState.PARTIAL, (*sent.entries, *fetched.entries), sent.types | fetched.types)


def _why_not_allowed(request: HookRequest, session: OutboundSession) -> Explanation | None:
    """Return why the server must not be called, or None if it may be."""
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
