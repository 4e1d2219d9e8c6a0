"""Values as they are sent in practice: intervals, ranges, texts, coded answers, panels, absent values, versions, time zones."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest

from cds_service import knowledge
from cds_service.cards import wording
from cds_service.cards.compose import compose_cards
from cds_service.clinical_picture import Nlm
from cds_service.reasoning.assessment import assess_modalities
from cds_service.reasoning.evaluation import Evaluation
from cds_service.reasoning.staging import determine_stage
from cds_service.reasons import Reason
from tests.charts.test_reading import (
    CM,
    LIVER,
    LOINC,
    MINE,
    NEN,
    OWN,
    SNOMED,
    coded,
    condition,
    fact,
    facts,
    observation,
    picture,
    quantity,
)
from tests.support.pictures import outline

BILIRUBIN, INR, KI67, ECOG = (("1975-2", LOINC), ("6301-6", LOINC), ("29593-1", LOINC), ("89247-1", LOINC))


def answered(code: str, system: str = SNOMED, **more: Any) -> dict[str, Any]:
    return {"valueCodeableConcept": {"coding": [{"system": system, "code": code}], **more}}


@pytest.mark.parametrize(
    ("name", "code", "value", "said"),
    [
        ("total_bilirubin", BILIRUBIN, {"valueQuantity": {"value": 0.2, "comparator": "<", "unit": "mg/dL"}}, "< 0.2"),
        ("total_bilirubin", BILIRUBIN, {"valueQuantity": {"value": 34.2, "comparator": ">=", "unit": "umol/L"}}, "≥ 2"),
        ("total_bilirubin", BILIRUBIN, {"valueString": "1.2 mg/dL"}, "1.2"),
        ("total_bilirubin", BILIRUBIN, {"valueString": "<= 34.2 µmol/L"}, "≤ 2"),
        ("total_bilirubin", BILIRUBIN, {"valueString": "≥2mg/dL"}, "≥ 2"),
        ("inr", INR, {"valueString": " 1.1 "}, "1.1"),
        ("inr", INR, {"valueInteger": 2}, "2"),
        ("inr", INR, {"valueString": "<1.0"}, "< 1"),
        ("ki67_index", KI67, {"valueString": "< 5 %"}, "< 5"),
        ("ecog", ECOG, {"valueInteger": 0}, "0"),
        ("ecog", ECOG, {"valueQuantity": {"value": 1.0, "code": "{score}"}}, "1"),
        ("ecog", ECOG, answered("423053003"), "3"),
        ("ecog", ECOG, answered("LA9623-5", LOINC), "1"),
        ("ki67_index", KI67, {"valueRatio": {"numerator": {"value": 150}, "denominator": {"value": 1000}}}, "15"),
    ],
    ids=str,
)
def test_a_number_is_read_as_it_is_written(name: str, code: tuple[str, str], value: dict[str, Any], said: str) -> None:
    found = fact(name, observation(*code, **value))
    assert found.known, found.why
    assert str(found.value) == said


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        ({"valueRange": {"low": {"value": 5, "unit": "%"}, "high": {"value": 10, "unit": "%"}}}, 5, 10),
        ({"valueString": "15-20 %"}, 15, 20),
        ({"valueString": "15 to 20%"}, 15, 20),
        ({"valueRange": {"low": {"value": 20, "unit": "%"}}}, 20, None),
    ],
    ids=str,
)
def test_a_range_is_an_interval(value: dict[str, Any], low: Any, high: Any) -> None:
    amount = fact("ki67_index", observation(*KI67, **value)).amount
    assert amount is not None
    assert [amount.low, amount.high] == [low, high]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"valueString": "1,2 mg/dL"}, Reason.NOT_A_NUMBER),
        ({"valueString": "1,200"}, Reason.NOT_A_NUMBER),
        ({"valueString": "1.2 mg/dL (high)"}, Reason.UNIT_NOT_ACCEPTED),
        ({"valueString": "about 1.2 mg/dL"}, Reason.NOT_A_NUMBER),
        ({"valueString": "1.2"}, Reason.NO_UNIT),
        ({"valueInteger": 1}, Reason.NO_UNIT),
        ({"valueBoolean": True}, Reason.NOT_A_NUMBER),
        (answered("373066001"), Reason.NOT_A_NUMBER),
        ({"valueQuantity": {"unit": "mg/dL"}}, Reason.UNIT_WITHOUT_NUMBER),
        ({"valueQuantity": {"value": 1.2, "comparator": "ad", "unit": "mg/dL"}}, Reason.COMPARATOR_NOT_OF_FHIR),
        ({"valueQuantity": {"value": 0, "comparator": "<", "unit": "mg/dL"}}, Reason.NUMBER_NOT_POSSIBLE),
        ({"valueString": "< 1-2 mg/dL"}, Reason.COMPARATOR_BESIDE_RANGE),
        ({"valueString": "3-2 mg/dL"}, Reason.RANGE_UPSIDE_DOWN),
        ({"valueRange": {}}, Reason.RANGE_WITHOUT_ENDS),
        (
            {"valueRatio": {"numerator": {"value": 5, "unit": "mg"}, "denominator": {"value": 1, "unit": "d"}}},
            Reason.RATIO_OF_TWO_UNITS,
        ),
        (quantity(1.2, "mg/dL") | {"valueString": "1.2"}, Reason.SEVERAL_VALUES),
        (quantity(1.2, "mg/dL") | {"dataAbsentReason": {"text": "haemolysed"}}, Reason.VALUE_BESIDE_ABSENCE),
        ({"dataAbsentReason": {"coding": [{"code": "not-performed"}]}}, Reason.VALUE_ABSENT_BECAUSE),
        ({"dataAbsentReason": {"coding": [{"code": "M. Smith"}]}}, Reason.VALUE_ABSENT),
        ({}, Reason.NO_VALUE),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_unknown_and_says_why(value: dict[str, Any], why: Reason) -> None:
    found = fact("total_bilirubin", observation(*BILIRUBIN, **value))
    assert (found.unknown, found.reason) == (True, Reason.UNREADABLE)
    assert [bad.why.reason for bad in found.unread] == [why]
    assert "Smith" not in wording.safe_explanation(found.why)


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ({"valueBoolean": True}, True),
        (answered("373066001"), True),
        (answered("LA32-8", LOINC), False),
        ({"valueString": "No"}, False),
        (answered("261665006"), None),  # unknown
        ({"valueInteger": 1}, None),
        ({"valueString": "probably"}, None),
        ({"valueCodeableConcept": {"text": "yes"}}, True),
    ],
    ids=str,
)
def test_a_question_of_yes_or_no_takes_either_and_nothing_else(value: dict[str, Any], answer: bool | None) -> None:
    found = fact("hilar_lesion", observation("hilar-lesion", **value))
    assert (found.value if found.known else None) is answer
    assert found.known or found.reason is Reason.UNREADABLE


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (coded("G2"), "G2"),
        ({"valueString": "g2"}, "G2"),
        (answered("1286893008"), "G2"),
        ({"valueString": "G2-3"}, None),
        ({"valueCodeableConcept": {"text": "G2"}}, None),  # free text
        ({"valueCodeableConcept": {"coding": [{"system": SNOMED, "code": c} for c in ("1155708003", "1155707008")]}}, None),
        ({"valueCodeableConcept": {"coding": [{"system": OWN, "code": "G3"}, {"system": SNOMED, "code": "1155707008"}]}}, "G3"),
    ],
    ids=str,
)
def test_a_coded_answer_is_one_answer(value: dict[str, Any], answer: str | None) -> None:
    found = fact("who_grade", observation("who-grade", **value))
    assert (found.value if found.known else None) == answer


def test_components_answer_for_a_panel_and_members_for_themselves() -> None:
    size = {"code": {"coding": [{"system": LOINC, "code": "33728-7"}]}, **quantity(31, "mm")}
    liver = {"bodySite": {"coding": [{"system": SNOMED, "code": "10200004"}]}}
    assert str(fact("largest_lesion", observation("21889-1", LOINC, component=[size]) | liver).value) == "3.1"
    inr = observation(*INR, **quantity(1.1, "1"))
    panel = observation("34714-6", LOINC) | {"id": "panel", "hasMember": [{"reference": "Observation/o-6301-6"}]}
    assert fact("inr", inr, panel).known
    absolute = "https://ehr.example/fhir/Observation/o-6301-6/_history/2"
    assert fact("inr", inr, panel | {"hasMember": [{"reference": absolute}]}).known
    found = fact("inr", inr, panel | {"hasMember": [{"reference": "Observation/elsewhere"}]})
    assert found.unknown
    assert [outline(bad.why) for bad in found.unread] == [(Reason.RESULTS_NOT_SENT, {"count": 1})]


def test_reference_ranges_and_interpretations_are_no_limits() -> None:
    bilirubin = observation(*BILIRUBIN, **quantity(1.9, "mg/dL"))
    more = {
        "referenceRange": [{"low": {"value": 0.1, "unit": "mg/dL"}, "high": {"value": 1.2, "unit": "mg/dL"}}],
        "interpretation": [{"coding": [{"code": "HH"}]}],
    }
    assert fact("total_bilirubin", bilirubin) == fact("total_bilirubin", bilirubin | more)


def test_instants_of_two_time_zones_compare_as_instants() -> None:
    """23:30 in New York is later than 01:00 of the next day in Berlin."""
    york = observation(*INR, on="2026-10-20T23:30:00-05:00", **quantity(2.4, "1")) | {"id": "york"}
    berlin = observation(*INR, on="2026-10-21T01:00:00+02:00", **quantity(1.1, "1")) | {"id": "berlin"}
    for chart in ([york, berlin], [berlin, york]):
        assert str(fact("inr", *chart).value) == "2.4"


@pytest.mark.parametrize(
    ("first", "second", "known"),
    [
        ("2026-10-20", "2026-10-20", False),
        ("2026-10-20T08:00:00Z", "2026-10-20T09:00:00Z", True),
        ("2026-10-20", "2026-10-20T09:00:00Z", False),
        ("2026-10", "2026-10-20", False),
        ("2026-10-19", "2026-10-20", True),
    ],
)
def test_two_values_conflict_unless_one_is_certainly_later(first: str, second: str, known: bool) -> None:
    one = observation(*INR, on=first, **quantity(1.1, "1")) | {"id": "one"}
    other = observation(*INR, on=second, **quantity(2.4, "1")) | {"id": "other"}
    found = fact("inr", one, other)
    assert found.known is known
    assert known or len(found.seen) == 2


def test_undated_sizes_do_not_hide_each_other() -> None:
    """The largest size of a day counts; undated sizes may be from different studies."""

    def size(name: str, value: float, **more: Any) -> dict[str, Any]:
        in_liver = {"coding": [{"system": SNOMED, "code": "10200004"}]}
        return observation("21889-1", LOINC, **quantity(value, "cm"), bodySite=in_liver, **more) | {"id": name}

    dated = size("dated", 2, on="2026-10-01")
    older, newer = size("older", 6, on=None, issued="2026-09-01"), size("newer", 4, on=None, issued="2026-10-20")
    found = fact("largest_lesion", NEN, LIVER, dated, older, newer)
    assert found.reason is Reason.UNDATED_BESIDE_DATED
    assert [reading.seen_in for reading in found.seen] == ["Observation/dated", "Observation/newer"]


def test_the_same_value_in_two_units_is_no_conflict() -> None:
    mass = observation("1975-2", LOINC, **quantity(3.0, "mg/dL"))
    moles = observation("14631-6", LOINC, **quantity(51.3, "umol/L"))
    assert fact("total_bilirubin", mass, moles).known


@pytest.mark.parametrize(
    ("first", "second", "value"),
    [
        ({"meta": {"lastUpdated": "2026-10-20T08:00:00Z"}}, {"meta": {"lastUpdated": "2026-10-21T08:00:00Z"}}, "2.4"),
        ({"meta": {"lastUpdated": "2026-10-22T08:00:00Z"}}, {"meta": {"lastUpdated": "2026-10-21T08:00:00Z"}}, "1.1"),
        ({"meta": {"lastUpdated": "2026-10-22T08:00:00Z"}}, {}, None),
        ({}, {}, None),
    ],
    ids=str,
)
def test_the_newer_of_two_versions_counts_or_neither_is_trusted(
    first: dict[str, Any], second: dict[str, Any], value: str | None
) -> None:
    one = observation(*INR, **quantity(1.1, "1")) | first
    other = observation(*INR, **quantity(2.4, "1")) | {"status": "corrected"} | second
    found = fact("inr", one, other)
    assert (str(found.value) if found.known else None) == value
    assert bool(picture(one, other).unreadable) is (value is None)


def test_a_resource_sent_twice_in_other_words_is_one() -> None:
    inr = observation(*INR, **quantity(1.1, "1"))
    assert fact("inr", inr, dict(reversed(inr.items()))).known
    assert fact("inr", inr, inr | {"valueQuantity": inr["valueQuantity"] | {"value": "1.10"}}).known
    assert not fact("inr", inr, inr | {"valueQuantity": inr["valueQuantity"] | {"value": "1.11"}}).known


def test_an_operation_or_an_echocardiogram_to_come_has_not_been() -> None:
    echo = {"resourceType": "Procedure", "id": "echo", "status": "completed", "subject": MINE,
            "code": {"coding": [{"system": SNOMED, "code": "40701008"}]}}  # fmt: skip
    assert facts(echo | {"performedDateTime": "2026-10-20"})["cardiac_assessment_current"].equals(True)
    assert not facts(echo | {"performedDateTime": "2027-10-20"})["cardiac_assessment_current"].equals(True)


def detail(*resources: dict[str, Any]) -> str:
    judged = facts(*resources)
    evaluation = Evaluation(picture(*resources), judged, determine_stage(judged), assess_modalities(judged))
    return "\n".join(card.detail for card in compose_cards(evaluation, ()))


def test_a_refused_unit_is_told_on_the_card_with_its_day_and_as_it_was_sent() -> None:
    chart = [NEN, LIVER, condition("K76.0", CM), observation("777-3", LOINC, **quantity(210, "G/L"))]
    told = "could not be read: unit not accepted (giga or gram per litre?), sent in G/L"
    assert f"platelets (20 Oct) {told}" in detail(*chart)
    assert "could not be read" not in detail(*chart[:3])


def test_a_refused_unit_of_a_value_that_decides_nothing_is_told_too() -> None:
    assert "chromogranin A (20 Oct) could not be read" in detail(
        NEN, LIVER, observation("25587-7", LOINC, **quantity(7, "nmol/L"))
    )


def test_a_refused_unit_is_shown_without_anything_that_could_be_markup() -> None:
    chart = [NEN, LIVER, observation("777-3", LOINC, valueQuantity={"value": 210, "unit": "<b>[x](http://y)"})]
    assert "<b>" not in detail(*chart)
    told = re.sub(r"\]\(https://[^()\s]+\)", "", detail(*chart))  # the links of the questions are the program's own
    assert "](" not in told
    assert "//y" not in detail(*chart)


@pytest.mark.parametrize(
    ("others", "said"),
    [
        (["3"], "3"),
        (["3", "8"], "8"),
        (["3", "< 2"], "3"),
        (["< 2"], "< 2"),
        (["> 20", "3"], "> 20"),
        (["15-20", "18"], "18 to 20"),
    ],
)
def test_the_highest_of_several_values_is_no_surer_than_they_are(others: list[str], said: str) -> None:
    readings = [observation(*KI67, valueString=f"{text} %") | {"id": f"k{n}"} for n, text in enumerate(others)]
    found = fact("ki67_index", *readings)
    assert found.known
    assert wording.format_value(knowledge.load().facts["ki67_index"], found.value) == f"{said} %"


def test_the_highest_value_may_be_one_that_is_known_by_its_upper_end_only() -> None:
    """2 % and "< 25 %": a G3 tumour is not ruled out."""
    readings = [observation(*KI67, valueString=text) | {"id": text} for text in ("2 %", "< 25 %")]
    found = fact("ki67_index", *readings).amount
    assert found is not None
    assert found.above(Decimal(20)) is None


@pytest.mark.parametrize(
    ("count", "liver"),
    [({"valueInteger": 3}, True), ({"valueInteger": 0}, False), ({"valueString": "≥ 3"}, True), ({"valueString": "< 1"}, False),
     ({"valueQuantity": {"value": 1, "comparator": "<", "code": "1"}}, False), ({"valueString": "not counted"}, False)],
    ids=str,
)  # fmt: skip
def test_a_count_of_liver_metastases_shows_the_disease_only_if_it_is_above_none(count: dict[str, Any], liver: bool) -> None:
    assert (picture(NEN, observation("lesion-count", **count)).gate.answer is Nlm.YES) is liver


def test_yes_and_no_are_no_answer_to_a_question_of_another_kind() -> None:
    assert fact("resectability", observation("resectability", **answered("373066001"))).unknown
    assert knowledge.load().terminology.fact(knowledge.load().terminology.coding(LOINC, "6301-6", None)) is None
