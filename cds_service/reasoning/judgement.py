"""Judges the criteria of a modality on one day, and the verdict of an edition (docs/knowledge.md, "Verdicts"). Pure.

The first of these rules that applies decides:
1. The liver is transplanted and the treatment is directed at the liver: undetermined.
2. A contraindication is met: contraindicated.
3. A gate or an exclusion is met, or no indication is met or can still be met: not indicated.
4. A contraindication, gate or exclusion is unknown, or no indication is met and one is unknown: undetermined.
5. Otherwise the verdict of the strongest indication that is met; "consider" if something lowers it.
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

    `checked` is False if it counts as not met only because nothing is known (docs/knowledge.md, "What silence means").
    """

    criterion: Criterion
    met: bool | None
    facts: tuple[Fact, ...]
    checked: bool = True


@dataclass(frozen=True, slots=True)
class IndicationFinding:
    """An indication on one day: met, not met or unknown (None). `excluded_by`: its own exclusions that are met or unknown."""

    indication: Indication
    met: bool | None
    requirements: tuple[Finding, ...]
    excluded_by: tuple[Finding, ...] = ()


class OpenPart(StrEnum):
    """What an undetermined verdict leaves open: whether the modality is indicated or, if it is, whether it is safe."""

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
    """Set for an undetermined verdict only."""


def compare_with_limit(test: Comparison, fact: Fact) -> bool | None:
    """Return whether a known fact meets one limit, or None if its value is not precise enough to tell."""
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
    """Return whether a criterion is met by the facts of a day."""
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
        checked = checked or refuted  # one test that is known to fail is enough, even if others are unknown
    if met is None and criterion.unknown_is_not_met:
        met, checked = False, False
    return Finding(criterion, met, tuple(parts), checked or met is True)


CriterionJudge = Callable[[Criterion], Finding]
"""Judges a criterion on the facts of the chart, or on hypothetical ones."""


def judge_indication(
    indication: Indication, modality: Modality, judged: CriterionJudge, edition: Edition, ruled_out: bool | None
) -> IndicationFinding:
    """Return whether an indication is met in an edition. `ruled_out`: whether all modalities in its `when_closed` are ruled out
    (only Y3 of systemic therapy has any)."""
    needed = indication.requires + (indication.update_requires if edition is Edition.UPDATE else ())
    requirements = tuple(judged(criterion) for criterion in needed)
    own = [judged(criterion) for criterion, only in modality.exclusions if indication.id in only]
    against = tuple(finding for finding in own if finding.met is not False)
    answers = [finding.met for finding in requirements] + [negated(finding.met) for finding in own]
    if indication.when_closed:
        answers.append(ruled_out)
    return IndicationFinding(indication, all_of(answers), requirements, against)


def all_of(answers: Iterable[bool | None]) -> bool | None:
    """Return the three-valued AND."""
    found = list(answers)
    return False if False in found else (None if None in found else True)


def any_of(answers: Iterable[bool | None]) -> bool | None:
    """Return the three-valued OR."""
    found = list(answers)
    return True if True in found else (None if None in found else False)


def negated(answer: bool | None) -> bool | None:
    """Return the three-valued NOT."""
    return None if answer is None else not answer


def strength_of(indication: Indication, met: bool | None) -> Verdict:
    """Return the verdict that an indication allows by itself."""
    return indication.strength if met else Verdict.UNDETERMINED if met is None else Verdict.NOT_INDICATED


def strongest(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the strongest verdict, or not-indicated without any."""
    return max(verdicts, key=RANK.__getitem__, default=Verdict.NOT_INDICATED)


def weigh(
    graft: bool | None, contraindicated: bool | None, excluded: bool | None, indicated: Verdict, held_down: bool
) -> Verdict:
    """Return the verdict by the order of judgement. `indicated`: the strongest verdict that an indication allows; `held_down`:
    the verdict is "consider" at most."""
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
    """Return the verdict of one edition: the review of 2010 alone, or with the update. `ruled_out`: see `judge_indication`."""
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
    """Return the gates (NEC, G3) that make the modality not indicated."""
    limits = {"gate.nec": modality.nec, "gate.g3": modality.g3}
    return tuple(criteria[name] for name, limit in limits.items() if limit is GradeLimit.NOT_INDICATED)


def is_held_down(modality: Modality, criteria: Mapping[str, Criterion], judged: CriterionJudge) -> bool:
    """Return whether a grade that is not excluded, or a caution in `downgraded_by`, lowers the verdict to "consider"."""
    if modality.g3 is GradeLimit.AT_MOST_CONSIDER and judged(criteria["gate.g3"]).met is not False:
        return True
    if modality.nec is GradeLimit.AT_MOST_CONSIDER and judged(criteria["gate.nec"]).met is not False:
        return True
    return any(judged(criterion).met for criterion in modality.cautions if criterion.id in modality.downgraded_by)


def alternatives_ruled_out(verdicts: Mapping[str, Verdict], names: Iterable[str]) -> bool | None:
    """Return whether all named modalities are contraindicated or not indicated. None if that depends on an undetermined one."""
    found = [verdicts[name] for name in names]
    if any(RANK[verdict] > RANK[Verdict.UNDETERMINED] for verdict in found):
        return False
    return None if Verdict.UNDETERMINED in found else True
