"""Laws over charts, as FHIR (CLINICAL section 5): what must not change a card, and what must not make one bolder.

A chart is that of a fixture with resources of the other fixtures mixed in, all of one patient and shifted to one day.
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
from hypothesis import given, settings
from hypothesis import strategies as st

from cds_service import knowledge
from cds_service.assessment import assess
from cds_service.derived import CALCULATIONS
from cds_service.fhir import units
from cds_service.fhir.chart import Entry, read_chart
from cds_service.fhir.resources import READ
from cds_service.files import shifted
from cds_service.hooks import patient_view
from cds_service.knowledge.model import RANK, FactDefinition, Verdict
from cds_service.picture import ClinicalPicture, Nlm
from cds_service.settling import settle
from tests.conftest import FIXTURES, INSTANCE, as_of, chart_file
from tests.drawn import law

Resource = dict[str, Any]
TODAY = date(2026, 11, 1)
KNOWN = knowledge.load()
PATIENT = {"resourceType": "Patient", "id": "p", "birthDate": "1970-06-01", "gender": "female"}
SLOW = {"almost-nothing-known"}  # the search for missing facts; its law is another


def _moved(fixture: str) -> list[Resource]:
    """The resources of a fixture, as if they were of patient p and the day of the fixture were TODAY."""
    found = []
    for resource, _ in shifted([list(pair) for pair in chart_file(fixture).resources], TODAY - as_of(fixture)):
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
POOL = [resource for chart in CHARTS for resource in chart]
BY_ID = {resource["id"]: resource for resource in POOL}


def _mixed(chart: list[Resource], more: list[Resource], less: list[int]) -> list[Resource]:
    kept = [resource for place, resource in enumerate(chart) if place not in less]
    return list({resource["id"]: resource for resource in (*kept, *more)}.values())


mixed_charts = st.builds(
    _mixed,
    st.sampled_from(CHARTS),
    st.lists(st.sampled_from(POOL), max_size=8),
    st.lists(st.integers(0, 40), max_size=3),
)


def read(resources: list[Resource], asked: frozenset[str] = frozenset(READ)) -> ClinicalPicture:
    chart = read_chart([Entry(json.dumps(resource).encode()) for resource in (PATIENT, *resources)], "p")
    chart.complete = asked
    return patient_view.reader().read(chart, TODAY)


def cards(resources: list[Resource]) -> Any:
    chart = read_chart([Entry(json.dumps(resource).encode()) for resource in (PATIENT, *resources)], "p")
    chart.complete = frozenset(READ)
    return json.loads(msgspec.json.encode(patient_view.cards_of_chart(chart, TODAY, INSTANCE)))


def verdicts(picture: ClinicalPicture) -> dict[str, Verdict]:
    facts = settle(picture, KNOWN, TODAY, CALCULATIONS)
    return {name: modality.verdict for name, modality in assess(facts).items()}


@settings(law, max_examples=40)
@given(mixed_charts, st.integers(0, 99))
def test_order_and_duplicates_of_resources_change_no_card(chart: list[Resource], seed: int) -> None:
    rnd = random.Random(seed)
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
    """Today, and another value than the original's, so that it would matter if it counted."""
    for key in ("effectiveDateTime", "recordedDate", "performedDateTime", "authoredOn"):
        if key in twin:
            twin[key] = TODAY.isoformat()
    if "valueQuantity" in twin:
        twin["valueQuantity"]["value"] = 3
    if "valueBoolean" in twin:
        twin["valueBoolean"] = not twin["valueBoolean"]


@settings(law, max_examples=60)
@given(mixed_charts, st.lists(st.sampled_from(POOL), min_size=1, max_size=6), st.sampled_from([in_error, of_another]))
def test_what_is_entered_in_error_or_of_another_patient_changes_no_card(
    chart: list[Resource], twins: list[Resource], spoil: Callable[[Resource], None]
) -> None:
    spoilt = []
    for place, resource in enumerate(twins):
        twin = deepcopy(resource) | {"id": f"twin-{place}"}
        worse(twin)
        spoil(twin)
        spoilt.append(twin)
    assert machine(cards([*spoilt, *chart])) == machine(cards(chart))


def machine(found: Any) -> Any:
    """Cards without the sentences: how many resources were left out is told there."""
    return [(card["summary"], card["indicator"], card["extension"]) for card in found]


DEFINITIONS: dict[str, list[FactDefinition]] = {}
for definition in KNOWN.facts.values():
    for code in (*definition.assessment, *KNOWN.terminology.codes(definition.concepts, "loinc")):
        DEFINITIONS.setdefault(code, []).append(definition)


def in_other_unit(resource: Resource, unit_place: int) -> Resource:
    """The same value in another unit that the fact accepts; as it is where it has none."""
    quantity = resource.get("valueQuantity")
    codes = {coding.get("code") for coding in resource.get("code", {}).get("coding", ())}
    found = [d for code in codes for d in DEFINITIONS.get(code, ())]
    if not quantity or not found or len(found[0].units) < 2:
        return resource
    accepted = found[0].units
    unit = sorted(accepted)[unit_place % len(accepted)]
    ours = units.convert(Decimal(str(quantity["value"])), quantity.get("code") or quantity.get("unit"), accepted)
    changed = deepcopy(resource)
    changed["valueQuantity"] |= {"value": float(ours * accepted[unit]), "unit": unit, "system": units.UCUM, "code": unit}
    return changed


@settings(law, max_examples=40)
@given(mixed_charts, st.integers(0, 7))
def test_the_same_values_in_other_units_change_no_verdict(chart: list[Resource], unit_place: int) -> None:
    other = [in_other_unit(resource, unit_place) for resource in chart]
    told = [[extension(card) for card in cards(found)] for found in (other, chart)]
    assert told[0] == told[1]


def extension(card: Any) -> Any:
    return card["extension"]


def test_a_unit_is_really_another_one() -> None:
    changed = [resource for place in range(8) for resource in POOL if in_other_unit(resource, place) != resource]
    assert len({code["code"] for resource in changed for code in resource["code"]["coding"]}) > 8


@settings(law, max_examples=120)
@given(mixed_charts, st.data())
def test_a_result_that_nobody_can_read_strengthens_no_verdict(chart: list[Resource], data: st.DataObject) -> None:
    """What is unreadable is unknown, and unknown is never better than what stood there."""
    places = [place for place, resource in enumerate(chart) if resource["resourceType"] == "Observation"]
    before = read(chart)
    if not places or before.gate.answer is not Nlm.YES:
        return
    place = data.draw(st.sampled_from(places))
    spoilt = {key: value for key, value in chart[place].items() if not key.startswith("value")}
    spoilt["dataAbsentReason"] = {"coding": [{"code": "error"}]}
    after = read([*chart[:place], spoilt, *chart[place + 1 :]])
    if after.gate.answer is Nlm.YES:
        no_bolder(before, after)


@settings(law, max_examples=80)
@given(mixed_charts, st.sampled_from(["Observation", "Procedure", "MedicationRequest"]))
def test_a_type_of_resource_that_nobody_asked_for_strengthens_no_verdict(chart: list[Resource], kind: str) -> None:
    rest = [resource for resource in chart if resource["resourceType"] != kind]
    before, after = read(chart), read(rest, frozenset(READ) - {kind})
    if before.gate.answer is after.gate.answer is Nlm.YES:
        no_bolder(before, after)


def no_bolder(before: ClinicalPicture, after: ClinicalPicture) -> None:
    """But through curative resection, and by ECOG, the heart and a graft (CLINICAL section 5, by name)."""
    for name in ("ecog", "carcinoid_heart_disease", "liver_transplant", "liver_transplant_coded"):
        if before.of(name).valid != after.of(name).valid:
            return
    was, now = (settle(picture, KNOWN, TODAY, CALCULATIONS) for picture in (before, after))
    if any(was[name].value != now[name].value for name in ("g3", "nec", "curative_resection")):
        return
    old, new = verdicts(before), verdicts(after)
    for modality, verdict in new.items():
        assert RANK[verdict] <= max(RANK[old[modality]], RANK[Verdict.UNDETERMINED]), modality
