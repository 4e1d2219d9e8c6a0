"""Derives lesion count, lobes and caudate lobe from tumour sizes with a liver body site, if they were not assessed; and finds
sites of distant metastases outside the liver."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from cds_service.clinical_picture import Interval, Observed, PartialDate
from cds_service.fhir.chart import Chart
from cds_service.fhir.concepts import codings, is_liver, meanings, text_of
from cds_service.fhir.dates import date_of_observation
from cds_service.fhir.resources import Observation
from cds_service.fhir.tumour_codes import METASTASIS_SITE, site_is_open
from cds_service.knowledge.model import Knowledge
from cds_service.reasons import Explanation, Reason

CAUDATE = "site.liver_segment_1"


def add_from_tumour_sizes(
    chart: Chart, knowledge: Knowledge, counts: list[Observed], lobes: list[Observed], caudate: list[Observed]
) -> None:
    """Add readings to the three lists. A count from sizes is "at least", because small lesions are not always measured."""
    by_day: dict[str, list[tuple[str, Observation, PartialDate]]] = {}
    for where, observation in chart.observations:
        on = date_of_observation(observation)
        if on and is_liver(knowledge, [observation.body_site]) and _is_size(observation, knowledge):
            by_day.setdefault(on.earliest.isoformat(), []).append((where, observation, on))
    assessed_count, assessed_lobes, assessed_caudate = bool(counts), bool(lobes), bool(caudate)
    for measured in by_day.values():
        where, _, on = measured[0]
        text = f"{len(measured)} measured liver lesions"
        if not assessed_count:
            value = Interval(Decimal(len(measured)), None)
            counts.append(Observed(value, on, where, text, Explanation(Reason.COUNTED_FROM_SIZES)))
        sides = {side for _, observation, _ in measured for side in _sides(observation, knowledge)}
        if sides and not assessed_lobes:
            side = "bilobar" if len(sides) > 1 else sides.pop()
            lobes.append(Observed(side, on, where, text, Explanation(Reason.FROM_SEGMENTS)))
        if not assessed_caudate and any(_in_caudate(observation, knowledge) for _, observation, _ in measured):
            caudate.append(Observed(True, on, where, text, Explanation(Reason.FROM_SEGMENTS)))


def _is_size(observation: Observation, knowledge: Knowledge) -> bool:
    return any(
        meaning.concept == "obs.tumor_size"
        for coding in codings(knowledge, observation.code)
        for meaning in knowledge.terminology.meanings(coding)
    )


def _sides(observation: Observation, knowledge: Knowledge) -> list[str]:
    found = (knowledge.terminology.value("body_site", coding) for coding in codings(knowledge, observation.body_site))
    return [side for side in found if side]


def _in_caudate(observation: Observation, knowledge: Knowledge) -> bool:
    return any(
        meaning.concept == CAUDATE
        for coding in codings(knowledge, observation.body_site)
        for meaning in knowledge.terminology.meanings(coding)
    )


def sites_of_distant_metastases(chart: Chart, knowledge: Knowledge) -> Iterator[Observed]:
    """Yield the coded sites of distant metastases that are not the liver, as questions about extrahepatic disease."""
    for where, observation in chart.observations:
        if any(meaning.concept == METASTASIS_SITE for meaning in meanings(knowledge, observation.code)):
            sites = [site for site in (observation.value_codeable_concept, observation.body_site) if site and site.coding]
            if sites and not is_liver(knowledge, sites) and not any(site_is_open(site, knowledge) for site in sites):
                on, note = date_of_observation(observation), Explanation(Reason.METASTASIS_ELSEWHERE)
                yield Observed(True, on, where, text_of(sites[0]), note)
