"""The same chart gives the same cards however it is sent (docs/knowledge.md, "Laws"), for every fixture."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec
import pytest

from cds_service import knowledge
from cds_service.fhir.chart import EVERYTHING_ARRIVED
from cds_service.fhir.chart_builder import ChartEntry, read_chart
from cds_service.fhir.units import UCUM, convert_value
from cds_service.hooks.patient_view import cards_of_chart
from cds_service.knowledge.model import FactDefinition
from tests.conftest import FIXTURES, as_of, chart_file

KNOWN = knowledge.load()
Resource = dict[str, Any]
DAY = re.compile(r"\d{4}-\d\d-\d\d")


def cards(resources: list[Resource], fixture: str) -> str:
    """Return the cards of the patient of a fixture, as JSON. The resources may belong to other patients too."""
    chart = read_chart(
        [ChartEntry(json.dumps(resource).encode()) for resource in resources], patient_of(fixture), EVERYTHING_ARRIVED
    )
    return msgspec.json.encode(cards_of_chart(chart, KNOWN, as_of(fixture), "test")).decode()


@cache
def patient_of(fixture: str) -> str:
    patient = chart_file(fixture).chart().patient_id
    assert patient
    return patient


@cache
def wanted(fixture: str) -> str:
    return cards(resources_of(fixture), fixture)


def resources_of(fixture: str) -> list[Resource]:
    return copy.deepcopy([resource for resource, _ in chart_file(fixture).resources])


def shuffled(seed: int) -> Callable[[str], list[Resource]]:
    def change(fixture: str) -> list[Resource]:
        patient, *rest = sorted(resources_of(fixture), key=lambda resource: resource["resourceType"] != "Patient")
        random.Random(seed).shuffle(rest)
        return [*rest, patient]

    return change


def sent_twice(fixture: str) -> list[Resource]:
    return [*resources_of(fixture), *resources_of(fixture)]


def sent_twice_in_other_words(fixture: str) -> list[Resource]:
    return [*resources_of(fixture), *(dict(reversed(resource.items())) for resource in resources_of(fixture))]


def worse(resource: Resource) -> Resource:
    """Give the resource another value, so that it would change the cards if it counted."""
    if quantity := resource.get("valueQuantity"):
        quantity["value"] = round(quantity["value"] * 3, 3)
    if "valueBoolean" in resource:
        resource["valueBoolean"] = not resource["valueBoolean"]
    if "valueInteger" in resource:
        resource["valueInteger"] += 1
    return resource


def in_error(same_id: bool) -> Callable[[str], list[Resource]]:
    def change(fixture: str) -> list[Resource]:
        twins = [worse(resource) for resource in resources_of(fixture) if resource["resourceType"] != "Patient"]
        for twin in twins:
            twin["id"] += "" if same_id else "-error"
            if twin["resourceType"] == "Condition":
                twin["verificationStatus"] = {"coding": [{"code": "entered-in-error"}]}
            else:
                twin["status"] = "entered-in-error"
        return [*resources_of(fixture), *twins]

    return change


def of_other_patients(fixture: str) -> list[Resource]:
    strangers = [resource for name in FIXTURES if name != fixture for resource in resources_of(name)]
    twins = [worse(resource) for resource in resources_of(fixture) if "subject" in resource]
    for twin in twins:
        twin |= {"id": f"{twin['id']}-other", "subject": {"reference": "Patient/somebody-else"}}
    return [*resources_of(fixture), *strangers, *twins]


def facts_of(resource: Resource) -> Iterator[FactDefinition]:
    for coding in resource.get("code", {}).get("coding", []):
        meant = KNOWN.terminology.coding(coding.get("system"), coding.get("code"), None)
        about = {meaning.concept for meaning in KNOWN.terminology.meanings(meant)}
        for definition in KNOWN.facts.values():
            own = meant.system == KNOWN.assessment_system and meant.code in definition.assessment
            if own or (definition.source == "Observation" and about & set(definition.concepts)):
                yield definition


def in_other_units(place: int) -> Callable[[str], list[Resource]]:
    """Convert every number to another unit of its fact, or to another spelling of its unit."""

    def change(fixture: str) -> list[Resource]:
        resources = resources_of(fixture)
        changed = 0
        for resource in resources:
            quantity = resource.get("valueQuantity")
            for definition in list(facts_of(resource))[:1]:
                if quantity is None or not definition.units:
                    continue
                spellings = [s for s, unit in KNOWN.units.aliases.items() if unit in definition.units]
                spelt = [*definition.units, *spellings]
                before = definition.units[KNOWN.units.aliases.get(quantity["code"], quantity["code"])]
                unit = spelt[(place + changed) % len(spelt)]
                factor = definition.units[KNOWN.units.aliases.get(unit, unit)]
                number = convert_value(Decimal(str(quantity["value"])), before) * factor
                resource["valueQuantity"] = {"value": float(number), "unit": unit, "system": UCUM, "code": unit}
                changed += 1
        assert changed > 3 or fixture == "colorectal-liver-metastases"
        return resources

    return change


def with_dates(write: Callable[[str], str]) -> Callable[[str], list[Resource]]:
    """Rewrite every day of the resources, except birth dates, with `write`."""

    def rewritten(content: Any, key: str = "") -> Any:
        if isinstance(content, dict):
            return {name: part if name == "birthDate" else rewritten(part, name) for name, part in content.items()}
        if isinstance(content, list):
            return [rewritten(part, key) for part in content]
        return write(content) if isinstance(content, str) and DAY.fullmatch(content) else content

    def change(fixture: str) -> list[Resource]:
        return [rewritten(resource) for resource in resources_of(fixture)]

    return change


def with_periods(fixture: str) -> list[Resource]:
    resources = resources_of(fixture)
    for resource in resources:
        for name in ("effective", "performed"):
            if day := resource.pop(f"{name}DateTime", None):
                resource[f"{name}Period"] = {"start": day, "end": day}
    return resources


OTHER_PROCEDURES = [{"code": "73761001", "display": "Colonoscopy"}, {"code": "80146002", "display": "Appendectomy"}]


def beside_an_irrelevant_chart(fixture: str) -> list[Resource]:
    """Add a thousand resources of the same patient that are unrelated to the disease, its organs and its treatment."""
    resources = resources_of(fixture)
    patient = patient_of(fixture)
    rnd, more = random.Random(11), []
    kinds: list[Callable[[], Resource]] = [
        lambda: {"resourceType": "Observation", "status": "final", "effectiveDateTime": "2026-05-02",
                 "code": {"coding": [{"system": "http://loinc.org", "code": rnd.choice(["8480-6", "29463-7", "4548-4"])}]},
                 "valueQuantity": {"value": rnd.randint(4, 180), "unit": rnd.choice(["mm[Hg]", "kg", "mg/dL", "%"])}},
        lambda: {"resourceType": "Condition", "recordedDate": "2019-03-01",
                 "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm",
                                      "code": rnd.choice(["E11.9", "I10", "J45.909", "M54.5"])}]}},
        lambda: {"resourceType": "Procedure", "status": "completed", "performedDateTime": "2020-01-05",
                 "code": {"coding": [{"system": "http://snomed.info/sct", **rnd.choice(OTHER_PROCEDURES)}]}},
        lambda: {"resourceType": "MedicationRequest", "status": "active", "intent": "order", "authoredOn": "2026-01-05",
                 "medicationCodeableConcept": {"coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm",
                                                           "code": "860975", "display": "metformin 500 MG"}]}},
        lambda: {"resourceType": "Immunization", "status": "completed", "occurrenceDateTime": "2021-03-03"},
        lambda: {"resourceType": "Encounter", "status": "finished"},
    ]  # fmt: skip
    for number in range(1000):
        more.append(
            kinds[number % len(kinds)]() | {"id": f"irrelevant-{number}", "subject": {"reference": f"Patient/{patient}"}}
        )
    return [*resources, *more]


SAME: dict[str, Callable[[str], list[Resource]]] = {
    "shuffled": shuffled(1),
    "shuffled again": shuffled(2),
    "every resource twice": sent_twice,
    "every resource twice, keys in another order": sent_twice_in_other_words,
    "beside entered-in-error twins with other values": in_error(same_id=False),
    "beside entered-in-error versions with other values": in_error(same_id=True),
    "beside the resources of other patients": of_other_patients,
    "dates as instants at noon": with_dates(lambda day: f"{day}T12:00:00Z"),
    "dates as instants in another zone": with_dates(lambda day: f"{day}T09:30:00.000+09:00"),
    "dates as periods": with_periods,
    "beside a thousand irrelevant resources": beside_an_irrelevant_chart,
}


@pytest.mark.parametrize("fixture", FIXTURES)
@pytest.mark.parametrize("change", SAME)
def test_the_same_chart_sent_another_way_gives_the_same_cards(fixture: str, change: str) -> None:
    resources = SAME[change](fixture)
    assert json.dumps(resources) != json.dumps(resources_of(fixture)), "nothing was changed"
    assert cards(resources, fixture) == wanted(fixture)


@pytest.mark.parametrize("fixture", FIXTURES)
@pytest.mark.parametrize("place", range(4))
def test_the_same_values_in_other_units_give_the_same_cards(fixture: str, place: int) -> None:
    """Except for the recorded value in the provenance, and the uuid, which depends on it."""

    def bare(text: str) -> str:
        return re.sub(r'"(recorded|uuid)":"[^"]*"', "", text)

    resources = in_other_units(place)(fixture)
    assert bare(cards(resources, fixture)) == bare(wanted(fixture))


@pytest.mark.parametrize("fixture", FIXTURES)
def test_a_time_without_its_zone_is_reported_as_invalid_and_changes_no_verdict(fixture: str) -> None:
    """FHIR R4 forbids it, but some servers send it. The day counts, and the cards report the resource as invalid."""

    def judged(text: str) -> list[Any]:
        found = [extension for card in json.loads(text) for extension in card["extension"].values()]
        return [{**part, "provenance": None} for part in found if part["kind"] != "data-quality"]

    resources = with_dates(lambda day: f"{day}T08:15:00")(fixture)
    found = cards(resources, fixture)
    assert judged(found)[:1] == judged(wanted(fixture))[:1]
    if fixture not in {"almost-nothing-known", "colorectal-liver-metastases", "possible-nlm-two-primaries"}:
        assert "not-valid-r4" in found
