"""One modality on one day: its criteria judged, and the verdict of an edition (CLINICAL sections 5 and 6). Pure.

Order of judgement: transplanted liver, contraindication, gate or exclusion, indication that can no longer be met,
anything unknown that could still change it, the strongest indication met.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from cds_service.clinical_picture import Interval
from cds_service.knowledge.modality import RANK, Comparison, Criterion, Indication, Modality, Verdict
from cds_service.knowledge.vocabulary import Edition, GradeLimit
from cds_service.reasoning.facts import Fact, Facts


@dataclass(frozen=True, slots=True)
class Finding:
    """A criterion on one day: met (True), not met (False) or unknown (None).

    `checked` is False where it counts as not met only because nothing is known (CLINICAL section 5, silence).
    """

    criterion: Criterion
    met: bool | None
    facts: tuple[Fact, ...]
    checked: bool = True


@dataclass(frozen=True, slots=True)
class IndicationFinding:
    indication: Indication
    met: bool | None
    requirements: tuple[Finding, ...]
    excluded_by: tuple[Finding, ...] = ()


class OpenPart(StrEnum):
    """What of an undetermined verdict is open: whether the modality is indicated; or, where it is, whether it is safe."""

    INDICATION = "indication"
    SAFETY = "safety"


@dataclass(frozen=True, slots=True)
class EditionVerdict:
    """The verdict of one edition, and the ids and findings that decided it."""

    verdict: Verdict
    decided_by: tuple[str, ...]
    findings: tuple[Finding, ...]
    indications: tuple[IndicationFinding, ...]
    open: OpenPart | None = None
    """Of an undetermined verdict alone."""


def compare_with_limit(test: Comparison, fact: Fact) -> bool | None:
    """A known fact against one limit. None: not known precisely enough to say."""
    value, limit = fact.value, test.limit
    if isinstance(limit, Decimal):
        if not isinstance(value, Interval):
            return None
        answers = {"at_most": value.at_most, "at_least": value.at_least, "below": value.below, "above": value.above}
        return answers[test.how](limit)
    matches = limit if isinstance(limit, frozenset) else frozenset({limit})
    if value in matches:
        return True
    return None if any(option in matches for option in fact.options) else False


def judge_criterion(criterion: Criterion, facts: Facts) -> Finding:
    answers: list[bool | None] = []
    parts: list[Fact] = []
    checked, refuted = True, False
    for test in criterion.tests:
        fact = facts[test.fact]
        parts.append(fact)
        if fact.known:
            answers.append(compare_with_limit(test, fact))
            refuted = refuted or answers[-1] is False
        elif criterion.by_name and test.limit is True and fact.by_name:
            answers.append(True)
        elif (fact.silent and criterion.silent_is_not_met) or (fact.unknown and criterion.unknown_is_not_met):
            answers.append(False)
            checked = False
        else:
            answers.append(None)
    if criterion.combine == "any":
        met = any_of(answers)
    else:
        met = all_of(answers)
        checked = checked or refuted  # one part known not to hold is enough, whatever is not known of the others
    if met is None and criterion.unknown_is_not_met:
        met, checked = False, False
    return Finding(criterion, met, tuple(parts), checked or met is True)


CriterionJudge = Callable[[Criterion], Finding]
"""How a criterion is judged: on the facts of the chart, or on answers that they may get."""


def judge_indication(
    indication: Indication, modality: Modality, judged: CriterionJudge, edition: Edition, ruled_out: bool | None
) -> IndicationFinding:
    """`ruled_out`: whether every modality the indication depends on is closed (systemic therapy's Y3)."""
    needed = indication.requires + (indication.update_requires if edition is Edition.UPDATE else ())
    requirements = tuple(judged(criterion) for criterion in needed)
    own = [judged(criterion) for criterion, only in modality.exclusions if indication.id in only]
    against = tuple(finding for finding in own if finding.met is not False)
    answers = [finding.met for finding in requirements] + [negated(finding.met) for finding in own]
    if indication.when_closed:
        answers.append(ruled_out)
    return IndicationFinding(indication, all_of(answers), requirements, against)


def all_of(answers: Iterable[bool | None]) -> bool | None:
    found = list(answers)
    return False if False in found else (None if None in found else True)


def any_of(answers: Iterable[bool | None]) -> bool | None:
    found = list(answers)
    return True if True in found else (None if None in found else False)


def negated(answer: bool | None) -> bool | None:
    return None if answer is None else not answer


def strength_of(indication: Indication, met: bool | None) -> Verdict:
    """The verdict that an indication alone allows."""
    return indication.strength if met else Verdict.UNDETERMINED if met is None else Verdict.NOT_INDICATED


def strongest(verdicts: Iterable[Verdict]) -> Verdict:
    return max(verdicts, key=RANK.__getitem__, default=Verdict.NOT_INDICATED)


def weigh(
    graft: bool | None, contraindicated: bool | None, excluded: bool | None, indicated: Verdict, held_down: bool
) -> Verdict:
    """The verdict, by the order of judgement. `indicated`: what the indications allow; `held_down`: at most to consider."""
    if graft:
        return Verdict.UNDETERMINED
    if contraindicated:
        return Verdict.CONTRAINDICATED
    if excluded or indicated is Verdict.NOT_INDICATED:
        return Verdict.NOT_INDICATED
    if contraindicated is None or excluded is None or indicated is Verdict.UNDETERMINED:
        return Verdict.UNDETERMINED
    return Verdict.CONSIDER if held_down else indicated


def decide(
    modality: Modality,
    criteria: Mapping[str, Criterion],
    judged: CriterionJudge,
    edition: Edition,
    ruled_out: bool | None = False,
) -> EditionVerdict:
    """The verdict of one edition: the 2010 review alone, or with what came after it."""
    indications = tuple(
        judge_indication(indication, modality, judged, edition, ruled_out)
        for indication in modality.indications
        if edition is Edition.UPDATE or indication.edition is Edition.REVIEW
    )

    def verdict_of(
        verdict: Verdict, findings: Iterable[Finding], ids: Iterable[str] = (), open_: OpenPart | None = None
    ) -> EditionVerdict:
        found = tuple(findings)
        named = dict.fromkeys([*(finding.criterion.id for finding in found), *ids])
        return EditionVerdict(verdict, tuple(named), found, indications, open_)

    graft = [judged(criteria["gate.transplanted-liver"])] if modality.liver_directed else []
    contraindications = [judged(criterion) for criterion in modality.contraindications]
    gates = [judged(criterion) for criterion in closing_gates(modality, criteria)]
    exclusions = [judged(criterion) for criterion, only in modality.exclusions if not only]
    verdict = weigh(
        any_of(finding.met for finding in graft),
        any_of(finding.met for finding in contraindications),
        any_of(finding.met for finding in (*gates, *exclusions)),
        strongest(strength_of(found.indication, found.met) for found in indications),
        is_held_down(modality, criteria, judged),
    )
    fulfilled = [found for found in indications if found.met]
    if verdict is Verdict.CONTRAINDICATED:
        return verdict_of(verdict, [finding for finding in contraindications if finding.met])
    if verdict is Verdict.NOT_INDICATED:
        if met := [finding for finding in (*gates, *exclusions) if finding.met]:
            return verdict_of(verdict, met)
        against = {f.criterion.id: f for found in indications for f in found.excluded_by if f.met}
        return verdict_of(verdict, against.values(), [found.indication.id for found in indications])
    if verdict is Verdict.UNDETERMINED and any(finding.met for finding in graft):
        return verdict_of(verdict, graft, open_=OpenPart.INDICATION)
    if verdict is Verdict.UNDETERMINED:
        unknown = [finding for finding in (*contraindications, *exclusions) if finding.met is None]
        ids = ["grade-unknown"] if any(gate.met is None for gate in gates) else []
        if not fulfilled:
            ids += [found.indication.id for found in indications if found.met is None]
        safety = fulfilled and not any(finding.met is None for finding in exclusions)
        return verdict_of(verdict, unknown, ids, OpenPart.SAFETY if safety else OpenPart.INDICATION)
    return verdict_of(verdict, [], [found.indication.id for found in fulfilled])


def closing_gates(modality: Modality, criteria: Mapping[str, Criterion]) -> tuple[Criterion, ...]:
    """The grades with which the modality is not indicated."""
    limits = {"gate.nec": modality.nec, "gate.g3": modality.g3}
    return tuple(criteria[name] for name, limit in limits.items() if limit is GradeLimit.NOT_INDICATED)


def is_held_down(modality: Modality, criteria: Mapping[str, Criterion], judged: CriterionJudge) -> bool:
    """Whether the grade, or an open caution of the modality, allows no more than consider."""
    if modality.g3 is GradeLimit.AT_MOST_CONSIDER and judged(criteria["gate.g3"]).met is not False:
        return True
    if modality.nec is GradeLimit.AT_MOST_CONSIDER and judged(criteria["gate.nec"]).met is not False:
        return True
    return any(judged(criterion).met for criterion in modality.cautions if criterion.id in modality.downgraded_by)


def alternatives_ruled_out(verdicts: Mapping[str, Verdict], names: Iterable[str]) -> bool | None:
    """Whether all the named modalities are contraindicated or not indicated."""
    found = [verdicts[name] for name in names]
    if any(RANK[verdict] > RANK[Verdict.UNDETERMINED] for verdict in found):
        return False
    return None if Verdict.UNDETERMINED in found else True
