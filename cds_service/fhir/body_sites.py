"""Finds the body site of Observations that do not state it, from the resource in their focus or from their specimen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date
from functools import cached_property

import msgspec

from cds_service.fhir.chart import Chart, is_history, is_unconfirmed
from cds_service.fhir.concepts import codings, is_liver, meanings, text_of
from cds_service.fhir.observation_reader import result_name
from cds_service.fhir.resources import CodeableConcept, Coding, Condition, Extension, Observation, Reference, parts_of
from cds_service.fhir.tumour_codes import says_liver_metastasis, site_is_open
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.terminology import Use

BY_SITE = frozenset({"obs.tumor_size", "obs.histology"})
"""Concepts of Observations that concern the liver only through their body site."""
SITE_EXTENSION = "/bodySite"
"""The end of the URL of the FHIR extension that refers to a BodyStructure."""
EXTRAHEPATIC = "cond.extrahepatic_mets"
"""The prefix of concepts of metastases outside the liver."""
Places = tuple[CodeableConcept | None, ...]
"""Different body sites, at most two, since two are already ambiguous. None: an unknown one."""


def with_sites(chart: Chart, knowledge: Knowledge, today: date) -> Chart:
    """Return the chart in which Observations without a body site have the one that related resources name, if they name exactly
    one."""
    places = _PlacesOfResources(chart, knowledge, today)
    observations = ((where, _with_site(where, observation, places)) for where, observation in chart.observations)
    unclear = (
        part._replace(resource=_with_site(part.reference, part.resource, places))
        if isinstance(part.resource, Observation) else part
        for part in chart.unclear
    )  # fmt: skip
    return replace(chart, observations=tuple(observations), unclear=tuple(unclear))


def _with_site(where: str, observation: Observation, places: _PlacesOfResources) -> Observation:
    if observation.body_site is not None or not _needs_site(observation, places.knowledge):
        return observation
    found = places.of_all(dict.fromkeys(result_name(where, sent, places.chart) for sent in _references(observation)))
    return msgspec.structs.replace(observation, body_site=found[0]) if len(found) == 1 else observation


def _needs_site(observation: Observation, knowledge: Knowledge) -> bool:
    return any(meaning.concept in BY_SITE for meaning in meanings(knowledge, observation.code))


def _references(observation: Observation) -> list[Reference]:
    """Return the references to resources that may name the body site."""
    references = [*(observation.focus or ()), *parts_of(Reference, observation.specimen)]
    for extension in parts_of(Extension, observation.extension):
        references += parts_of(Reference, extension.value_reference) if _is_site(extension.url) else ()
    return references


def _is_site(url: str | None) -> bool:
    return (url or "").rstrip("/").endswith(SITE_EXTENSION)


def _different(sites: Iterable[CodeableConcept | None]) -> Places:
    found: dict[int, CodeableConcept | None] = {}
    for site in sites:
        found[id(site)] = site
        if len(found) > 1:
            break
    return tuple(found.values())


class _PlacesOfResources:
    """The body sites of the resources of one chart, each computed once."""

    def __init__(self, chart: Chart, knowledge: Knowledge, today: date) -> None:
        self.chart, self.knowledge, self.today = chart, knowledge, today
        self._conditions = dict(chart.conditions)
        self._known: dict[str, Places] = {}
        self._same: dict[object, CodeableConcept] = {}
        """Content of a body site → the first object with it, so that equal sites are one object."""

    @cached_property
    def _liver(self) -> CodeableConcept:
        (liver, *_) = self.knowledge.terminology.codes(["site.liver"], "snomed-ct")
        return CodeableConcept(coding=[Coding(system=self.knowledge.terminology.uris["snomed-ct"], code=liver)])

    def of_all(self, names: Iterable[str | None]) -> Places:
        return _different(site for name in names if name is not None for site in self._of(name))

    def _of(self, name: str) -> Places:
        if name not in self._known:
            self._known[name] = _different(map(self._one, self._sites(name)))
        return self._known[name]

    def _one(self, site: CodeableConcept | None) -> CodeableConcept | None:
        """Return one shared object for equal body sites, or None for one without content."""
        said = tuple(codings(self.knowledge, site)) or text_of(site)
        return self._same.setdefault(said, site) if said and site else None

    def _sites(self, name: str) -> Iterator[CodeableConcept | None]:
        if site := self.chart.sites.get(name):
            yield site
        elif name in self._conditions:
            yield from self._sites_of_condition(self._conditions[name])

    def _sites_of_condition(self, condition: Condition) -> Iterator[CodeableConcept | None]:
        """Yield the body sites of a diagnosis. Without any, yield the one of its code: the liver for a liver metastasis, or a
        site elsewhere. An unconfirmed or past diagnosis never places a lesion in the liver; None is yielded instead."""
        doubted = is_unconfirmed(condition) or is_history(condition, self.today)
        for site in condition.body_site or (self._site_by_code(condition),):
            in_liver = is_liver(self.knowledge, (site,)) or site_is_open(site, self.knowledge)
            yield None if doubted and in_liver else site

    def _site_by_code(self, condition: Condition) -> CodeableConcept | None:
        if says_liver_metastasis(meanings(self.knowledge, condition.code), condition, self.knowledge):
            return self._liver
        return condition.code if self._is_elsewhere(condition.code) else None

    def _is_elsewhere(self, code: CodeableConcept | None) -> bool:
        """Return True if a code names a site outside the liver: of a primary tumour or of another metastasis."""
        terms = self.knowledge.terminology
        return any(terms.value("primary_site", coding) for coding in codings(self.knowledge, code)) or any(
            meaning.concept.startswith(EXTRAHEPATIC) and meaning.use in (Use.DECIDES, Use.NODAL)
            for meaning in meanings(self.knowledge, code)
        )
