"""Which statements of a modality stand on the face of its card, as dissent or as risk, on one chart (knowledge/modalities)."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from cds_service.knowledge.model import Modality
from cds_service.knowledge.shown import Face, ShownStatement
from cds_service.reasoning.facts import Facts
from cds_service.reasoning.judgement import judge_criterion
from cds_service.reasoning.populations import population_fits


def statements_on_face(
    modality: Modality, facts: Facts, met: Collection[str], named: Collection[str] = ()
) -> tuple[ShownStatement, ...]:
    """Dissents first, then the risks in their order. `met`: indications; `named`: techniques that the card names."""
    shown = [part for part in modality.shown if part.face is not Face.PAGE and all(_conditions(part, facts, met, named))]
    return tuple(sorted(shown, key=lambda part: (part.face is Face.RISK, part.place)))


def _conditions(part: ShownStatement, facts: Facts, met: Collection[str], named: Collection[str]) -> Iterator[bool]:
    """What is not known hides nothing adverse, but for a `when`, which has to be met."""
    yield not part.indications or any(name in met for name in part.indications)
    yield not any(name in met for name in part.unless)
    yield all(judge_criterion(facts.knowledge.criteria[key], facts).met for key in part.when)
    yield not part.technique or part.technique in named
    population = facts.knowledge.statements[part.statement].population
    yield population is None or population_fits(population, facts) is not False
