"""Regimens are read from the structured fields of a dosage only, and shown in a few words."""

from __future__ import annotations

from typing import Any

import pytest

from cds_service.cards.regimens import current_regimens, format_regimen
from cds_service.clinical_picture import Observed, Regimen
from cds_service.reasoning.current_facts import determine_facts
from tests.charts.test_reading import KNOWN, MINE, READER, fact
from tests.conftest import as_of, chart_file

UCUM = "http://unitsofmeasure.org"
ATC = "http://www.whocc.no/atc"
LANREOTIDE, OCTREOTIDE, EVEROLIMUS = "H01CB03", "H01CB02", "L01EG02"
CISPLATIN, ETOPOSIDE = "L01XA01", "L01CB01"


def amount(value: float, unit: str) -> dict[str, Any]:
    return {"doseAndRate": [{"doseQuantity": {"value": value, "unit": unit, "system": UCUM, "code": unit}}]}


def every(period: float, unit: str, frequency: int = 1, **more: Any) -> dict[str, Any]:
    return {"timing": {"repeat": {"frequency": frequency, "period": period, "periodUnit": unit, **more}}}


def request(code: str, *dosage: Any, on: str | None = "2024-12-01", status: str = "active", **more: Any) -> dict[str, Any]:
    made = {"resourceType": "MedicationRequest", "id": f"m-{code}-{on}", "status": status, "intent": "order", "subject": MINE,
            "medicationCodeableConcept": {"coding": [{"system": ATC, "code": code}]},
            "dosageInstruction": list(dosage)}  # fmt: skip
    return made | ({"authoredOn": on} if on else {}) | more


def statement(code: str, *dosage: Any, status: str = "active", **more: Any) -> dict[str, Any]:
    return {"resourceType": "MedicationStatement", "id": f"s-{code}", "status": status, "subject": MINE,
            "medicationCodeableConcept": {"coding": [{"system": ATC, "code": code}]},
            "dosage": list(dosage)} | more  # fmt: skip


def told(*resources: dict[str, Any], name: str = "somatostatin_analogue") -> list[str]:
    return [format_regimen(reading) for reading in current_regimens(fact(name, *resources))]


def regimen(*resources: dict[str, Any], name: str = "somatostatin_analogue") -> Regimen:
    found = fact(name, *resources)
    assert found.known
    assert found.seen[0].regimen
    return found.seen[0].regimen


DEPOT = amount(30, "mg") | every(4, "wk")


def test_a_request_tells_drug_dose_interval_and_start() -> None:
    assert told(request(OCTREOTIDE, DEPOT)) == ["octreotide 30 mg every 4 weeks since Dec 2024"]


def test_a_statement_tells_the_start_of_its_period() -> None:
    found = statement(LANREOTIDE, amount(120, "mg") | every(28, "d"), effectivePeriod={"start": "2023-06-12"})
    assert told(found) == ["lanreotide 120 mg every 28 days since Jun 2023"]


def test_a_statement_of_one_day_is_active_while_its_status_says_so() -> None:
    assert told(statement(LANREOTIDE, effectiveDateTime="2023-06")) == ["lanreotide since Jun 2023"]


def test_the_day_on_which_a_statement_was_made_is_no_start() -> None:
    assert told(statement(LANREOTIDE, dateAsserted="2026-10-01")) == ["lanreotide"]


@pytest.mark.parametrize(
    ("dosage", "words"),
    [
        (amount(10, "mg") | every(1, "d"), "everolimus 10 mg once a day"),
        (amount(5, "mg") | every(1, "d", 2), "everolimus 5 mg twice a day"),
        (amount(2.5, "mg") | every(1, "d", 3), "everolimus 2.5 mg 3 times a day"),
        (amount(5, "mg") | every(12, "h"), "everolimus 5 mg every 12 hours"),
        (amount(5, "mg") | every(1, "wk"), "everolimus 5 mg every week"),
        (amount(5, "mg") | every(3, "wk", 2), "everolimus 5 mg twice every 3 weeks"),
        (amount(5, "mg") | every(1, "mo"), "everolimus 5 mg every month"),
        (amount(100, "ug"), "everolimus 100 µg"),
        (amount(1, "g"), "everolimus 1 g"),
        (amount(850, "mg/m2"), "everolimus 850 mg/m²"),
        (amount(3, "10*6.[IU]") | every(1, "wk", 3), "everolimus 3 million IU 3 times a week"),
        ({"timing": {"repeat": {"period": 2, "periodUnit": "a"}}}, "everolimus every 2 years"),
        (amount(10, "mg") | {"asNeededBoolean": True}, "everolimus 10 mg as needed"),
        (amount(10, "mg") | {"asNeededCodeableConcept": {"text": "flushing"}}, "everolimus 10 mg as needed"),
        (amount(10, "mg") | {"asNeededBoolean": False}, "everolimus 10 mg"),
    ],
)  # fmt: skip
def test_a_dosage_is_told_in_plain_words(dosage: dict[str, Any], words: str) -> None:
    assert told(request(EVEROLIMUS, dosage, on=None), name="everolimus") == [words]


@pytest.mark.parametrize(
    "dosage",
    [
        [],
        [{"text": "120 mg deep subcutaneous every 4 weeks"}],
        [DEPOT, amount(20, "mg") | every(3, "wk")],
        [{"doseAndRate": [{"doseRange": {"low": {"value": 10}, "high": {"value": 20}}}]}],
        [{"doseAndRate": [*amount(10, "mg")["doseAndRate"], *amount(20, "mg")["doseAndRate"]]}],
        [amount(30, "mg/wk")],
        [{"doseAndRate": [{"doseQuantity": {"value": 30, "unit": "mg"}}]}],
        [{"doseAndRate": [{"doseQuantity": {"value": 30, "comparator": "<", "system": UCUM, "code": "mg"}}]}],
        [amount(0, "mg")],
        [amount(-30, "mg")],
        [amount(1e300, "mg")],
        [amount(1.2345678901234567, "mg")],
        [every(4, "s")],
        [every(0, "wk")],
        [every(4, "wk", 0)],
        [every(4, "wk", frequencyMax=2)],
        [every(4, "wk", periodMax=6)],
        [every(4, "wk", count=6)],
        [every(1, "wk", dayOfWeek=["mon", "thu"])],
        [every(1, "d", timeOfDay=["08:00:00", "20:00:00"])],
        [every(1, "d", when=["MORN"])],
        [every(1, "d", boundsDuration={"value": 14, "code": "d"})],
        [every(1, "d", boundsRange={"low": {"value": 5}})],
        [{"timing": {"repeat": {"frequency": 1, "periodUnit": "wk"}}}],
        [{"timing": {"code": {"text": "Q4W"}}}],
        [{"timing": {"event": ["2026-01-01"], "repeat": {"period": 4, "periodUnit": "wk"}}}],
        [DEPOT | {"modifierExtension": [{"url": "http://x.example", "valueBoolean": True}]}],
        [{"timing": {**DEPOT["timing"], "modifierExtension": [{"url": "http://x.example"}]}}],
        [{"timing": "every 4 weeks", **amount(30, "mg")}],
        ["120 mg"],
    ],
)
def test_what_cannot_be_told_in_one_dose_and_one_interval_is_left_out(dosage: list[Any]) -> None:
    assert told(request(LANREOTIDE, *dosage)) == ["lanreotide since Dec 2024"]


@pytest.mark.parametrize("dosage", ["120 mg", 7, {"text": "120 mg"}, None])
def test_a_dosage_that_cannot_be_read_takes_nothing_from_the_drug(dosage: Any) -> None:
    made = request(LANREOTIDE) | {"dosageInstruction": dosage}
    assert told(made) == ["lanreotide since Dec 2024"]


@pytest.mark.parametrize("status", ["completed", "stopped", "on-hold"])
def test_a_drug_that_is_not_active_was_given_and_is_not_told_as_given_today(status: str) -> None:
    found = request(OCTREOTIDE, DEPOT, status=status)
    assert fact("somatostatin_analogue", found).equals(True)
    assert told(found) == []
    assert not regimen(found).active


@pytest.mark.parametrize(
    "made",
    [
        statement(OCTREOTIDE, effectivePeriod={"start": "2024-01-01", "end": "2026-10-31"}),
        request(OCTREOTIDE, every(4, "wk", boundsPeriod={"end": "2026-09"})),
        request(OCTREOTIDE, on="2026-12-01"),
        request(OCTREOTIDE, every(4, "wk", boundsPeriod={"start": "2026-12-01"})),
    ],
)
def test_an_entry_that_has_ended_or_is_yet_to_begin_is_not_active(made: dict[str, Any]) -> None:
    assert fact("somatostatin_analogue", made).equals(True)
    assert told(made) == []


def test_a_future_end_is_ignored_and_the_dosage_period_gives_the_start() -> None:
    assert told(statement(OCTREOTIDE, effectivePeriod={"start": "2024-01-01", "end": "2026-11"})) == [
        "octreotide since Jan 2024"
    ]
    bounds = {"start": "2025-03-01", "end": "2027-03-01"}
    assert told(request(OCTREOTIDE, every(4, "wk", boundsPeriod=bounds))) == ["octreotide every 4 weeks since Mar 2025"]


def test_a_start_of_which_only_the_year_is_known_is_told_as_a_year() -> None:
    assert told(request(OCTREOTIDE, on="2024")) == ["octreotide since 2024"]


def test_the_newest_active_entry_of_a_drug_counts() -> None:
    older, newer = request(OCTREOTIDE, amount(20, "mg")), request(OCTREOTIDE, amount(30, "mg"), on="2025-05-01")
    stopped = request(OCTREOTIDE, amount(60, "mg"), on="2026-05-01", status="stopped")
    assert told(older, newer, stopped) == ["octreotide 30 mg since May 2025"]


def test_a_rescue_dose_does_not_hide_the_depot() -> None:
    rescue = request(OCTREOTIDE, amount(100, "ug") | {"asNeededBoolean": True}, on="2026-08-01")
    assert told(rescue) == ["octreotide 100 µg as needed since Aug 2026"]
    assert told(rescue, request(OCTREOTIDE, DEPOT)) == ["octreotide 30 mg every 4 weeks since Dec 2024"]


def test_each_drug_of_one_fact_is_told() -> None:
    both = request(CISPLATIN, on="2026-09-01"), request(ETOPOSIDE, on="2026-09-02")
    assert told(*both, name="chemotherapy") == ["etoposide since Sep 2026", "cisplatin since Sep 2026"]


def test_an_entry_that_names_two_drugs_has_no_regimen_and_none_is_made_up_for_it() -> None:
    two = {"coding": [{"system": ATC, "code": OCTREOTIDE}, {"system": ATC, "code": LANREOTIDE}]}
    found = fact("somatostatin_analogue", request(OCTREOTIDE, DEPOT, medicationCodeableConcept=two))
    assert found.equals(True)
    assert current_regimens(found) == ()
    with pytest.raises(ValueError, match="one drug"):
        format_regimen(found.seen[0])


def test_an_entry_in_doubt_is_not_told_as_given() -> None:
    found = fact("somatostatin_analogue", request(OCTREOTIDE, DEPOT, status="unknown"))
    assert found.unknown
    assert [reading.regimen for reading in found.seen] == [None]


def test_a_drug_by_its_name_alone_has_no_regimen() -> None:
    by_name = request(OCTREOTIDE, DEPOT, medicationCodeableConcept={"text": "octreotide LAR 30 mg"})
    assert {reading.regimen for reading in fact("somatostatin_analogue", by_name).seen} == {None}


def test_no_text_of_the_chart_gets_into_the_words() -> None:
    named = {"coding": [{"system": ATC, "code": LANREOTIDE, "display": "SECRET"}], "text": "SECRET"}
    dosage = {"text": "SECRET", "patientInstruction": "SECRET", **DEPOT}
    dosage["doseAndRate"] = [{"doseQuantity": {"value": 30, "unit": "SECRET", "system": UCUM, "code": "mg"}}]
    made = request(LANREOTIDE, dosage, medicationCodeableConcept=named)
    assert told(made) == ["lanreotide 30 mg every 4 weeks since Dec 2024"]


@pytest.mark.parametrize(
    ("fixture", "words"),
    [
        ("arterial-candidate", "lanreotide 120 mg every 4 weeks since Jun 2023"),
        ("debulkable-refractory-syndrome", "octreotide 30 mg every 3 weeks since Nov 2022"),
        ("milan-net", "lanreotide since May 2024"),
    ],
)
def test_the_analogue_of_an_example_patient_is_told_as_far_as_its_fields_say_it(fixture: str, words: str) -> None:
    day = as_of(fixture)
    given = determine_facts(READER.read(chart_file(fixture).chart(), day), KNOWN, day)["somatostatin_analogue"]
    assert [format_regimen(reading) for reading in current_regimens(given)] == [words]


def test_how_a_drug_is_given_is_no_part_of_what_was_observed() -> None:
    plain = Observed(True, None, "MedicationRequest/1", "octreotide")
    assert plain == Observed(True, None, "MedicationRequest/1", "octreotide", regimen=Regimen("octreotide", True))
