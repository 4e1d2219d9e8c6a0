"""Finds the codings behind each reading: those that the knowledge links to its fact."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from cds_service.fhir.chart import Chart
from cds_service.fhir.concepts import codings
from cds_service.fhir.medication import read_medication
from cds_service.fhir.resources import CodeableConcept, Component, Observation, Procedure
from cds_service.fhir.tumour_codes import extensions_of
from cds_service.knowledge.model import FactDefinition, Knowledge
from cds_service.knowledge.terminology import StandardCoding


@dataclass(frozen=True, slots=True)
class NamedConcept:
    """A concept that says what a resource or component is about. `source`: as in facts.toml, or Order or Study."""

    where: str
    source: str
    concept: CodeableConcept
    values: tuple[CodeableConcept, ...] = field(default=())


def named_concepts(chart: Chart) -> list[NamedConcept]:
    """Return the concepts of every resource in a chart that counts."""
    found: list[tuple[str, str, CodeableConcept | None, tuple[CodeableConcept | None, ...]]] = []
    for where, observation in chart.observations:
        parts: list[Observation | Component] = [observation, *(observation.component or ())]
        site = observation.body_site
        found += [(where, "Observation", part.code, (part.value_codeable_concept, site)) for part in parts]
    for where, condition in chart.conditions:
        more = [extension.value_codeable_concept for extension in extensions_of(condition)]
        found.append((where, "Condition", condition.code, tuple(more)))
    found += [(where, "Procedure", procedure.code, ()) for where, procedure in chart.procedures]
    found += [(where, "Procedure", done.code, ()) for where, done, _ in chart.untrusted if isinstance(done, Procedure)]
    found += [(drug.where, "Medication", concept, ()) for drug in read_medication(chart) for concept in drug.medicine.concepts]
    found += [(where, "Order", concept, ()) for where, concept, _ in chart.orders]
    found += [(where, "Study", concept, ()) for where, concept, _ in chart.studies]
    return [
        NamedConcept(where, source, concept, tuple(value for value in values if value is not None))
        for where, source, concept, values in found
        if concept is not None
    ]


def is_known_coding(knowledge: Knowledge, coding: StandardCoding) -> bool:
    """Return True if the knowledge has the code, whether to read it or to ignore it on purpose."""
    if coding.system == knowledge.assessment_system:
        return any(coding.code in definition.assessment for definition in knowledge.facts.values())
    return bool(knowledge.terminology.meanings(coding) or knowledge.terminology.fact(coding)) or any(
        knowledge.terminology.value(fact, coding) for fact in ("primary_site", "hormonal_syndrome", "cardiac_assessment")
    )


def matched_codes(knowledge: Knowledge, definition: FactDefinition, concepts: Iterable[NamedConcept]) -> list[StandardCoding]:
    """Return the codings by which one resource led to a reading of a fact: those that state the fact, else those that give its
    value (a tumour's code its primary site), else those that are known, else all it has (a tumour known by its histology)."""
    states, gives, known, sent = [], [], [], []
    for named in concepts:
        for coding in codings(knowledge, named.concept):
            sent.append(coding)
            if _states(knowledge, definition, coding):
                states.append(coding)
            if is_known_coding(knowledge, coding):
                known.append(coding)
        for concept in (named.concept, *named.values):
            gives += [c for c in codings(knowledge, concept) if knowledge.terminology.value(definition.id, c)]
    return list(dict.fromkeys(states or gives or known or sent))


def _states(knowledge: Knowledge, definition: FactDefinition, coding: StandardCoding) -> bool:
    if coding.system == knowledge.assessment_system:
        return coding.code in definition.assessment
    if knowledge.terminology.fact(coding) == definition.id:
        return True  # a site's own code
    return any(
        meaning.concept in definition.concepts and meaning.use in definition.uses
        for meaning in knowledge.terminology.meanings(coding)
    )
