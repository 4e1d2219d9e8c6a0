"""Evaluates a clinical picture on one day: facts, stage and verdicts. The entry point of `reasoning`. Pure."""

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
    """The facts, the stage and the assessed modalities of one patient on one day."""

    picture: ClinicalPicture
    facts: Facts
    stage: Mapping[str, StageValue]
    assessments: Mapping[str, Assessment]

    @property
    def knowledge(self) -> Knowledge:
        return self.facts.knowledge

    def with_verdict(self, *verdicts: Verdict) -> list[Assessment]:
        """Return the assessments with one of the verdicts, in the order of the knowledge."""
        return [assessment for assessment in self.assessments.values() if assessment.verdict in verdicts]

    @property
    def options(self) -> list[Assessment]:
        """The recommended modalities, then those to consider, each in the order of the knowledge."""
        found = self.with_verdict(Verdict.RECOMMENDED, Verdict.CONSIDER)
        return sorted(found, key=self.display_rank)

    def references(self) -> tuple[str, ...]:
        """Return the references of the resources that decided, or on which a caution rests."""
        found = (reference for assessment in self.assessments.values() for reference in assessment.references())
        return tuple(dict.fromkeys(found))

    def display_rank(self, assessment: Assessment) -> tuple[int, bool]:
        """Return a sort key: the strongest verdict first; in a carcinoma, arterial therapy after systemic therapy."""
        after = assessment.modality.nec is GradeLimit.AT_MOST_CONSIDER and self.facts["nec"].equals(True)
        return -RANK[assessment.verdict], after


def evaluate(picture: ClinicalPicture, knowledge: Knowledge, today: date) -> Evaluation:
    """Return every fact, the stage and every modality. The patient of `picture` must have neuroendocrine liver metastases."""
    facts = determine_facts(picture, knowledge, today)
    return Evaluation(picture, facts, determine_stage(facts), assess_modalities(facts))


def prepare_evaluation(knowledge: Knowledge, today: date) -> None:
    """Calculate, before the first request, what does not depend on a chart and what all empty charts share."""
    verdict_diagrams(knowledge).work_out_all()
    for complete in (True, False):
        nothing = ClinicalPicture({name: Readings(complete=complete) for name in knowledge.facts})
        for assessment in evaluate(nothing, knowledge, today).assessments.values():
            assessment.missing  # noqa: B018 - the result is cached by deciding_facts
