"""Finds the open facts behind undecided findings, and the values to try for them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import combinations, pairwise

from cds_service.clinical_picture import Interval, Value
from cds_service.knowledge.modality import Criterion, Modality
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.vocabulary import Edition, FactKind, GradeLimit
from cds_service.reasoning.facts import Fact, Facts
from cds_service.reasoning.judgement import CriterionJudge, Finding, judge_indication


def trial_values(knowledge: Knowledge, name: str, fact: Fact) -> tuple[Value, ...]:
    """Return one value of an open fact for every region that the knowledge distinguishes."""
    if fact.options:
        return fact.options
    definition = knowledge.facts[name]
    match definition.kind:
        case FactKind.BOOLEAN:
            return (True, False)
        case FactKind.CODE:
            return tuple(option for option in definition.options if option != definition.vague)
        case FactKind.CODES:
            pairs = [frozenset(pair) for pair in combinations(definition.options[:3], 2)]
            return (*pairs, *(frozenset({option}) for option in definition.options))
        case FactKind.QUANTITY | FactKind.INTEGER | FactKind.PERSON:
            regions = [Interval.from_number(number) for number in _regions(knowledge, name)]
            usual = definition.usual
            if not regions and usual is not None and definition.range:
                regions = [Interval.from_number(definition.range[1])]  # no limit, only a calculation reads it
            return (*regions, usual) if regions and usual is not None and usual not in regions else tuple(regions)
    return ()


def _regions(knowledge: Knowledge, name: str) -> Iterator[Decimal]:
    """Yield a number below, on, between and above the limits, within the range of the fact."""
    cuts = knowledge.cuts.get(name, ())
    if not cuts:
        return
    bounds = knowledge.facts[name].range or (Decimal(0), cuts[-1] * 2)
    edges = (bounds[0], *cuts, bounds[1])
    for low, high in pairwise(edges):
        if low in cuts:
            yield low
        if low < high:
            yield (low + high) / 2


def criteria_of(modality: Modality, knowledge: Knowledge) -> Iterator[Criterion]:
    """Yield every criterion on which the verdict of a modality depends."""
    yield from modality.contraindications
    yield from (criterion for criterion, _ in modality.exclusions)
    for indication in modality.indications:
        yield from indication.requires
        yield from indication.update_requires
    yield from (knowledge.criteria[f"gate.{name}"] for name in ("transplanted-liver", "nec", "g3"))
    yield from (criterion for criterion in modality.cautions if criterion.id in modality.downgraded_by)


def undecided_facts(modality: Modality, facts: Facts, judged: CriterionJudge, ruled_out: bool | None) -> frozenset[str]:
    """Return the open facts behind undecided findings, if they can be given hypothetical values. `ruled_out`: see
    `judge_indication`."""
    looks: set[tuple[str, bool]] = set()
    for finding in _undecided_findings(modality, facts, judged, ruled_out):
        for fact in finding.criterion.facts:
            _look_beneath(facts, fact, finding.criterion.silent_is_not_met, looks)
    return frozenset(name for name, _ in looks if name in facts.knowledge.facts and facts.knowledge.facts[name].supposable)


def _undecided_findings(modality: Modality, facts: Facts, judged: CriterionJudge, ruled_out: bool | None) -> Iterator[Finding]:
    criteria = facts.knowledge.criteria
    standing = [*modality.contraindications, *(criterion for criterion, only in modality.exclusions if not only)]
    standing += [criteria["gate.nec"]] if modality.nec is GradeLimit.NOT_INDICATED else []
    for criterion in standing:
        finding = judged(criterion)
        if finding.met is None:
            yield finding
    for indication in modality.indications:
        found = judge_indication(indication, modality, judged, Edition.UPDATE, ruled_out)
        if found.met is None:
            yield from (finding for finding in (*found.requirements, *found.excluded_by) if finding.met is None)
    if modality.g3 is not GradeLimit.OPEN and facts["g3"].unknown:
        yield judged(criteria["gate.g3"])


def _look_beneath(facts: Facts, name: str, silence_settles: bool, looks: set[tuple[str, bool]]) -> None:
    """Add a fact to `looks` if it is open, and the open facts from which it is calculated. Each is stored with a flag: True
    means that silence of the chart settles the fact, so a silent fact with this flag is not open."""
    if (name, silence_settles) in looks:
        return
    fact, definition = facts[name], facts.knowledge.derived.get(name)
    if fact.silent and silence_settles:
        return
    if definition is None:
        several = facts.knowledge.facts[name].kind is FactKind.CODES  # a union can always grow
        if not fact.known or fact.options or several:
            looks.add((name, silence_settles))
        return
    # A calculated fact that no criterion compares is a step towards one that a criterion compares. Its own value does not
    # settle the other fact, so its inputs are looked at even if it is known.
    if not fact.known or fact.options or name not in facts.knowledge.judged_facts:
        looks.add((name, silence_settles))
        for read in definition.reads:
            _look_beneath(facts, read, read in definition.settled_by_silence, looks)
