"""Facts that are open under findings not decided yet, and the values worth trying for them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import combinations, pairwise

from cds_service.clinical_picture import Interval, Value
from cds_service.knowledge.model import Criterion, Knowledge, Modality
from cds_service.knowledge.vocabulary import Edition, FactKind, GradeLimit
from cds_service.reasoning.facts import Fact, Facts
from cds_service.reasoning.judgement import CriterionJudge, Finding, judge_indication


def trial_values(knowledge: Knowledge, name: str, fact: Fact) -> tuple[Value, ...]:
    """One value of a fact for every region that the knowledge tells apart."""
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
                regions = [Interval.from_number(definition.range[1])]  # read by a calculation only: try an extreme
            return (*regions, usual) if regions and usual is not None and usual not in regions else tuple(regions)
    return ()


def _regions(knowledge: Knowledge, name: str) -> Iterator[Decimal]:
    """A number below, on, between and above the limits, within what the fact can be."""
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
    """Every criterion that the verdict of the modality looks at."""
    yield from modality.contraindications
    yield from (criterion for criterion, _ in modality.exclusions)
    for indication in modality.indications:
        yield from indication.requires
        yield from indication.update_requires
    yield from (knowledge.criteria[f"gate.{name}"] for name in ("transplanted-liver", "nec", "g3"))
    yield from (criterion for criterion in modality.cautions if criterion.id in modality.downgraded_by)


def undecided_facts(modality: Modality, facts: Facts, judged: CriterionJudge, ruled_out: bool | None) -> tuple[str, ...]:
    """Open facts under findings that are not decided yet, each one that can be answered or supposed."""
    names: dict[str, None] = {}
    for finding in _undecided_findings(modality, facts, judged, ruled_out):
        for fact in finding.criterion.facts:
            _collect(facts, fact, names, finding.criterion.silent_is_not_met)
    return tuple(names)


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


def _collect(facts: Facts, name: str, names: dict[str, None], silence_settles: bool) -> None:
    fact = facts[name]
    definition = facts.knowledge.derived.get(name)
    several = definition is None and facts.knowledge.facts[name].kind is FactKind.CODES  # a union can always grow
    part = definition is not None and name not in facts.knowledge.judged_facts  # known or not, it settles nothing by itself
    if (fact.known and not fact.options and not several and not part) or (fact.silent and silence_settles):
        return
    if definition is None:
        if facts.knowledge.facts[name].supposable:
            names[name] = None
        return
    for read in definition.reads:
        _collect(facts, read, names, read in definition.settled_by_silence)
