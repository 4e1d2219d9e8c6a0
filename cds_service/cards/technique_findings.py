"""Ways of doing a modality, and options in it, on one chart: what stops each, what burdens it, what nobody looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cds_service.clinical_picture import Observed
from cds_service.knowledge.modality import Technique
from cds_service.reasoning.facts import Facts
from cds_service.reasoning.judgement import Finding, judge_criterion


@dataclass(frozen=True, slots=True)
class TechniqueFindings:
    """A technique whose conditions are met, what stops it on this chart and what burdens it.

    `not_checked` would stop or burden it, and counts as not met only because nothing is known.
    """

    technique: Technique
    order: Observed | None
    stops: tuple[Finding, ...]
    cautions: tuple[Finding, ...]
    not_checked: tuple[Finding, ...]
    looked_at: tuple[Finding, ...]
    """What would stop it, and was looked at and not found."""


def order_for(technique: Technique, orders: Mapping[str, Observed]) -> Observed | None:
    """The order of a technique, or none."""
    return next((orders[name] for name in technique.ordered_by if name in orders), None)


def judge_technique(facts: Facts, technique: Technique, orders: Mapping[str, Observed]) -> TechniqueFindings | None:
    """What stops and what burdens a technique; None where its conditions are not met."""
    if not all(judge_criterion(criterion, facts).met for criterion in technique.when):
        return None
    stops = tuple(judge_criterion(criterion, facts) for criterion in technique.stopped_by)
    burdens = tuple(judge_criterion(criterion, facts) for criterion in technique.cautions)
    return TechniqueFindings(
        technique,
        order_for(technique, orders),
        tuple(finding for finding in stops if finding.met),
        tuple(finding for finding in burdens if finding.met),
        tuple(finding for finding in (*stops, *burdens) if not finding.met and not finding.checked),
        tuple(finding for finding in stops if finding.met is False and finding.checked),
    )
