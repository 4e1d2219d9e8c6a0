"""Whether a statement speaks of a patient like this one: a known fact outside its population says no. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from cds_service.knowledge.model import Comparison
from cds_service.knowledge.statement import Population
from cds_service.reasoning.facts import Facts
from cds_service.reasoning.judgement import compare_with_limit

GIVEN_BEFORE = ("somatostatin_analogue", "everolimus", "sunitinib", "chemotherapy", "radionuclide_therapy", "lu177_dotatate")
"""What makes a treatment no longer the first; all but the first of them make a patient pretreated."""


def population_fits(population: Population, facts: Facts) -> bool | None:
    """None: a fact that the population names is not known; the statement is then cited with its population in words."""
    answers = list(_answers(population, facts))
    return False if False in answers else None if None in answers else True


def _answers(population: Population, facts: Facts) -> Iterator[bool | None]:
    for options, name in ((population.primary, "primary_site"), (population.grade, "grade")):
        if options:
            fact = facts[name]
            yield (fact.value in options or (None if fact.options else False)) if fact.known else None
    ki67 = facts["ki67_index"]
    for how, limit in population.ki67.items():
        yield compare_with_limit(Comparison("ki67_index", how, limit), ki67) if ki67.known else None
    if population.functioning is not None:
        functioning = facts["functioning"]
        yield functioning.value is population.functioning if functioning.known else None
    if population.line == "after-progression":
        status = facts["disease_status"]
        yield status.value == "progression" if status.known else None
    elif population.line:
        before = [facts[name] for name in GIVEN_BEFORE[1 if population.line == "pretreated" else 0 :]]
        given = True if any(f.equals(True) for f in before) else None if any(f.unknown for f in before) else False
        yield given if population.line == "pretreated" or given is None else not given
