"""The queries use the portable subset of FHIR search, and charts are understood in every form that EHRs send."""

from __future__ import annotations

import io
import json
import re
from contextlib import redirect_stdout
from typing import Any

import pytest
from flask.testing import FlaskClient

from cds_service import knowledge
from cds_service.__main__ import main
from cds_service.cli.install_sheet import EHR_NAMES, install_sheet
from cds_service.hooks import SERVICES
from tests.conftest import PREFETCH, SERVICE, Clock, as_of, bundle, extensions, request_of

FIXTURE = "resectable"
TOKEN = re.compile(r"\{\{(.*?)\}\}")
QUERY = re.compile(r"    (\w+[?/]\S+)")
KEYED = re.compile(r"\*\*(\w+)\*\* \(.*\n\n    (\S+)")


def said(answer: Any) -> str:
    text = "\n".join(f"{card['summary']}\n{card['detail']}" for card in answer.json["cards"])
    return text.replace("Not consulted: ", "not consulted: ")  # at the start of a line


def values(answer: Any) -> set[tuple[str, str]]:
    """Return the (fact, value) pairs in the machine-readable part of the answer."""
    return {(place["fact"], place["value"]) for content in extensions(answer) for place in content.get("provenance", [])}


def sheet(ehr: str) -> str:
    return install_sheet(knowledge.load(), ehr, {service.id: service.hook for service in SERVICES.values()})


QUERIES = sorted({*PREFETCH.values(), *(query for ehr in EHR_NAMES for query in QUERY.findall(sheet(ehr)))})


@pytest.mark.parametrize("query", QUERIES, ids=[f"{query[:30]} {len(query)}" for query in QUERIES])
def test_a_query_stays_in_the_portable_subset(query: str) -> None:
    """CH-36 to CH-41: a read or a search by type, one context token, equality, each parameter once."""
    assert not query.startswith("/")
    assert TOKEN.findall(query) == ["context.patientId"]
    path, _, search = query.partition("?")
    if not search:
        assert re.fullmatch(r"[A-Z]\w+/\{\{context\.patientId\}\}", path)
        return
    assert re.fullmatch(r"[A-Z]\w+", path)
    parameters = [part.split("=")[0] for part in search.split("&")]
    assert set(parameters) <= {"patient", "code", "category", "status", "_count"}
    assert len(set(parameters)) == len(parameters)
    assert all(part.count("=") == 1 for part in search.split("&"))
    assert len(query) < 2000, "longer addresses are refused by some servers"


def test_the_install_sheet_names_the_hooks_that_the_ehr_offers() -> None:
    for ehr in EHR_NAMES:
        for service in SERVICES.values():
            named = f"hook {service.hook}: POST …/cds-services/{service.id}" in sheet(ehr)
            assert named == (ehr != "oracle" or service.hook == "patient-view"), (ehr, service.id)


def test_observations_are_asked_for_by_every_code_that_is_read() -> None:
    asked = set(re.findall(r"code=([^&]+)", PREFETCH["observations"])[0].split(","))
    known = knowledge.load()
    assert {code for definition in known.facts.values() for code in definition.assessment} <= asked
    assert {"6301-6", "59847-4", "31206-6", "423740007", "89247-1", "21889-1"} <= asked


@pytest.mark.parametrize("ehr", EHR_NAMES)
def test_the_install_sheet_names_every_key_query_scope_and_fact(ehr: str) -> None:
    with redirect_stdout(io.StringIO()) as out:
        assert main(["prefetch", "--for", ehr]) == 0
    text = out.getvalue()
    assert text.strip() == sheet(ehr)
    for key in PREFETCH:
        assert f"**{'observationsByCategory' if (ehr, key) == ('epic', 'observations') else key}** (" in text
    assert {query.split("&category")[0] for query in QUERY.findall(text)} == set(PREFETCH.values())
    assert "`user/Observation.read`, `user/Observation.rs`" in text
    assert all(definition.says in text for definition in knowledge.load().facts.values())


def test_observations_by_category_as_the_sheet_for_epic_asks_for_them_are_half_an_answer(
    client: FlaskClient, clock: Clock
) -> None:
    """An Observation may lack a category. So values count, but missing Observations are unknown, as in a partial answer."""
    clock.today = as_of(FIXTURE)
    (key,) = {key for key, query in KEYED.findall(sheet("epic")) if "&category=" in query}
    assert "observations" not in dict(KEYED.findall(sheet("epic")))
    renamed, part = request_of(FIXTURE), request_of(FIXTURE)
    renamed["prefetch"][key] = renamed["prefetch"].pop("observations")
    part["prefetch"]["observations"]["link"] = [{"relation": "next", "url": "x"}]
    answers = [client.post(SERVICE, json=asked) for asked in (renamed, part)]
    assert ("inr", "1") in values(answers[0])
    answer, half = map(said, answers)
    assert "not consulted: observations (missing)" in answer
    assert answer == half.replace("observations (partial)", "observations (missing)")


@pytest.mark.parametrize("nothing", [None, bundle(), bundle(total=0)])
def test_nothing_found_by_category_is_no_silence_of_observations(client: FlaskClient, clock: Clock, nothing: Any) -> None:
    clock.today = as_of(FIXTURE)
    by_category, missing = request_of(FIXTURE), request_of(FIXTURE)
    del missing["prefetch"]["observations"]
    del by_category["prefetch"]["observations"]
    by_category["prefetch"]["observationsByCategory"] = nothing
    assert client.post(SERVICE, json=by_category).json == client.post(SERVICE, json=missing).json


# ── shapes of what is sent ───────────────────────────────────────────────────────────────────────────────────────


def reshaped(asked: dict[str, Any], shape: str) -> dict[str, Any]:
    """Return the same chart as another EHR would send it."""
    text = json.dumps(asked)
    match shape:
        case "absolute references":
            text = re.sub(r'"reference": "([A-Z])', r'"reference": "https://ehr.example/fhir/R4/\1', text)
        case "versioned references":
            text = re.sub(r'"reference": "([A-Z]\w+/[\w.-]+)"', r'"reference": "\1/_history/3"', text)
        case "type before the patient's id":
            asked = json.loads(text)
            asked["context"]["patientId"] = f"Patient/{asked['context']['patientId']}"
            return asked
    asked = json.loads(text)
    for key, value in asked["prefetch"].items():
        if "entry" not in (value or {}):
            continue
        match shape:
            case "everything twice":
                value["entry"] += value["entry"]
            case "everything twice, written differently":
                again = [{"resource": dict(reversed(entry["resource"].items()))} for entry in value["entry"]]
                value["entry"] += json.loads(json.dumps(again, indent=1))
            case "no type, no total, no search mode":
                asked["prefetch"][key] = {
                    "resourceType": "Bundle", "entry": [{"resource": entry["resource"]} for entry in value["entry"]],
                }  # fmt: skip
            case "a warning beside the entries":
                issue = {"severity": "warning", "code": "processing"}
                outcome = {"resourceType": "OperationOutcome", "issue": [issue]}
                value["entry"].append({"resource": outcome, "search": {"mode": "outcome"}})
            case "resources of other types beside them":
                value["entry"].append({"resource": {"resourceType": "Device", "id": "d"}, "search": {"mode": "include"}})
            case "a last page that links back":
                value["link"] = [{"relation": "self", "url": "x"}, {"relation": "previous", "url": "y"}]
    match shape:
        case "urn references":
            patient = asked["prefetch"]["patient"]
            urn = "urn:uuid:5f3b7b9e-0c3f-4a53-8d7b-1f6f2a9d3c11"
            text = json.dumps(asked).replace(f'"reference": "Patient/{patient["id"]}"', f'"reference": "{urn}"')
            asked = json.loads(text)
            asked["prefetch"]["patient"] = bundle(patient)
            asked["prefetch"]["patient"]["entry"][0]["fullUrl"] = urn
        case "more keys":
            asked["prefetch"] |= {"patient-user": {"resourceType": "Practitioner", "id": "p"}, "more": None}
    return asked


SHAPES = [
    "absolute references", "versioned references", "urn references", "type before the patient's id", "everything twice",
    "everything twice, written differently", "no type, no total, no search mode", "a warning beside the entries",
    "resources of other types beside them", "a last page that links back", "more keys",
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("fixture", [FIXTURE, "snomed-and-own-codes"])
def test_the_shape_in_which_a_chart_comes_changes_no_card(client: FlaskClient, clock: Clock, fixture: str, shape: str) -> None:
    clock.today = as_of(fixture)
    plain = client.post(SERVICE, json=request_of(fixture)).json
    assert client.post(SERVICE, json=reshaped(request_of(fixture), shape)).json == plain


def test_a_drug_in_a_contained_medication_is_read_by_its_code(client: FlaskClient, clock: Clock) -> None:
    clock.today = as_of(FIXTURE)
    coding = [{"system": "http://www.whocc.no/atc", "code": "B01AA03", "display": "warfarin"}]
    order = {
        "resourceType": "MedicationRequest", "id": "m", "status": "active", "intent": "order", "authoredOn": "2026-01-10",
        "subject": {"reference": "Patient/resectable-patient"},
    }  # fmt: skip
    contained = order | {
        "contained": [
            {"resourceType": "Medication", "id": "other"},
            {"resourceType": "Medication", "id": "drug", "code": {"coding": coding}},
        ],
        "medicationReference": {"reference": "#drug"},
    }
    answers = []
    for prescription in (order | {"medicationCodeableConcept": {"coding": coding}}, contained):
        asked = request_of(FIXTURE)
        asked["prefetch"]["medicationRequests"] = bundle(prescription)
        answers.append(client.post(SERVICE, json=asked).json)
    assert answers[0] == answers[1]
    assert "on-anticoagulant" in json.dumps(answers[0]) or "nticoagulant" in json.dumps(answers[0])
