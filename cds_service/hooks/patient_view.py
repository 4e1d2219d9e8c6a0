"""patient-view: a chart is opened → the cards of a neuroendocrine liver metastases patient, or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Protocol, TypeVar

from cds_service import knowledge
from cds_service.assessment import assess
from cds_service.cards.board import Board
from cds_service.cards.card import EXTENSION, Card, check, identify
from cds_service.cards.compose import compose, possible_nlm
from cds_service.derived import CALCULATIONS
from cds_service.errors import Fault, PreconditionFailed
from cds_service.fhir.chart import Chart, read_chart
from cds_service.fhir.reading import Reader
from cds_service.fhir.validation import faults
from cds_service.hooks.prefetch import Prefetched, State, read_prefetch
from cds_service.hooks.request import HookRequest
from cds_service.knowledge.model import Knowledge
from cds_service.picture import ClinicalPicture, Nlm
from cds_service.settling import settle
from cds_service.staging import stage

T = TypeVar("T")
SERVICE = "nlm-patient-view"
PATIENT = "patient={{context.patientId}}"
REQUIRED = ("conditions",)
"""Without conditions nobody can say whether the patient is one of ours (CLINICAL section 9)."""
OPTIONAL = frozenset({"medicationStatements", "serviceRequests", "diagnosticReports"})
"""Keys that may be missing unsaid: no verdict rests on their silence."""


@cache
def reader() -> Reader:
    return Reader(knowledge.load())


def _prefetch(known: Knowledge) -> dict[str, str]:
    """Queries derived from the facts: Observations by the codes we read, the other types whole."""
    terms = known.terminology
    concepts = {c for d in known.facts.values() if d.source == "Observation" for c in d.concepts} | {"obs.histology"}
    loinc = sorted(set(terms.codes((c for c in concepts if not c.startswith("cond.")), "loinc")))
    own = sorted(code for d in known.facts.values() for code in d.assessment)
    codes = [*(f"{terms.uris['loinc']}|{code}" for code in loinc), *(f"{known.assessment_system}|{code}" for code in own)]
    return {
        "patient": "Patient/{{context.patientId}}",
        "conditions": f"Condition?{PATIENT}",
        "observations": f"Observation?{PATIENT}&code={','.join(codes)}",
        "procedures": f"Procedure?{PATIENT}",
        "medicationRequests": f"MedicationRequest?{PATIENT}",
        "medicationStatements": f"MedicationStatement?{PATIENT}",
        "serviceRequests": f"ServiceRequest?{PATIENT}&status=active",
        "diagnosticReports": f"DiagnosticReport?{PATIENT}",
    }


PREFETCH = _prefetch(knowledge.load())


@dataclass(frozen=True, slots=True)
class Answer:
    cards: list[Card]
    unreadable: int
    """How many resources could not be read."""

    def told(self) -> dict[str, object]:
        """What the log may hold of it: counts, and the ids of the rules that decided; nothing of the chart."""
        judged = [m for card in self.cards if card.kind == "overview" for m in card.extension[EXTENSION]["modalities"].values()]
        return {
            "cards": Counter(card.kind for card in self.cards),
            "verdicts": Counter(modality["verdict"] for modality in judged),
            "rules": sorted({rule for modality in judged for rule in modality.get("decided_by", ())}),
            "unreadable": self.unreadable,
        }


def answer(request: HookRequest, today: date) -> Answer:
    """Raises PreconditionFailed when the conditions could not be had and nothing else shows the disease."""
    picture = picture_of(request, today)
    cards = identify_and_check(cards_of(picture, today), request.instance, request.patient_id)
    return Answer(cards, len(picture.unreadable))


def picture_of(request: HookRequest, today: date) -> ClinicalPicture:
    """What the request holds of its patient. Raises PreconditionFailed as `answer` does."""
    sent = read_prefetch(request.prefetch, PREFETCH)
    chart = read_chart(sent.entries, request.patient_id)
    chart.complete = sent.complete
    chart.not_consulted = tuple(
        f"{key} ({state.value})"
        for key, state in sent.states.items()
        if not state.complete and (key not in OPTIONAL or state is not State.MISSING)
    )
    if chart.only_of_others:
        what = f"{chart.left_out['other patient']} resources, none of this patient"
        raise PreconditionFailed("nothing sent is of this patient", [Fault("prefetch", what, "those of context.patientId")])
    picture = reader().read(chart, today)
    if picture.gate.answer is Nlm.NO and "Condition" not in sent.complete:
        raise PreconditionFailed("required data could not be had", _not_had(sent))
    return picture


def _not_had(sent: Prefetched) -> list[Fault]:
    return [
        Fault(f"prefetch.{key}", sent.states[key].value, f"the answer to {PREFETCH[key]}")
        for key in REQUIRED
        if sent.states[key] in {State.MISSING, State.ERROR, State.PARTIAL}
    ]


def cards_of_chart(chart: Chart, today: date, instance: str) -> list[Card]:
    """The cards of a whole chart: everything was asked, so what it does not hold is silent (command line)."""
    return identify_and_check(cards_of(reader().read(chart, today), today), instance, chart.patient_id or "")


def cards_of(picture: ClinicalPicture, today: date) -> list[Card]:
    return judge_picture(picture, today)[1]


class Run(Protocol):
    """Runs one named step of an evaluation; the try-it page measures them with it."""

    def __call__(self, name: str, step: Callable[[], T], /) -> T: ...


def at_once(name: str, step: Callable[[], T]) -> T:
    return step()


def judge_picture(picture: ClinicalPicture, today: date, run: Run = at_once) -> tuple[Board | None, list[Card]]:
    """The board, where there is one to judge, and the cards without their uuids."""
    known = knowledge.load()
    match picture.gate.answer:
        case Nlm.NO:
            return None, []
        case Nlm.POSSIBLE | Nlm.CANNOT_TELL:
            return None, [possible_nlm(picture, known)]
    facts = run("settle", lambda: settle(picture, known, today, CALCULATIONS))
    staged = run("stage", lambda: stage(facts))
    assessed = run("assess", lambda: assess(facts))
    deciding = [reference for modality in assessed.values() for reference in modality.references()]
    invalid = run("validate", lambda: tuple(faults(deciding, picture.sources)))
    board = Board(picture, facts, staged, assessed, invalid)
    return board, run("compose", lambda: compose(board))


def identify_and_check(cards: list[Card], instance: str, patient_id: str) -> list[Card]:
    return check(identify(cards, "", SERVICE, instance, patient_id))
