"""What the service makes of a chart, and whether what is lost of it is told: on a card, in its extension, or by `coverage`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from enum import StrEnum
from functools import cache, cached_property
from typing import Any

import msgspec

from cds_service.clinical_picture import Nlm
from cds_service.coverage.report import Report
from cds_service.coverage.rows import make_report
from cds_service.coverage.sources import ReadCounts, Sorter
from cds_service.coverage.store import ChartStore
from cds_service.coverage.tally import FactTally, Surveyor, Tally
from cds_service.fhir.chart import EVERYTHING_ARRIVED
from cds_service.fhir.chart_builder import ChartEntry, read_chart
from cds_service.hooks import patient_view
from cds_service.knowledge.modality import RANK, Verdict
from cds_service.knowledge.model import Knowledge
from cds_service.reasoning.assessment import Assessment, assess_modalities
from cds_service.reasoning.current_facts import determine_facts
from cds_service.reasoning.facts import recorded_inputs
from cds_service.reasoning.undecided import criteria_of
from tests.conftest import INSTANCE
from tests.laws.test_laws import EXCEPTED, OWN, short_window
from tests.support.strategies import KNOWN

Resource = dict[str, Any]
PATIENT = {
    "resourceType": "Patient", "id": "p", "birthDate": "1970-06-01", "gender": "female",
    "link": [{"other": {"reference": "Patient/merged"}, "type": "replaces"}],
}  # fmt: skip
NOT_TOLD_BY = ("files", "resources", "charts", "nlm", "facts", "never_found", "unmapped_not_listed")
"""Fields of the coverage report that say what was read."""
INPUTS = {
    modality.id: frozenset().union(
        *(recorded_inputs(KNOWN, name) for criterion in criteria_of(modality, KNOWN) for name in criterion.facts)
    )
    for modality in KNOWN.modalities
}


class Outcome(StrEnum):
    """What became of a resource that was hidden."""

    READ = "read"
    """Everything is as before."""
    CARD = "card"
    COVERAGE = "coverage"
    UNTOLD = "untold"


@cache
def surveyor(knowledge: Knowledge, today: date) -> Surveyor:
    return Surveyor(knowledge, today)


class State:
    """What the service makes of the resources of one patient on a day."""

    def __init__(self, resources: Sequence[Resource], today: date) -> None:
        self.resources, self.today = [PATIENT, *resources], today
        entries = [ChartEntry(json.dumps(resource).encode()) for resource in self.resources]
        self.chart = read_chart(entries, "p", EVERYTHING_ARRIVED)
        self.picture = patient_view.reader_for(KNOWN).read(self.chart, today)
        self.facts = determine_facts(self.picture, KNOWN, today)

    @cached_property
    def decided(self) -> Mapping[str, Any]:
        """What can decide: the facts, whether the disease is shown, and what is ordered."""
        facts = {name: (fact.state, fact.value, fact.on) for name, fact in self.facts.recorded.items()}
        orders = {name: seen.seen_in for name, seen in self.picture.orders.items()}
        return {**facts, "gate": self.picture.gate.answer, "orders": orders, "tests": self.picture.ordered_tests}

    @cached_property
    def assessments(self) -> Mapping[str, Assessment]:
        return assess_modalities(self.facts) if self.picture.gate.answer is Nlm.YES else {}

    @cached_property
    def cards(self) -> str:
        return msgspec.json.encode(patient_view.cards_of_chart(self.chart, KNOWN, self.today, INSTANCE)).decode()

    @cached_property
    def covered(self) -> Mapping[str, Any]:
        """The parts of the coverage report that say what was not read."""
        report = msgspec.to_builtins(coverage(self.resources, self.today))
        return {name: part for name, part in report.items() if name not in NOT_TOLD_BY}


def coverage(resources: Iterable[Resource], today: date) -> Report:
    """Return the coverage report on one Bundle."""
    read, survey = ReadCounts(), surveyor(KNOWN, today)
    survey.tally = Tally(facts={name: FactTally() for name in KNOWN.facts})
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": resource} for resource in resources]}
    with ChartStore() as store:
        Sorter(store, read).take(0, "file 1", json.dumps(bundle).encode())
        store.close_for_adding()
        for chart in store.charts():
            survey.add_chart(chart)
            read.count_uncounted(chart)
    return make_report(survey.tally, read, KNOWN, today)


def outcome(before: State, after: State, without: State) -> Outcome:
    """Return what became of a hidden resource. `without`: the chart without it. A loss is untold if the service answers, and
    `coverage` reports, as if the resource had never been there."""
    if after.decided == before.decided:
        return Outcome.READ
    if after.cards != without.cards:
        return Outcome.CARD
    return Outcome.COVERAGE if after.covered != without.covered else Outcome.UNTOLD


def bolder(before: State, after: State) -> list[str]:
    """Return the modalities whose verdict is stronger although none of the exceptions of docs/knowledge.md, "Laws", allows it;
    "gate" if the disease is shown only afterwards."""
    if before.picture.gate.answer is not Nlm.YES and after.picture.gate.answer is Nlm.YES:
        return ["gate"]
    changed = {name for name in KNOWN.facts if before.decided[name][:2] != after.decided[name][:2]}
    if Nlm.YES not in {before.picture.gate.answer, after.picture.gate.answer} or short_window(before.facts) != short_window(
        after.facts
    ):
        return []
    found = []
    for modality, now in after.assessments.items():
        if modality not in before.assessments or not changed & INPUTS[modality] <= OWN[modality]:
            continue  # through curative_resection, refractory and Y3 a fact may change another modality
        allowed = max(RANK[before.assessments[modality].verdict], RANK[Verdict.UNDETERMINED])
        if RANK[now.verdict] > allowed and not changed & EXCEPTED:
            found.append(modality)
    return found
