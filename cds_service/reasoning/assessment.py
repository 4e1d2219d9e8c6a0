"""Assesses every modality: the verdict of each edition, cautions, and the facts that would change it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

from cds_service.knowledge.modality import Criterion, Modality, Verdict
from cds_service.knowledge.vocabulary import Edition
from cds_service.reasoning.deciding_facts import DecidingFacts
from cds_service.reasoning.facts import Facts
from cds_service.reasoning.judgement import (
    EditionVerdict,
    Finding,
    alternatives_ruled_out,
    any_of,
    decide,
    judge_criterion,
    negated,
)


@dataclass(frozen=True)
class Assessment:
    """One modality. `decision` is that of the update, which is the verdict of the card. The facts that would decide an
    undetermined verdict are calculated on first use."""

    modality: Modality
    decision: EditionVerdict
    by_2010: EditionVerdict
    cautions: tuple[Finding, ...]
    not_checked: tuple[Finding, ...]
    find_deciding: Callable[[], tuple[tuple[str, ...], Verdict]]
    depends_on: tuple[str, ...] = ()

    @cached_property
    def _decisive(self) -> tuple[tuple[str, ...], Verdict | None]:
        return self.find_deciding() if self.verdict is Verdict.UNDETERMINED else ((), None)

    @property
    def missing(self) -> tuple[str, ...]:
        """The facts that would decide an undetermined verdict, most decisive first; else empty."""
        return self._decisive[0]

    @property
    def best_possible(self) -> Verdict | None:
        """The best verdict still possible if it is undetermined; else None."""
        return self._decisive[1]

    @property
    def verdict(self) -> Verdict:
        return self.decision.verdict

    @property
    def contraindications(self) -> tuple[Finding, ...]:
        return self.decision.findings if self.verdict is Verdict.CONTRAINDICATED else ()

    def references(self) -> tuple[str, ...]:
        """Return the references of the resources that decided, or on which a caution rests."""
        findings = [*self.decision.findings, *self.cautions]
        for part in self.decision.indications:
            findings += part.requirements if part.met else ()
        return tuple(dict.fromkeys(r.seen_in for finding in findings for fact in finding.facts for r in fact.seen))

    def statements(self) -> tuple[str, ...]:
        """Return the ids of all statements used: by what decided, by the cautions met, and those shown with the modality."""
        names: list[str] = []
        for finding in self.decision.findings:
            names += finding.criterion.statements
        for found in self.decision.indications:
            if found.indication.id in self.decision.decided_by:
                names += found.indication.statements
        for finding in self.cautions:
            names += finding.criterion.statements
        return tuple(dict.fromkeys([*names, *self.modality.beside, *self.modality.support]))


LOST_BY_CONTRAINDICATION = "requirement.curative-resection-possible"
"""R1 requires that a curative resection is possible, and any contraindication to resection makes it impossible
(docs/knowledge.md, "Staging"). To find out whether this requirement would be met without the contraindications, check the
exclusions of resection only: nothing else makes a curative resection impossible."""


def verdict_but_for(assessment: Assessment, facts: Facts) -> Verdict:
    """Return the verdict that a contraindicated modality would have without its contraindications."""
    modality = assessment.modality
    lifted = {criterion.key for criterion in modality.contraindications}

    def judged(criterion: Criterion) -> Finding:
        finding = judge_criterion(criterion, facts)
        if criterion.key in lifted and finding.met:
            return replace(finding, met=False)
        if criterion.key == LOST_BY_CONTRAINDICATION and finding.met is False:
            excluded = any_of(judge_criterion(other, facts).met for other, only in modality.exclusions if not only)
            return replace(finding, met=negated(excluded))
        return finding

    return decide(modality, facts.knowledge.criteria, judged, Edition.UPDATE).verdict


def assess_modalities(facts: Facts) -> dict[str, Assessment]:
    """Return modality id → assessment, in the order of the knowledge. A modality may depend on the verdicts of earlier ones."""
    knowledge = facts.knowledge
    done: dict[str, Finding] = {}

    def judged(criterion: Criterion) -> Finding:
        if criterion.key not in done:
            done[criterion.key] = judge_criterion(criterion, facts)
        return done[criterion.key]

    deciding = DecidingFacts(facts)
    results: dict[str, Assessment] = {}
    verdicts: dict[Edition, dict[str, Verdict]] = {edition: {} for edition in Edition}
    for modality in knowledge.modalities:
        depends = tuple(dict.fromkeys(name for i in modality.indications for name in i.when_closed))
        ruled_out = {edition: alternatives_ruled_out(verdicts[edition], depends) if depends else False for edition in Edition}
        opinions = {edition: decide(modality, knowledge.criteria, judged, edition, ruled_out[edition]) for edition in Edition}
        for edition, decision in opinions.items():
            verdicts[edition][modality.id] = decision.verdict
        now = opinions[Edition.UPDATE]
        undetermined = now.verdict is Verdict.UNDETERMINED
        findings = [judged(criterion) for criterion in modality.cautions]
        looked_for = [*findings, *([judged(knowledge.criteria["gate.transplanted-liver"])] if modality.liver_directed else [])]
        results[modality.id] = Assessment(
            modality=modality,
            decision=now,
            by_2010=opinions[Edition.REVIEW],
            cautions=tuple(finding for finding in findings if finding.met),
            not_checked=tuple(finding for finding in looked_for if not finding.met and not finding.checked),
            find_deciding=partial(deciding.find, modality, judged, ruled_out[Edition.UPDATE]),
            depends_on=depends if undetermined and ruled_out[Edition.UPDATE] is None else (),
        )
    return results
