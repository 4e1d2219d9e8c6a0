"""Finds facts that affect the safety of a treatment and for which the chart has no usable value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from cds_service.cards.fact_words import fact_name, is_silent_or_unasked, say_open
from cds_service.cards.treatments import Treatment
from cds_service.knowledge.vocabulary import Supplier
from cds_service.reasoning.evaluation import Evaluation
from cds_service.reasoning.facts import recorded_inputs
from cds_service.reasoning.judgement import Finding, compare_with_limit, judge_criterion


def unchecked_facts(evaluation: Evaluation, findings: Iterable[Finding]) -> list[str]:
    """Return the recorded facts that leave the findings open, in the order of the knowledge. A value that is not exact enough
    for the limit ("< 100") counts like a missing one. Some facts are never asked for, such as a drug or a coded diagnosis. Such
    a fact is listed only if it is unknown, not silent, and if the finding has no other open fact that can be asked for."""
    knowledge = evaluation.knowledge
    leaves: set[str] = set()
    for finding in findings:
        wanting: set[str] = set()
        for test, fact in zip(finding.criterion.tests, finding.facts, strict=True):
            rests_on = recorded_inputs(knowledge, test.fact)
            missing = {leaf for leaf in rests_on if not evaluation.facts[leaf].known}
            inexact = not fact.known or compare_with_limit(test, fact) is None
            wanting |= missing or (rests_on if inexact else set())
        asked = {leaf for leaf in wanting if knowledge.facts[leaf].ask is not Supplier.NEVER}
        leaves |= asked or {leaf for leaf in wanting if evaluation.facts[leaf].unknown}
    return [name for name in knowledge.facts if name in leaves]


def open_facts(evaluation: Evaluation, treatment: Treatment) -> list[str]:
    """Return the deciding facts of an undetermined modality, the most decisive first. For a line, or if there are none, return
    the facts that leave its criteria open."""
    if treatment.line is None and treatment.assessment.missing:
        return list(treatment.assessment.missing)
    asked = [finding for found in treatment.unmet if found.met is None for finding in found.requirements]
    findings = [*asked, *(treatment.assessment.decision.findings if treatment.line is None else ())]
    if treatment.line is not None and not treatment.unmet:  # judged by the conditions of its drugs
        techniques = [t for t in treatment.modality.techniques if t.own_line == treatment.line.id]
        findings = [judge_criterion(criterion, evaluation.facts) for technique in techniques for criterion in technique.when]
    return unchecked_facts(evaluation, [finding for finding in findings if finding.met is None or not finding.checked])


def facts_of_concern(evaluation: Evaluation) -> frozenset[str]:
    """Return the facts behind the contraindications, cautions and stops of any treatment that this patient meets."""
    criteria = {
        criterion.key: criterion
        for modality in evaluation.knowledge.modalities
        for criterion in (
            *modality.contraindications,
            *modality.cautions,
            *(c for technique in modality.techniques for c in (*technique.stopped_by, *technique.cautions)),
        )
    }
    met = [finding for c in criteria.values() if (finding := judge_criterion(c, evaluation.facts)).met]
    return frozenset(seen.fact for finding in met for fact in finding.facts for seen in fact.seen)


def unchecked_of(evaluation: Evaluation, treatments: Sequence[Treatment], besides: Iterable[Finding] = ()) -> list[str]:
    """Return the facts that could still raise a caution or a stop of these treatments, or decide the findings `besides`. The
    deciding facts of a treatment that is nearly an option are left out, because its own line names them."""
    findings: list[Finding] = list(besides)
    for treatment in treatments:
        findings += treatment.assessment.not_checked
        judged = [judge_criterion(criterion, evaluation.facts) for criterion in treatment.modality.contraindications]
        findings += [finding for finding in judged if finding.met is False and not finding.checked]
        findings += [finding for option in treatment.options if _is_named(treatment, option.order is not None)
                     for finding in option.not_checked]  # fmt: skip
    asked = {name for treatment in treatments if treatment.is_nearly_option for name in treatment.assessment.missing}
    names = [name for name in unchecked_facts(evaluation, findings) if name not in asked]
    return [name for name in names if name not in without_bearing(evaluation)]


def without_bearing(evaluation: Evaluation) -> set[str]:
    """Return the facts that change nothing for this patient, because of the syndrome, primary, age, sex, orders or a known
    value. An upper limit is shown with its value instead."""
    facts, found = evaluation.facts, {fact.id for fact in evaluation.knowledge.facts.values() if fact.upper_limit_of}
    if not (evaluation.picture.orders or evaluation.picture.drafts):
        found |= {"liver_transplant", "pancreatoduodenectomy"}
    if not _may_be_pregnant(evaluation):
        found.add("pregnancy")
    if facts["hormonal_syndrome"].known and not facts["hormonal_syndrome"].equals("carcinoid"):
        found.add("carcinoid_heart_disease")
    if facts["primary_site"].known and facts["primary_site"].value not in {"pancreas", "duodenum", "unknown"}:
        found |= {"bilioenteric_access", "pancreatoduodenectomy"}
    limit = next(test.limit for test in evaluation.knowledge.criteria["caution.bilirubin-above-2"].tests)
    bilirubin = facts["total_bilirubin"].amount
    if bilirubin is not None and isinstance(limit, Decimal) and bilirubin.at_most(limit):
        found.add("biliary_obstruction")
    return found


def _is_named(treatment: Treatment, ordered: bool) -> bool:
    """Return whether the unknown facts of a technique are listed: it is ordered or has a line of its own. Any other is one of
    several, and its facts are asked for once it is chosen."""
    return treatment.line is not None or ordered


def _may_be_pregnant(evaluation: Evaluation) -> bool:
    age, sex = evaluation.facts["age"].amount, evaluation.facts["sex"]
    too_old = age is not None and age.above(evaluation.knowledge.scores.pregnancy.asked_up_to_years) is True
    return not sex.equals("male") and not too_old


def checked_stops(evaluation: Evaluation, treatment: Treatment) -> list[Finding]:
    """Return the contraindications or stops of a treatment that were checked and are not met."""
    if treatment.line is not None:
        return [finding for option in treatment.options for finding in option.checked_stops]
    judged = [judge_criterion(criterion, evaluation.facts) for criterion in treatment.modality.contraindications]
    return [finding for finding in judged if finding.met is False and finding.checked]


def split_unrecorded(evaluation: Evaluation, names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the names of facts without any reading, and texts for facts with a reading that cannot be used."""
    silent: dict[str, None] = {}
    unusable: dict[str, None] = {}
    for name in names:
        if is_silent_or_unasked(evaluation.facts[name]):
            silent.setdefault(fact_name(evaluation.knowledge, name))
        elif not evaluation.facts[name].known:
            unusable.setdefault(say_open(evaluation.facts, name))
        else:
            unusable.setdefault(f"{fact_name(evaluation.knowledge, name)} (not exact enough)")
    return list(silent), list(unusable)
