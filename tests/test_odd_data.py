"""Odd data under a prefetch key, odd ids and numbers: nothing of it hides a diagnosis or stops a worker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.conftest import SERVICE, Clock, as_of, bare_request, bundle, diagnostics, extensions, request_of
from tests.test_knowledge import copy, spoil, told  # noqa: F401
from tests.test_requests import condition, nlm, patient

# ── test_requests.py ──


def test_a_very_small_number_is_never_a_fault(client: FlaskClient, clock: Clock) -> None:
    """Written out, 1e-999999999 has a thousand million digits."""
    clock.today = as_of("arterial-portal-vein-occluded")
    request = request_of("arterial-portal-vein-occluded")
    for entry in request["prefetch"]["observations"]["entry"]:
        if "valueQuantity" in entry["resource"]:
            entry["resource"]["valueQuantity"]["value"] = "@@"
    body = json.dumps(request).replace('"@@"', "1e-20000000")
    import time

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


def test_two_patients_with_the_same_record_never_share_the_uuid_of_a_card(client: FlaskClient, clock: Clock) -> None:
    clock.today = as_of("possible-nlm-two-primaries")
    request = request_of("possible-nlm-two-primaries")
    one: Any = client.post(SERVICE, json=request).json
    identity = request["context"]["patientId"]
    another: Any = client.post(SERVICE, json=json.loads(json.dumps(request).replace(identity, "somebody-else"))).json
    assert one["cards"]
    assert not {card["uuid"] for card in one["cards"]} & {card["uuid"] for card in another["cards"]}


def test_a_preflight_has_no_media_type_for_the_body_it_has_not(client: FlaskClient) -> None:
    assert "Content-Type" not in client.options(SERVICE, headers={"Origin": "https://ehr.example"}).headers


# ── test_knowledge.py ──


def test_a_misspelt_key_does_not_hide_the_faults_between_the_files(copy: Path) -> None:  # noqa: F811
    spoil(copy, "criteria.toml", r"(\[contraindication\.hepatic-failure\]\n)", r"\1if_silnet = 'unknown'\n")
    spoil(copy, "modalities/resection.toml", r"^(beside = \[)", r'\1"S999", ')
    faults = told(copy)
    assert "if_silnet" in faults
    assert "S999" in faults


# ── test_architecture.py ──
