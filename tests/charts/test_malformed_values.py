"""Malformed data under a prefetch key, and unusual ids and numbers, neither hide a diagnosis nor stop a worker."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from cds_service.errors import ChartError
from cds_service.fhir.chart_files import ChartFile, read_file
from tests.conftest import EXTENSION, SERVICE, Clock, as_of, bare_request, bundle, diagnostics, extensions, request_of
from tests.protocol.test_requests import condition, nlm, patient


def test_a_very_small_number_is_never_a_fault(client: FlaskClient, clock: Clock) -> None:
    """Written out, 1e-999999999 has a thousand million digits."""
    clock.today = as_of("arterial-portal-vein-occluded")
    request = request_of("arterial-portal-vein-occluded")
    for entry in request["prefetch"]["observations"]["entry"]:
        if "valueQuantity" in entry["resource"]:
            entry["resource"]["valueQuantity"]["value"] = "@@"
    body = json.dumps(request).replace('"@@"', "1e-20000000")
    t = time.perf_counter()
    assert client.post(SERVICE, data=body, content_type="application/json").status_code == 200
    assert time.perf_counter() - t < 1


WRONG: dict[str, Any] = {
    "another resource": patient(),
    "an unknown resource": {"resourceType": "Gizmo"},
    "Parameters": {"resourceType": "Parameters"},
    "a Bundle of another type of resource": bundle({"resourceType": "Observation"}),
    "a Bundle of Bundles": bundle(bundle(condition())),
    "junk resources": bundle("x", 3),
    "a total without entries": {"resourceType": "Bundle", "total": 5},
    "a count only": {"resourceType": "Bundle", "total": 5, "entry": []},
}


@pytest.mark.parametrize("case", WRONG)
def test_conditions_that_are_no_conditions_are_not_taken_for_an_empty_record(client: FlaskClient, case: str) -> None:
    answer = client.post(SERVICE, json=bare_request(prefetch={"conditions": WRONG[case]}))
    assert answer.status_code == 412
    assert diagnostics(answer)[0].startswith("prefetch.conditions")


@pytest.mark.parametrize("spoilt", [{"search": "match"}, {"search": {"mode": 1}}, {"fullUrl": 5}])
def test_one_odd_entry_of_a_bundle_spoils_no_other(client: FlaskClient, spoilt: dict[str, Any]) -> None:
    conditions = bundle(nlm(verificationStatus={"coding": [{"code": "provisional"}]}))
    conditions["entry"].append({"resource": condition(), **spoilt})
    answer = client.post(SERVICE, json=bare_request(prefetch={"conditions": conditions}))
    assert answer.status_code == 200
    assert [content["kind"] for content in extensions(answer)] == ["possible-nlm"]


@pytest.mark.parametrize("junk", [None, 1, "x", [], {"resource": 1}])
def test_one_junk_entry_of_a_bundle_spoils_no_other(client: FlaskClient, junk: Any) -> None:
    conditions = bundle(nlm(verificationStatus={"coding": [{"code": "provisional"}]}))
    conditions["entry"].append(junk)
    answer = client.post(SERVICE, json=bare_request(prefetch={"conditions": conditions}))
    assert answer.status_code == 200
    assert [content["kind"] for content in extensions(answer)] == ["possible-nlm"]


def test_a_condition_with_a_number_for_an_id_still_asks(client: FlaskClient) -> None:
    other = nlm() | {"id": 7}
    answer = client.post(SERVICE, json=bare_request(prefetch={"conditions": bundle(other)}))
    assert extensions(answer), "an NLM diagnosis whose id is a number vanishes without a word"


def test_diagnoses_in_the_shape_of_an_older_fhir_are_named_once_each_as_unreadable_and_never_called_provisional(
    client: FlaskClient,
) -> None:
    old = nlm(clinicalStatus="active", verificationStatus="confirmed")
    answer: Any = client.post(SERVICE, json=bare_request(prefetch={"conditions": bundle(old)})).json
    (card,) = answer["cards"]
    assert card["detail"].startswith("1 diagnosis could not be read")
    assert card["detail"].count("C7B.02") == 1
    assert [place["reference"] for place in card["extension"][EXTENSION]["provenance"]] == ["Condition/nlm"]
    assert "provisional" not in card["detail"]


def test_a_diagnosis_of_which_not_even_the_code_can_be_read_is_named(client: FlaskClient) -> None:
    broken = condition(id="broken", code=7)
    answer: Any = client.post(SERVICE, json=bare_request(prefetch={"conditions": bundle(broken)})).json
    (card,) = answer["cards"]
    assert "Condition could not be read" in card["detail"]
    (place,) = card["extension"][EXTENSION]["provenance"]
    assert (place["fact"], place["reference"], place["value"]) == ("Condition", "Condition/broken", "not-decodable")


def test_a_newer_result_with_a_status_fhir_does_not_know_recommends_nothing(client: FlaskClient, clock: Clock) -> None:
    clock.today = as_of("resectable")
    request = request_of("resectable")
    results = [entry["resource"] for entry in request["prefetch"]["observations"]["entry"]]
    bilirubin = next(r for r in results if "1975-2" in json.dumps(r["code"]))
    newer = bilirubin | {"id": "newer", "status": "Final", "effectiveDateTime": clock.today.isoformat()}
    newer["valueQuantity"] = bilirubin["valueQuantity"] | {"value": 9}
    (before, *_) = extensions(client.post(SERVICE, json=request))
    assert before["modalities"]["resection"]["verdict"] == "recommended"
    assert "Observation/newer" not in str(before["provenance"])
    request["prefetch"]["observations"]["entry"].append({"resource": newer})
    answer: Any = client.post(SERVICE, json=request)
    overview, *others = extensions(answer)
    assert {modality["verdict"] for modality in overview["modalities"].values()} <= {"undetermined", "not-indicated"}
    assert "status missing or not one of FHIR" in "".join(card["detail"] for card in answer.json["cards"])
    places = [place for content in (overview, *others) for place in content.get("provenance", [])]
    assert "total_bilirubin" in {place["fact"] for place in places if place["reference"] == "Observation/newer"}


def test_two_patients_with_the_same_record_never_share_the_uuid_of_a_card(client: FlaskClient, clock: Clock) -> None:
    clock.today = as_of("possible-nlm-two-primaries")
    request = request_of("possible-nlm-two-primaries")
    one: Any = client.post(SERVICE, json=request).json
    identity = request["context"]["patientId"]
    another: Any = client.post(SERVICE, json=json.loads(json.dumps(request).replace(identity, "somebody-else"))).json
    assert one["cards"]
    assert not {card["uuid"] for card in one["cards"]} & {card["uuid"] for card in another["cards"]}


def test_resources_that_are_all_of_another_patient_are_no_empty_answer(client: FlaskClient) -> None:
    """An EHR that mixes up two ids has not said that this patient is healthy."""
    other = nlm() | {"subject": {"reference": "Patient/somebody-else"}}
    answer = client.post(SERVICE, json=bare_request(prefetch={"conditions": bundle(other)}))
    assert answer.status_code == 412
    assert "1 resource, none of which belongs to context.patientId" in diagnostics(answer)[0]


def test_an_order_list_of_the_patient_beside_data_of_another_is_an_answer(client: FlaskClient) -> None:
    other = nlm() | {"id": "c2", "subject": {"reference": "Patient/somebody-else"}}
    answer = client.post(SERVICE, json=bare_request(prefetch={"conditions": bundle(condition(), other)}))
    assert (answer.status_code, answer.json) == (200, {"cards": []})


def test_a_method_that_is_not_allowed_is_told_which_are(client: FlaskClient) -> None:
    answer = client.put(SERVICE, json={})
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


def histology(text: str, code: str, focus: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": "histology",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "59847-4"}]},
        "subject": {"reference": "Patient/example"},
        "focus": [{"reference": f"Condition/{focus}"}],
        "valueCodeableConcept": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/icd-o-3", "code": code}],
            "text": text,
        },
    }


def test_liver_metastases_of_a_mixed_tumour_are_never_taken_for_neuroendocrine(client: FlaskClient) -> None:
    """MiNEN (8154/3, 8244/3) is treated as the carcinoma that is half of it; the criteria do not apply to it."""
    colon = condition(id="colon", code={"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C18.7"}]})
    liver = condition(id="liver", code={"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C78.7"}]})
    found = histology("Mixed neuroendocrine-non-neuroendocrine neoplasm", "8154/3", "colon")
    prefetch = {"conditions": bundle(colon, liver), "observations": bundle(found)}
    kinds = [content["kind"] for content in extensions(client.post(SERVICE, json=bare_request(prefetch=prefetch)))]
    assert kinds in ([], ["possible-nlm"])


def test_an_entry_without_an_id_is_told_apart_by_its_full_url() -> None:
    resources = [
        ({key: value for key, value in nlm().items() if key != "id"} | {"onsetDateTime": f"2026-0{n}"}, f"urn:uuid:{n}")
        for n in (1, 2)
    ]
    assert [where for where, _ in ChartFile(tuple(resources)).chart().conditions] == ["Condition/1", "Condition/2"]


LIVER_METASTASES = nlm(meta={"lastUpdated": "2026-01-01T00:00:00Z"}, onsetDateTime="2026-01") | {"id": "7"}
OTHER = condition(id="7", meta={"lastUpdated": "2026-02-01T00:00:00Z"}, onsetDateTime="2025-11")


def onsets(*entries: tuple[dict[str, Any], str | None]) -> list[str]:
    return sorted(str(found.onset_date_time) for _, found in ChartFile(entries).chart().conditions)


@pytest.mark.parametrize(
    "urls",
    [
        ("https://one.example/fhir/Condition/7", "https://two.example/fhir/Condition/7"),
        ("https://one.example/north/Condition/7", "https://one.example/south/Condition/7/_history/3"),
    ],
)
def test_one_id_on_two_servers_is_two_resources(urls: tuple[str, str]) -> None:
    """In R4 an id is unique on its server only. The liver metastases, updated earlier, were lost."""
    entries = tuple(zip((LIVER_METASTASES, OTHER), urls, strict=True))
    assert onsets(*entries) == onsets(*reversed(entries)) == ["2025-11", "2026-01"]


@pytest.mark.parametrize(
    "urls",
    [
        ("https://one.example/fhir/Condition/7", "http://ONE.example/fhir/Condition/7/_history/2"),
        ("https://one.example/fhir/Condition/7", "urn:uuid:7"),
        ("https://one.example/fhir/Condition/7", None),
    ],
)
def test_one_id_on_one_server_is_one_resource_and_the_newer_version_counts(urls: tuple[str, str | None]) -> None:
    assert onsets(*zip((LIVER_METASTASES, OTHER), urls, strict=True)) == ["2025-11"]


def test_a_server_that_goes_by_two_names_has_each_resource_once() -> None:
    again = dict(reversed(LIVER_METASTASES.items()))
    names = ("https://one.example/fhir/Condition/7", "https://inside.example/fhir/Condition/7")
    assert onsets(*zip((LIVER_METASTASES, again), names, strict=True)) == ["2026-01"]


def test_a_resource_on_two_servers_still_counts_on_one_if_only_the_other_has_a_newer_version() -> None:
    one, two = "https://one.example/fhir/Condition/7", "https://two.example/fhir/Condition/7"
    entries: list[tuple[dict[str, Any], str | None]] = [(LIVER_METASTASES, one), (LIVER_METASTASES, two), (OTHER, two)]
    for sent in (entries, entries[::-1], entries[1:] + entries[:1]):
        assert onsets(*sent) == ["2025-11", "2026-01"]


def test_a_full_url_that_is_no_string_stops_no_chart(tmp_path: Path) -> None:
    odd = tmp_path / "odd.json"
    entries = [
        {"fullUrl": 7, "resource": {k: v for k, v in nlm().items() if k != "id"}},
        {"fullUrl": ["x"], "resource": patient()},
    ]
    odd.write_text(json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}), "utf-8")
    found = read_file(odd)
    assert isinstance(found, ChartFile)
    assert len(found.chart().conditions) == 1


def test_a_bundle_without_entries_is_no_chart(tmp_path: Path) -> None:
    empty = tmp_path / "empty.json"
    empty.write_text('{"resourceType": "Bundle", "type": "collection"}', "utf-8")
    with pytest.raises(ChartError, match="a Bundle without entries"):
        read_file(empty)


def test_a_preflight_answer_without_a_body_has_no_content_type(client: FlaskClient) -> None:
    assert "Content-Type" not in client.options(SERVICE, headers={"Origin": "https://ehr.example"}).headers
