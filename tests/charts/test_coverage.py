"""The coverage report says what is read of a site's charts and what is not, without patient data."""

from __future__ import annotations

import gzip
import io
import json
import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cds_service import knowledge
from cds_service.cards import wording
from cds_service.coverage import survey
from cds_service.coverage.advice import snippet
from cds_service.coverage.report import Report, as_json
from cds_service.coverage.text import as_text
from cds_service.reasons import Reason
from tests.conftest import FIXTURES, bare_request, bundle, chart_file, folder_of

DAY = date(2026, 11, 25)
HERE = "urn:oid:1.2.3"


def patient(name: str = "p1", **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": name, "birthDate": "1960-01-01", "gender": "female", **more}


def observation(coding: Any, of: str = "p1", **more: Any) -> dict[str, Any]:
    concept = coding if isinstance(coding, dict) and "coding" in coding else {"coding": [coding]}
    subject = {"reference": f"Patient/{of}"}
    when = {"effectiveDateTime": "2026-11-20"}
    return {"resourceType": "Observation", "id": "o", "status": "final", "code": concept, "subject": subject, **when, **more}


def local(code: str, display: str, system: str = HERE) -> dict[str, str]:
    return {"system": system, "code": code, "display": display}


BILIRUBIN = {"system": "http://loinc.org", "code": "1975-2"}


def look(*contents: Any, at: Path, day: date = DAY) -> Report:
    """Return the report on a folder with one file for each content: str and bytes as they are, all else as JSON."""
    at.mkdir(exist_ok=True)
    for number, content in enumerate(contents):
        raw = (
            content
            if isinstance(content, bytes)
            else content.encode()
            if isinstance(content, str)
            else json.dumps(content).encode()
        )
        ending = ".json" if not isinstance(content, str) else ".ndjson"
        (at / f"{number:03}{ending}").write_bytes(raw)
    return survey([at], knowledge.load(), day, io.StringIO())


def charts_of(*charts: list[Any], at: Path) -> Report:
    return look(*(bundle(*chart) for chart in charts), at=at)


# ── what is found ───────────────────────────────────────────────────────────────────────────────────────────────────
def fixtures() -> Report:
    return survey([folder_of(name) / "chart.json" for name in FIXTURES], knowledge.load(), DAY, io.StringIO())


def prescription(about: dict[str, Any], who: str, number: int) -> dict[str, Any]:
    return {"resourceType": "MedicationRequest", "id": f"drug-{number}", "status": "active", "intent": "order",
            "subject": {"reference": f"Patient/{who}"}, "medicationCodeableConcept": about}  # fmt: skip


def test_drug_entries_are_counted_by_how_they_were_read(tmp_path: Path) -> None:
    rxnorm, atc = "http://www.nlm.nih.gov/research/umls/rxnorm", "http://fhir.de/CodeSystem/bfarm/atc"
    entries: list[dict[str, Any]] = [
        {"coding": [{"system": rxnorm, "code": "855332"}]}, {"coding": [{"system": rxnorm, "code": "11289"}]},
        {"coding": [{"system": atc, "code": "L01BC06"}]},
        {"coding": [{"system": rxnorm, "code": "999", "display": "lisinopril"}]},
        {"text": "Erika's Xeloda"}, {"text": "chemotherapy"}, {"coding": [{"system": rxnorm, "code": "999"}]},
    ]  # fmt: skip
    first = [patient(), *(prescription(about, "p1", number) for number, about in enumerate(entries))]
    report = charts_of(first, [patient("p2"), prescription(entries[0], "p2", 9)], at=tmp_path / "x")
    assert [(row.read_by, row.charts, row.times) for row in report.drugs] == [
        ("product", 2, 3), ("code", 1, 2), ("name", 1, 1), ("nothing", 1, 2)
    ]  # fmt: skip
    assert "not identified: neither a known code nor a drug name" in as_text(report)
    assert "Erika" not in as_text(report)


def test_every_reading_of_the_fixtures_names_the_code_it_came_from() -> None:
    report = fixtures()
    assert len(report.facts) > 50
    uncoded = {(row.fact, code.code) for row in report.facts for code in row.codes if not code.system}
    assert uncoded == {("age", "Patient"), ("sex", "Patient")}
    for row in report.facts:
        assert row.codes, row.fact
        assert all(code.charts <= row.charts for code in row.codes), row.fact


def test_named_codes_are_those_the_fact_is_read_by() -> None:
    codes = {row.fact: {code.code for code in row.codes} for row in fixtures().facts}
    assert codes["total_bilirubin"] == {"1975-2", "14631-6"}
    assert codes["resectability"] == {"resectability"}
    assert "C7A.012" in codes["primary_site"]


def test_bundles_and_a_bulk_export_of_the_same_charts_give_the_same_report(tmp_path: Path) -> None:
    """In the bulk export one file has one type of all patients, their lines mixed."""
    lines: dict[str, list[tuple[int, str]]] = {}
    apart, together = tmp_path / "bundles", tmp_path / "bulk"
    apart.mkdir()
    together.mkdir()
    for name in FIXTURES:
        resources = [resource for resource, _ in chart_file(name).resources]
        text = json.dumps(resources)
        for resource in resources:  # the fixtures share ids
            reference = f"{resource['resourceType']}/{resource['id']}"
            text = text.replace(f'"{reference}"', f'"{resource["resourceType"]}/{name}-{resource["id"]}"')
        own = [resource | {"id": f"{name}-{resource['id']}"} for resource in json.loads(text)]
        (apart / f"{name}.json").write_text(json.dumps(bundle(*own)))
        for place, resource in enumerate(own):
            lines.setdefault(resource["resourceType"], []).append((place, json.dumps(resource)))
    for kind, found in lines.items():
        mixed = "\n".join(line for _, line in sorted(found, key=lambda pair: pair[0]))
        (together / f"{kind}.ndjson.gz").write_bytes(gzip.compress(mixed.encode()))
    one, other = (survey([path], knowledge.load(), DAY, io.StringIO()) for path in (apart, together))
    assert one.nlm["yes"] > 10
    assert msgspec.to_builtins(one) | {"files": 0} == msgspec.to_builtins(other) | {"files": 0}


def test_resources_of_one_patient_are_one_chart_within_a_path_and_two_across_paths(tmp_path: Path) -> None:
    content = [json.dumps(patient()), json.dumps(observation(BILIRUBIN))]
    assert look(*content, at=tmp_path / "a").charts == 1
    look(*content, at=tmp_path / "b")
    report = survey([tmp_path / "a", tmp_path / "b"], knowledge.load(), DAY, io.StringIO())
    assert (report.charts, report.files, report.resources) == (2, 4, 4)


def test_a_drug_is_read_from_a_medication_in_another_file(tmp_path: Path) -> None:
    drug = {"resourceType": "Medication", "id": "m", "code": {"coding": [local("L01BC06", "", "http://www.whocc.no/atc")]}}
    request = {
        "resourceType": "MedicationRequest", "id": "r", "status": "active", "intent": "order", "authoredOn": "2026-11-01",
        "subject": {"reference": "Patient/p1"}, "medicationReference": {"reference": "Medication/m"},
    }  # fmt: skip
    report = look(json.dumps(request), json.dumps(drug), at=tmp_path / "bulk")
    assert "capecitabine" in {row.fact for row in report.facts}


def test_hook_requests_lists_and_bundles_in_bundles_are_read(tmp_path: Path) -> None:
    hook = bare_request(prefetch={"patient": patient("a"), "observations": bundle(observation(BILIRUBIN, "a")), "x": None})
    report = look(hook, [bundle(patient("b")), patient("c")], bundle(bundle(patient("d"))), at=tmp_path / "x")
    assert (report.charts, report.resources) == (4, 5)
    assert not report.files_unreadable


# ── what is not ─────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("display", "fact"),
    [
        ("Ki-67 Index", "ki67_index"),
        ("KI67 (MIB-1)", "ki67_index"),
        ("Bilirubin, gesamt", "total_bilirubin"),
        ("Gesamtbilirubin / Bilirubinwert", "total_bilirubin"),
        ("5-HIAA 24h urine", "urine_5hiaa"),
        ("Chromogranin A", "chromogranin_a"),
        ("ECOG", "ecog"),
        ("Child-Pugh", "child_pugh"),
    ],
)
def test_local_code_whose_display_has_a_word_of_ours_is_listed_with_the_fact(tmp_path: Path, display: str, fact: str) -> None:
    report = charts_of([patient(), observation(local("X1", display))], at=tmp_path / "x")
    assert [(row.code, row.charts, fact in row.looks_like) for row in report.local] == [("X1", 1, True)]


@pytest.mark.parametrize(
    ("kind", "more", "display", "concept"),
    [
        ("Condition", {}, "Neuroendocrine tumour, ileum", "cond.net"),
        ("Condition", {}, "Ascites", "cond.ci.ascites"),
        ("Procedure", {"status": "completed"}, "TACE (chemoembolization)", "proc.chemoembolization"),
        ("ServiceRequest", {"status": "active", "intent": "order"}, "Radioembolization", "proc.radioembolization"),
        ("MedicationStatement", {"status": "active"}, "Somatuline Autogel", "med.lanreotide"),
    ],
)
def test_local_code_of_another_type_is_listed_with_the_concept(
    tmp_path: Path, kind: str, more: dict[str, str], display: str, concept: str
) -> None:
    about = {"medicationCodeableConcept" if kind == "MedicationStatement" else "code": {"coding": [local("X1", display)]}}
    resource = {"resourceType": kind, "id": "x", "subject": {"reference": "Patient/p1"}, **about, **more}
    report = charts_of([patient(), resource], at=tmp_path / "x")
    assert [(row.code, concept in row.looks_like) for row in report.local] == [("X1", True)]
    assert 'code = "X1"\nconcept = ""' in snippet(report)


@pytest.mark.parametrize("display", ["Liver, segment 4", "Carcinoid"])
def test_word_that_points_to_many_facts_lists_the_code_and_suggests_none_or_few(tmp_path: Path, display: str) -> None:
    report = charts_of([patient(), observation(local("X1", display))], at=tmp_path / "x")
    assert [row.code for row in report.local] == ["X1"]
    assert len(report.local[0].looks_like) <= 4


@pytest.mark.parametrize("display", ["Systolic blood pressure", "Tobacco smoking status", "Total cholesterol", "Body height"])
def test_local_code_without_a_word_of_ours_is_not_listed(tmp_path: Path, display: str) -> None:
    assert charts_of([patient(), observation(local("X1", display))], at=tmp_path / "x").unmapped == []


def test_local_code_beside_a_code_that_is_read_is_not_listed(tmp_path: Path) -> None:
    both = {"coding": [local("BILI", "Bilirubin"), BILIRUBIN]}
    report = charts_of([patient(), observation(both, valueQuantity={"value": 1, "unit": "mg/dL"})], at=tmp_path / "x")
    assert report.unmapped == []
    assert [row.fact for row in report.facts if row.codes[0].code == "1975-2"] == ["total_bilirubin"]


def test_text_finds_a_code_and_is_not_shown(tmp_path: Path) -> None:
    coded = observation({"coding": [{"system": HERE, "code": "B7"}], "text": "Bilirubin of Erika Mustermann"})
    text_only = observation({"coding": [], "text": "Erika's bilirubin"}, "p2")
    report = charts_of([patient(), coded], [patient("p2"), text_only], at=tmp_path / "x")
    assert [(row.code, row.display, row.words) for row in report.local] == [("B7", "", ["bilirubin"])]
    assert [(row.what, row.why, row.count) for row in report.text_only] == [("Observation", "bilirubin", 1)]
    assert b"Erika" not in as_json(report)


def test_another_loinc_code_is_listed_and_never_offered_for_the_site_file(tmp_path: Path) -> None:
    direct = local("1968-7", "Bilirubin.direct [Mass/volume]", "http://loinc.org")
    report = charts_of([patient(), observation(direct)], at=tmp_path / "x")
    assert [row.code for row in report.standard] == ["1968-7"]
    assert snippet(report) == ""


def test_rejected_unit_is_reported_with_the_fact(tmp_path: Path) -> None:
    odd = [
        observation(BILIRUBIN, id=f"o{n}", valueQuantity={"value": 3, "unit": u})
        for n, u in enumerate(["furlong", "furlong", "mg/dL"])
    ]
    report = charts_of([patient(), *odd], at=tmp_path / "x")
    assert [(u.fact, u.unit, u.charts, u.times) for u in report.units_refused] == [("total_bilirubin", "furlong", 1, 2)]
    assert "mg/dL" in report.units_refused[0].accepted
    assert "furlong" in as_text(report)


def test_unknown_coded_answer_is_reported_with_the_options_of_the_fact(tmp_path: Path) -> None:
    asked = {"system": knowledge.load().assessment_system, "code": "portal-vein"}
    given: dict[str, Any] = {"valueCodeableConcept": {"coding": [local("3", "Occluded, main trunk")], "text": "said Erika"}}
    report = charts_of([patient(), observation(asked, **given)], at=tmp_path / "x")
    (row,) = report.answers_not_read
    assert (row.fact, row.system, row.code, row.display) == ("portal_vein", HERE, "3", "Occluded, main trunk")
    assert row.allowed == ["patent", "occluded", "branch"]
    table = {"system": HERE, "code": "3", "fact": "portal_vein", "value": ""}
    assert tomllib.loads(snippet(report)) == {"code": [table]}


def test_units_are_offered_for_the_site_file_and_an_unnamed_one_too(tmp_path: Path) -> None:
    odd = [observation(BILIRUBIN, id=f"{n}", valueQuantity={"value": 3} | unit) for n, unit in enumerate([{"unit": "mg"}, {}])]
    report = charts_of([patient(), *odd], at=tmp_path / "x")
    assert tomllib.loads(snippet(report)) == {"units": {"total_bilirubin": {"mg": "", "": ""}}}


def test_a_unit_spelt_none_is_not_a_missing_unit(tmp_path: Path) -> None:
    odd = [
        observation(BILIRUBIN, id=f"{n}", valueQuantity={"value": 3} | unit) for n, unit in enumerate([{"unit": "none"}, {}])
    ]
    report = charts_of([patient(), *odd], at=tmp_path / "x")
    assert [row.unit for row in report.units_refused] == ["none", None]
    assert tomllib.loads(snippet(report)) == {"units": {"total_bilirubin": {"none": "", "": ""}}}
    only_unnamed = charts_of([patient(), odd[1]], at=tmp_path / "y")
    assert tomllib.loads(snippet(only_unnamed)) == {"units": {"total_bilirubin": {"": ""}}}
    assert re.search(r"^Total bilirubin +none +1 +1 ", as_text(only_unnamed), re.MULTILINE)


@pytest.mark.parametrize("system", ["", "no system", "not shown: a system that is not a URI"])
def test_a_code_whose_system_is_not_known_is_listed_and_never_offered(tmp_path: Path, system: str) -> None:
    report = charts_of([patient(), observation(local("X1", "Bilirubin", system))], at=tmp_path / "x")
    assert [(row.code, row.system_known) for row in report.local] == [("X1", False)]
    assert snippet(report) == ""


def test_rewording_a_reason_changes_no_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values: list[dict[str, Any]] = [
        {"valueString": "abc"},
        {"valueQuantity": {"value": -3, "unit": "mg/dL"}},
        {"effectiveDateTime": "2031-01-01", "valueQuantity": {"value": 1, "unit": "mg/dL"}},
        {"effectiveDateTime": "2032-02-02", "valueQuantity": {"value": 1, "unit": "mg/dL"}},
        {"valueString": 7},
        {"effectiveDateTime": "2026-13-99", "valueString": "1"},
    ]
    odd = [observation(BILIRUBIN, id=str(number), **value) for number, value in enumerate(values)]
    contents: tuple[Any, ...] = (bundle(patient(), *odd), b"{", b"\xff", {"card": []})

    def counts(folder: str) -> list[list[int]]:
        report = look(*contents, at=tmp_path / folder)
        reasons = (report.values_unreadable, report.resources_unreadable, report.files_unreadable, report.not_usable)
        return [sorted(row.count for row in rows) for rows in reasons]

    before = counts("before")
    assert before[:3] == [[1, 1, 1, 1, 2], [1, 1], [1, 1, 1]]
    monkeypatch.setattr(wording, "WORDS", dict.fromkeys(Reason, "the same words"))
    assert counts("after") == before


def test_value_out_of_its_window_is_counted_on_the_day_that_is_given(tmp_path: Path) -> None:
    chart = bundle(patient(), observation(BILIRUBIN, valueQuantity={"value": 1, "unit": "mg/dL"}))
    old = look(chart, at=tmp_path / "x", day=date(2027, 11, 25))
    assert [(row.fact, row.days, row.charts) for row in old.out_of_window] == [("total_bilirubin", 180, 1)]
    new = look(chart, at=tmp_path / "x", day=date(2026, 11, 25))
    assert new.out_of_window == []
    assert {row.fact: row.usable_charts for row in new.facts}["total_bilirubin"] == 1


def test_what_cannot_be_read_is_counted_with_the_reason(tmp_path: Path) -> None:
    broken = observation(BILIRUBIN, valueString=7)
    lines = "\n".join([json.dumps(patient()), "{", '{"resourceType": 7}', "[]", "", "\ufeff" + json.dumps(broken)])
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "torn.ndjson.gz").write_bytes(gzip.compress(json.dumps(patient("p2")).encode() * 50)[:40])
    (tmp_path / "x" / "chart.xml").write_text("<Bundle/>")
    report = look(lines, b"\xff", b"{} {}", {"card": []}, {"resourceType": "OperationOutcome"}, at=tmp_path / "x")
    whys = {row.why.split(" (")[0]: row.count for row in report.files_unreadable}
    assert whys == {
        "not JSON": 2,
        "not UTF-8": 1,
        "neither a FHIR resource nor a hook request": 2,
        "an OperationOutcome instead of data, or a Bundle that cannot be read": 1,
        "not a sound gzip file": 1,
    }
    assert [(row.what, row.why) for row in report.resources_unreadable] == [
        ("Observation", "Expected `str | null`, got `int` - at `$.valueString`")
    ]
    assert report.files_not_opened == {".xml": 1}
    assert report.charts == 1


def test_half_a_character_and_a_hook_request_without_prefetch_stop_nothing(tmp_path: Path) -> None:
    torn = r'{"resourceType": "Condition", "subject": {"reference": "Patient/\ud800"}}'
    report = look(torn, json.dumps(patient()), json.dumps(bare_request()), at=tmp_path / "x")
    assert report.charts == 1
    assert [row.why.split(" (")[0] for row in report.files_unreadable] == ["not JSON", "a hook request without prefetch"]


@pytest.mark.parametrize("byte", [b"", b"\x00", b"\xff", b'"', b"[", b"9", b"\\ud800"])
def test_no_damage_to_a_chart_stops_the_report(tmp_path: Path, byte: bytes) -> None:
    whole = (folder_of("milan-net") / "chart.json").read_bytes()
    places = range(1, len(whole), len(whole) // 25)
    report = look(*(whole[:place] + byte + whole[place + 1 :] for place in places), at=tmp_path / "x")
    assert report.files == len(places)


def test_unit_of_another_part_of_the_same_observation_is_not_blamed(tmp_path: Path) -> None:
    other = {"code": {"coding": [local("OTHER", "Other")]}, "valueQuantity": {"value": 1, "unit": "ell"}}
    odd = observation(BILIRUBIN, valueQuantity={"value": 3, "unit": "furlong"}, component=[other])
    assert [row.unit for row in charts_of([patient(), odd], at=tmp_path / "x").units_refused] == ["furlong"]


def test_chart_without_its_patient_is_reported(tmp_path: Path) -> None:
    report = charts_of([observation(BILIRUBIN)], [patient("p2")], at=tmp_path / "x")
    assert (report.charts, report.charts_without_patient) == (2, 1)
    assert "Charts without a Patient: 1 of 2" in as_text(report)
