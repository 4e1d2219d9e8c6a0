"""Charts and requests from other projects (tests/data) are read without an error and get no card."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from cds_service import knowledge
from cds_service.__main__ import main
from cds_service.fhir.chart_files import ChartFile, build_request, read_file
from cds_service.hooks import patient_view
from tests.conftest import INSTANCE, PREFETCH, ROOT, SERVICE, bare_request, diagnostics

DATA = ROOT / "tests/data"
FILES = sorted(path for path in DATA.rglob("*.json") if path.parent != DATA)
CONTENT = {path: read_file(path) for path in FILES}
CHARTS = {path: content for path, content in CONTENT.items() if isinstance(content, ChartFile)}
REQUESTS = {path: content for path, content in CONTENT.items() if isinstance(content, bytes)}
LARGEST_OF_ALL = 1_500_000
DAY = date(2026, 11, 23)


def name(path: Path) -> str:
    return str(path.relative_to(DATA))


def chart_as_request(chart: ChartFile) -> dict[str, Any]:
    """Return the request that an EHR would send; for a file without a patient, the request is about an unknown one."""
    request = build_request(chart, timedelta(0), INSTANCE, PREFETCH)
    request["context"]["patientId"] = request["context"]["patientId"] or "nobody"
    return request


def test_there_are_charts_and_requests_and_they_are_not_heavy() -> None:
    assert len(CHARTS) > 30
    assert len(REQUESTS) > 5
    assert sum(path.stat().st_size for path in FILES) < LARGEST_OF_ALL
    readme = (DATA / "README.md").read_text("utf-8")
    assert all(f"| {path.parent.name} |" in readme for path in FILES)


@pytest.mark.parametrize("path", CHARTS, ids=name)
def test_a_real_chart_on_the_command_line_gets_no_card(path: Path) -> None:
    assert patient_view.cards_of_chart(CHARTS[path].chart(), knowledge.load(), DAY, "command-line") == []


@pytest.mark.parametrize("path", CHARTS, ids=name)
def test_a_real_chart_that_is_prefetched_gets_no_card(client: FlaskClient, path: Path) -> None:
    request = chart_as_request(CHARTS[path])
    answer = client.post(SERVICE, json=request)
    if request["context"]["patientId"] == "nobody" and answer.status_code == 412:
        assert "none of this patient" in diagnostics(answer)[0]
        return
    assert answer.status_code == 200
    assert answer.json == {"cards": []}


@pytest.mark.parametrize("path", CHARTS, ids=name)
def test_a_real_chart_under_any_one_key_is_an_answer_or_a_precondition(client: FlaskClient, path: Path) -> None:
    """The whole file is the value of one key, as from an EHR that ignores the query."""
    content = json.loads(path.read_bytes())
    patient = chart_as_request(CHARTS[path])["context"]["patientId"]
    for key in (*PREFETCH, "chart"):
        request = bare_request(context={"userId": "Practitioner/1", "patientId": patient}, prefetch={key: content})
        answer = client.post(SERVICE, json=request)
        assert answer.status_code in {200, 412}
        assert answer.status_code == 412 or answer.json == {"cards": []}


@pytest.mark.parametrize("path", REQUESTS, ids=name)
def test_a_real_hook_request_is_answered_or_told_what_it_lacks(client: FlaskClient, path: Path) -> None:
    answer = client.post(SERVICE, data=REQUESTS[path], content_type="application/json")
    hook = json.loads(REQUESTS[path])["hook"]
    if hook == "patient-view":
        assert answer.status_code == 412
        assert "prefetch.conditions" in diagnostics(answer)[0]
    else:
        assert answer.status_code == 400
        assert "hook must be patient-view, not another hook" in diagnostics(answer)


def test_the_command_line_says_in_words_that_there_is_no_card(capsys: pytest.CaptureFixture[str]) -> None:
    path = DATA / "mcode-stu4/cancer-patient-jenny-m.json"
    assert main(["cards", "--as-of", "2026-11-23", str(path)]) == 0
    assert capsys.readouterr().out == "No card: no neuroendocrine liver metastases in this chart (as of 2026-11-23).\n"


def test_a_file_that_is_no_chart_is_refused_in_words(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for text in ("", "[]", '{"a": 1}', "<Bundle/>", "[" * 100_000):
        path = tmp_path / "file.json"
        path.write_text(text, "utf-8")
        assert main(["cards", str(path)]) == 1
        assert str(path) in capsys.readouterr().err
    assert main(["cards", str(tmp_path / "nowhere.json")]) == 1
    assert "No such file" in capsys.readouterr().err
