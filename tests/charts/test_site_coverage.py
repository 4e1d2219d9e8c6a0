"""An integrator's workflow: coverage, its lines into the site file, coverage again, and the site's codes as a ConceptMap."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fhir.resources.R4B.conceptmap import ConceptMap

from cds_service.__main__ import main
from cds_service.coverage.advice import snippet
from cds_service.coverage.report import Report
from tests.charts.test_coverage import HERE, local, observation, patient
from tests.conftest import bundle

HEAD = '[site]\nid = "north"\ntitle = "North"\n\n'


def chart() -> list[Any]:
    """Return a chart with nonstandard codes: a test, an assessment with its answer, a procedure, a unit."""
    asked, answered = local("RESECT", "Resectability (board)"), local("3", "Not resectable")
    done = {"coding": [local("TACE", "Chemoembolization of liver")]}
    about = {"subject": {"reference": "Patient/p1"}, "performedDateTime": "2026-01-01"}
    return [
        patient(),
        observation(local("BILT", "Bilirubin, gesamt"), id="1", valueQuantity={"value": 1, "unit": "mg/dL"}),
        observation(asked, id="2", valueCodeableConcept={"coding": [answered]}),
        {"resourceType": "Procedure", "id": "3", "status": "completed", "code": done, **about},
        observation({"system": "http://loinc.org", "code": "777-3"}, id="4", valueQuantity={"value": 200, "unit": "G/L"}),
    ]


def covered(folder: Path, *site: str) -> Report:
    (folder / "x").mkdir(exist_ok=True)
    (folder / "x" / "chart.json").write_text(json.dumps(bundle(*chart())))
    assert main(["coverage", str(folder / "x"), *site, "--as-of", "2026-11-25", "--json", str(folder / "report.json")]) == 0
    return msgspec.json.decode((folder / "report.json").read_bytes(), type=Report)


def filled(lines: str, *answers: tuple[str, str]) -> str:
    """Return the lines as a person would complete them: each empty string in turn."""
    for key, value in answers:
        assert f'{key} = ""' in lines, lines
        lines = lines.replace(f'{key} = ""', f'{key} = "{value}"', 1)
    return lines


def test_lines_of_the_report_filled_in_and_given_back_leave_nothing_unread(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = covered(tmp_path)
    assert {row.code for row in first.local} == {"BILT", "RESECT", "TACE"}
    lines = snippet(first)
    site = tmp_path / "site.toml"
    site.write_text(HEAD + lines)
    assert main(["coverage", str(tmp_path / "x"), "--site", str(site)]) == 1, "what is left empty is refused"
    says = {"BILT": "total_bilirubin", "RESECT": "resectability", "TACE": "proc.chemoembolization"}
    lines = filled(lines, *(("concept" if row.source == "Procedure" else "fact", says[row.code]) for row in first.to_map))
    site.write_text(HEAD + filled(lines, ('"G/L"', "10*9/L")))
    second = covered(tmp_path, "--site", str(site))
    assert (second.local, second.units_refused) == ([], [])
    assert [(row.fact, row.code) for row in second.answers_not_read] == [("resectability", "3")]
    site.write_text(site.read_text() + "\n\n" + filled(snippet(second), ("value", "unresectable")))
    third = covered(tmp_path, "--site", str(site))
    codes = {row.fact: [(code.system, code.code) for code in row.codes] for row in third.facts}
    assert codes["total_bilirubin"] == [(HERE, "BILT")]
    assert codes["resectability"] == [(HERE, "RESECT")]
    assert codes["liver_embolization"] == [(HERE, "TACE")]
    assert codes["platelets"] == [("http://loinc.org", "777-3")]
    assert snippet(third) == ""


def test_codes_of_a_site_are_its_concept_map_and_stand_in_the_value_sets(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    entries = [
        {"system": HERE, "code": "DX", "means": "icd-10-cm|C7B.02"},
        {"system": HERE, "code": "BILT", "fact": "total_bilirubin"},
        {"system": HERE, "code": "R", "fact": "resectability"},
        {"system": HERE, "code": "3", "fact": "resectability", "value": "unresectable"},
        {"system": "http://www.ama-assn.org/go/cpt", "code": "99999-example", "concept": "proc.embolization", "display": "x"},
    ]
    site.write_text(HEAD + "".join("[[code]]\n" + "".join(f'{k} = "{v}"\n' for k, v in entry.items()) for entry in entries))
    assert main(["knowledge", "--site", str(site), "--fhir", str(tmp_path / "fhir")]) == 0
    (path,) = (tmp_path / "fhir").glob("ConceptMap-*.json")
    made = json.loads(path.read_text("utf-8"))
    ConceptMap.model_validate(made)
    found = {
        e["code"]: (g["target"], e["target"][0]["code"]) for g in made["group"] for e in g["element"] if g["source"] == HERE
    }
    ours = "https://nlm-cds.example/fhir/CodeSystem/nlm-assessment"
    assert found == {
        "DX": ("http://hl7.org/fhir/sid/icd-10-cm", "C7B.02"),
        "BILT": ("http://loinc.org", "1975-2"),
        "R": (ours, "resectability"),
        "3": (ours, "unresectable"),
    }
    included = json.loads((tmp_path / "fhir" / "ValueSet-fact-liver-embolization.json").read_text("utf-8"))["compose"][
        "include"
    ]
    assert {"system": "http://www.ama-assn.org/go/cpt", "concept": [{"code": "99999-example"}]} in included
