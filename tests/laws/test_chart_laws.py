"""Laws over FHIR charts (docs/knowledge.md, "Laws"): what must not change a card, and what must not make a verdict stronger.

Each chart mixes the resources of a fixture with some of other fixtures, all for one patient and shifted to one day.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from copy import deepcopy
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from cds_service import knowledge
from cds_service.clinical_picture import ClinicalPicture, Nlm
from cds_service.fhir import units
from cds_service.fhir.chart import EVERYTHING_ARRIVED, Availability
from cds_service.fhir.chart_builder import ChartEntry, read_chart
from cds_service.fhir.chart_files import shift_dates
from cds_service.fhir.resources import READ_TYPES
from cds_service.hooks import patient_view
from cds_service.knowledge.modality import RANK, Verdict
from cds_service.knowledge.model import FactDefinition
from cds_service.reasoning.assessment import assess_modalities
from cds_service.reasoning.current_facts import determine_facts
from tests.conftest import FIXTURES, INSTANCE, as_of, chart_file
from tests.laws.test_laws import OWN
from tests.support.strategies import Law

Resource = dict[str, Any]
TODAY = date(2026, 11, 1)
KNOWN = knowledge.load()
PATIENT = {"resourceType": "Patient", "id": "p", "birthDate": "1970-06-01", "gender": "female"}
SLOW = {"almost-nothing-known"}  # left out because the search for deciding facts takes long; tests/deciding covers it


def _moved(fixture: str) -> list[Resource]:
    """Return the resources of a fixture, moved to patient p and from the day of the fixture to TODAY."""
    found = []
    for resource, _ in shift_dates([list(pair) for pair in chart_file(fixture).resources], TODAY - as_of(fixture)):
        if resource["resourceType"] == "Patient":
            continue
        text = json.dumps(resource)
        for other, _ in chart_file(fixture).resources:
            kind, name = other["resourceType"], other["id"]
            new = "p" if kind == "Patient" else f"{fixture}-{name}"
            text = text.replace(f'"{kind}/{name}"', f'"{kind}/{new}"')
        found.append(json.loads(text) | {"id": f"{fixture}-{resource['id']}"})
    return found


CHARTS = [_moved(fixture) for fixture in FIXTURES if fixture not in SLOW]
POOL = {resource["id"]: resource for chart in CHARTS for resource in chart}


def _mixed(chart: int, more: list[str], less: list[int]) -> list[str]:
    kept = [resource["id"] for place, resource in enumerate(CHARTS[chart]) if place not in less]
    return list(dict.fromkeys([*kept, *more]))


some_resources = st.lists(st.sampled_from(sorted(POOL)), min_size=1, max_size=6)
mixed_charts = st.builds(
    _mixed,
    st.integers(0, len(CHARTS) - 1),
    st.lists(st.sampled_from(sorted(POOL)), max_size=8),
    st.lists(st.integers(0, 40), max_size=3),
)
"""Ids of resources in POOL, short enough to be printed when a law fails."""


def whole(ids: list[str]) -> list[Resource]:
    return [POOL[name] for name in ids]


def read(resources: list[Resource], asked: frozenset[str] = frozenset(READ_TYPES)) -> ClinicalPicture:
    chart = read_chart(
        [ChartEntry(json.dumps(resource).encode()) for resource in (PATIENT, *resources)], "p", Availability(asked)
    )
    return patient_view.reader_for(KNOWN).read(chart, TODAY)


def cards(resources: list[Resource]) -> Any:
    chart = read_chart(
        [ChartEntry(json.dumps(resource).encode()) for resource in (PATIENT, *resources)], "p", EVERYTHING_ARRIVED
    )
    return json.loads(msgspec.json.encode(patient_view.cards_of_chart(chart, KNOWN, TODAY, INSTANCE)))


def verdicts(picture: ClinicalPicture) -> dict[str, Verdict]:
    facts = determine_facts(picture, KNOWN, TODAY)
    return {name: assessment.verdict for name, assessment in assess_modalities(facts).items()}


@Law(25)
@given(mixed_charts, st.integers(0, 99))
def test_order_and_duplicates_of_resources_change_no_card(ids: list[str], seed: int) -> None:
    rnd, chart = random.Random(seed), whole(ids)
    again = [*chart, *(resource for resource in chart if rnd.random() < 0.3)]
    rnd.shuffle(again)
    assert cards(again) == cards(chart)


def in_error(twin: Resource) -> None:
    if twin["resourceType"] == "Condition":
        twin["verificationStatus"] = {"coding": [{"code": "entered-in-error"}]}
    else:
        twin["status"] = "entered-in-error"


def of_another(twin: Resource) -> None:
    twin["subject"] = {"reference": "Patient/somebody-else"}


def worse(twin: Resource) -> None:
    """Give the twin today's date and another value, so that it would change the result if it counted."""
    for key in ("effectiveDateTime", "recordedDate", "performedDateTime", "authoredOn"):
        if key in twin:
            twin[key] = TODAY.isoformat()
    if "valueQuantity" in twin:
        twin["valueQuantity"]["value"] = 3
    if "valueBoolean" in twin:
        twin["valueBoolean"] = not twin["valueBoolean"]


@Law(30)
@given(mixed_charts, some_resources, st.sampled_from([in_error, of_another]))
def test_what_is_entered_in_error_or_of_another_patient_changes_no_card(
    ids: list[str], twins: list[str], spoil: Callable[[Resource], None]
) -> None:
    chart, spoilt = whole(ids), []
    for place, resource in enumerate(whole(twins)):
        twin = deepcopy(resource) | {"id": f"twin-{place}"}
        worse(twin)
        spoil(twin)
        spoilt.append(twin)
    assert machine(cards([*spoilt, *chart])) == machine(cards(chart))


def machine(found: Any) -> Any:
    """Return the cards without detail, which says how many resources were left out."""
    return [(card["summary"], card["indicator"], card["extension"]) for card in found]


DEFINITIONS: dict[str, list[FactDefinition]] = {}
for definition in KNOWN.facts.values():
    for code in (*definition.assessment, *KNOWN.terminology.codes(definition.concepts, "loinc")):
        DEFINITIONS.setdefault(code, []).append(definition)


def in_other_unit(resource: Resource, unit_place: int) -> Resource:
    """Return the same value in another accepted unit of the fact, or unchanged if there is none."""
    quantity = resource.get("valueQuantity")
    codes = {coding.get("code") for coding in resource.get("code", {}).get("coding", ())}
    found = [d for code in codes for d in DEFINITIONS.get(code, ())]
    if not quantity or not found or len(found[0].units) < 2:
        return resource
    accepted = found[0].units
    unit = sorted(accepted)[unit_place % len(accepted)]
    factor = units.Scale.for_fact(KNOWN.units, found[0]).factor(quantity.get("code") or quantity.get("unit") or "")
    if factor is None:
        return resource  # its own unit is rejected
    ours = units.convert_value(Decimal(str(quantity["value"])), factor)
    changed = deepcopy(resource)
    changed["valueQuantity"] |= {"value": float(ours * accepted[unit]), "unit": unit, "system": units.UCUM, "code": unit}
    return changed


@Law(25)
@given(mixed_charts, st.integers(0, 7))
def test_the_same_values_in_other_units_change_no_verdict(ids: list[str], unit_place: int) -> None:
    chart = whole(ids)
    other = [in_other_unit(resource, unit_place) for resource in chart]
    extensions = [[without_values(extension(card)) for card in cards(found)] for found in (other, chart)]
    assert extensions[0] == extensions[1]


def without_values(content: Any) -> Any:
    """Return the extension without values, which are repeated as sent. Facts and references are kept."""
    match content:
        case dict():
            return {key: without_values(part) for key, part in content.items() if key not in {"value", "recorded"}}
        case list():
            return [without_values(part) for part in content]
    return content


def extension(card: Any) -> Any:
    return card["extension"]


def test_a_unit_is_really_another_one() -> None:
    changed = [resource for place in range(8) for resource in POOL.values() if in_other_unit(resource, place) != resource]
    assert len({code["code"] for resource in changed for code in resource["code"]["coding"]}) > 8


def assessment(code: str, **value: Any) -> Resource:
    coding = {"system": KNOWN.assessment_system, "code": code}
    return {"resourceType": "Observation", "id": f"adverse-{code}", "status": "final", "subject": {"reference": "Patient/p"},
            "effectiveDateTime": TODAY.isoformat(), "code": {"coding": [coding]}, **value}  # fmt: skip


def answered(code: str) -> Resource:
    return {"valueCodeableConcept": {"coding": [{"system": KNOWN.assessment_system, "code": code}]}}


PERCENT = {"value": 60, "unit": "%", "system": units.UCUM, "code": "%"}
ADVERSE = {
    "hepatic_failure": assessment("hepatic-failure", valueBoolean=True),
    "renal_failure": assessment("renal-failure", valueBoolean=True),
    "coagulopathy_uncorrectable": assessment("coagulopathy-uncorrectable", valueBoolean=True),
    "portal_vein": assessment("portal-vein", **answered("occluded")),
    "extrahepatic_disease": assessment("extrahepatic-disease", **answered("unresectable")),
    "disease_extent": assessment("disease-extent", **answered("widespread")),
    "resectability": assessment("resectability", **answered("unresectable")),
    "frilling_type": assessment("frilling-type", **answered("III")),
    "liver_involvement": assessment("liver-involvement", valueQuantity=PERCENT),
    "dialysis": {
        "resourceType": "Procedure", "id": "adverse-dialysis", "status": "completed", "subject": {"reference": "Patient/p"},
        "performedDateTime": TODAY.isoformat(),
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "302497006"}]},
    },
}  # fmt: skip


@Law(60)
@given(mixed_charts, st.sampled_from(sorted(set(ADVERSE) - {"dialysis"})))
def test_an_adverse_result_that_nobody_can_read_is_still_a_question(ids: list[str], name: str) -> None:
    """An unreadable result is unknown, and unknown must never be better than the result."""
    spoilt = {key: value for key, value in ADVERSE[name].items() if not key.startswith("value")}
    spoilt["dataAbsentReason"] = {"coding": [{"code": "error"}]}
    before, after = read([*whole(ids), ADVERSE[name]]), read([*whole(ids), spoilt])
    assert before.readings_of(name).valid
    no_bolder(before, after, name)


@Law(60)
@given(mixed_charts, st.sampled_from(["dialysis"] * 6 + sorted(ADVERSE)))
def test_a_type_of_resource_that_nobody_asked_for_is_still_a_question(ids: list[str], name: str) -> None:
    kind = ADVERSE[name]["resourceType"]
    before = read([*whole(ids), ADVERSE[name]])
    after = read([resource for resource in whole(ids) if resource["resourceType"] != kind], frozenset(READ_TYPES) - {kind})
    assert before.readings_of(name).valid
    no_bolder(before, after, name)


def no_bolder(before: ClinicalPicture, after: ClinicalPicture, name: str) -> None:
    """Assert that no verdict is stronger, in the modalities that are judged by the fact itself."""
    if before.gate.answer is not Nlm.YES or after.gate.answer is not Nlm.YES:
        return
    old, new = verdicts(before), verdicts(after)
    for modality, verdict in new.items():
        if name in OWN[modality]:
            assert RANK[verdict] <= max(RANK[old[modality]], RANK[Verdict.UNDETERMINED]), modality
