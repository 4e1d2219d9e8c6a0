"""Errors of data and transport, and what the clinician or integrator then reads. The answer is never an empty card list.

The patient is the fixture "resectable"; every row breaks one thing in her chart or in its transport.
"""

from __future__ import annotations

import gzip
import json
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import trustme
from flask.testing import FlaskClient

from cds_service.fhir.client import ALL_CATEGORIES, EPIC_CATEGORIES, MAX_JSON_VALUES, EhrServer, fetch_queries
from cds_service.hooks import patient_view, request
from cds_service.outbound.policy import OutboundPolicy
from cds_service.outbound.session import OutboundSession
from cds_service.reasons import Reason, reason_of
from cds_service.sites import Site
from tests.conftest import (
    PREFETCH,
    SERVICE,
    Clock,
    as_of,
    bundle,
    chart_file,
    diagnostics,
    extensions,
    folder_of,
    request_of,
)
from tests.protocol.test_requests import NOTHING_FOUND, OUTCOME
from tests.support import fhir_server
from tests.support.fhir_server import FhirServer
from tests.support.pictures import outline

FIXTURE = "resectable"
PATIENT = "resectable-patient"
RESOURCES = [resource for resource, _ in chart_file(FIXTURE).resources]
GOLDEN = json.loads((folder_of(FIXTURE) / "cards.json").read_text("utf-8"))
Prefetch = dict[str, Any]


@pytest.fixture
def site(site: Site) -> Site:
    return replace(site, policy=replace(site.policy, seconds=4))


@pytest.fixture
def client(client: FlaskClient, clock: Clock) -> FlaskClient:
    clock.today = as_of(FIXTURE)
    return client


@pytest.fixture
def ehr() -> Iterator[FhirServer]:
    with FhirServer(RESOURCES) as server:
        yield server


def said(answer: Any) -> str:
    """Return all text in the answer: of the cards, or of the OperationOutcome."""
    if answer.status_code == 200:
        text = "\n".join(f"{card['summary']}\n{card['detail']}" for card in answer.json["cards"])
        return text.replace("Not consulted: ", "not consulted: ")  # at the start of a line
    return "\n".join(diagnostics(answer))


def values(answer: Any) -> set[tuple[str, str]]:
    """Return the (fact, value) pairs in the machine-readable part of the answer."""
    return {(place["fact"], place["value"]) for content in extensions(answer) for place in content.get("provenance", [])}


# ── data: what stands under a key ────────────────────────────────────────────────────────────────────────────────

NLM = next(r for r in RESOURCES if r["resourceType"] == "Condition" and "C7B.02" in json.dumps(r))
UNREADABLE = NLM | {"code": "C7B.02"}
QUERY = "; query: Condition?patient={{context.patientId}}"
MISSING, ERROR, PARTIAL = (f"prefetch.conditions is required and {words}" for words in patient_view.GAPS.values())

DATA: dict[str, tuple[str, Any, int, str]] = {
    "conditions missing": ("conditions", ..., 412, MISSING + QUERY),
    "conditions an OperationOutcome": ("conditions", OUTCOME, 412, ERROR + QUERY),
    "conditions a Bundle of an error": ("conditions", bundle(OUTCOME), 412, ERROR + QUERY),
    "conditions an HTML page": ("conditions", "<html>Proxy error</html>", 412, ERROR + QUERY),
    "conditions a list": ("conditions", [NLM], 412, ERROR + QUERY),
    "conditions of another type": ("conditions", bundle(RESOURCES[0]), 412, ERROR + QUERY),
    "conditions a promise": ("conditions", bundle(total=3), 412, PARTIAL + QUERY),
    "conditions an entry without a resource": (
        "conditions", {"resourceType": "Bundle", "entry": [{"fullUrl": "x"}]}, 412, PARTIAL + QUERY,
    ),
    "conditions one page of more": (
        "conditions", bundle(NLM, link=[{"relation": "next", "url": "x"}]), 200, "not consulted: conditions (partial)",
    ),
    "conditions one resource in no Bundle": ("conditions", NLM, 200, "not consulted: conditions (partial)"),
    "conditions with an error beside them": ("conditions", bundle(NLM, OUTCOME), 200, "not consulted: conditions (partial)"),
    "conditions unreadable": ("conditions", bundle(NLM, UNREADABLE | {"id": "odd"}), 200, "could not be used"),
    "observations missing": ("observations", ..., 200, "not consulted: observations (missing)"),
    "observations an OperationOutcome": ("observations", OUTCOME, 200, "not consulted: observations (error)"),
    "observations a Bundle of an error": ("observations", bundle(OUTCOME), 200, "not consulted: observations (error)"),
    "observations a number": ("observations", 7, 200, "not consulted: observations (error)"),
    "procedures missing": ("procedures", ..., 200, "not consulted: procedures (missing)"),
    "procedures an error": ("procedures", OUTCOME, 200, "not consulted: procedures (error)"),
    "drugs missing": ("medicationRequests", ..., 200, "not consulted: medicationRequests (missing)"),
    "drugs taken an error": ("medicationStatements", OUTCOME, 200, "not consulted: medicationStatements (error)"),
    "patient missing": ("patient", ..., 200, "not consulted: patient (missing)"),
}  # fmt: skip


@pytest.mark.parametrize(("key", "value", "status", "told"), DATA.values(), ids=DATA)
def test_an_error_in_the_data_is_reported(client: FlaskClient, key: str, value: Any, status: int, told: str) -> None:
    asked = request_of(FIXTURE)
    if status == 412:
        asked["prefetch"]["observations"] = None  # else the histology and the lesions would show the disease
    del asked["prefetch"][key]
    if value is not ...:
        asked["prefetch"][key] = value
    answer = client.post(SERVICE, json=asked)
    assert answer.status_code == status
    assert told in said(answer)
    if told == "could not be used":
        places = [place for content in extensions(answer) for place in content.get("provenance", [])]
        assert "Condition/odd" in {place["reference"] for place in places if place["fact"] == "Condition"}


LACKING = [
    "security", "login", "unknown", "expired", "forbidden", "suppressed", "transient", "lock-error", "no-store", "exception",
    "timeout", "incomplete", "throttled", "too-costly", "too-long",
]  # fmt: skip
MERE_WARNINGS = ["informational", "processing", "not-supported", "business-rule", "code-invalid", "not-found"]


def warning(code: str, severity: str = "warning") -> dict[str, Any]:
    return {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": code}]}


EPIC_WITHHELD = {"resourceType": "OperationOutcome", "issue": [
    {"severity": "warning", "code": "processing", "details": {"coding": [{"code": "59204"}]}},
]}  # fmt: skip


@pytest.mark.parametrize("outcome", [*map(warning, LACKING), warning("incomplete", "information"), EPIC_WITHHELD], ids=str)
def test_an_outcome_that_reports_missing_data_makes_the_answer_partial(client: FlaskClient, outcome: dict[str, Any]) -> None:
    """R4: `incomplete` is "not all data sources typically accessed could be reached", with any severity."""
    asked = request_of(FIXTURE)
    asked["prefetch"]["conditions"]["entry"].append({"resource": outcome, "search": {"mode": "outcome"}})
    assert "not consulted: conditions (partial)" in said(client.post(SERVICE, json=asked))


@pytest.mark.parametrize("code", LACKING)
def test_diagnoses_that_could_not_be_reached_are_never_an_empty_answer(client: FlaskClient, code: str) -> None:
    asked = request_of(FIXTURE)
    asked["prefetch"] |= {"conditions": bundle(warning(code)), "observations": None}
    answer = client.post(SERVICE, json=asked)
    assert answer.status_code == 412
    assert ERROR + QUERY in said(answer)


@pytest.mark.parametrize("code", MERE_WARNINGS)
def test_a_warning_that_reports_no_missing_data_changes_nothing(client: FlaskClient, code: str) -> None:
    asked = request_of(FIXTURE)
    asked["prefetch"]["procedures"]["entry"].append({"resource": warning(code), "search": {"mode": "outcome"}})
    assert client.post(SERVICE, json=asked).json == client.post(SERVICE, json=request_of(FIXTURE)).json


def test_fewer_resources_than_the_server_counts_are_a_partial_answer(client: FlaskClient) -> None:
    asked = request_of(FIXTURE)
    asked["prefetch"]["procedures"]["total"] = 57
    assert "not consulted: procedures (partial)" in said(client.post(SERVICE, json=asked))


KIDNEYS = NLM | {"id": "kidneys", "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "N18.6"}]}}


def test_an_unreadable_diagnosis_is_not_a_denial(client: FlaskClient, clock: Clock) -> None:
    """End-stage kidney disease contraindicates arterial therapy. If its resource is unreadable, the answer is unknown."""
    verdicts = []
    for code in (KIDNEYS["code"], {"coding": KIDNEYS["code"]["coding"][0]}):
        asked = request_of("arterial-candidate")
        clock.today = as_of("arterial-candidate")
        subject = asked["prefetch"]["conditions"]["entry"][0]["resource"]["subject"]
        asked["prefetch"]["conditions"]["entry"].append({"resource": KIDNEYS | {"code": code, "subject": subject}})
        answer = client.post(SERVICE, json=asked)
        verdicts.append(extensions(answer)[0]["modalities"]["hepatic-arterial-therapy"]["verdict"])
    assert verdicts == ["contraindicated", "undetermined"]


@pytest.mark.parametrize("change", ["identifier only", "DSTU2", "unreadable"])
def test_diagnoses_that_cannot_be_told_to_be_the_patients_are_no_empty_answer(client: FlaskClient, change: str) -> None:
    broken = {key: value for key, value in NLM.items() if key != "subject"}
    match change:
        case "identifier only":
            broken["subject"] = {"identifier": {"value": "1"}}
        case "DSTU2":
            broken["patient"] = NLM["subject"]
        case "unreadable":
            broken |= {"subject": NLM["subject"], "code": {"coding": {"code": "C7B.02"}}}
    asked = request_of(FIXTURE)
    asked["prefetch"] |= {"conditions": bundle(broken), "observations": None}
    answer = client.post(SERVICE, json=asked)
    assert answer.status_code == 412 or "cannot be ruled in or out" in said(answer)


@pytest.mark.parametrize("other", [OUTCOME, bundle(KIDNEYS, link=[{"relation": "next", "url": "x"}])])
def test_half_of_the_diagnoses_under_another_key_is_not_the_whole(client: FlaskClient, other: Any) -> None:
    asked = request_of(FIXTURE)
    asked["prefetch"] = {"problems": bundle(KIDNEYS), "encounterDiagnoses": other}
    assert client.post(SERVICE, json=asked).status_code == 412


def test_a_patient_beside_another_resource_is_no_whole_chart(client: FlaskClient) -> None:
    asked = request_of(FIXTURE)
    asked["prefetch"] = {"patientAndDoctor": bundle(RESOURCES[0], {"resourceType": "Practitioner", "id": "d"})}
    assert client.post(SERVICE, json=asked).status_code == 412


def test_a_size_that_is_absent_is_no_lesion(client: FlaskClient) -> None:
    tumour = NLM | {"code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C7A.012"}]}}
    size = {
        "resourceType": "Observation", "id": "s", "status": "final", "subject": NLM["subject"],
        "code": {"coding": [{"system": "http://loinc.org", "code": "21889-1"}]},
        "bodySite": {"coding": [{"system": "http://snomed.info/sct", "code": "10200004"}]}, "effectiveDateTime": "2026-10-01",
    }  # fmt: skip
    asked = request_of(FIXTURE)
    asked["prefetch"] |= {"conditions": bundle(tumour), "observations": bundle(size)}
    assert client.post(SERVICE, json=asked).json == {"cards": []}
    asked["prefetch"]["observations"] = bundle(size | {"valueQuantity": {"value": 2.1, "unit": "cm", "code": "cm"}})
    assert client.post(SERVICE, json=asked).json != {"cards": []}


ABSENT: dict[str, Any] = {"null": None, "an empty Bundle": bundle(), "Epic's nothing found": NOTHING_FOUND, "no entry": {
    "resourceType": "Bundle", "type": "searchset", "total": 0}}  # fmt: skip


@pytest.mark.parametrize("value", ABSENT.values(), ids=ABSENT)
def test_asked_and_empty_is_silent(client: FlaskClient, value: Any) -> None:
    asked = request_of(FIXTURE)
    asked["prefetch"] |= {"procedures": value, "conditions": value, "observations": value}
    answer = client.post(SERVICE, json=asked)
    assert answer.json == {"cards": []}, "no diagnosis was recorded, and the EHR said so"
    asked = request_of(FIXTURE)
    asked["prefetch"]["procedures"] = value
    assert "not consulted" not in said(client.post(SERVICE, json=asked))


def test_epics_code_for_nothing_found_counts_whatever_its_severity(client: FlaskClient) -> None:
    outcome = json.loads(json.dumps(NOTHING_FOUND["entry"]))
    outcome[0]["resource"]["issue"][0]["severity"] = "error"
    asked = request_of(FIXTURE)
    asked["prefetch"]["procedures"] = {"resourceType": "Bundle", "total": 0, "entry": outcome}
    assert "not consulted" not in said(client.post(SERVICE, json=asked))


def test_a_histology_that_could_not_be_fetched_is_not_a_denial(client: FlaskClient) -> None:
    """The tumour is coded by its site, so only an Observation states whether it is neuroendocrine."""
    coding = [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C78.7"}]
    metastasis = NLM | {"code": {"coding": coding}}
    small_bowel = NLM | {"id": "p", "code": {"coding": [coding[0] | {"code": "C17.9"}]}}
    asked = request_of(FIXTURE)
    asked["prefetch"] |= {"conditions": bundle(metastasis, small_bowel), "observations": OUTCOME}
    answer = client.post(SERVICE, json=asked)
    assert "cannot be ruled in or out" in said(answer)
    del asked["prefetch"]["observations"]
    assert client.post(SERVICE, json=asked).json == {"cards": []}, "a coded primary explains them; nothing failed"
    asked["prefetch"]["conditions"] = bundle(metastasis)
    assert "histology that would name the tumour could not be consulted" in said(client.post(SERVICE, json=asked))


# ── transport: what the FHIR server does ─────────────────────────────────────────────────────────────────────────

NO_BUNDLE = "an error, or an answer that is no FHIR Bundle"
BROKEN = "not consulted: observations (missing; FHIR server: {})"
TRANSPORT: dict[str, tuple[fhir_server.Fault, str]] = {
    "an error of the server": (fhir_server.status(500), BROKEN.format("answered 500")),
    "a token that is not taken": (fhir_server.status(401), BROKEN.format("answered 401")),
    "no right to read": (fhir_server.status(403), BROKEN.format("answered 403")),
    "no such search": (fhir_server.status(404), BROKEN.format("answered 404")),
    "a search that is refused": (fhir_server.status(400), BROKEN.format("answered 400")),
    "busy for longer than we wait": (fhir_server.status(503, Retry_After="60"), BROKEN.format("answered 503")),
    "busy without an end": (fhir_server.status(429), BROKEN.format("answered 429")),
    "a redirection": (
        fhir_server.status(302, Location="https://elsewhere.example/"), BROKEN.format("redirected elsewhere: not followed"),
    ),
    "an answer after three seconds": (fhir_server.late(3), BROKEN.format("no answer in time")),
    "an answer byte by byte": (fhir_server.dripping(0.05), BROKEN.format("no answer in time")),
    "a connection that breaks off": (fhir_server.cut, BROKEN.format("an answer that broke off")),
    "a web page": (fhir_server.body(b"<html>Sign in</html>"), BROKEN.format(NO_BUNDLE)),
    "an empty body": (fhir_server.body(b""), BROKEN.format(NO_BUNDLE)),
    "bytes that are no UTF-8": (fhir_server.body(b'{"id": "\xff"}'), BROKEN.format(NO_BUNDLE)),
    "an OperationOutcome as success": (fhir_server.body(OUTCOME), BROKEN.format(NO_BUNDLE)),
    "a Bundle of another type": (
        fhir_server.body(bundle(RESOURCES[0])), "not consulted: observations (error)",
    ),
    "100 MB in 100 kB": (fhir_server.bomb, BROKEN.format("larger than is read")),
    "a compressed answer that is none": (
        fhir_server.body(b"no gzip", Content_Encoding="gzip"), BROKEN.format("an answer that broke off"),
    ),
    "a next page on another server": (
        fhir_server.next_page_at("https://elsewhere.example/fhir?page=2"),
        "not consulted: observations (partial; FHIR server: a further page: its address is on another server: not called)",
    ),
    "a next page that is no address": (
        fhir_server.next_page_at("file:///etc/passwd"),
        "not consulted: observations (partial; FHIR server: a further page: not an http address that can be called)",
    ),
}  # fmt: skip


def without(*keys: str, **more: Any) -> dict[str, Any]:
    asked = request_of(FIXTURE) | more
    asked["prefetch"] = {key: value for key, value in asked["prefetch"].items() if key not in keys}
    return asked


@pytest.mark.parametrize(("fault", "told"), TRANSPORT.values(), ids=TRANSPORT)
def test_an_error_of_the_fhir_server_is_reported(
    client: FlaskClient, ehr: FhirServer, fault: fhir_server.Fault, told: str
) -> None:
    fhir_server.much_in_little()  # built before the deadline starts
    ehr.faults["^Observation"] = fault
    answer = client.post(SERVICE, json=without("observations", fhirServer=ehr.base))
    assert answer.status_code == 200
    assert told in said(answer)
    assert len(answer.json["cards"]) >= 1 if answer.json else False


def test_an_answer_of_millions_of_values_is_told_and_never_decoded(client: FlaskClient, ehr: FhirServer) -> None:
    """18 kB of gzip and 19 MB unpacked would need 700 MB when decoded."""
    assert MAX_JSON_VALUES == request.MAX_JSON_VALUES, "what may be sent, and what may be fetched"
    start, end = b'{"resourceType": "Bundle", "entry": [', b"0]}"
    for count, read in ((MAX_JSON_VALUES - 1, True), (9_500_000, False)):
        values = gzip.compress(start + b"0," * count + end)
        ehr.faults["^Observation"] = fhir_server.body(values, Content_Encoding="gzip")
        answer = client.post(SERVICE, json=without("observations", fhirServer=ehr.base))
        assert answer.status_code == 200
        assert ("FHIR server: larger than is read" in said(answer)) is not read
        assert "not consulted: observations" in said(answer)


REQUIRED_FAILS: dict[str, tuple[fhir_server.Fault, str]] = {
    "answered 500": (fhir_server.status(500), "answered 500"),
    "too late": (fhir_server.late(3), "no answer in time"),
    "redirected": (fhir_server.status(307, Location="https://elsewhere.example/"), "redirected elsewhere: not followed"),
    "a web page": (fhir_server.body(b"<html>"), "an error, or an answer that is no FHIR Bundle"),
}


@pytest.mark.parametrize(("fault", "told"), REQUIRED_FAILS.values(), ids=REQUIRED_FAILS)
def test_conditions_that_cannot_be_had_from_the_server_either_are_a_412_that_names_them(
    client: FlaskClient, ehr: FhirServer, fault: fhir_server.Fault, told: str
) -> None:
    ehr.faults["^Condition"] = fault
    asked = without("conditions", fhirServer=ehr.base)
    asked["prefetch"]["observations"] = None
    answer = client.post(SERVICE, json=asked)
    assert answer.status_code == 412
    assert said(answer) == f"{MISSING}; FHIR server: {told}{QUERY}"


MENDED: dict[str, dict[str, Any]] = {
    "busy once": {"faults": {"^Observation": fhir_server.first(1, fhir_server.status(429, Retry_After="0"))}},
    "unavailable twice": {"faults": {"^Observation": fhir_server.first(2, fhir_server.status(503))}},
    "compressed": {"faults": {"^Observation": fhir_server.packed}},
    "short addresses only": {"longest": 500},
    "two entries a page": {"page": 2},
}


@pytest.mark.parametrize("how", MENDED.values(), ids=MENDED)
def test_an_error_that_passes_within_the_deadline_changes_no_card(client: FlaskClient, how: dict[str, Any]) -> None:
    with FhirServer([by_category(resource) for resource in RESOURCES], **how) as ehr:
        answer = client.post(SERVICE, json=without("observations", fhirServer=ehr.base))
    assert answer.json == GOLDEN


def by_category(resource: dict[str, Any]) -> dict[str, Any]:
    if resource["resourceType"] != "Observation" or "category" in resource:
        return resource
    return resource | {"category": [{"coding": [{"code": "exam"}]}]}


@pytest.mark.parametrize("categories", [ALL_CATEGORIES, EPIC_CATEGORIES, "laboratory"])
def test_a_server_that_searches_by_category_only_is_told_as_half_an_answer(client: FlaskClient, categories: str) -> None:
    """An Observation may lack a category, so missing Observations are unknown."""
    with FhirServer([by_category(resource) for resource in RESOURCES], categories=frozenset(categories.split(","))) as ehr:
        answer = client.post(SERVICE, json=without("observations", fhirServer=ehr.base))
    assert f"it searches by category only: {categories.replace(',', ', ')})" in said(answer)
    assert ("inr", "1") in values(answer)


def test_observations_sent_by_category_are_asked_for_whole_where_a_server_may_be_asked(client: FlaskClient) -> None:
    asked = without("observations")
    asked["prefetch"]["observationsByCategory"] = request_of(FIXTURE)["prefetch"]["observations"]
    with FhirServer(RESOURCES) as ehr:
        assert client.post(SERVICE, json=asked | {"fhirServer": ehr.base}).json == GOLDEN
        assert [query.split("?")[0] for query in ehr.queries()] == ["Observation"]


@pytest.mark.parametrize("answer", [{"resourceType": "Bundle", "type": "searchset", "total": 57}, None])
def test_a_server_that_promises_or_says_null_has_not_answered(client: FlaskClient, ehr: FhirServer, answer: Any) -> None:
    ehr.faults["^Condition"] = fhir_server.body(answer)
    asked = without("conditions", fhirServer=ehr.base)
    asked["prefetch"]["observations"] = None
    assert client.post(SERVICE, json=asked).status_code == 412


def test_an_empty_answer_does_not_take_away_what_was_sent(client: FlaskClient, ehr: FhirServer) -> None:
    ehr.faults["^Condition"] = fhir_server.body({"resourceType": "Bundle", "type": "searchset", "total": 0})
    asked = without(fhirServer=ehr.base)
    asked["prefetch"]["conditions"] = bundle(NLM, link=[{"relation": "next", "url": "x"}])
    assert "not consulted: conditions (partial; FHIR server: an answer that is not whole)" in said(
        client.post(SERVICE, json=asked)
    )


def test_if_medication_statements_cannot_be_fetched_all_drugs_are_unknown(client: FlaskClient, ehr: FhirServer) -> None:
    ehr.faults["^MedicationStatement"] = fhir_server.status(500)
    asked = without("medicationStatements", fhirServer=ehr.base)
    assert "medicationStatements (missing; FHIR server: answered 500)" in said(client.post(SERVICE, json=asked))


@pytest.mark.parametrize(
    "fault",
    [fhir_server.next_page_at("http://["), fhir_server.status(503, Retry_After="Mon, 01 Jan 10000 00:00:00 GMT")],
    ids=["an address that is none", "a date that is none"],
)
def test_nonsense_of_a_server_is_no_fault_of_ours(client: FlaskClient, ehr: FhirServer, fault: fhir_server.Fault) -> None:
    ehr.faults["^Procedure"] = fault
    answer = client.post(SERVICE, json=without("procedures", fhirServer=ehr.base))
    assert answer.status_code == 200
    assert "not consulted: procedures" in said(answer)


def test_an_unreachable_server_is_reported(client: FlaskClient) -> None:
    with FhirServer() as ehr:
        gone = ehr.base
    answer = client.post(SERVICE, json=without("observations", fhirServer=gone))
    assert BROKEN.format("no connection") in said(answer)


def test_a_server_that_may_not_be_asked_is_told_once_a_key_and_fails_nothing(client: FlaskClient) -> None:
    asked = without("observations", "medicationStatements", fhirServer="https://fhir.elsewhere.example/r4")
    told = said(client.post(SERVICE, json=asked))
    assert BROKEN.format("not among those that this site allows") in told
    assert "not consulted: medicationStatements (missing; FHIR server: not among those that this site allows)" in told
    coding = [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code} for code in ("C78.7", "C18.9")]
    tumours = [NLM | {"id": f"t{n}", "code": {"coding": [code]}} for n, code in enumerate(coding)]
    asked["prefetch"]["conditions"] = bundle(*tumours)
    assert client.post(SERVICE, json=asked).json == {"cards": []}, "a coded primary explains them; nothing failed"


def test_a_key_that_failed_in_the_ehr_is_not_asked_again_unless_nothing_can_be_said_without_it(
    client: FlaskClient, ehr: FhirServer
) -> None:
    """CH-53: an OperationOutcome should avoid a second query. Only the required conditions are queried again."""
    asked = without(fhirServer=ehr.base)
    asked["prefetch"] |= {"observations": OUTCOME, "conditions": OUTCOME}
    assert "not consulted: observations (error)" in said(client.post(SERVICE, json=asked))
    assert ehr.queries() == [f"Condition?patient={PATIENT}"]


def test_what_came_under_another_name_is_not_asked_for_again(client: FlaskClient, ehr: FhirServer) -> None:
    asked = without(fhirServer=ehr.base)
    asked["prefetch"] = {f"my-{key}": value for key, value in asked["prefetch"].items()}
    answer = client.post(SERVICE, json=asked)
    # neither an empty Bundle nor Observations show what the query was
    assert {query.split("?")[0] for query in ehr.queries()} == {
        "Observation", "ServiceRequest", "DiagnosticReport", "MedicationStatement", "MedicationRequest",
    }  # fmt: skip
    assert answer.json == GOLDEN


def test_a_whole_prefetch_asks_the_server_nothing(client: FlaskClient, ehr: FhirServer) -> None:
    assert client.post(SERVICE, json=without(fhirServer=ehr.base)).json == GOLDEN
    assert ehr.asked == []


def test_partial_keys_are_replaced_by_the_whole_answer(client: FlaskClient, ehr: FhirServer) -> None:
    asked = without(fhirServer=ehr.base)
    page = asked["prefetch"]["observations"]
    page["entry"] = page["entry"][:2]
    page["link"] = [{"relation": "next", "url": "https://ehr.example/fhir?page=2"}]
    assert client.post(SERVICE, json=asked).json == GOLDEN
    assert len(ehr.asked) == 1


# ── deadline ─────────────────────────────────────────────────────────────────────────────────────────────────────


SLOW = {"three seconds": fhir_server.late(3), "byte by byte": fhir_server.dripping(0.02)}


@pytest.mark.parametrize("fault", SLOW.values(), ids=SLOW)
def test_fetching_ends_at_the_deadline_whatever_the_server_does(ehr: FhirServer, fault: fhir_server.Fault) -> None:
    ehr.faults["^Observation"] = fault
    start = time.monotonic()
    with OutboundSession(OutboundPolicy(loopback=True, open=True, seconds=1)) as session:
        found = fetch_queries(EhrServer(ehr.base), {"a": "Observation?patient=1", "b": "Condition?patient=1"}, session)
    assert 0.5 < time.monotonic() - start < 1.2
    assert (found["a"].pages, reason_of(found["a"].why)) == ((), Reason.OVERDUE)
    assert found["b"].whole


@pytest.mark.parametrize("fault", SLOW.values(), ids=SLOW)
def test_one_slow_query_costs_itself_and_nothing_else(client: FlaskClient, ehr: FhirServer, fault: fhir_server.Fault) -> None:
    """All other answers of the server are on the cards."""
    ehr.faults["^Observation"] = fault
    answer = client.post(SERVICE, json=without(*PREFETCH, fhirServer=ehr.base))
    assert BROKEN.format("no answer in time") in said(answer)
    assert "procedures" not in said(answer)


def test_pages_without_an_end_have_one() -> None:
    again = bundle(link=[{"relation": "next", "url": "Observation?again=1"}])
    with (
        FhirServer(faults={".": fhir_server.body(again)}) as ehr,
        OutboundSession(OutboundPolicy(loopback=True, open=True, seconds=30)) as session,
    ):
        found = fetch_queries(EhrServer(ehr.base), {"a": "Observation?patient=1"}, session)
    assert outline(found["a"].why) == (Reason.TOO_MANY_PAGES, {"most": 50})
    assert len(ehr.asked) == 50


def test_queries_run_side_by_side() -> None:
    queries = {str(number): f"Condition?patient={number}" for number in range(8)}
    with (
        FhirServer(RESOURCES, latency=0.5) as ehr,
        OutboundSession(OutboundPolicy(loopback=True, open=True, seconds=4)) as session,
    ):
        start = time.monotonic()
        found = fetch_queries(EhrServer(ehr.base), queries, session)
        assert time.monotonic() - start < 1.5, "eight queries of half a second"
    assert all(answer.whole for answer in found.values())


# ── tokens and addresses ─────────────────────────────────────────────────────────────────────────────────────────

TOKEN = "eyJhbGciOiJub25lIn0.secret"
AUTHORIZED = {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 300, "scope": "patient/*.read", "subject": "cds"}
PRESCRIPTION = {
    "resourceType": "MedicationRequest", "id": "m", "status": "active", "intent": "order",
    "subject": {"reference": f"Patient/{PATIENT}"}, "authoredOn": "2026-01-10",
    "medicationReference": {"reference": "Medication/1"},
}  # fmt: skip
"""Its drug is a separate Medication resource."""


def test_every_call_bears_the_token_of_the_request(client: FlaskClient, ehr: FhirServer) -> None:
    ehr.token, ehr.page = TOKEN, 3
    answer = client.post(SERVICE, json=without(*PREFETCH, fhirServer=ehr.base, fhirAuthorization=AUTHORIZED))
    assert answer.json == GOLDEN
    assert len(ehr.asked) > len(PREFETCH)
    assert {asked.headers["authorization"] for asked in ehr.asked} == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"expires_in": 0}, "the access token has expired"),
        ({"expires_in": -5}, "the access token has expired"),
        ({"patient": "somebody-else"}, "the access token is of another patient"),
    ],
)
def test_an_expired_token_or_one_of_another_patient_is_not_used(
    client: FlaskClient, ehr: FhirServer, more: dict[str, Any], told: str
) -> None:
    answer = client.post(SERVICE, json=without("observations", fhirServer=ehr.base, fhirAuthorization=AUTHORIZED | more))
    assert BROKEN.format(told) in said(answer)
    assert ehr.asked == []


class TestASite:
    """With a site file, which lists the servers that may be called."""

    @pytest.fixture
    def trap(self) -> Iterator[FhirServer]:
        """A server that records its callers."""
        with FhirServer(RESOURCES) as server:
            yield server

    @pytest.fixture
    def site(self, site: Site, ehr: FhirServer) -> Site:
        return replace(site, policy=OutboundPolicy(origins=(ehr.origin,), loopback=True, seconds=4))

    def test_without_a_token_its_server_is_not_called(self, client: FlaskClient, ehr: FhirServer) -> None:
        answer = client.post(SERVICE, json=without("observations", fhirServer=ehr.base))
        assert BROKEN.format("no access token was sent") in said(answer)
        assert ehr.asked == []

    @pytest.mark.parametrize("how", ["next", "redirect", "fhirServer", "medication", "userinfo", "backslash", "path"])
    def test_nothing_of_the_chart_or_the_server_leads_a_request_or_the_token_elsewhere(
        self, client: FlaskClient, ehr: FhirServer, trap: FhirServer, how: str
    ) -> None:
        server, host = ehr.base, trap.origin.removeprefix("http://")
        prescription = {
            "resourceType": "MedicationRequest", "id": "m", "status": "active", "intent": "order",
            "subject": {"reference": f"Patient/{PATIENT}"},
            "medicationReference": {"reference": f"{trap.base}/Medication/1", "display": "octreotide"},
        }  # fmt: skip
        match how:
            case "next":
                ehr.faults["^(Observation|Condition|Procedure)"] = fhir_server.next_page_at(f"{trap.base}/Observation?page=2")
            case "redirect":
                ehr.faults["."] = fhir_server.status(302, Location=f"{trap.base}/Observation")
            case "fhirServer":
                server = trap.base
            case "medication":
                ehr.faults["^MedicationRequest"] = fhir_server.body(bundle(prescription))
            case "userinfo":
                server = f"{ehr.origin}@{host}/fhir"
            case "backslash":
                server = f"{ehr.origin}\\@{host}/fhir"
            case "path":
                server = f"{ehr.base}?x=//{host}"
        answer = client.post(SERVICE, json=without(*PREFETCH, fhirServer=server, fhirAuthorization=AUTHORIZED))
        assert answer.status_code in {200, 412}
        assert trap.asked == []
        assert TOKEN not in answer.get_data(as_text=True)

    def test_a_drug_that_a_prescription_refers_to_is_read_from_the_same_server(
        self, client: FlaskClient, ehr: FhirServer
    ) -> None:
        coding = [{"system": "http://www.whocc.no/atc", "code": "H01CB02", "display": "octreotide"}]
        drug = {"resourceType": "Medication", "id": "1", "code": {"coding": coding}}
        ehr.resources = [*RESOURCES, drug, PRESCRIPTION]
        coded = without(fhirServer=ehr.base, fhirAuthorization=AUTHORIZED)
        coded["prefetch"]["medicationRequests"] = bundle(
            {k: v for k, v in PRESCRIPTION.items() if k != "medicationReference"} | {"medicationCodeableConcept": drug["code"]}
        )
        referred = without(fhirServer=ehr.base, fhirAuthorization=AUTHORIZED)
        referred["prefetch"]["medicationRequests"] = bundle(PRESCRIPTION)
        answers = [client.post(SERVICE, json=asked).json for asked in (coded, referred)]
        assert answers[0] == answers[1]
        assert ehr.queries() == ["Medication/1"]

    def test_a_drug_changed_by_what_is_not_understood_is_believed_no_more_where_it_is_read_from_the_server(
        self, client: FlaskClient, ehr: FhirServer
    ) -> None:
        coding = [{"system": "http://www.whocc.no/atc", "code": "L01BC06", "display": "capecitabine"}]
        drug = {"resourceType": "Medication", "id": "1", "code": {"coding": coding}, "modifierExtension": [{"url": "http://x"}]}
        ehr.resources = [*RESOURCES, drug, PRESCRIPTION]
        sent, fetched = (without(fhirServer=ehr.base, fhirAuthorization=AUTHORIZED) for _ in range(2))
        sent["prefetch"]["medicationRequests"] = bundle(PRESCRIPTION, drug)
        fetched["prefetch"]["medicationRequests"] = bundle(PRESCRIPTION)
        answers = [client.post(SERVICE, json=asked).json for asked in (sent, fetched)]
        assert ehr.queries() == ["Medication/1"]
        assert answers[0] == answers[1]

    @pytest.mark.parametrize("identity", [".", ".."])
    def test_a_drug_by_the_name_of_a_way_elsewhere_is_not_asked_for(
        self, client: FlaskClient, ehr: FhirServer, identity: str
    ) -> None:
        prescription = {
            "resourceType": "MedicationRequest", "id": "m", "status": "active", "intent": "order",
            "subject": {"reference": f"Patient/{PATIENT}"}, "authoredOn": "2026-01-10",
            "medicationReference": {"reference": f"Medication/{identity}"},
        }  # fmt: skip
        asked = without(fhirServer=ehr.base, fhirAuthorization=AUTHORIZED)
        asked["prefetch"]["medicationRequests"] = bundle(prescription)
        assert client.post(SERVICE, json=asked).status_code == 200
        assert ehr.queries() == []


class TestTls:
    """Certificates are checked by host name, against the site's certificate authority."""

    @pytest.fixture
    def authority(self) -> trustme.CA:
        return trustme.CA()

    @pytest.fixture
    def secure(self, authority: trustme.CA) -> Iterator[FhirServer]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        with FhirServer(RESOURCES, tls=context) as server:
            yield server

    @pytest.fixture
    def site(
        self, site: Site, secure: FhirServer, authority: trustme.CA, request: pytest.FixtureRequest, tmp_path: Any
    ) -> Site:
        file = tmp_path / "authority.pem"
        authority.cert_pem.write_to_path(str(file))
        known = "unknown" not in request.node.name
        wrong = "another name" in request.node.name.replace("_", " ")
        origin = secure.origin.replace("localhost", "127.0.0.1") if wrong else secure.origin
        return replace(
            site, policy=OutboundPolicy(origins=(origin,), loopback=True, seconds=4, ca_file=file if known else None)
        )

    def ask(self, client: FlaskClient, site: Site) -> Any:
        base = f"{site.policy.origins[0]}/fhir"
        return client.post(SERVICE, json=without("observations", fhirServer=base, fhirAuthorization=AUTHORIZED))

    def test_a_certificate_of_the_sites_authority_is_accepted(self, client: FlaskClient, site: Site) -> None:
        assert self.ask(client, site).json == GOLDEN

    def test_a_certificate_of_an_unknown_authority_is_not(self, client: FlaskClient, site: Site) -> None:
        assert BROKEN.format("its certificate was not accepted") in said(self.ask(client, site))

    def test_a_certificate_of_another_name_is_not(self, client: FlaskClient, site: Site) -> None:
        assert BROKEN.format("its certificate was not accepted") in said(self.ask(client, site))
