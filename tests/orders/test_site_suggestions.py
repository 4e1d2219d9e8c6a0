"""A site gives suggestions its own shape: intent, codes of tests, or none at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.servicerequest import ServiceRequest

from cds_service.app import create_app
from cds_service.errors import SiteError
from cds_service.settings import Settings
from cds_service.sites.loader import read_site
from tests.conftest import SERVICE, CheckedClient, as_of, request_of

SITE = '[site]\nid = "north"\ntitle = "North"\n'
OWN = (
    SITE
    + """[suggestions]
intent = "order"
[[suggestions.code]]
test = "6301-6"
system = "urn:oid:2.999.1.7"
code = "INR-ORDER"
display = "INR"
"""
)


def cards(folder: Path, text: str) -> list[dict[str, Any]]:
    file = folder / "north.toml"
    file.write_text(text, "utf-8")
    app = create_app(Settings(pages=False), lambda: as_of("almost-nothing-known"), read_site(file))
    app.test_client_class = CheckedClient
    answer = app.test_client().post(SERVICE, json=request_of("almost-nothing-known"))
    assert answer.json is not None
    found: list[dict[str, Any]] = answer.json["cards"]
    return found


def drafts(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [action["resource"] for card in found for s in card.get("suggestions", []) for action in s["actions"]]


def test_a_draft_order_has_the_intent_and_the_codes_of_the_site(tmp_path: Path) -> None:
    plain, own = drafts(cards(tmp_path, SITE)), drafts(cards(tmp_path, OWN))
    assert {draft["intent"] for draft in plain} == {"proposal"}
    assert {draft["intent"] for draft in own} == {"order"}
    assert [draft["code"]["coding"][-1] for draft in own] == [draft["code"]["coding"][0] for draft in plain]
    first = [draft["code"]["coding"][0] for draft in own if len(draft["code"]["coding"]) == 2]
    assert first == [{"system": "urn:oid:2.999.1.7", "code": "INR-ORDER", "display": "INR"}]
    for draft in own:
        ServiceRequest.model_validate(draft)


def test_a_site_without_suggestions_has_the_same_cards_without_them(tmp_path: Path) -> None:
    plain, without = cards(tmp_path, SITE), cards(tmp_path, SITE + "[suggestions]\noffered = false\n")
    assert drafts(plain)
    assert drafts(without) == []
    assert [card["detail"] for card in without] == [card["detail"] for card in plain]
    assert not any("selectionBehavior" in card for card in without)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (('"6301-6"', '"6301-7"'), "suggestions.code.1.test is '6301-7', which the service does not offer; did you mean"),
        (('"6301-6"', '"x"'), "which the service does not offer; it must be one of 1742-6"),
        (('"order"', '"plan-to"'), "suggestions.intent"),
        (("urn:oid:2.999.1.7", "2.999"), "suggestions.code.1.system"),
        (('display = "INR"', 'display = "INR"' + OWN.split('intent = "order"')[1]), "which another entry has already"),
    ],
)
def test_a_wrong_shape_is_refused_at_the_start(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    file = tmp_path / "north.toml"
    file.write_text(OWN.replace(*change), "utf-8")
    with pytest.raises(SiteError) as caught:
        read_site(file)
    assert any(told in str(fault) for fault in caught.value.faults), [str(fault) for fault in caught.value.faults]
