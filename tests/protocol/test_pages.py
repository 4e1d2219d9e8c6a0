"""The try-it page without a browser: its answers, what it rejects, and what it never reveals."""

from __future__ import annotations

import html
import io
import json
import logging
import re
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import MultiDict

from cds_service.app import create_app
from cds_service.capacity import Capacity, ConcurrencyLimit, CpuLimit
from cds_service.fhir.chart_files import ChartFile, build_request, read_file
from cds_service.hooks import patient_view
from cds_service.hooks.request import parse_request
from cds_service.pages import fixtures as examples
from cds_service.pages.controls import (
    FIRST_OF_GROUP,
    NOTHING,
    OFTEN_CHANGED,
    Control,
    Entered,
    chart_value,
    control_groups,
    control_label,
)
from cds_service.pages.drafted_order import draft_orders_of, drafted_kind
from cds_service.pages.evaluate import Trial, rerun_trial, run_trial
from cds_service.pages.fixtures import fixtures
from cds_service.pages.markup import html_of
from cds_service.pages.submission import submission_from_fixture, submission_from_text
from cds_service.pages.supposed import read_controls, readings_by_fact
from cds_service.pages.views import POLICY
from cds_service.settings import Settings
from cds_service.sites import development_site
from tests.conftest import PREFETCH

TODAY = date(2026, 11, 23)
SITE = development_site()
NAMES = sorted(fixtures())
ARTERIAL = "arterial-candidate"


@pytest.fixture
def pages() -> FlaskClient:
    return create_app(Settings(), lambda: TODAY).test_client()


def chart_text(name: str = ARTERIAL) -> str:
    return fixtures()[name].chart.read_text("utf-8")


def request_text(name: str = ARTERIAL) -> str:
    chart = read_file(fixtures()[name].chart)
    assert isinstance(chart, ChartFile)
    instance = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"
    return json.dumps(build_request(chart, timedelta(0), instance, PREFETCH))


def words(page: str) -> str:
    """Return the text of the page, without markup and without the request it shows."""
    page = re.sub(r"<textarea.*?</textarea>|<pre.*?</pre>", " ", page, flags=re.DOTALL)
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())
    return re.sub(r" (?=[,.;:)])", "", text)


def mark(page: str) -> str:
    found = re.search(r'name="of" value="(\w*)"', page)
    assert found
    return found[1]


# ── what it answers ───────────────────────────────────────────────────────────────────────────────────────────────
def test_page_and_its_files_have_security_headers(pages: FlaskClient) -> None:
    for path in ("/", f"/?fixture={ARTERIAL}", "/static/try-it.css", "/static/try-it.js", "/static/icon.svg"):
        with pages.get(path) as answer:
            assert answer.status_code == 200
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"


def test_page_needs_no_inline_style_script_or_other_host(pages: FlaskClient) -> None:
    page = pages.get(f"/?fixture={ARTERIAL}").text
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! src=\"/static/)|javascript:", page)
    assert not re.search(r"<(?:img|script|link|iframe)[^>]*(?:src|href)=\"(?!/static/)", page)
    assert all('rel="noopener noreferrer"' in link for link in re.findall(r'<a [^>]*href="https?:[^>]*>', page))


@pytest.mark.parametrize("name", NAMES)
def test_page_and_service_agree_on_every_example(pages: FlaskClient, name: str) -> None:
    submission = submission_from_fixture(fixtures()[name], SITE.knowledge, TODAY)
    cards = patient_view.answer_request(parse_request(submission.body, "patient-view"), SITE, TODAY).cards
    assert msgspec.json.encode(run_trial(submission.body, SITE, TODAY).cards) == msgspec.json.encode(cards)
    page = pages.get(f"/?fixture={name}")
    assert page.status_code == 200
    for card in cards:
        assert card.summary in words(page.text)
    assert f"moved by {(TODAY - (fixtures()[name].as_of or TODAY)).days} days" in words(page.text)


@pytest.mark.parametrize("name", NAMES)
def test_pasted_chart_gives_the_cards_of_the_same_request(name: str) -> None:
    day = fixtures()[name].as_of or TODAY
    pasted, asked = (
        run_trial(submission_from_text(text, SITE.knowledge).body, SITE, day) for text in (chart_text(name), request_text(name))
    )
    assert [(card.summary, card.detail) for card in pasted.cards] == [(card.summary, card.detail) for card in asked.cards]


def test_chart_without_the_disease_gets_no_card_and_the_page_says_so(pages: FlaskClient) -> None:
    told = words(pages.get("/?fixture=colorectal-liver-metastases").text)
    assert 'No card: there are no neuroendocrine liver metastases in this chart. {"cards": []} is the whole answer.' in told
    assert "Change a fact" not in told


def test_uncertain_disease_is_shown_with_its_reason(pages: FlaskClient) -> None:
    told = words(pages.get("/?fixture=possible-nlm-two-primaries").text)
    assert "Why no treatment is judged" in told
    assert "which primary?" in told


def test_trace_names_value_date_reference_limit_and_source(pages: FlaskClient) -> None:
    told = words(pages.get(f"/?fixture={ARTERIAL}").text)
    assert "not met Main portal vein occluded portal-vein-occlusion Portal vein: patent (met if occluded)" in told
    assert "portal vein: patent, 2026-10-30, Observation/arterial-candidate-obs-16 Source: S053, S042" in told
    assert "not checked The liver has been transplanted" in told
    assert "Removable share" in told
    assert "other patient: 2" in told


def test_missing_examples_leave_the_chooser_out(pages: FlaskClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(examples, "PACKAGE", tmp_path / "cds_service")
    answer = pages.get("/")
    assert answer.status_code == 200
    assert 'id="fixture"' not in answer.text
    assert 'id="chart"' in answer.text


# ── change a fact ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_supposed_value_moves_the_verdict_as_a_chart_with_it_would(pages: FlaskClient) -> None:
    answer = pages.post("/", data={"fixture": ARTERIAL, "portal_vein": "occluded"})
    told = words(answer.text)
    assert "What moved Supposed: Portal vein occluded, as of today (chart: patent, 2026-10-30)" in told
    assert "Arterial therapy was consider →, now contraindicated was consider →, now contraindicated" in told
    assert "2026-11-23, changed on this page" in told
    occluded = words(pages.get("/?fixture=arterial-portal-vein-occluded").text)
    assert "Arterial therapy contraindicated contraindicated" in occluded


def controls_of(trial: Trial, entered: Entered | None = None) -> list[Control]:
    assert trial.evaluation
    groups = control_groups(trial.evaluation.facts, trial.evaluation, entered or Entered({}, {}, {}))
    return [control for group in groups for control in group.controls]


@pytest.mark.parametrize("name", NAMES)
def test_values_of_the_chart_in_the_controls_change_nothing(pages: FlaskClient, name: str) -> None:
    trial = run_trial(submission_from_fixture(fixtures()[name], SITE.knowledge, TODAY).body, SITE, TODAY)
    if trial.evaluation is None:
        return
    controls = controls_of(trial)
    assert sorted(control.name for control in controls) == sorted(SITE.knowledge.facts)
    unchanged: dict[str, Any] = {control.name: list(control.shown) for control in controls}
    unchanged |= {f"{control.name}.on": control.shown_on for control in controls if control.accepts.dated}
    answer = pages.post("/", data={"fixture": name, **unchanged})
    assert answer.status_code == 200
    assert "Supposed:" not in words(answer.text)


@pytest.mark.parametrize(
    ("control", "value", "allowed"),
    [
        ("inr", "high", "a number from"),
        ("inr", "-1", "a number from"),
        ("removable_fraction", "101", "a number from 0 to 100 %"),
        ("portal_vein", "gone", "patent, occluded, branch or nothing on record"),
        ("lesion_count", "2.5", "a whole number from 0 to 1000"),
        ("age", "131", "a whole number from 0 to 130"),
        ("sex", "unknown", "female, male or nothing on record"),
        ("symptoms_refractory_to", "surgery", "hormonal suppression, immunotherapy, arterial therapy"),
        ("liver_resection", "false", "yes or nothing on record"),
    ],
)
def test_control_rejects_an_invalid_value_and_says_what_is_valid(
    pages: FlaskClient, control: str, value: str, allowed: str
) -> None:
    answer = pages.post("/", data={"fixture": ARTERIAL, control: value})
    assert answer.status_code == 400
    assert f"{control_label(SITE.knowledge.facts[control])} must be {allowed}" in words(answer.text)
    assert "Supposed:" not in words(answer.text)


@pytest.mark.parametrize("day", ["2026-11-24", "2026-02-30", "yesterday", "20261101"])
def test_a_day_that_is_none_or_in_the_future_is_refused(pages: FlaskClient, day: str) -> None:
    answer = pages.post("/", data={"fixture": ARTERIAL, "liver_resection": "true", "liver_resection.on": day})
    assert answer.status_code == 400
    assert "Liver resection must have a day that is not in the future" in words(answer.text)


@pytest.mark.parametrize("name", [*SITE.knowledge.facts])
def test_each_fact_can_be_changed_to_each_of_its_answers(name: str) -> None:
    """The supposed value becomes the fact, on its day, whatever the chart says."""
    trial = run_trial(submission_from_fixture(fixtures()["nec"], SITE.knowledge, TODAY).body, SITE, TODAY)
    assert trial.evaluation
    control = next(control for control in controls_of(trial) if control.name == name)
    for text in [option for option, _ in control.accepts.options] or [control.accepts.low, control.accepts.high]:
        form = MultiDict([(name, text), (f"{name}.on", "2026-11-01")])
        entered, supposed = read_controls(form, trial.evaluation.facts, TODAY)
        assert entered.faults == {}
        if not supposed:
            assert control.chart == (text,)
            continue
        now = rerun_trial(trial, readings_by_fact(supposed), SITE, TODAY)
        assert now.evaluation
        fact = now.evaluation.facts[name]
        if text == NOTHING:
            assert fact.silent
        elif fact.known or SITE.knowledge.facts[name].window_days is None:
            assert chart_value(now.evaluation.facts, name) == (text,) or fact.options
            assert str(fact.on) == ("2026-11-01" if control.accepts.dated else str(TODAY))


def test_several_answers_of_one_fact_can_be_supposed_together(pages: FlaskClient) -> None:
    both = ["arterial-therapy", "immunotherapy"]
    answer = pages.post("/", data={"fixture": ARTERIAL, "symptoms_refractory_to": both})
    assert "refractory to arterial therapy, immunotherapy, as of today" in words(answer.text)


def test_a_treatment_can_be_supposed_on_a_day(pages: FlaskClient) -> None:
    data = {"fixture": "resectable", "liver_resection": "true", "liver_resection.on": "2026-01-15"}
    told = words(pages.post("/", data=data).text)
    assert "Supposed: Liver resection yes, as of 2026-01-15 (chart: nothing recorded)" in told


def test_what_would_decide_is_shown_beside_its_control(pages: FlaskClient) -> None:
    trial = run_trial(submission_from_fixture(fixtures()["almost-nothing-known"], SITE.knowledge, TODAY).body, SITE, TODAY)
    assert trial.evaluation
    told = {control.name: control.decides for control in controls_of(trial)}
    for assessment in trial.evaluation.assessments.values():
        for name in SITE.knowledge.facts:
            assert (assessment.modality.short in told[name].split(", ")) == (name in assessment.missing)
    shown = words(pages.get("/?fixture=almost-nothing-known").text)
    decided = next(name for name, decides in told.items() if decides)
    assert f"Would decide: {told[decided]}" in shown


def test_facts_are_found_by_word_and_by_whether_they_decide(pages: FlaskClient) -> None:
    def shown(**form: str) -> list[str]:
        text = pages.post("/", data={"fixture": "almost-nothing-known", **form}).text
        return re.findall(r'<div class="control" data-words="[^"]*">\s*<label for="control-(\w+)"', text)

    assert len(shown()) == len(SITE.knowledge.facts)
    assert shown(find="PORTAL vein") == ["portal_vein"]
    assert "somatostatin_analogue" in shown(find="analogue")
    assert shown(find="zzz") == []
    deciding = shown(deciding="on")
    assert 0 < len(deciding) < 40
    assert set(shown(deciding="on", find="ki-67")) <= {*deciding}


def test_each_group_of_controls_begins_with_a_fact_of_the_knowledge() -> None:
    assert {*FIRST_OF_GROUP, *OFTEN_CHANGED} <= set(SITE.knowledge.facts)


def test_a_detail_is_folded_and_there_once_with_and_once_without_links(pages: FlaskClient) -> None:
    page = pages.get(f"/?fixture={ARTERIAL}").text
    assert '<details class="detail" id="detail-1">' in page
    linked, plain = (
        re.findall(rf'<div class="prose {name}-links">(.*?)</div>', page, re.DOTALL) for name in ("with", "without")
    )
    assert any("<a " in part for part in linked)
    assert not any("<a " in part for part in plain)
    assert [re.sub("</?a[^>]*>", "", part) for part in linked] == plain


def test_comma_is_a_decimal_point(pages: FlaskClient) -> None:
    assert "Supposed: INR 2.4" in words(pages.post("/", data={"fixture": ARTERIAL, "inr": "2,4"}).text)


def test_reset_goes_back_to_the_chart(pages: FlaskClient) -> None:
    answer = pages.post("/", data={"fixture": ARTERIAL, "portal_vein": "occluded", "reset": "1"})
    assert "Supposed:" not in words(answer.text)


def test_supposed_values_of_one_chart_do_not_apply_to_the_next(pages: FlaskClient) -> None:
    first = pages.post("/", data={"chart": chart_text()})
    same = pages.post("/", data={"chart": chart_text(), "of": mark(first.text), "portal_vein": "occluded"})
    other = pages.post("/", data={"chart": chart_text("resectable"), "of": mark(first.text), "portal_vein": "occluded"})
    assert "Supposed: Portal vein occluded" in words(same.text)
    assert other.status_code == 200
    assert "Supposed:" not in words(other.text)


@pytest.mark.parametrize("kind", [kind.id for kind in SITE.knowledge.orders.kinds])
def test_a_drafted_order_is_answered_as_order_sign_answers_it(pages: FlaskClient, kind: str) -> None:
    submission = submission_from_fixture(fixtures()["arterial-portal-vein-occluded"], SITE.knowledge, TODAY)
    sent = json.loads(submission.body)
    sent["hook"] = "order-sign"
    chosen = drafted_kind(SITE.knowledge, kind)
    assert chosen
    sent["context"]["draftOrders"] = draft_orders_of(SITE.knowledge, chosen, sent["context"]["patientId"])
    answer = pages.post("/cds-services/nlm-order-sign", json=sent)
    assert answer.json is not None
    page = pages.post("/", data={"fixture": "arterial-portal-vein-occluded", "order": kind})
    shown = words(page.text.split('id="order-cards"')[1].split("</div>\n    <h2")[0])
    assert all(card["summary"] in shown for card in answer.json["cards"])
    assert ("No card: there is nothing to say" in shown) == (not answer.json["cards"])


def test_a_drafted_order_is_judged_with_the_supposed_values(pages: FlaskClient) -> None:
    plain = words(pages.post("/", data={"fixture": ARTERIAL, "order": "embolization"}).text)
    told = words(pages.post("/", data={"fixture": ARTERIAL, "order": "embolization", "portal_vein": "occluded"}).text)
    assert "Before signing: Embolization" in plain
    assert "Critical" not in plain
    assert "Critical" in told


def test_an_order_that_does_not_exist_is_refused_with_those_that_do(pages: FlaskClient) -> None:
    answer = pages.post("/", data={"fixture": ARTERIAL, "order": "lobotomy"})
    assert answer.status_code == 404
    assert "order must be one of hepatectomy, ablation" in words(answer.text)


# ── what it refuses ───────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "the input is empty; paste or upload a FHIR Bundle"),
        ("carcinoid", "the input is not JSON: line 1, column 1: Expecting value"),
        ('{"a":', "the input is not JSON: line 1"),
        ("[1]", "the input must be a FHIR Bundle, a FHIR resource or a CDS Hooks request, as JSON, not a JSON array"),
        ('"text"', "not a JSON string"),
        ("null", "not a JSON null"),
        ("{}", "the input must have resourceType (a chart) or hook (a hook request)"),
        ('{"resourceType": 3}', "the input must have resourceType (a chart) or hook (a hook request)"),
        ('{"resourceType": "Bundle", "entry": {}}', "the input is a Bundle without entries"),
        ('{"resourceType": "Condition"}', "the input must have a Patient, or resources that all have the same subject"),
        ("[" * 100_000, "the input is nested too deeply"),
        ('{"resourceType": "Patient", "id": "p", "x": ' + "[" * 900 + "]" * 900 + "}", ""),
        ('{"hook": "order-sign"}', "hook must be patient-view, not another hook"),
        ("9" * 5000, "the input has a number that cannot be read"),
    ],
)
def test_input_that_is_not_a_chart_is_rejected_with_the_reason(pages: FlaskClient, text: str, found: str) -> None:
    answer = pages.post("/", data={"chart": text})
    if found:
        assert answer.status_code == 400
        assert found in words(answer.text)
    assert answer.status_code in {200, 400}


def test_request_without_conditions_is_refused_as_the_service_refuses_it(pages: FlaskClient) -> None:
    request = json.loads(request_text())
    del request["prefetch"]["conditions"]
    request["prefetch"]["observations"] = None
    answer = pages.post("/", data={"chart": json.dumps(request)})
    assert answer.status_code == 412
    assert "prefetch.conditions is required and was not sent" in words(answer.text)


def test_other_errors_are_pages_too(pages: FlaskClient) -> None:
    unknown = pages.get("/?fixture=../../etc")
    assert unknown.status_code == 404
    assert "etc" not in unknown.text
    assert pages.get("/static/none.js").status_code == 404
    latin = pages.post("/", data={"file": (io.BytesIO(b"\xff\xfe{}"), "chart.json")})
    assert latin.status_code == 400
    assert "file must be JSON in UTF-8" in words(latin.text)
    small = create_app(Settings(max_body_bytes=500), lambda: TODAY).test_client()
    large = small.post("/", data={"chart": "x" * 600})
    assert large.status_code == 413
    assert "the input must be at most 500 bytes" in words(large.text)


def test_date_that_does_not_exist_causes_no_error(pages: FlaskClient) -> None:
    text = chart_text().replace("2026-09-07", "2026-02-30")
    assert pages.post("/", data={"chart": text}).status_code == 200


def test_switch_turns_every_page_off() -> None:
    client = create_app(Settings(pages=False), lambda: TODAY).test_client()
    for path in ("/", "/static/try-it.css"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert answer.json is not None
        assert answer.json["resourceType"] == "OperationOutcome"
    for environment, shown in (
        ({}, True),
        ({"CDS_PAGES": "off"}, False),
        ({"CDS_SITES": "north.toml"}, False),  # the pages have no authentication
        ({"CDS_SITES": "north.toml", "CDS_PAGES": "on"}, True),
    ):
        assert Settings.from_environment(environment).shows_pages() is shown
    assert not Settings(profile="sandbox").shows_pages()
    with pytest.raises(ValueError, match="CDS_PAGES"):
        Settings.from_environment({"CDS_PAGES": "maybe"})


# ── what it never tells ───────────────────────────────────────────────────────────────────────────────────────────
HOSTILE = "<script>alert(1)</script> [x](javascript:alert(1)) ![y](http://evil.example/y.png) **bold** </textarea><b>"


def hostile_chart() -> str:
    def spoilt(content: Any, key: str = "") -> Any:
        if isinstance(content, dict):
            return {name: spoilt(value, name) for name, value in content.items()}
        if isinstance(content, list):
            return [spoilt(value, key) for value in content]
        return HOSTILE if key in {"display", "text", "unit", "family", "div"} and isinstance(content, str) else content

    content = spoilt(json.loads(chart_text()))
    content["entry"].append({"resource": {"resourceType": HOSTILE, "id": HOSTILE}})
    content["entry"].append({"resource": {"resourceType": "Observation", "id": HOSTILE, "status": 3}})
    return json.dumps(content)


def test_hostile_text_stays_text(pages: FlaskClient) -> None:
    answer = pages.post("/", data={"chart": hostile_chart()})
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    assert not re.search(r'(?:href|src)="(?:javascript|http://evil)', answer.text)
    assert "</textarea><b>" not in answer.text
    assert answer.text.count("<textarea") == answer.text.count("</textarea>") == 1


def test_card_markdown_is_shown_without_html_pictures_or_scripts() -> None:
    shown = html_of(HOSTILE + "\n\n# Title\n\n- [paper](https://doi.org/10.1/x)")
    assert "<script" not in shown
    assert "<img" not in shown
    assert "<h1" not in shown
    assert 'href="javascript' not in shown
    assert "<strong>bold</strong>" in shown
    assert '<a href="https://doi.org/10.1/x" rel="noopener noreferrer">paper</a>' in shown


def test_nothing_of_a_chart_is_logged(pages: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    chart = chart_text().replace(ARTERIAL, "zzyzx")
    pages.post("/", data={"chart": chart, "inr": "2.4"})
    pages.post("/", data={"chart": "zzyzx"})
    pages.get("/?fixture=zzyzx")
    assert caplog.messages
    assert "zzyzx" not in caplog.text


def test_upload_never_reaches_a_disk(pages: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a temporary file was opened")

    for name in ("TemporaryFile", "SpooledTemporaryFile", "NamedTemporaryFile"):
        monkeypatch.setattr(tempfile, name, refuse)
        monkeypatch.setattr(f"werkzeug.formparser.{name}", refuse, raising=False)
    content = json.loads(chart_text())
    content["entry"].append({"resource": {"resourceType": "Binary", "data": "A" * 1_000_000}})
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="chart.json"\r\n\r\n'
    body = head + json.dumps(content).encode() + b"\r\n--x--\r\n"  # the test client itself would write a temporary file
    upload = pages.post("/", data=body, content_type="multipart/form-data; boundary=x")
    assert upload.status_code == 200
    assert "Your chart" in words(upload.text)


def test_access_token_is_not_repeated_in_the_request_shown(pages: FlaskClient) -> None:
    request = json.loads(request_text())
    request["fhirServer"] = "https://fhir.example.org/r4"
    request["fhirAuthorization"] = {"access_token": "secret-token", "token_type": "Bearer"}
    sound = json.dumps(request)
    texts = {
        "sound": sound,
        "a key in another spelling": sound.replace("access_token", "acc\\u0065ss\\u005Ftoken"),
        "twice": sound.replace('"token_type"', '"access_token": "secret-token-2", "token_type"'),
        "refused": sound.replace("patient-view", "order-sign"),
        "no JSON": sound[:-1],
        "it ends in the token": '{"hook": "patient-view", "fhirAuthorization": {"access_token": "secret-token',
    }
    for name, text in texts.items():
        answer = pages.post("/", data={"chart": text})
        assert answer.status_code == (200 if name in {"sound", "a key in another spelling", "twice"} else 400), name
        assert "secret-token" not in answer.text, name
        assert "left-out" in answer.text, name


def test_facts_can_be_changed_of_a_request_whose_token_was_left_out(pages: FlaskClient) -> None:
    request = json.loads(request_text())
    request["fhirServer"] = "https://fhir.example.org/r4"
    request["fhirAuthorization"] = {"access_token": "secret-token", "token_type": "Bearer"}
    first = pages.post("/", data={"chart": json.dumps(request, indent=1)}).text
    found = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", first, re.DOTALL)
    assert found
    kept = html.unescape(found[1])
    again = pages.post("/", data={"chart": kept.replace("\n", "\r\n"), "of": mark(first), "portal_vein": "occluded"})
    assert "Supposed: Portal vein occluded" in words(again.text)


def test_what_nobody_sees_is_escaped_in_the_request_shown(pages: FlaskClient) -> None:
    request = json.loads(request_text())
    request["extension"] = {"x": "a\u202eb\u200bc\u2066d\u00ade\u2028f\u0085g\U000e0041h, \u05d0\u00e9"}
    shown = pages.post("/", data={"chart": json.dumps(request)}).text
    printed = html.unescape("".join(re.findall(r"<pre.*?</pre>", shown, flags=re.DOTALL)))
    assert r"a\u202eb\u200bc\u2066d\u00ade\u2028f\u0085g\udb40\udc41h, " + "\u05d0\u00e9" in printed


def test_more_values_than_a_chart_can_hold_are_refused_before_they_are_read(pages: FlaskClient) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="chart"\r\n\r\n{"resourceType": "Bundle", "entry": ['
    body = head + b"[]," * 6_600_000 + b"[]]}\r\n--x--\r\n"
    started = time.process_time()
    answer = pages.post("/", data=body, content_type="multipart/form-data; boundary=x")
    assert answer.status_code == 413
    assert "the input must have at most 1000000 JSON values" in words(answer.text.partition("<textarea")[0])
    assert time.process_time() - started < 4
    assert pages.post("/", data={"chart": '{"resourceType": "X", "a": [' + "1," * 999_000 + "1]}"}).status_code == 400


def test_a_form_of_more_fields_than_a_page_has_is_refused_unread(pages: FlaskClient) -> None:
    kind = "application/x-www-form-urlencoded"
    started = time.process_time()
    answer = pages.post("/", data=b"a&" * 5_000_000, content_type=kind)
    assert answer.status_code == 413
    assert time.process_time() - started < 1
    assert pages.post("/", data=b"a=1&" * 900 + b"chart={}", content_type=kind).status_code == 400


def test_the_page_reads_a_chart_in_a_slot_and_says_when_there_is_none() -> None:
    limit = ConcurrencyLimit(1)
    client = create_app(Settings(), lambda: TODAY, capacity=Capacity(limit, CpuLimit(10))).test_client()
    with limit.slot():
        for answer in (client.post("/", data={"chart": "no JSON"}), client.get(f"/?fixture={ARTERIAL}")):
            assert answer.status_code == 503
            assert answer.headers["Retry-After"] == "2"
        assert client.get("/").status_code == 200
    assert client.post("/", data={"chart": "no JSON"}).status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:81"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://localhost@evil.example"},
        {"Origin": "http://[evil"},
    ],
    ids=str,
)
def test_a_form_of_another_web_site_is_refused(pages: FlaskClient, headers: dict[str, str]) -> None:
    answer = pages.post("/", data={"fixture": ARTERIAL, "chart": "evil words"}, headers=headers)
    assert answer.status_code == 403
    assert "form must be sent from this page, not from another website" in words(answer.text)
    assert "evil words" not in answer.text
    assert 'id="results"' not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"},
        {"Origin": "https://localhost"},
        {"Host": "127.0.0.1:8080", "Origin": "http://127.0.0.1:8080"},
    ],
    ids=str,
)
def test_the_form_of_the_page_is_read_also_behind_a_proxy_that_ends_tls(pages: FlaskClient, headers: dict[str, str]) -> None:
    assert pages.post("/", data={"fixture": ARTERIAL}, headers=headers).status_code == 200


def test_a_link_of_another_site_to_an_example_opens_it(pages: FlaskClient) -> None:
    assert pages.get(f"/?fixture={ARTERIAL}", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200
