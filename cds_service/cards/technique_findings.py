"""The techniques of a modality on one chart: the stops and cautions of each, and what was not checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cds_service.clinical_picture import Observed
from cds_service.knowledge.modality import Technique
from cds_service.reasoning.facts import Facts
from cds_service.reasoning.judgement import Finding, judge_criterion


@dataclass(frozen=True, slots=True)
class TechniqueFindings:
    """A technique whose conditions are met, with its stops and cautions that are met.

    `not_checked`: stops and cautions that count as not met only because nothing is known.
    """

    technique: Technique
    order: Observed | None
    stops: tuple[Finding, ...]
    cautions: tuple[Finding, ...]
    not_checked: tuple[Finding, ...]
    checked_stops: tuple[Finding, ...]
    """Stops that were checked and are not met."""


def order_for(technique: Technique, orders: Mapping[str, Observed]) -> Observed | None:
    """Return the order of a technique, or None."""
    return next((orders[name] for name in technique.ordered_by if name in orders), None)


def judge_technique(facts: Facts, technique: Technique, orders: Mapping[str, Observed]) -> TechniqueFindings | None:
    """Return the stops and cautions of a technique, or None if its conditions are not met."""
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
