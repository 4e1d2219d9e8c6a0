"""Cards that never move out of sight: contraindications and cardiac safety (CLINICAL section 7.3 and 7.4)."""

from __future__ import annotations

from cds_service.cards import evidence, wording
from cds_service.cards.card import Card, longest_fitting
from cds_service.cards.modality_card import card_with_citations, modality_card, modality_fields
from cds_service.cards.overview import reason_lines
from cds_service.cards.technique_findings import order_for
from cds_service.knowledge.model import Technique, Verdict
from cds_service.reasoning.assessment import Assessment
from cds_service.reasoning.evaluation import Evaluation
from cds_service.reasoning.judgement import Finding, judge_criterion


def contraindication_card(evaluation: Evaluation) -> Card | None:
    """A contraindication met while an indication is met or not excluded, or while the treatment is ordered.
    Transplantation is a line of the overview until it is ordered. Those ordered come first."""
    found = [assessment for assessment in evaluation.with_verdict(Verdict.CONTRAINDICATED) if _concerns(evaluation, assessment)]
    if not found:
        return None
    found.sort(key=lambda assessment: assessment.modality.id not in evaluation.picture.orders)
    names = [assessment.modality.short for assessment in found]
    against = {f.criterion.key: f.criterion.says for assessment in found for f in assessment.contraindications}
    summary = f"{wording.join_words([names[0], *(name.lower() for name in names[1:])])}: contraindicated"
    if len(found) == 1:
        summary = longest_fitting(
            f"{summary} ({wording.join_words(map(wording.label_in_sentence, against.values()))})", summary
        )
    details = []
    for assessment in found:
        order = evaluation.picture.orders.get(assessment.modality.id)
        parts = [
            f"**{assessment.modality.title}**{wording.order_suffix(order)}",
            wording.bullet_list(reason_lines(evaluation.knowledge, assessment)),
        ]
        parts.append(assessment.modality.contraindications_say)
        if cautions := [wording.finding_line(evaluation.knowledge, f) for f in assessment.cautions if f.facts]:
            parts.append("**Cautions**\n\n" + wording.bullet_list(cautions))
        details.append("\n\n".join(part for part in parts if part))
    indicator = "critical" if any(_critical(evaluation, assessment) for assessment in found) else "warning"
    return modality_card(evaluation, "contraindication", "NlmContraindication", summary, indicator, "\n\n".join(details), found)


LOST_BY_CONTRAINDICATION = "requirement.curative-resection-possible"
"""A contraindication to resection makes a curative one not possible (CLINICAL section 4), so R1 is always lost with it.
Whether the indication is met but for that (7.3), say the exclusions: they are all else that makes it not possible."""


def _concerns(evaluation: Evaluation, assessment: Assessment) -> bool:
    """Whether the modality is ordered, or its indication met or not excluded, its contraindications aside."""
    if assessment.modality.id in evaluation.picture.orders:
        return True
    excluded = any(
        judge_criterion(criterion, evaluation.facts).met for criterion, only in assessment.modality.exclusions if not only
    )
    possible = any(
        part.met is not False or {f.criterion.key for f in part.requirements if f.met is False} == {LOST_BY_CONTRAINDICATION}
        for part in assessment.decision.indications
    )
    return assessment.modality.id != "transplantation" and possible and not excluded


ORDER_IS_CRITICAL_IF = {
    "hepatic-arterial-therapy": {"portal-vein-occlusion", "hepatic-failure"},
    "transplantation": {"distant-extrahepatic-disease"},
}
"""Hard facts against a treatment that is ordered or scheduled (CLINICAL 7.3); those against a technique stand with it."""


def _critical(evaluation: Evaluation, assessment: Assessment) -> bool:
    name = assessment.modality.id
    met = {finding.criterion.id for finding in assessment.contraindications}
    return name in evaluation.picture.orders and bool(met & ORDER_IS_CRITICAL_IF.get(name, set()))


def stopped_order_card(evaluation: Evaluation) -> Card | None:
    """An ordered technique (radioembolization, radionuclide therapy) with a hard fact against it: always critical."""
    lines: list[str] = []
    stopped: list[tuple[Technique, list[Finding]]] = []
    modalities: list[str] = []
    statements: list[str] = []
    for modality in evaluation.knowledge.modalities:
        for technique in modality.techniques:
            order = order_for(technique, evaluation.picture.orders)
            found = [
                judge_criterion(criterion, evaluation.facts)
                for criterion in technique.stopped_by
                if criterion.id in technique.critical
            ]
            if order is None or not (met := [finding for finding in found if finding.met]):
                continue
            against = wording.finding_lines(evaluation.knowledge, met)
            lines.append(f"{technique.says}{wording.order_suffix(order)}: {against}")
            stopped.append((technique, met))
            modalities.append(modality.id)
            statements += [s for finding in met for s in finding.criterion.statements]
    if not lines:
        return None
    names = [
        technique.short if not place else wording.label_in_sentence(technique.short)
        for place, (technique, _) in enumerate(stopped)
    ]
    against_one = wording.join_words(finding.criterion.says.lower() for finding in stopped[0][1])
    summary = f"{wording.join_words(names)} ordered: {against_one if len(stopped) == 1 else 'contraindicated'}"
    statements = list(dict.fromkeys(statements))
    content: dict[str, object] = {"kind": "contraindication", "knowledge": evaluation.knowledge.digest}
    content |= {"statements": statements, **modality_fields(modalities)}
    source = evidence.primary_source(evaluation.knowledge, statements, "NlmContraindication", summary[:100])
    return card_with_citations(evaluation, summary, "critical", source, wording.bullet_list(lines), content, statements)


CARDIAC_CAUTIONS = ("carcinoid-heart-disease", "cardiac-assessment-missing")


def safety_card(evaluation: Evaluation) -> Card | None:
    """Carcinoid syndrome without a cardiac assessment in its window, or carcinoid heart disease."""
    criteria = evaluation.knowledge.criteria
    findings = [judge_criterion(criteria[f"caution.{name}"], evaluation.facts) for name in CARDIAC_CAUTIONS]
    severe = judge_criterion(criteria["contraindication.severe-carcinoid-heart-disease"], evaluation.facts)
    found = [finding for finding in (severe, *findings) if finding.met]
    if not found:
        return None
    heart = any(finding.criterion.id == "carcinoid-heart-disease" for finding in found)
    unassessed = evaluation.facts["cardiac_assessment_current"].equals(False)
    at_risk = {"resection", "debulking", "hepatic-arterial-therapy"} & set(evaluation.picture.orders)
    critical = heart and unassessed and bool(at_risk)
    summary = wording.join_words(f.criterion.says if not n else f.criterion.says.lower() for n, f in enumerate(found))
    statements = list(dict.fromkeys(s for finding in found for s in finding.criterion.statements))
    cautions = [finding.criterion.id for finding in findings if finding.met]
    content: dict[str, object] = {"kind": "safety", "knowledge": evaluation.knowledge.digest, "statements": statements}
    content |= {"cautions": cautions} if cautions else {}
    detail = wording.bullet_list(wording.finding_line(evaluation.knowledge, finding) for finding in found)
    source = evidence.primary_source(evaluation.knowledge, statements, "NlmSafety", "Cardiac safety")
    return card_with_citations(evaluation, summary, "critical" if critical else "warning", source, detail, content, statements)
