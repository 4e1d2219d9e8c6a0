"""Judges the orders that are being written, by the assessment of their treatment and their own limits (docs/knowledge.md,
"Orders"). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from cds_service.clinical_picture import DraftOrder
from cds_service.knowledge.modality import RANK, Criterion, Technique, Verdict
from cds_service.knowledge.orders import JudgedBy, OrderKind
from cds_service.reasoning.assessment import Assessment, verdict_but_for
from cds_service.reasoning.evaluation import Evaluation
from cds_service.reasoning.facts import Facts
from cds_service.reasoning.judgement import Finding, IndicationFinding, OpenPart, all_of, judge_criterion


class Severity(StrEnum):
    """How loud an order's card is; the indicators of CDS Hooks."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True)
class OrderJudgement:
    """One kind of order for one patient on one day."""

    kind: OrderKind
    drafts: tuple[DraftOrder, ...]
    assessment: Assessment
    """Of its modality; of several, the one with the strongest verdict."""
    verdict: Verdict
    but_for: Verdict
    """The verdict without `against`."""
    against: tuple[Finding, ...]
    """Contraindications and stops that are met."""
    decided: tuple[Finding, ...]
    """What makes it not indicated, or a gate that leaves it open: exclusions, gates, conditions that are not met."""
    indications: tuple[IndicationFinding, ...]
    """Those that the order is for."""
    cautions: tuple[Finding, ...]
    checked: tuple[Finding, ...]
    """Contraindications and stops that were checked and are not met."""
    unchecked: tuple[Finding, ...]
    """Stops and cautions of its technique of which too little is known."""
    open: tuple[Finding, ...]
    """Findings that leave an undetermined verdict open."""
    severity: Severity

    @property
    def unmet(self) -> tuple[IndicationFinding, ...]:
        """Its indications that are not met or unknown."""
        return tuple(found for found in self.indications if found.met is not True)

    @property
    def by_name(self) -> bool:
        """Whether only a name says what is ordered."""
        return all(draft.by_name for draft in self.drafts)

    @property
    def safety_open(self) -> bool:
        """Whether it is indicated, and only safety checks are open."""
        whole = self.kind.judged_by is JudgedBy.MODALITY
        return whole and self.verdict is Verdict.UNDETERMINED and self.assessment.decision.open is OpenPart.SAFETY


def judge_orders(evaluation: Evaluation) -> list[OrderJudgement]:
    """Return the judgement of each kind of order among the drafts that are judged, in the order of orders.toml."""
    found = []
    for kind in evaluation.knowledge.orders.kinds:
        drafts = tuple(draft for draft in evaluation.picture.drafts if draft.kind == kind.id and draft.judged)
        if drafts:
            found.append(judge_order(evaluation, kind, drafts))
    return found


def judge_order(evaluation: Evaluation, kind: OrderKind, drafts: tuple[DraftOrder, ...]) -> OrderJudgement:
    """Return the judgement of a kind of order. A contraindication of the modality or a stop that is met contraindicates it; an
    unknown stop is listed and blocks nothing."""
    facts, criteria = evaluation.facts, evaluation.knowledge.criteria
    assessments = [evaluation.assessments[name] for name in kind.modalities]
    leading = max(assessments, key=lambda found: (RANK[found.verdict], found.verdict is Verdict.CONTRAINDICATED))
    techniques = [technique for technique in leading.modality.techniques if _is_of(technique, kind)]
    whole = kind.judged_by is JudgedBy.MODALITY
    stops = [judge_criterion(criterion, facts) for technique in techniques for criterion in technique.stopped_by]
    stops += [judge_criterion(criteria[key], facts) for key in (*kind.stopped_by, *_orders_beside(evaluation, kind))]
    contraindications = [judge_criterion(c, facts) for c in leading.modality.contraindications] if whole else []
    against = tuple(_each_once(finding for finding in (*contraindications, *stops) if finding.met))
    indications = _indications(kind, assessments)
    conditions = _conditions(facts, techniques) if kind.judged_by is JudgedBy.CONDITIONS else []
    but_for = _verdict(kind, leading, indications, conditions)
    if but_for is Verdict.CONTRAINDICATED:
        but_for = verdict_but_for(leading, facts)
    decided = [finding for finding in leading.decision.findings if finding.met] if whole else []
    decided = [finding for finding in decided if finding not in against]
    of_techniques = [judge_criterion(criterion, facts) for technique in techniques for criterion in technique.cautions]
    cautions = _cautions(evaluation, kind, leading, of_techniques)
    opened = [finding for found in indications if found.met is None for finding in found.requirements]
    opened += [finding for finding in leading.decision.findings if whole and finding.met is None]
    critical = kind.critical.union(*([leading.modality.critical] if whole else []), *(t.critical for t in techniques))
    return OrderJudgement(
        kind=kind,
        drafts=drafts,
        assessment=leading,
        verdict=Verdict.CONTRAINDICATED if against else but_for,
        but_for=but_for,
        against=against,
        decided=(*decided, *(finding for finding in conditions if finding.met is False and finding.checked)),
        indications=tuple(indications),
        cautions=cautions,
        checked=tuple(f for f in (*contraindications, *stops) if f.met is False and f.checked),
        unchecked=tuple(_each_once(f for f in (*stops, *of_techniques) if not f.met and not f.checked)),
        open=(*opened, *(finding for finding in conditions if not finding.met and not finding.checked)),
        severity=_severity(facts, kind, critical, against, cautions),
    )


def _is_of(technique: Technique, kind: OrderKind) -> bool:
    return kind.technique != "" and kind.technique in {technique.id, technique.own_line}


def _orders_beside(evaluation: Evaluation, kind: OrderKind) -> Iterator[str]:
    """Yield the keys of the criteria that other orders, active or being written, are for this one."""
    written = {draft.kind for draft in evaluation.picture.drafts}
    active = {other.id for other in evaluation.knowledge.orders.kinds if other.concepts & evaluation.picture.orders.keys()}
    yield from (other.stop for other in kind.beside if other.order in written | active)


def _indications(kind: OrderKind, assessments: Iterable[Assessment]) -> list[IndicationFinding]:
    """Return the indications that the order is for."""
    every = [found for assessment in assessments for found in assessment.decision.indications]
    if kind.judged_by is JudgedBy.INDICATIONS:
        return [found for found in every if found.indication.id in kind.indications]
    return every if kind.judged_by is JudgedBy.MODALITY else []


def _conditions(facts: Facts, techniques: Iterable[Technique]) -> list[Finding]:
    """Return the conditions of the technique that the patient comes closest to; several may describe one drug."""
    judged = [[judge_criterion(criterion, facts) for criterion in technique.when] for technique in techniques]
    return min(
        judged, key=lambda findings: (sum(f.met is False and f.checked for f in findings), sum(not f.met for f in findings))
    )


def _verdict(
    kind: OrderKind, leading: Assessment, indications: Iterable[IndicationFinding], conditions: Iterable[Finding]
) -> Verdict:
    if kind.judged_by is JudgedBy.MODALITY:
        return leading.verdict
    answers = [found.met for found in indications]
    if kind.judged_by is JudgedBy.CONDITIONS:
        answers = [all_of(finding.met if finding.met or finding.checked else None for finding in conditions)]
    if True in answers:
        return Verdict.CONSIDER
    return Verdict.UNDETERMINED if None in answers else Verdict.NOT_INDICATED


def _cautions(
    evaluation: Evaluation, kind: OrderKind, leading: Assessment, of_techniques: Iterable[Finding]
) -> tuple[Finding, ...]:
    criteria: Iterable[Criterion] = leading.modality.cautions
    if kind.cautions is not None:
        criteria = (evaluation.knowledge.criteria[key] for key in kind.cautions)
    quiet = evaluation.knowledge.orders.quiet - kind.aloud
    judged = [judge_criterion(criterion, evaluation.facts) for criterion in criteria if criterion.id not in quiet]
    return tuple(_each_once(finding for finding in (*judged, *of_techniques) if finding.met))


def _each_once(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings, the first of each id."""
    return list({finding.criterion.id: finding for finding in reversed([*findings])}.values())[::-1]


def _severity(
    facts: Facts, kind: OrderKind, critical: frozenset[str], against: Iterable[Finding], cautions: Iterable[Finding]
) -> Severity:
    """Return critical for a hard fact: a contraindication or stop in `critical`, or a caution about the heart in it while there
    is no current cardiac assessment; a warning for any other contraindication or stop, or a caution that warns."""
    stops, burdens = {finding.criterion.id for finding in against}, {finding.criterion.id for finding in cautions}
    if stops & critical or (burdens & critical and facts["cardiac_assessment_current"].equals(False)):
        return Severity.CRITICAL
    return Severity.WARNING if stops or burdens & kind.warns else Severity.INFO
