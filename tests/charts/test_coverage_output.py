"""The coverage report contains no patient data; its lines can be used in a site file; its page is self-contained."""

from __future__ import annotations

import io
import json
import re
import tomllib
import tracemalloc
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cds_service import knowledge
from cds_service.__main__ import main
from cds_service.coverage import survey
from cds_service.coverage.advice import MAX_TABLES, advice, snippet
from cds_service.coverage.page import as_page
from cds_service.coverage.progress import Progress
from cds_service.coverage.report import Report, as_json
from cds_service.coverage.rows import MAX_DISPLAY_CHARS
from cds_service.coverage.text import as_text
from tests.charts.test_coverage import BILIRUBIN, HERE, charts_of, local, look, observation, patient
from tests.conftest import bundle

SECRET = "Mustermann"
DAY = date(2026, 11, 25)
PORTAL_VEIN = {"system": knowledge.load().assessment_system, "code": "portal-vein"}


def everything(report: Report) -> str:
    return "\n".join([as_text(report), as_json(report).decode(), as_page(report).decode()])


def secrets(number: int) -> list[Any]:
    """Return a chart with a secret wherever a patient's name, id, number or note may be, and may be malformed."""
    me, note = f"{SECRET}-{number}", [{"text": SECRET}]
    of = {"subject": {"reference": f"Patient/{me}", "display": SECRET}}
    return [
        patient(me) | {"name": [{"family": SECRET}], "identifier": [{"system": SECRET, "value": SECRET}]},
        observation(BILIRUBIN, me, id=SECRET, note=note, valueString=f"{SECRET} 47.11"),
        observation(BILIRUBIN, me, id="1", valueQuantity={"value": 47.11, "unit": "furlong"}),
        observation(BILIRUBIN, me, id="2", valueQuantity={"value": SECRET, "unit": "mg/dL"}),
        observation(BILIRUBIN, me, id="3", valueQuantity=SECRET, effectiveDateTime=SECRET),
        observation({"coding": [{"system": HERE, "code": "B"}], "text": f"bilirubin {SECRET}"}, me, valueString=SECRET),
        observation({"coding": [], "text": f"liver {SECRET}"}, me),
        observation(local(f"bilirubin of {SECRET} {number}", f"Bilirubin {SECRET}-{number}"), me),
        observation(local("FREE", f"Liver: {SECRET} {number}"), me),
        observation(local("SYS", "Liver", SECRET), me),
        observation(
            PORTAL_VEIN, me, id="4", valueCodeableConcept={"coding": [local("A", SECRET + str(number))], "text": SECRET}
        ),
        observation(PORTAL_VEIN, me, id="5", valueCodeableConcept={"coding": [local(f"x {SECRET} {number}", SECRET)]}),
        observation(BILIRUBIN, me, id="6", valueQuantity={"value": 1, "unit": f"mg {SECRET} {number}"}),
        {"resourceType": "Condition", "id": SECRET, "code": {"text": f"carcinoid {SECRET}"}, "note": note, **of},
        {"resourceType": "Condition", "code": SECRET, **of},
        {"resourceType": "Procedure", "status": "completed", "code": {"text": f"liver {SECRET}"}, **of},
        {"resourceType": "Observation", "subject": SECRET},
    ]


def test_nothing_of_a_patient_is_printed_wherever_it_stands(tmp_path: Path) -> None:
    folder = tmp_path / SECRET
    folder.mkdir()
    (folder / f"{SECRET}.json").write_text(f"{{ {SECRET}")
    (folder / f"{SECRET}.{SECRET}").write_text("")
    charts = [secrets(number) for number in range(5)]
    report = charts_of(*charts, at=folder)
    assert (report.charts, report.files) == (5, 6)
    assert report.resources_unreadable
    assert {row.code for row in report.local} >= {"B", "FREE", "SYS"}
    said = everything(report)
    for line in said.splitlines():
        assert SECRET not in line, line
    assert "47.11" not in said
    assert "1960" not in said


def test_code_with_blanks_is_shown_once_two_charts_share_it(tmp_path: Path) -> None:
    one = [patient(), observation(local("KI 67", "Ki-67"))]
    report = charts_of(one, at=tmp_path / "one")
    assert "KI 67" not in everything(report)
    assert snippet(report) == ""
    assert 'code = "KI 67"' in snippet(
        charts_of(one, [patient("p2"), observation(local("KI 67", "Ki-67"), "p2")], at=tmp_path / "two")
    )


def test_code_with_blanks_that_gave_a_reading_is_not_shown_either(tmp_path: Path) -> None:
    """A diagnosis with a site's own code is a NEN by the histology that refers to it."""
    typed = {"coding": [local(f"tumour of {SECRET}", "x")]}
    tumour = {"resourceType": "Condition", "id": "t", "code": typed, "subject": {"reference": "Patient/p1"}}
    dated = tumour | {"onsetDateTime": "2025-01-01"}
    asks, says = local("59847-4", "", "http://loinc.org"), local("8240/3", "", "http://terminology.hl7.org/CodeSystem/icd-o-3")
    seen = observation(asks, focus=[{"reference": "Condition/t"}], valueCodeableConcept={"coding": [says]})
    report = charts_of([patient(), dated, seen], at=tmp_path / "x")
    codes = {row.fact: [code.code for code in row.codes] for row in report.facts}
    assert codes["nen_diagnosis"] == ["not shown: a long code, or one with spaces in one chart only"]
    assert SECRET not in everything(report)


def test_unit_with_blanks_is_shown_once_two_charts_share_it(tmp_path: Path) -> None:
    value: dict[str, Any] = {"valueQuantity": {"value": 1, "unit": "mg each"}}
    one = [patient(), observation(BILIRUBIN, **value)]
    assert "mg each" not in everything(charts_of(one, at=tmp_path / "one"))
    both = charts_of(one, [patient("p2"), observation(BILIRUBIN, "p2", **value)], at=tmp_path / "two")
    assert [row.unit for row in both.units_refused] == ["mg each"]


HOSTILE = "Liver <script>alert(1)</script> \"\"\" ' ]] \\ \u202e\x00\x1b[31m\n[[code]]\nfact = 'x'"


def hostile(tmp_path: Path) -> Report:
    codings = [local('a"b\\', HOSTILE), local("long", "Liver " + "x" * 300), local("l" * 300, "Liver")]
    return charts_of([patient(), *(observation(coding, id=str(n)) for n, coding in enumerate(codings))], at=tmp_path / "x")


def test_lines_for_the_site_file_are_toml_with_empty_facts_whatever_was_sent(tmp_path: Path) -> None:
    tables = tomllib.loads(snippet(hostile(tmp_path)))
    assert tables == {"code": [{"system": HERE, "code": code, "fact": ""} for code in ('a"b\\', "long")]}


def test_lines_for_the_site_file_are_few_enough_to_decide(tmp_path: Path) -> None:
    many = [observation(local(f"C{number}", "Liver"), id=str(number)) for number in range(3 * MAX_TABLES)]
    report = charts_of([patient(), *many], at=tmp_path / "x")
    assert len(report.local) == 3 * MAX_TABLES
    assert len(tomllib.loads(snippet(report))["code"]) == MAX_TABLES
    assert f"… and {3 * MAX_TABLES - 25} more" in as_text(report)


def test_page_escapes_what_was_sent_and_loads_nothing(tmp_path: Path) -> None:
    report = hostile(tmp_path)
    page = as_page(report).decode()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"<(?:link|img|iframe|form)\b|(?:src|href)\s*=|url\(|@import", page)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", everything(report))
    assert all(len(row.display) <= MAX_DISPLAY_CHARS for row in report.local)


def test_report_is_the_same_in_text_json_and_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    look(bundle(patient(), observation(local("X1", "Bilirubin"))), at=tmp_path / "x")
    files = tmp_path / "report.json", tmp_path / "report.html"
    asked = ["coverage", str(tmp_path / "x"), "--as-of", "2026-11-25", "--json", str(files[0]), "--html", str(files[1])]
    assert main(asked) == 0
    out, err = capsys.readouterr()
    report = msgspec.json.decode(files[0].read_bytes(), type=Report)
    assert out == as_text(report) + "\n"
    assert files[1].read_bytes() == as_page(report)
    assert err == "", "no progress bar where nobody looks"
    assert json.loads(files[0].read_bytes())["unmapped"][0]["code"] == "X1"


def test_path_that_is_not_there_and_report_that_cannot_be_written_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["coverage", str(tmp_path / "nothing")]) == 1
    assert main(["coverage", str(tmp_path), "--json", str(tmp_path / "no" / "folder.json")]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.rsplit(": ", 1)[1] for line in err.splitlines()] == ["No such file or directory"] * 2


def test_folder_without_charts_says_what_to_give(tmp_path: Path) -> None:
    assert advice(look(at=tmp_path / "x")) == [
        "No chart was found. Give folders or files with FHIR R4 Bundles, resources, NDJSON or hook requests."
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_drawn_on_a_terminal_and_wiped_at_the_end(tmp_path: Path) -> None:
    terminal = Terminal()
    progress = Progress(terminal, "Reading", 4)
    progress.step(2)
    progress.end()
    assert terminal.getvalue() == f"\rReading {'█' * 15}{'·' * 15}  50%\r\x1b[K"


def test_memory_does_not_grow_with_the_number_of_charts(tmp_path: Path) -> None:
    """The resources of 500 more charts, all in memory, would take over 1 MB. The allowance is for the interpreter's free list
    of argument tuples, which tracemalloc counts as in use: at most 2,000 of 200 bytes."""
    peaks = []
    for count in (100, 600):
        (tmp_path / str(count)).mkdir()
        lines = [
            json.dumps(observation(BILIRUBIN, f"p{number}", id=f"{number}-{n}", valueQuantity={"value": n, "unit": "mg/dL"}))
            for n in range(5)
            for number in range(count)
        ]
        (tmp_path / str(count) / "Observation.ndjson").write_text("\n".join(lines))
        del lines
        tracemalloc.start()
        report = survey([tmp_path / str(count)], knowledge.load(), DAY, io.StringIO())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert report.charts == count
    assert peaks[1] < peaks[0] + 400_000
