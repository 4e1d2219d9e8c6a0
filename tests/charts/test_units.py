"""Units by laboratory test: which are accepted and as what, and which are rejected. The table is the specification."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from cds_service import knowledge
from cds_service.cards.wording import explain
from cds_service.fhir.resources import Quantity
from cds_service.fhir.units import UCUM, Scale, UnitError, convert_value
from cds_service.reasons import Reason
from tests.charts.test_reading import LOINC, OWN, fact, observation

KNOWN = knowledge.load()
REFUSED = Reason.UNIT_NOT_ACCEPTED
OF_THE_NUMBER = frozenset({Reason.NUMBER_NOT_POSSIBLE, Reason.NO_UNIT, Reason.NOT_A_WHOLE_NUMBER})

# test, code, number as sent, unit as sent → number in our unit, or the reason for the rejection, or the note of units.toml
TABLE = [
    # bilirubin: mg/dL; 17.104 umol/L make one
    ("total_bilirubin", "1975-2", "1.2", "mg/dL", "1.2"),
    ("total_bilirubin", "1975-2", "1.2", "mg/dl", "1.2"),
    ("total_bilirubin", "1975-2", "1.2", "MG/DL", "1.2"),
    ("total_bilirubin", "1975-2", "1.2", "mg/100 mL", "1.2"),
    ("total_bilirubin", "1975-2", "12", "mg/L", "1.2"),
    ("total_bilirubin", "14631-6", "51.3", "umol/L", "3.00"),
    ("total_bilirubin", "14631-6", "51.3", "µmol/L", "3.00"),
    ("total_bilirubin", "14631-6", "51.3", "μmol/l", "3.00"),
    ("total_bilirubin", "14631-6", "9", "umol/L", "0.53"),
    ("total_bilirubin", "14631-6", "0.02", "mmol/L", REFUSED),
    ("total_bilirubin", "1975-2", "1.2", "g/L", REFUSED),
    ("total_bilirubin", "1975-2", "1.2", "mg%", "per 100 mL or a share?"),
    ("total_bilirubin", "1975-2", "1.2", "Mg/dL", REFUSED),  # a megagram
    ("total_bilirubin", "1975-2", "1.2", "", Reason.NO_UNIT),
    ("total_bilirubin", "1975-2", "1.2", "1", REFUSED),
    # creatinine: mg/dL; 88.42 umol/L
    ("creatinine", "2160-0", "1.1", "mg/dL", "1.1"),
    ("creatinine", "14682-9", "177", "umol/L", "2.00"),
    ("creatinine", "2160-0", "11", "mg/L", "1.1"),
    ("creatinine", "14682-9", "0.1", "mmol/L", REFUSED),
    ("creatinine", "2160-0", "1.1", "mg/g{creat}", REFUSED),
    ("creatinine", "2160-0", "12", "mmol/(24.h)", REFUSED),
    # albumin: g/dL; 10 g/L, 150.4 umol/L
    ("albumin", "1751-7", "3.8", "g/dL", "3.8"),
    ("albumin", "1751-7", "38", "g/L", "3.8"),
    ("albumin", "1751-7", "38", "g/l", "3.8"),
    ("albumin", "1751-7", "3.8", "gm/dL", "3.8"),
    ("albumin", "54347-0", "602", "umol/L", "4.00"),
    ("albumin", "1751-7", "38", "G/L", "giga or gram per litre?"),
    ("albumin", "1751-7", "38", "mg/L", REFUSED),  # urine albumin
    ("albumin", "1751-7", "60", "%", REFUSED),  # a share of protein, by electrophoresis
    ("albumin", "1751-7", "38", "g/dL", Reason.NUMBER_NOT_POSSIBLE),
    # haemoglobin: g/dL; 0.6206 mmol/L of haem
    ("haemoglobin", "718-7", "13.1", "g/dL", "13.1"),
    ("haemoglobin", "718-7", "131", "g/L", "13.1"),
    ("haemoglobin", "59260-0", "8.13", "mmol/L", "13.1"),
    ("haemoglobin", "59260-0", "8.13", "mmol/l", "13.1"),
    ("haemoglobin", "718-7", "48", "mmol/mol", REFUSED),  # how HbA1c is written
    ("haemoglobin", "718-7", "6.5", "%", REFUSED),
    # platelets and leukocytes: 10*9/L is 10*3/uL
    ("platelets", "777-3", "210", "10*9/L", "210"),
    ("platelets", "777-3", "210", "10*3/uL", "210"),
    ("platelets", "777-3", "210", "10^3/uL", "210"),
    ("platelets", "777-3", "210", "10^9/L", "210"),
    ("platelets", "777-3", "210", "x10*9/L", "210"),
    ("platelets", "777-3", "210", "10*3/mm3", "210"),
    ("platelets", "777-3", "210", "K/uL", "210"),  # in UCUM a kelvin
    ("platelets", "777-3", "210", "K/µL", "210"),
    ("platelets", "777-3", "210", "K/cumm", "210"),
    ("platelets", "777-3", "210", "K/cmm", "210"),
    ("platelets", "777-3", "210", "Thousand/uL", "210"),
    ("platelets", "777-3", "210", "1000/mcL", "210"),
    ("platelets", "777-3", "210", "TH/mm3", "210"),
    ("platelets", "777-3", "210", "x10(3)/mcL", "210"),
    ("platelets", "777-3", "210", "10x3/uL", "210"),
    ("platelets", "777-3", "210", "10*3", REFUSED),  # no volume stated
    ("platelets", "777-3", "210", "Gpt/L", "210"),
    ("platelets", "777-3", "210", "/nL", "210"),
    ("platelets", "777-3", "210000", "/uL", "210"),
    ("platelets", "777-3", "49999", "cells/uL", "49.999"),
    ("platelets", "777-3", "210", "/uL", Reason.NUMBER_NOT_POSSIBLE),  # meant in thousands: never 0.21
    ("platelets", "777-3", "210", "G/L", "giga or gram per litre?"),
    ("platelets", "777-3", "0.21", "10*12/L", REFUSED),
    ("platelets", "777-3", "210", "", Reason.NO_UNIT),
    ("leukocytes", "6690-2", "5.2", "10*9/L", "5.2"),
    ("leukocytes", "6690-2", "5.2", "Thousand/uL", "5.2"),
    ("leukocytes", "6690-2", "5.2", "x10(3)/mcL", "5.2"),
    ("leukocytes", "6690-2", "5.2", "10x3/uL", "5.2"),
    ("leukocytes", "6690-2", "5200", "/uL", "5.2"),
    ("leukocytes", "6690-2", "5.2", "/uL", Reason.NUMBER_NOT_POSSIBLE),
    ("leukocytes", "6690-2", "5.2", "%", REFUSED),
    # INR: a mere number
    ("inr", "6301-6", "1.1", "{INR}", "1.1"),
    ("inr", "6301-6", "1.1", "INR", "1.1"),
    ("inr", "6301-6", "1.1", "1", "1.1"),
    ("inr", "6301-6", "1.1", "ratio", "1.1"),
    ("inr", "6301-6", "1.1", "", "1.1"),
    ("inr", "6301-6", "13", "s", "seconds are no ratio"),
    ("inr", "6301-6", "85", "%", REFUSED),  # a Quick value
    # eGFR
    ("egfr", "98979-8", "62", "mL/min/{1.73_m2}", "62"),
    ("egfr", "98979-8", "62", "mL/min/1.73m2", "62"),
    ("egfr", "98979-8", "62", "ml/min/1.73 m²", "62"),
    ("egfr", "98979-8", "62", "mL/min/1.73", "62"),
    ("egfr", "98979-8", "62", "mL/min/1.73 m*2", "62"),
    ("egfr", "98979-8", "62", "mL/min/[1.73_m2]", "62"),
    ("egfr", "98979-8", "62", "mL/min", "not said to be for 1.73 m²"),
    ("egfr", "98979-8", "1.03", "mL/s/{1.73_m2}", REFUSED),
    # markers
    ("chromogranin_a", "9811-1", "340", "ng/mL", "340"),
    ("chromogranin_a", "9811-1", "340", "ug/L", "340"),
    ("chromogranin_a", "9811-1", "340", "mcg/L", "340"),
    ("chromogranin_a", "25587-7", "7", "nmol/L", "moles cannot be converted here"),
    ("chromogranin_a", "9811-1", "34", "U/L", REFUSED),
    ("urine_5hiaa", "1695-6", "12", "mg/(24.h)", "12"),
    ("urine_5hiaa", "1695-6", "12", "mg/24h", "12"),  # invalid UCUM, and sent
    ("urine_5hiaa", "1695-6", "12", "mg/24 hr", "12"),
    ("urine_5hiaa", "1695-6", "12", "mg/d", "12"),
    ("urine_5hiaa", "14573-0", "62.8", "umol/(24.h)", "12.0"),
    ("urine_5hiaa", "14573-0", "62.8", "µmol/24h", "12.0"),
    ("urine_5hiaa", "31203-3", "12", "mg/L", REFUSED),
    ("urine_5hiaa", "11145-0", "12", "mg/g{creat}", REFUSED),
    ("urine_5hiaa", "1695-6", "12", "mg/TV", "over which time"),
    ("nt_probnp", "33762-6", "118", "pg/mL", "118"),
    ("nt_probnp", "33762-6", "118", "ng/L", "118"),
    ("nt_probnp", "33762-6", "118", "pmol/L", "1000"),
    ("nt_probnp", "33762-6", "118", "ng/mL", REFUSED),
    # pathology and imaging
    ("ki67_index", "29593-1", "8", "%", "8"),
    ("ki67_index", "29593-1", "0.08", "1", "8"),
    ("ki67_index", "29593-1", "8", "1", Reason.NUMBER_NOT_POSSIBLE),
    ("ki67_index", "29593-1", "0.8", "", Reason.NO_UNIT),  # 0.8 % or 80 %?
    ("mitotic_count", "mitotic-count", "3", "/(2.mm2)", "3"),
    ("mitotic_count", "mitotic-count", "3", "/mm2", "6"),
    ("mitotic_count", "mitotic-count", "3", "/10{HPF}", "the area of a field"),
    ("liver_involvement", "liver-involvement", "35", "%", "35"),
    ("liver_involvement", "liver-involvement", "0.35", "1", REFUSED),
    ("months_since_status", "months-since-status", "7", "months", "7"),
    ("months_since_status", "months-since-status", "7", "a", REFUSED),
    ("stools_per_day", "stools-per-day", "5", "/d", "5"),
    ("lesion_count", "lesion-count", "4", "{lesions}", "4"),
    ("lesion_count", "lesion-count", "4.5", "1", Reason.NOT_A_WHOLE_NUMBER),
    ("ecog", "89247-1", "2", "{score}", "2"),
    ("ecog", "89247-1", "80", "%", REFUSED),  # Karnofsky
]  # fmt: skip


def sent(code: str, number: str, quantity: dict[str, Any]) -> dict[str, Any]:
    return observation(code, OWN if code[0].isalpha() else LOINC, valueQuantity={"value": json.loads(number), **quantity})


@pytest.mark.parametrize(("name", "code", "number", "unit", "wanted"), TABLE, ids=lambda part: str(part) or "none")
@pytest.mark.parametrize("coded", [True, False], ids=["as code", "as text"])
def test_a_unit_is_accepted_or_refused_as_the_table_says(
    name: str, code: str, number: str, unit: str, wanted: str | Reason, coded: bool
) -> None:
    part = {"system": UCUM, "code": unit, "unit": unit} if coded else {"unit": unit}
    found = fact(name, sent(code, number, part if unit else {}))
    if isinstance(wanted, str) and wanted[0].isdigit():
        assert found.amount is not None, found.why
        assert found.amount.exact is not None
        assert format(found.amount.exact, "f") == wanted
        return
    assert (found.unknown, found.reason) == (True, Reason.UNREADABLE)
    (bad,) = found.unread
    assert bad.why.reason is (wanted if isinstance(wanted, Reason) else Reason.UNIT_AMBIGUOUS)
    assert isinstance(wanted, Reason) or wanted in explain(bad.why)
    assert bad.unit == ("" if wanted in OF_THE_NUMBER else unit)


def test_the_table_has_at_least_sixty_rows_and_holds_every_unit_of_the_knowledge_or_its_kin() -> None:
    assert len(TABLE) >= 60
    numeric = {name for name, d in KNOWN.facts.items() if d.kind in {"quantity", "integer"}}
    assert numeric - {name for name, *_ in TABLE} == {
        "largest_lesion", "removable_fraction", "future_liver_remnant", "lung_shunt_fraction", "alt", "ast",
        "alt_of_upper_limit", "ast_of_upper_limit", "total_bilirubin_of_upper_limit",  # tests/charts/test_upper_limits.py
    }  # fmt: skip


@pytest.mark.parametrize(
    ("quantity", "wanted"),
    [
        ({"code": "umol/L", "unit": "mg/dL", "system": UCUM}, Reason.UNIT_CONTRADICTS_CODE),
        ({"code": "mg/dL", "unit": "mmol/L", "system": UCUM}, Reason.UNIT_CONTRADICTS_CODE),
        ({"code": "258797006", "unit": "mg/dL", "system": "http://snomed.info/sct"}, "1.2"),
        ({"code": "mg/dL", "unit": "µmol/L", "system": "http://snomed.info/sct"}, Reason.UNIT_CONTRADICTS_CODE),
        ({"code": "MGDL", "unit": "mg/dL"}, "1.2"),  # without a system, the printed unit counts
        ({"code": "MGDL", "unit": "mg/dL", "system": UCUM}, Reason.UNIT_NOT_ACCEPTED),
        ({"code": " mg/dL "}, "1.2"),
        ({"unit": "mg / dL"}, "1.2"),
    ],
    ids=str,
)
def test_the_code_of_a_unit_counts_before_its_text_and_must_not_contradict_it(
    quantity: dict[str, str], wanted: str | Reason
) -> None:
    found = fact("total_bilirubin", sent("1975-2", "1.2", quantity))
    if isinstance(wanted, str) and wanted[0].isdigit():
        assert found.amount is not None, found.why
        assert format(found.amount.exact, "f") == wanted
    else:
        assert [bad.why.reason for bad in found.unread] == [wanted]


@pytest.mark.parametrize(
    ("name", "test", "number", "code", "printed", "accepted"),
    [
        ("total_bilirubin", "1975-2", "1.2", "mg/dL", "mmol/L", False),
        ("creatinine", "2160-0", "1.1", "mg/dL", "g/dl", False),
        ("inr", "6301-6", "1.1", "1", "s", False),
        ("inr", "6301-6", "1.1", "1", "%", False),
        ("chromogranin_a", "9811-1", "340", "ng/mL", "nmol/L", False),
        ("platelets", "777-3", "210", "10*9/L", "G/L", False),
        ("total_bilirubin", "1975-2", "1.2", "mg/dL", "milligrams", True),  # an unknown unit
        ("egfr", "98979-8", "62", "mL/min/{1.73_m2}", "mL/min", True),
        ("egfr", "98979-8", "62", "mL/min/{1.73_m2}", "ml / min", True),
    ],
)
def test_a_printed_unit_of_another_kind_contradicts_its_code(
    name: str, test: str, number: str, code: str, printed: str, accepted: bool
) -> None:
    found = fact(name, sent(test, number, {"system": UCUM, "code": code, "unit": printed}))
    assert (found.amount is not None) is accepted
    assert accepted or [bad.why.reason for bad in found.unread] == [Reason.UNIT_CONTRADICTS_CODE]


@pytest.mark.parametrize("spelling", sorted(KNOWN.units.aliases))
def test_every_spelling_leads_to_a_unit_that_some_fact_accepts_and_only_there(spelling: str) -> None:
    unit = KNOWN.units.aliases[spelling]
    accepting = [d for d in KNOWN.facts.values() if unit in d.units]
    assert accepting
    for definition in KNOWN.facts.values():
        assert spelling not in definition.units, f"{spelling} is a unit of {definition.id} and a spelling"


# ── the units of one site ─────────────────────────────────────────────────────────────────────────────────────────
BILIRUBIN = KNOWN.facts["total_bilirubin"]
LOCAL = Scale.for_fact(KNOWN.units, replace(BILIRUBIN, local_units={"BILI-E": "umol/L", "": "umol/L"}))


def test_a_spelling_of_the_site_counts_and_every_other_still_does() -> None:
    local = Scale.for_fact(KNOWN.units, replace(BILIRUBIN, local_units={"BILI-E": "umol/L"}))
    assert local.factor("BILI-E") == LOCAL.factor("BILI-E") == BILIRUBIN.units["umol/L"]
    assert [LOCAL.factor(unit) for unit in ("mg/dL", "MG/DL", "mg/dl")] == [1, 1, 1]
    assert LOCAL.factor("stones") is None
    assert Scale.for_fact(KNOWN.units, BILIRUBIN).factor("BILI-E") is None


def test_what_a_site_says_of_numbers_without_unit_counts_for_those_only() -> None:
    assert LOCAL.resolve_unit(Quantity()) == BILIRUBIN.units["umol/L"]
    assert LOCAL.resolve_unit(Quantity(code="mg/dL", system=UCUM)) == 1
    assert LOCAL.resolve_unit(Quantity(unit="mg/dL")) == 1
    for sent in (Quantity(unit="stones"), Quantity(code="stones"), Quantity(code="stones", system=UCUM)):
        with pytest.raises(UnitError, match=Reason.UNIT_NOT_ACCEPTED.value):
            LOCAL.resolve_unit(sent)


@pytest.mark.parametrize(
    "quantity", [Quantity(code="mg%", system=UCUM), Quantity(unit="mg%"), Quantity(code="x", unit="mg%", system=UCUM)], ids=str
)
def test_a_trap_is_named_whether_it_stands_in_the_code_or_in_the_text(quantity: Quantity) -> None:
    with pytest.raises(UnitError) as refused:
        LOCAL.resolve_unit(quantity)
    assert refused.value.why.reason is Reason.UNIT_AMBIGUOUS
    assert KNOWN.units.refused["mg%"] in explain(refused.value.why)


def test_a_converted_value_is_rounded_half_up_to_the_digits_it_was_given_with() -> None:
    assert str(convert_value(Decimal("1.0"), Decimal(8))) == "0.13"
    assert str(convert_value(Decimal("3"), Decimal(8))) == "0.38"
    assert str(convert_value(Decimal("1.20"), Decimal(1))) == "1.20"
