"""A clinical picture on one day → everything concluded about the patient: the one entry of `reasoning`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from cds_service.clinical_picture import ClinicalPicture, Readings
from cds_service.knowledge.modality import RANK, Verdict
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.vocabulary import GradeLimit
from cds_service.reasoning.assessment import Assessment, assess_modalities
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

    def references(self) -> tuple[str, ...]:
        """The resources that decided, or that a caution rests on."""
        found = (reference for assessment in self.assessments.values() for reference in assessment.references())
        return tuple(dict.fromkeys(found))

    def display_rank(self, assessment: Assessment) -> tuple[int, bool]:
        """Strongest first; arterial therapy of a carcinoma after systemic therapy (CLINICAL section 5)."""
        after = assessment.modality.nec is GradeLimit.AT_MOST_CONSIDER and self.facts["nec"].equals(True)
        return -RANK[assessment.verdict], after


def evaluate(picture: ClinicalPicture, knowledge: Knowledge, today: date) -> Evaluation:
    """Every fact, the stage and every modality. `picture`: of a patient with neuroendocrine liver metastases."""
    facts = determine_facts(picture, knowledge, today)
    return Evaluation(picture, facts, determine_stage(facts), assess_modalities(facts))


def prepare_evaluation(knowledge: Knowledge, today: date) -> None:
    """Work out what no chart changes, and what all charts share that say nothing, before the first request comes."""
    verdict_diagrams(knowledge).work_out_all()
    for complete in (True, False):
        nothing = ClinicalPicture({name: Readings(complete=complete) for name in knowledge.facts})
        for assessment in evaluate(nothing, knowledge, today).assessments.values():
            assessment.missing  # noqa: B018 - kept by deciding_facts
