"""The coverage report sees what is lost: wordless codes, equal codes, drugs by name, missing dates, answers with cards;
its lines for the site file can be pasted."""

from __future__ import annotations

import io
import tomllib
from pathlib import Path
from typing import Any

import pytest

from cds_service.coverage import survey
from cds_service.coverage.advice import snippet
from cds_service.coverage.report import Report
from cds_service.coverage.rows import WRITTEN
from cds_service.coverage.text import as_text
from cds_service.coverage.written_otherwise import Written
from cds_service.sites.loader import read_site
from tests.charts.test_coverage import DAY, HERE, charts_of, local, look, observation, patient
from tests.charts.test_site_coverage import HEAD
from tests.conftest import FIXTURES, bundle, folder_of

OF_P1 = {"subject": {"reference": "Patient/p1"}}
MG: dict[str, Any] = {"valueQuantity": {"value": 1, "unit": "mg/dL"}}


def resource(kind: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": kind, "id": "x", **OF_P1, **more}


def written(report: Report) -> dict[str, int]:
    return {row.what: row.times for row in report.written_otherwise}


@pytest.mark.parametrize(
    "sent",
    [
        observation({"system": HERE, "code": "B7"}, **MG),
        observation({"system": "http://loinc.org", "code": "99999-9"}, **MG),
        resource("Condition", code={"coding": [{"system": HERE, "code": "B7"}]}, recordedDate="2026-01-01"),
        resource("Procedure", code={"coding": [{"code": "B7"}]}, status="completed", performedDateTime="2026-01-01"),
    ],
)
def test_a_code_without_a_display_or_text_is_listed(tmp_path: Path, sent: dict[str, Any]) -> None:
    report = charts_of([patient(), sent], at=tmp_path / "x")
    (row,) = report.wordless
    (code,) = sent["code"]["coding"]
    assert (row.code, row.source, row.display) == (code["code"], sent["resourceType"], "")
    assert "Unknown codes without a display or text in Latin letters: 1" in as_text(report)
    assert ("B7" in snippet(report)) == (row.system == HERE), "offered for the site file if its system is the site's own"


def test_a_code_with_words_of_something_else_is_not_listed(tmp_path: Path) -> None:
    told = {"coding": [{"system": HERE, "code": "B7"}], "text": "Body height"}
    assert charts_of([patient(), observation(told)], at=tmp_path / "x").wordless == []


def test_neither_a_code_nor_a_text_is_counted_by_type(tmp_path: Path) -> None:
    sent = [observation({"coding": []}, **MG), resource("Condition", recordedDate="2026-01-01"), resource("Condition", id="y")]
    report = charts_of([patient(), *sent], at=tmp_path / "x")
    found = {row.about: row.times for row in report.written_otherwise if row.what == WRITTEN[Written.NO_CODE]}
    assert found == {"Condition": 2, "Observation": 1}


@pytest.mark.parametrize("system", ["", "2.16.840.1.113883.6.1", HERE])
def test_an_equal_code_under_another_system_is_offered_with_its_meaning(tmp_path: Path, system: str) -> None:
    sent = observation({"system": system, "code": "1975-2", "display": "Bilirubin"}, **MG)
    report = charts_of([patient(), sent], at=tmp_path / "x")
    wanted = {"system": system, "code": "1975-2", "means": "loinc|1975-2"}
    if system.startswith("2."):  # a text that is no URI is not repeated
        assert snippet(report) == ""
        return
    assert tomllib.loads(snippet(report)) == {"code": [wanted]}
    site = tmp_path / "north.toml"
    site.write_text(HEAD.replace("[site]", "[site]\nauthenticated_by_proxy = true") + snippet(report), "utf-8")
    terms = read_site(site).knowledge.terminology
    assert terms.coding(system, "1975-2", None).system == "loinc"


def test_a_code_of_the_project_under_another_system_is_offered_too(tmp_path: Path) -> None:
    report = charts_of([patient(), observation(local("frilling-type", "Pattern"))], at=tmp_path / "x")
    assert tomllib.loads(snippet(report))["code"][0]["means"] == "nlm-assessment|frilling-type"


def test_a_code_that_several_systems_have_is_listed_without_a_meaning(tmp_path: Path) -> None:
    sent = resource("Condition", code={"coding": [{"code": "C78.7"}]}, recordedDate="2026-01-01")
    report = charts_of([patient(), sent], at=tmp_path / "x")
    assert [row.means for row in report.written_otherwise if row.code == "C78.7"] == [""]
    assert "C78.7" not in snippet(report)


def test_drugs_by_name_are_listed_with_the_concept_that_a_code_of_theirs_would_have(tmp_path: Path) -> None:
    drug = {"text": "Erika's Xeloda 500"}
    sent = resource("MedicationStatement", status="active", medicationCodeableConcept=drug, effectiveDateTime="2026-10-01")
    report = charts_of([patient(), sent], at=tmp_path / "x")
    assert [(row.concept, row.charts, row.times) for row in report.drugs_by_name] == [("med.capecitabine", 1, 1)]
    assert "Drugs identified by name alone" in as_text(report)
    assert "Erika" not in as_text(report)


def test_missing_and_future_dates_and_unconfirmed_diagnoses_are_counted(tmp_path: Path) -> None:
    coded = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C7A.012"}]}
    sent = [
        resource("Condition", code=coded, verificationStatus={"coding": [{"code": "provisional"}]}),
        observation({"system": "http://loinc.org", "code": "1975-2"}, **MG, effectiveDateTime="2062-01-01"),
    ]
    found = written(charts_of([patient(), *sent], at=tmp_path / "x"))
    kinds = (Written.UNCONFIRMED, Written.NO_DATE, Written.IN_FUTURE)
    assert [found[WRITTEN[kind]] for kind in kinds] == [1, 1, 1]


def test_every_kind_of_irregularity_has_its_words() -> None:
    assert set(WRITTEN) == set(Written)


def test_answers_with_cards_are_skipped_in_a_sentence(tmp_path: Path) -> None:
    shipped = [(folder_of(name) / "cards.json").read_bytes() for name in FIXTURES]
    report = look(*shipped, bundle(patient()), at=tmp_path / "x")
    assert report.answers_skipped == len(FIXTURES)
    assert report.files_unreadable == []
    assert f"Answers with cards instead of charts: {len(FIXTURES)}. They were skipped." in as_text(report)


def test_units_are_pasted_beside_those_that_a_site_file_has(tmp_path: Path) -> None:
    """A table may be in a TOML file once only."""
    sent = observation({"system": "http://loinc.org", "code": "777-3"}, valueQuantity={"value": 200, "unit": "per lot"})
    look(bundle(patient(), sent), bundle(patient("p2"), {**sent, "subject": {"reference": "Patient/p2"}}), at=tmp_path / "x")
    site = tmp_path / "north.toml"
    text = HEAD.replace("[site]", "[site]\nauthenticated_by_proxy = true") + '[units.platelets]\n"Mrd/L" = "10*9/L"\n'
    site.write_text(text, "utf-8")
    offered = snippet(survey([tmp_path / "x"], read_site(site).knowledge, DAY, io.StringIO()))
    assert offered.startswith('# add to your [units.platelets]\n# "per lot" = ""')
    site.write_text(text + offered, "utf-8")
    read_site(site)
