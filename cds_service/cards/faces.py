"""Selects the statements of a modality that its card shows for one chart (knowledge/modalities)."""

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
    """Return the statements to show in the order of the knowledge, risks last. `met`: ids of indications; `named`: techniques
    that the card names; `continuing`: the drug is given already. If no risk applies to this patient, the first risk is shown
    with its population, because no treatment is shown without a risk."""
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
    """Return whether the patient may belong to the population of a statement. Unknown facts do not hide a statement."""
    population = facts.knowledge.statements[part.statement].population
    return population is None or population_fits(population, facts, continuing) is not False
