"""Decides whether a statement applies to this patient: not if a known fact lies outside its population. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from cds_service.knowledge.modality import Comparison
from cds_service.knowledge.statement import Population
from cds_service.reasoning.facts import Fact, Facts
from cds_service.reasoning.judgement import compare_with_limit

GIVEN_BEFORE = ("somatostatin_analogue", "everolimus", "sunitinib", "chemotherapy", "radionuclide_therapy", "lu177_dotatate")
"""Treatments after which a further treatment is not first-line. All but the first of them make a patient pretreated."""
PRIMARY_NOT_FOUND = "unknown"
"""The recorded answer for an unknown primary, which may be any primary of a population."""


def population_fits(population: Population, facts: Facts, continuing: bool = False) -> bool | None:
    """Return whether the patient belongs to the population. None if a fact that it names is not known; the statement is then
    cited with its population in words. `continuing`: the patient already has the treatment. The population's line of treatment
    is then ignored, because a trial of starting a treatment also supports continuing it."""
    answers = list(_answers(replace(population, line="") if continuing else population, facts))
    return False if False in answers else None if None in answers else True


def _answers(population: Population, facts: Facts) -> Iterator[bool | None]:
    for options, name in ((population.primary, "primary_site"), (population.grade, "grade")):
        if options:
            yield _among(options, facts[name])
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


def _among(options: Collection[str], fact: Fact) -> bool | None:
    if not fact.known or fact.value == PRIMARY_NOT_FOUND:
        return None
    return fact.value in options or (None if fact.options else False)
