"""Prefetch first, then the EHR's FHIR server for what prefetch did not bring (CH-45 to CH-58), within one deadline."""

from __future__ import annotations

import re
from dataclasses import replace

import msgspec

from cds_service.clinical_picture import Unreadable
from cds_service.fhir import credibility
from cds_service.fhir.chart import Chart
from cds_service.fhir.chart_lists import UnreadableResource
from cds_service.fhir.client import Fetched, Server, fetch, filled, read_each
from cds_service.fhir.medication import referred_to
from cds_service.fhir.resources import Medication
from cds_service.hooks.prefetch import Prefetched, Read, State, combine, read_pages, read_prefetch, read_value
from cds_service.hooks.request import HookRequest
from cds_service.outbound.policy import Refused, allowed, origin_of
from cds_service.outbound.session import Outbound
from cds_service.reasons import Explanation, Reason

REQUIRED = ("conditions",)
"""Without conditions nobody can say whether the patient is one of ours (CLINICAL section 9)."""
MEDICATION = re.compile(r"Medication/(?!\.{1,2}\Z)[A-Za-z0-9.\-]{1,64}")
"""On the same server: a reference that leads elsewhere is not called."""
MOST_MEDICATIONS = 40
"""Drugs read one by one where a prescription only refers to them."""


class Gatherer:
    """What one hook request can have of its patient. Used once, inside the `Outbound` of that request."""

    def __init__(self, request: HookRequest, asked: dict[str, str], out: Outbound) -> None:
        self.request, self.asked, self.out = request, asked, out
        self._barred = _barred(request, out)
        self._server = Server(request.fhir_server, request.access.token if request.access else "")

    def gather(self) -> Prefetched:
        read = read_prefetch(self.request.prefetch)
        sent = combine(read, self.asked)
        lacking = [key for key in self.asked if self._wanted(key, sent)]
        if not lacking or not self.request.fhir_server:
            return sent
        if self._barred is not None:  # nobody failed: nobody was asked
            return replace(sent, answered=dict.fromkeys(lacking, self._barred))
        queries = {key: filled(self.asked[key], self.request.patient_id) for key in lacking}
        answered: dict[str, Explanation] = {}
        for key, found in fetch(self._server, queries, self.out).items():
            answer = read_pages(found.pages, whole=found.whole) if found.pages else None
            if answer is None or answer.state is State.ERROR:
                answered[key] = found.why or Explanation(Reason.ANSWER_NO_BUNDLE)
            else:
                read[key] = _better(read.get(key), answer)
                if read[key].state is State.PARTIAL:
                    answered[key] = found.why or Explanation(Reason.ANSWER_NOT_WHOLE)
        return combine(read, self.asked, answered)

    def _wanted(self, key: str, sent: Prefetched) -> bool:
        """Missing and partial keys, unless the same came under another name. A key in error was asked once already
        (CH-53): again only where nothing can be said without it."""
        state = sent.states[key]
        if state is State.MISSING:
            return not sent.came_under_another_name(key)
        return state is State.PARTIAL or (state is State.ERROR and key in REQUIRED)

    def add_medications(self, chart: Chart) -> bool:
        """Reads the Medications that prescriptions only refer to. False where there is nothing to read, or no way."""
        if self._barred is not None:
            return False
        texts = (text.removeprefix(self._server.url("")).split("/_history/")[0] for text in referred_to(chart))
        wanted = sorted(text for text in texts if MEDICATION.fullmatch(text))[:MOST_MEDICATIONS]
        return _take_in(chart, read_each(self._server, wanted, self.out))


def _take_in(chart: Chart, found: dict[str, Fetched]) -> bool:
    for reference, answer in found.items():
        for page in answer.pages:
            for entry in read_value(page).entries:
                try:
                    medication = msgspec.json.decode(entry.raw, type=Medication)
                except (msgspec.MsgspecError, RecursionError):
                    continue  # its name stays what the prescription displays
                if credibility.is_modified(medication):
                    chart.unreadable.append(UnreadableResource("Medication", Unreadable(None, reference, credibility.MODIFIED)))
                    medication = Medication()  # the same
                chart.medications[reference] = medication
    return any(answer.pages for answer in found.values())


def _better(sent: Read | None, fetched: Read) -> Read:
    """A whole answer replaces a part of it; two parts are put together. Nothing at all is no whole answer where
    something was sent: the server withholds it."""
    if sent is None or fetched.state is State.PRESENT or (fetched.state is State.EMPTY and not sent.entries):
        return fetched
    return Read(State.PARTIAL, (*sent.entries, *fetched.entries), sent.types | fetched.types)


def _barred(request: HookRequest, out: Outbound) -> Explanation | None:
    """Why the server is not called, or None."""
    if not request.fhir_server:
        return Explanation(Reason.NO_SERVER_NAMED)
    try:
        if not allowed(origin_of(request.fhir_server), out.reach) or set(request.fhir_server) & set("?#"):
            return Explanation(Reason.SERVER_NOT_ALLOWED)
    except Refused as error:
        return error.why
    if request.access is None:
        return None if out.reach.open else Explanation(Reason.NO_TOKEN)
    if request.access.expired:
        return Explanation(Reason.TOKEN_EXPIRED)
    if request.access.patient_id not in {"", request.patient_id}:
        return Explanation(Reason.TOKEN_OF_ANOTHER_PATIENT)
    return None
