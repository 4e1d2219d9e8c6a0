"""Which statements of a modality stand on the face of its card, as dissent or as risk, on one chart (knowledge/modalities)."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from cds_service.knowledge.modality import Modality
from cds_service.knowledge.shown import Face, ShownStatement
from cds_service.reasoning.facts import Facts
from cds_service.reasoning.judgement import judge_criterion
from cds_service.reasoning.populations import population_fits


def statements_on_face(
    modality: Modality, facts: Facts, met: Collection[str], named: Collection[str] = (), continuing: bool = False
) -> tuple[ShownStatement, ...]:
    """Dissents first, then the risks in their order. `met`: indications; `named`: techniques that the card names;
    `continuing`: its drug is given already. Where no risk speaks of a patient like this one, the first of them all stands
    with whom it speaks of: no treatment is shown without its risk."""
    bearing = [part for part in modality.shown if part.face is not Face.PAGE and all(_conditions(part, facts, met, named))]
    bearing.sort(key=lambda part: (part.face is Face.RISK, part.place))
    shown = [part for part in bearing if _may_speak_of(part, facts, continuing)]
    if any(part.face is Face.RISK for part in shown):
        return tuple(shown)
    return (*shown, *[part for part in bearing if part.face is Face.RISK][:1])


def _conditions(part: ShownStatement, facts: Facts, met: Collection[str], named: Collection[str]) -> Iterator[bool]:
    yield not part.indications or any(name in met for name in part.indications)
    yield not any(name in met for name in part.unless)
    yield all(judge_criterion(facts.knowledge.criteria[key], facts).met for key in part.when)
    yield not part.technique or part.technique in named


def _may_speak_of(part: ShownStatement, facts: Facts, continuing: bool) -> bool:
    """Whether nothing known sets the patient apart from its population: what is not known hides nothing."""
    population = facts.knowledge.statements[part.statement].population
    return population is None or population_fits(population, facts, continuing) is not False
