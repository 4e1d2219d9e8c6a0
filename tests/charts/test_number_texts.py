"""Numbers that are sent as text: with a decimal comma where a site says so, approximate, behind the name of the analyte."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cds_service import knowledge
from cds_service.clinical_picture import Interval
from cds_service.errors import SiteError
from cds_service.fhir.reader import ChartReader
from cds_service.knowledge.model import Knowledge
from cds_service.reasons import Reason
from cds_service.sites.loader import read_site
from tests.support.sent_charts import KNOWLEDGE, LOINC, TODAY, Resource, chart, coding, observation

WITH_COMMA = replace(KNOWLEDGE, number_writing=replace(KNOWLEDGE.number_writing, decimal_comma=True))
CODES = {"total_bilirubin": "1975-2", "inr": "6301-6", "ki67_index": "29593-1", "platelets": "777-3", "ecog": "89247-1"}


def sent(fact: str, written: str, /, **code: Any) -> Resource:
    concept = coding(CODES[fact], LOINC) | code
    return observation("x", concept, valueString=written, effectiveDateTime="2026-10-20")


def read(fact: str, written: str, known: Knowledge = KNOWLEDGE, /, **code: Any) -> Interval | Reason:
    """Return the number that is read, or why it is not."""
    readings = ChartReader(known).read(chart(sent(fact, written, **code)), TODAY).readings_of(fact)
    if readings.valid:
        (reading,) = readings.valid
        assert reading.recorded == written.strip()
        assert isinstance(reading.value, Interval)
        return reading.value
    (bad,) = readings.unreadable
    return bad.why.reason


def interval(low: str, high: str) -> Interval:
    return Interval(Decimal(low), Decimal(high))


@pytest.mark.parametrize(
    ("text", "with_comma", "with_point"),
    [
        ("1,2 mg/dL", "1.2", None),
        ("0,20 mg/dL", "0.2", None),
        ("< 1,2 mg/dL", "<", None),
        ("1.200 umol/L", "70.16", "0.07016"),
        ("1.200,5 umol/L", "70.188", None),
        ("1 200 umol/L", "70.16", None),
        ("1\u202f200,5 umol/L", "70.188", None),
        ("1,200.5 umol/L", None, None),
        ("1,200,500 umol/L", None, None),
        ("12.5 mg/dL", None, "12.5"),
        ("1.20 mg/dL", None, "1.20"),
        ("1200.500 mg/dL", None, None),
        ("3 mg/dL", "3", "3"),
    ],
)
def test_a_decimal_comma_is_read_only_where_a_site_says_so(text: str, with_comma: str | None, with_point: str | None) -> None:
    for known, wanted in ((WITH_COMMA, with_comma), (KNOWLEDGE, with_point)):
        found = read("total_bilirubin", text, known)
        if wanted is None:
            assert found in {Reason.NOT_A_NUMBER, Reason.UNIT_NOT_ACCEPTED, Reason.NUMBER_NOT_POSSIBLE}
        elif wanted == "<":
            assert found == Interval(None, Decimal("1.2"), high_included=False)
        else:
            assert isinstance(found, Interval)
            assert found.exact is not None
            assert abs(found.exact - Decimal(wanted)) < Decimal("0.01")


def test_every_word_for_an_approximate_number_is_read_as_an_interval() -> None:
    words = knowledge.load().number_writing.inexact_words
    assert set(words) == {"ca.", "ca", "circa", "approx.", "approx", "approximately"}
    for word in words:
        assert read("ki67_index", f"{word.title()} 20 %") == interval("18", "22"), word
    assert read("ki67_index", "ca.20%") == interval("18", "22")


@pytest.mark.parametrize(
    ("fact", "text", "wanted"),
    [
        ("ki67_index", "approx. 15-20 %", interval("13.5", "22")),
        ("ki67_index", "ca. 98 %", interval("88.2", "100")),
        ("ecog", "ca. 1", interval("0", "2")),
        ("total_bilirubin", "approx. 2 mg/dL", interval("1.8", "2.2")),
        ("ki67_index", "ca. > 20 %", Reason.NOT_A_NUMBER),
        ("ki67_index", "ca. 101 %", Reason.NUMBER_NOT_POSSIBLE),
        ("ki67_index", "about 20 %", Reason.NOT_A_NUMBER),
        ("ki67_index", "cave 20 %", Reason.NOT_A_NUMBER),
        ("ki67_index", "ca. ca. 20 %", Reason.NOT_A_NUMBER),
        ("ki67_index", "20 % ca.", Reason.UNIT_NOT_ACCEPTED),
    ],
)
def test_an_approximate_number_claims_no_more_than_is_written(fact: str, text: str, wanted: Interval | Reason) -> None:
    assert read(fact, text) == wanted


NAMES = [(fact.id, name) for fact in KNOWLEDGE.facts.values() if fact.kind.numeric for name in fact.names]


@pytest.mark.parametrize(("fact", "name"), NAMES, ids=str)
def test_a_number_behind_each_name_of_its_analyte_is_read(fact: str, name: str) -> None:
    definition = KNOWLEDGE.facts[fact]
    (code, *_) = KNOWLEDGE.terminology.codes(definition.concepts, "loinc")
    unit = "" if definition.unit in {"1", "{INR}"} else f" {definition.unit}"
    for text in (f"{name} 2{unit}", f"{name.upper()}: 2{unit}", f"{name.replace('-', ' ')} = 2{unit}"):
        resource = observation("x", coding(code, LOINC), valueString=text, effectiveDateTime="2026-10-20")
        readings = ChartReader(KNOWLEDGE).read(chart(resource), TODAY).readings_of(fact)
        assert [reading.value for reading in readings.valid] == [Interval.from_number(2)], text
    assert len(NAMES) > 15


@pytest.mark.parametrize(
    ("fact", "text", "wanted"),
    [
        ("ki67_index", "Ki67: 5 %", Interval.from_number(5)),
        ("ki67_index", "KI 67 ca. 20 %", interval("18", "22")),
        ("inr", "INR: <1.2", Interval(None, Decimal("1.2"), high_included=False)),
        ("inr", "INR1.2", Reason.NOT_A_NUMBER),
        ("inr", "INR", Reason.NOT_A_NUMBER),
        ("inr", "INR target 2.5", Reason.NOT_A_NUMBER),
        ("inr", "PT 12 INR 1.2", Reason.NOT_A_NUMBER),
        ("ki67_index", "Ki-675 %", Reason.NOT_A_NUMBER),
        ("ki67_index", "Ki-67", Reason.NOT_A_NUMBER),
        ("platelets", "INR 2", Reason.NOT_A_NUMBER),
    ],
)
def test_a_name_before_the_number_is_read_and_no_other_text(fact: str, text: str, wanted: Interval | Reason) -> None:
    assert read(fact, text) == wanted


def test_the_name_that_the_chart_gives_its_own_code_may_stand_before_the_number() -> None:
    assert read("platelets", "Thrombozyten 210 10*9/L") is Reason.NOT_A_NUMBER
    assert read("platelets", "Thrombozyten 210 10*9/L", text="Thrombozyten") == Interval.from_number(210)
    displayed = coding(CODES["platelets"], LOINC, display="Thrombozyten (EDTA)")
    assert read("platelets", "Thrombozyten (EDTA): 210 10*9/L", **displayed) == Interval.from_number(210)
    assert read("inr", "INR 2", text="INR 2") is Reason.NOT_A_NUMBER, "the name itself is no number"
    assert read("platelets", "15 10*9/L", text="15") == Interval.from_number(15), "a name without a letter is none"


HEAD = '[site]\nid = "north"\ntitle = "North"\nauthenticated_by_proxy = true\n'


def site(tmp_path: Path, lines: str) -> Knowledge:
    path = tmp_path / "north.toml"
    path.write_text(HEAD + lines, "utf-8")
    return read_site(path).knowledge


def told(text: str, value: str, fact: str = "total_bilirubin") -> str:
    return f'[[code]]\ntext = "{text}"\nfact = "{fact}"\nvalue = {value}\n'


def test_a_site_says_what_number_a_text_of_its_own_means(tmp_path: Path) -> None:
    known = site(tmp_path, told("twice the limit", '"2.4 mg/dL"') + told("normal", '"17.1 umol/L"') + told("one", "1"))
    for text, number in (("Twice  the limit", "2.4"), ("normal", "1.00"), ("one", "1")):
        assert read("total_bilirubin", text, known) == Interval.from_number(number)
    assert known.digest != KNOWLEDGE.digest


def test_a_site_says_that_its_numbers_have_a_decimal_comma(tmp_path: Path) -> None:
    known = site(tmp_path, "[numbers]\ndecimal_comma = true\n" + told("twice the limit", '"2,4 mg/dL"'))
    assert read("total_bilirubin", "1,2 mg/dL", known) == Interval.from_number("1.2")
    assert read("total_bilirubin", "twice the limit", known) == Interval.from_number("2.4")
    assert known.overlay.choices[-1].startswith("numbers in texts have a decimal comma")
    assert known.digest != KNOWLEDGE.digest, "a clinician signs it"
    assert read("total_bilirubin", "1,2 mg/dL", site(tmp_path, "[numbers]\ndecimal_comma = false\n")) is Reason.NOT_A_NUMBER


@pytest.mark.parametrize(
    "value",
    ['"2.4"', '"2.4 furlong"', '"< 2 mg/dL"', '"ca. 2 mg/dL"', '"1-2 mg/dL"', '"300 mg/dL"', '"2,4 mg/dL"', '"high"', "-1"],
)
def test_a_site_file_with_a_text_that_means_no_number_of_its_fact_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(SiteError, match=r"a whole number or a number with its unit in quotes \(mg/dL"):
        site(tmp_path, told("twice the limit", value))


@pytest.mark.parametrize("text", ["1.2 mg/dL", "ca. 2 mg/dL", "Bilirubin 3 mg/dL"])
def test_a_site_cannot_give_another_meaning_to_a_text_that_is_read_as_a_number(tmp_path: Path, text: str) -> None:
    with pytest.raises(SiteError, match="already read as another answer or as a number"):
        site(tmp_path, told(text, '"9 mg/dL"'))
