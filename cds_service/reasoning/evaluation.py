"""A clinical picture on one day → everything concluded about the patient: the one entry of `reasoning`. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Protocol, TypeVar

from cds_service.clinical_picture import ClinicalPicture, Readings, Unreadable
from cds_service.knowledge.model import RANK, Knowledge, Verdict
from cds_service.knowledge.vocabulary import GradeLimit
from cds_service.reasoning.assessment import Assessment, assess_modalities
from cds_service.reasoning.calculations import CALCULATIONS
from cds_service.reasoning.current_facts import determine_facts
from cds_service.reasoning.facts import Facts
from cds_service.reasoning.staging import StageValue, determine_stage
from cds_service.reasoning.verdict_diagrams import verdict_diagrams


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that is known and judged of one patient on one day."""

    picture: ClinicalPicture
    facts: Facts
    stage: Mapping[str, StageValue]
    assessments: Mapping[str, Assessment]
    invalid: tuple[Unreadable, ...] = ()
    """Resources that decided and are not valid FHIR R4."""

    @property
    def knowledge(self) -> Knowledge:
        return self.facts.knowledge

    def with_verdict(self, *verdicts: Verdict) -> list[Assessment]:
        return [assessment for assessment in self.assessments.values() if assessment.verdict in verdicts]

    @property
    def options(self) -> list[Assessment]:
        """Recommended, then considered, in the order of the knowledge."""
        found = self.with_verdict(Verdict.RECOMMENDED, Verdict.CONSIDER)
        return sorted(found, key=self.display_rank)

    def display_rank(self, assessment: Assessment) -> tuple[int, bool]:
        """Strongest first; arterial therapy of a carcinoma after systemic therapy (CLINICAL section 5)."""
        after = assessment.modality.nec is GradeLimit.AT_MOST_CONSIDER and self.facts["nec"].equals(True)
        return -RANK[assessment.verdict], after


T = TypeVar("T")


class StepRunner(Protocol):
    """Runs one named step of an evaluation; the try-it page measures them with it."""

    def __call__(self, name: str, step: Callable[[], T], /) -> T: ...


def run_step(name: str, step: Callable[[], T]) -> T:
    return step()


def evaluate(picture: ClinicalPicture, knowledge: Knowledge, today: date, run: StepRunner = run_step) -> Evaluation:
    """Every fact, the stage and every modality. `picture`: of a patient whose gate is open."""
    facts = run("settle", lambda: determine_facts(picture, knowledge, today, CALCULATIONS))
    staged = run("stage", lambda: determine_stage(facts))
    assessed = run("assess", lambda: assess_modalities(facts))
    return Evaluation(picture, facts, staged, assessed)


def prepare(knowledge: Knowledge, today: date) -> None:
    """Work out what no chart changes, and what all charts share that say nothing, before the first request comes."""
    verdict_diagrams(knowledge).work_out_all()
    for complete in (True, False):
        nothing = ClinicalPicture({name: Readings(complete=complete) for name in knowledge.facts})
        for assessment in evaluate(nothing, knowledge, today).assessments.values():
            assessment.missing  # noqa: B018 - kept by deciding_facts
