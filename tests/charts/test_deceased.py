"""A patient recorded as deceased gets one notice in place of every verdict. An unreadable record of death is reported, and the
patient is judged as alive."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from cds_service.cards.card import EXTENSION
from cds_service.cards.notice import deceased_card
from cds_service.clinical_picture import ClinicalPicture, Deceased, Nlm
from cds_service.fhir.chart import EVERYTHING_ARRIVED
from cds_service.fhir.chart_builder import ChartEntry, read_chart
from cds_service.fhir.dates import parse_date
from cds_service.hooks.patient_view import answer_picture
from cds_service.knowledge.overlay import SignOff
from cds_service.reasons import Reason
from tests.charts.test_cards import cards, resources
from tests.charts.test_reading import KNOWN, LIVER, NEN, PATIENT, READER, TODAY
from tests.conftest import SERVICE, Clock, as_of, extensions, request_of

FIXTURE = "arterial-candidate"


def of(*resources: dict[str, Any], **death: Any) -> ClinicalPicture:
    entries = [ChartEntry(json.dumps(resource).encode()) for resource in (PATIENT | death, *(resources or (NEN, LIVER)))]
    return READER.read(read_chart(entries, "p", EVERYTHING_ARRIVED), TODAY)


@pytest.mark.parametrize(
    ("death", "on"),
    [
        ({"deceasedBoolean": True}, None),
        ({"deceasedDateTime": "2026-10-30"}, "2026-10-30"),
        ({"deceasedDateTime": "2026-10-30T04:00:00+01:00"}, "2026-10-30"),
        ({"deceasedDateTime": "2026"}, "2026"),
        ({"deceasedDateTime": "2026-10", "deceasedBoolean": True}, "2026-10"),
    ],
)
def test_a_patient_who_has_died_is_recorded_as_deceased(death: dict[str, Any], on: str | None) -> None:
    deceased = of(**death).deceased
    assert deceased is not None
    assert (str(deceased.on) if deceased.on else None) == on
    assert of(**death).unreadable == ()


@pytest.mark.parametrize("death", [{}, {"deceasedBoolean": False}, {"deceasedBoolean": None}])
def test_a_patient_of_whom_nothing_says_so_is_not_deceased(death: dict[str, Any]) -> None:
    assert of(**death).deceased is None
    assert of(**death).unreadable == ()


@pytest.mark.parametrize(
    "death",
    [
        {"deceasedBoolean": "true"},
        {"deceasedBoolean": 1},
        {"deceasedBoolean": []},
        {"deceasedDateTime": "in October"},
        {"deceasedDateTime": "2026-13-01"},
        {"deceasedDateTime": 2026},
        {"deceasedDateTime": "2027-01-01"},
        {"deceasedDateTime": "2026-10-30", "deceasedBoolean": False},
        {"deceasedDateTime": "in October", "deceasedBoolean": True},
    ],
)
def test_what_cannot_be_read_is_said_and_leaves_the_patient_alive_and_known(death: dict[str, Any]) -> None:
    found = of(**death)
    assert found.deceased is None
    assert [(item.seen_in, item.why.reason) for item in found.unreadable] == [("Patient/p", Reason.DEATH_NOT_READABLE)]
    assert found.readings_of("sex").valid


def test_what_cannot_be_read_of_a_death_stands_on_a_card() -> None:
    found, day = resources(FIXTURE)
    patient = next(resource for resource in found if resource["resourceType"] == "Patient")
    patient["deceasedDateTime"] = "in October"
    shown = cards(found, day)
    assert sum("Patient could not be read: whether the patient has died" in card.detail for card in shown) == 1
    places = [place for card in shown for place in card.extension[EXTENSION].get("provenance", [])]
    assert f"Patient/{patient['id']}" in {place["reference"] for place in places if place["value"] == "death-not-readable"}


def test_one_notice_stands_in_place_of_every_verdict(client: FlaskClient, clock: Clock) -> None:
    clock.today = as_of(FIXTURE)
    request = request_of(FIXTURE)
    request["prefetch"]["patient"]["deceasedDateTime"] = "2026-09-20"
    answer = client.post(SERVICE, json=request)
    assert answer.json is not None
    (card,) = answer.json["cards"]
    assert card["summary"] == "Recorded as deceased (2026-09-20): no criteria applied."
    assert card["indicator"] == "info"
    assert "suggestions" not in card
    assert [set(content) for content in extensions(answer)] == [{"kind", "knowledge"}]
    assert extensions(answer)[0]["kind"] == "notice"


def test_a_death_that_is_denied_changes_no_card(client: FlaskClient, clock: Clock) -> None:
    clock.today = as_of(FIXTURE)
    request = request_of(FIXTURE)
    before = client.post(SERVICE, json=request).json
    request["prefetch"]["patient"]["deceasedBoolean"] = False
    assert client.post(SERVICE, json=request).json == before


@pytest.mark.parametrize("answer", [Nlm.YES, Nlm.POSSIBLE, Nlm.CANNOT_TELL])
def test_the_notice_comes_wherever_a_card_would(answer: Nlm) -> None:
    found = of(deceasedBoolean=True)
    found = replace(found, gate=replace(found.gate, answer=answer))
    judged = answer_picture(found, KNOWN, TODAY)
    assert [card.kind for card in judged.cards] == ["notice"]
    assert judged.evaluation is None
    assert "verdicts" in judged.log_fields()


def test_without_the_disease_a_deceased_patient_has_no_card() -> None:
    found = of(LIVER, deceasedBoolean=True)
    assert found.gate.answer is Nlm.NO
    assert found.deceased == Deceased(None)
    assert answer_picture(found, KNOWN, TODAY).cards == []


def test_a_chart_without_its_patient_says_nothing_of_a_death() -> None:
    assert READER.read(read_chart([], "p", EVERYTHING_ARRIVED), TODAY).deceased is None


@pytest.mark.parametrize("on", [None, "2026-10-30", "2026"])
def test_the_notice_is_short_and_names_no_resource_and_no_statement(on: str | None) -> None:
    sign_off = SignOff("Dr. A. Example", "hepatologist", "2026-10-01", "everything " * 100, KNOWN.digest)
    for known in (KNOWN, replace(KNOWN, overlay=replace(KNOWN.overlay, sign_off=sign_off))):
        card = deceased_card(Deceased(parse_date(on) if on else None), known)
        assert card.detail.startswith(card.summary)
        assert (on or "date not recorded") in card.summary
        assert len(card.summary) <= 130
        assert len(card.detail) <= 700
        assert not re.search(r"\w/\w|\b[SM]\d{3}\b", card.detail)
        assert ("not clinically verified" in card.detail) is not known.signed
