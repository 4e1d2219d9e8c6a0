"""ALT, AST and bilirubin against the upper limit sent with them: compared in the same unit, or not at all."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from cds_service import knowledge
from cds_service.clinical_picture import Interval, Readings
from cds_service.fhir.chart import EVERYTHING_ARRIVED
from cds_service.fhir.chart_builder import ChartEntry, read_chart
from cds_service.fhir.reader import ChartReader
from tests.support.coding_tables import TODAY

KNOWN = knowledge.load()
UCUM = "http://unitsofmeasure.org"
CODES = {"alt": "1742-6", "ast": "1920-8", "total_bilirubin": "1975-2"}
PATIENT = {"resourceType": "Patient", "id": "p"}


def quantity(value: str, unit: str = "U/L", **more: str) -> dict[str, Any]:
    return {"value": Decimal(value), "unit": unit, "system": UCUM, "code": unit, **more}


def observation(
    fact: str, value: dict[str, Any], limits: list[dict[str, Any]] | None, day: str = "2026-10-20"
) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "resourceType": "Observation", "id": f"{fact}-{day}", "status": "final", "subject": {"reference": "Patient/p"},
        "code": {"coding": [{"system": "http://loinc.org", "code": CODES[fact]}]}, "effectiveDateTime": day,
        "valueQuantity": value,
    }  # fmt: skip
    return resource | ({"referenceRange": limits} if limits is not None else {})


def read(fact: str, *resources: dict[str, Any]) -> tuple[Readings, Readings]:
    """Return the readings of the value, and of the value as a multiple of its limit."""
    entries = [ChartEntry(json.dumps(r, default=float).encode()) for r in (PATIENT, *resources)]
    picture = ChartReader(KNOWN).read(read_chart(entries, "p", EVERYTHING_ARRIVED), TODAY)
    return picture.readings_of(fact), picture.readings_of(f"{fact}_of_upper_limit")


def times(number: str) -> Interval:
    return Interval.from_number(number)


@pytest.mark.parametrize("fact", ["alt", "ast"])
def test_a_value_with_its_limit_is_told_as_times_the_limit(fact: str) -> None:
    value, against = read(fact, observation(fact, quantity("120"), [{"high": quantity("40")}]))
    assert [reading.value for reading in value.valid] == [times("120")]
    assert [reading.value for reading in against.valid] == [times("3")]
    assert against.valid[0].recorded == "120.0 U/L"


def test_a_range_that_says_that_it_is_the_normal_one_is_a_limit() -> None:
    limit = {"high": quantity("40"), "type": {"coding": [{"code": "normal"}], "text": "Normal Range"}}
    _, against = read("alt", observation("alt", quantity("120"), [limit]))
    assert [reading.value for reading in against.valid] == [times("3")]


def test_bilirubin_is_compared_in_the_unit_in_which_both_were_sent() -> None:
    _, against = read(
        "total_bilirubin", observation("total_bilirubin", quantity("63", "umol/L"), [{"high": quantity("21", "umol/L")}])
    )
    assert [reading.value for reading in against.valid] == [times("3")]


def test_a_comparator_says_no_more_than_it_knows() -> None:
    _, against = read("alt", observation("alt", quantity("200", comparator=">"), [{"high": quantity("40")}]))
    assert [reading.value for reading in against.valid] == [Interval(Decimal(5), None, low_included=False)]


@pytest.mark.parametrize(
    "limits",
    [
        None, [], [{"text": "up to 40"}], [{"low": quantity("5")}], [{"high": quantity("0")}], [{"high": {"value": 40}}],
        [{"high": quantity("0.67", "ukat/L")}], [{"high": quantity("40")}, {"high": quantity("30")}],
        [{"high": quantity("40"), "age": {"high": {"value": 12}}}], [{"high": quantity("40", comparator="<")}],
        [{"high": quantity("40"), "appliesTo": [{"text": "female"}]}],
        [{"high": quantity("1000"), "type": {"coding": [{"code": "critical"}]}}],
        [{"high": quantity("9"), "type": {"text": "goal"}}],
    ],
)  # fmt: skip
def test_without_one_limit_in_the_same_unit_a_value_is_shown_and_not_judged(limits: list[dict[str, Any]] | None) -> None:
    value, against = read("alt", observation("alt", quantity("400"), limits))
    assert [reading.value for reading in value.valid] == [times("400")]
    assert against == Readings(complete=against.complete)


def test_a_newer_value_without_a_limit_leaves_an_older_judgement_open() -> None:
    older = observation("alt", quantity("400"), [{"high": quantity("40")}], "2026-09-01")
    _, against = read("alt", older, observation("alt", quantity("30"), None))
    assert [reading.value for reading in against.valid] == [times("10")]
    assert [ask.seen_in for ask in against.open_question] == ["Observation/alt-2026-10-20"]


def test_a_value_that_cannot_be_read_is_not_judged() -> None:
    value, against = read("alt", observation("alt", quantity("4", "mg/dL"), [{"high": quantity("1", "mg/dL")}]))
    assert [len(value.valid), len(value.unreadable)] == [0, 1]
    assert against == Readings(complete=against.complete)


def test_the_limits_of_three_laboratory_values_are_read() -> None:
    assert {d.upper_limit_of for d in KNOWN.facts.values() if d.upper_limit_of} == set(CODES)


def test_a_component_that_cannot_be_read_is_not_put_against_its_limit_under_the_value_beside_it() -> None:
    whole = observation("alt", quantity("20"), [{"high": quantity("40")}])
    broken = {
        "code": whole["code"],
        "valueQuantity": {"value": 900, "unit": "spoons"},
        "referenceRange": [{"high": quantity("40")}],
    }
    value, against = read("alt", whole | {"component": [broken]})
    assert [reading.value for reading in value.valid] == [times("20")]
    assert [reading.value for reading in against.valid] == [times("0.5")]
    assert len(value.unreadable) == 1
