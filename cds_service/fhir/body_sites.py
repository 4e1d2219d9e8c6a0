"""Where in the body an Observation is, where another resource alone says so: what it is focused on, or its specimen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from cds_service.fhir.chart import Chart
from cds_service.fhir.concepts import codings, meanings, text_of
from cds_service.fhir.contained import KIND
from cds_service.fhir.references import resolve_reference
from cds_service.fhir.resources import (
    BodyStructure,
    CodeableConcept,
    Coding,
    Condition,
    Extension,
    Observation,
    Reference,
    Specimen,
    parts_of,
)
from cds_service.fhir.tumour_codes import says_liver_metastasis
from cds_service.knowledge.model import Knowledge

BODY_STRUCTURE, SPECIMEN = msgspec.json.Decoder(BodyStructure), msgspec.json.Decoder(Specimen)
BY_SITE = frozenset({"obs.tumor_size", "obs.histology"})
"""Concepts of Observations that say nothing of the liver but by their site."""
SITE_EXTENSION = "/bodySite"
"""How the URL of FHIR's extension ends that refers to a BodyStructure."""


def with_sites(chart: Chart, knowledge: Knowledge) -> tuple[tuple[str, Observation], ...]:
    """The Observations of a chart; those without a body site with the one that another resource names, if it names just one."""
    conditions = dict(chart.conditions)
    return tuple((where, _with_site(observation, chart, conditions, knowledge)) for where, observation in chart.observations)


def _with_site(
    observation: Observation, chart: Chart, conditions: Mapping[str, Condition], knowledge: Knowledge
) -> Observation:
    if observation.body_site is not None or not _needs_site(observation, knowledge):
        return observation
    named = [site for site in _sites(observation, chart, conditions, knowledge) if site is not None]
    different = {tuple(codings(knowledge, site)) or text_of(site): site for site in named}
    return msgspec.structs.replace(observation, body_site=named[0]) if len(different) == 1 else observation


def _needs_site(observation: Observation, knowledge: Knowledge) -> bool:
    return any(meaning.concept in BY_SITE for meaning in meanings(knowledge, observation.code))


def _sites(
    observation: Observation, chart: Chart, conditions: Mapping[str, Condition], knowledge: Knowledge
) -> Iterator[CodeableConcept | None]:
    references = [*(observation.focus or ()), *parts_of(Reference, observation.specimen)]
    for extension in parts_of(Extension, observation.extension):
        references += parts_of(Reference, extension.value_reference) if _is_site(extension.url) else ()
    inside: dict[str, CodeableConcept | None] | None = None
    for reference in references:
        if (reference.reference or "").startswith("#"):
            inside = _contained_sites(observation) if inside is None else inside
            yield inside.get((reference.reference or "")[1:])
            continue
        name = resolve_reference(reference, chart.names) or _by_urn(reference, chart)
        if name in chart.sites:
            yield chart.sites[name]
        elif name in conditions:
            yield from _sites_of_condition(conditions[name], knowledge)


def _is_site(url: str | None) -> bool:
    return (url or "").rstrip("/").endswith(SITE_EXTENSION)


def _by_urn(reference: Reference, chart: Chart) -> str:
    return chart.names.get(reference.reference or "", "")


def _sites_of_condition(condition: Condition, knowledge: Knowledge) -> Iterator[CodeableConcept]:
    """Its body sites; where it has none, the liver of a liver metastasis, else the tumour itself: no unknown site."""
    if condition.body_site:
        yield from condition.body_site
        return
    if says_liver_metastasis(meanings(knowledge, condition.code), condition, knowledge):
        (liver, *_) = knowledge.terminology.codes(["site.liver"], "snomed-ct")
        yield CodeableConcept(coding=[Coding(system=knowledge.terminology.uris["snomed-ct"], code=liver)])
    elif condition.code is not None:
        yield condition.code


def _contained_sites(observation: Observation) -> dict[str, CodeableConcept | None]:
    found: dict[str, CodeableConcept | None] = {}
    for sent in observation.contained or ():
        try:
            kind = KIND.decode(sent)
            if kind.resource_type == BodyStructure.__name__:
                found[str(kind.id)] = BODY_STRUCTURE.decode(sent).location
            elif kind.resource_type == Specimen.__name__:
                collection = SPECIMEN.decode(sent).collection
                found[str(kind.id)] = collection.body_site if collection else None
        except (msgspec.MsgspecError, RecursionError):
            continue  # the site is then not known, and the size says so
    return found
