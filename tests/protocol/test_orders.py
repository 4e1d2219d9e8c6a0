"""order-select and order-sign: which drafts are judged, what of a malformed draft is read, and what an answer consists of."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from fhir.resources.R4B.servicerequest import ServiceRequest
from flask.testing import FlaskClient

from cds_service import knowledge
from tests.conftest import EXTENSION, FIXTURES, ROOT, SERVICE, Clock, as_of, diagnostics, request_of
from tests.knowledge.test_fhir_export import NPM, validate_with_npm
from tests.support import hl7_models
from tests.support.fhir_server import FhirServer
from tests.support.order_requests import (
    CAPECITABINE,
    CHEMOEMBOLIZATION,
    EVERY_KIND,
    OCTREOTIDE,
    RESECTION,
    SELECT,
    SIGN,
    SPHERES,
    bare_order_request,
    drafted,
    drug,
    order_request,
    procedure,
)

OCCLUDED = "arterial-portal-vein-occluded"
DA_VINCI = ROOT / "tests/data/davinci-crd"
CONTEXT = ROOT / "tests/orders/order_select_context.json"
"""The context alone, of the Inferno CRD kit (Apache-2.0)."""
Answer = dict[str, Any]


def ask(client: FlaskClient, clock: Clock, fixture: str, *drafts: Any, **more: Any) -> list[Answer]:
    clock.today = as_of(fixture)
    return post(client, order_request(fixture, *drafts, **more), SELECT if "selections" in more else SIGN)


def post(client: FlaskClient, request: Answer, service: str = SIGN) -> list[Answer]:
    """Return the cards of an answer that has to be 200."""
    answer = client.post(service, json=request)
    assert answer.status_code == 200, answer.json
    assert answer.json is not None
    return list(answer.json["cards"])


def loudness(cards: list[Answer]) -> list[str]:
    return [card["indicator"] for card in cards]


def test_an_order_against_a_hard_fact_is_critical_names_the_order_and_says_why_at_once(
    client: FlaskClient, clock: Clock
) -> None:
    (card,) = ask(client, clock, OCCLUDED, CHEMOEMBOLIZATION)
    assert card["indicator"] == "critical"
    assert card["summary"].startswith("Order of chemoembolization: contraindicated, main portal vein occluded")
    assert "main portal vein occluded" in card["detail"][:300]
    content = card["extension"][EXTENSION]
    assert (content["kind"], content["verdict"], content["decided_by"]) == (
        "order",
        "contraindicated",
        ["portal-vein-occlusion"],
    )


def test_order_select_judges_the_selected_drafts_and_knows_of_the_others(client: FlaskClient, clock: Clock) -> None:
    drafts = [CHEMOEMBOLIZATION, CAPECITABINE, procedure("3E053HZ", system=SPHERES["code"]["coding"][0]["system"], name="p2")]
    assert ask(client, clock, OCCLUDED, *drafts, selections=["MedicationRequest/other"]) == []
    (alone,) = ask(client, clock, OCCLUDED, *drafts, selections=["MedicationRequest/d1"])
    assert "radioembolization is ordered too" in alone["detail"]
    assert alone["indicator"] == "critical"
    assert len(ask(client, clock, OCCLUDED, *drafts)) == 2, "the two of arterial therapy share a card"


def test_two_orders_of_one_treatment_and_their_stops_are_one_critical_card(client: FlaskClient, clock: Clock) -> None:
    (card,) = ask(client, clock, OCCLUDED, CHEMOEMBOLIZATION, SPHERES | {"id": "p2"})
    assert card["indicator"] == "critical"
    assert "radioembolization and chemoembolization: contraindicated" in card["detail"]
    assert [s["actions"][0]["resourceId"] for s in card["suggestions"] if s["actions"][0]["type"] == "delete"] == [
        "ServiceRequest/p2", "ServiceRequest/p1",
    ]  # fmt: skip


def test_each_of_two_drafts_of_one_kind_can_be_withdrawn_by_itself(client: FlaskClient, clock: Clock) -> None:
    twice = [EVERY_KIND["embolization"] | {"id": name} for name in ("one", "two")]
    (card,) = ask(client, clock, "arterial-portal-vein-occluded", *twice)
    withdrawn = {s["actions"][0]["resourceId"]: s["uuid"] for s in card["suggestions"] if s["actions"][0]["type"] == "delete"}
    assert set(withdrawn) == {"ServiceRequest/one", "ServiceRequest/two"}
    assert len(set(withdrawn.values())) == 2


def test_an_order_that_no_rule_speaks_of_is_answered_without_any_data(client: FlaskClient) -> None:
    for draft in ([procedure("80146002")], [drug("A10BA02")], [], [{"resourceType": "NutritionOrder"}]):
        answer = client.post(SIGN, json=bare_order_request(drafted(draft)))
        assert (answer.status_code, answer.json) == (200, {"cards": []})


def test_an_order_that_a_rule_speaks_of_needs_the_conditions(client: FlaskClient) -> None:
    answer = client.post(SIGN, json=bare_order_request(drafted([SPHERES])))
    assert answer.status_code == 412
    assert diagnostics(answer)[0].startswith("prefetch.conditions is required")
    nothing = client.post(SIGN, json=bare_order_request(drafted([SPHERES]), prefetch={"conditions": None}))
    assert nothing.json == {"cards": []}


@pytest.mark.parametrize(
    ("hook", "context", "faults"),
    [
        ("order-select", {}, ["context.draftOrders is required", "context.selections is required"]),
        ("order-select", {"selections": "x", "draftOrders": []}, ["context.draftOrders", "context.selections"]),
        ("order-select", {"selections": [1], "draftOrders": {}}, ["context.selections.1"]),
        ("order-sign", {}, ["context.draftOrders is required"]),
        ("order-sign", {"draftOrders": None}, ["context.draftOrders"]),
    ],
)
def test_a_context_without_its_drafts_is_a_400_that_names_them(
    client: FlaskClient, hook: str, context: dict[str, Any], faults: list[str]
) -> None:
    sent = {"userId": "Practitioner/1", "patientId": "example", **context}
    answer = client.post(f"/cds-services/nlm-{hook}", json=bare_order_request({}) | {"hook": hook, "context": sent})
    assert answer.status_code == 400
    assert [found.startswith(fault) for found, fault in zip(diagnostics(answer), faults, strict=True)] == [True] * len(faults)


# ── drafts as clients send them ──────────────────────────────────────────────────────────────────────────────────
SANDBOX = {
    "resourceType": "MedicationRequest", "id": "request-123", "status": "draft", "authoredOn": "2026-01-31",
    "category": {"coding": [{"code": "community"}]},
    "dosageInstruction": [{"doseAndRate": [{"doseQuantity": {"value": 1, "code": "{pill}"}}]}], "reasonCode": {"coding": [{}]},
}  # fmt: skip
"""The draft of the reference sandbox: no Bundle type, objects for lists, no intent, and at first no drug."""


def test_the_drafts_of_the_reference_sandbox_are_read(client: FlaskClient, clock: Clock) -> None:
    bundle = {"draftOrders": {"resourceType": "Bundle", "entry": [{"resource": SANDBOX}]}}
    assert ask(client, clock, "insulinoma", selections=["MedicationRequest/request-123"], **bundle) == []
    chosen = SANDBOX | {"medicationCodeableConcept": {
        "text": "octreotide 100 MCG/ML", "coding": [{"display": "octreotide", "code": "7617", "system": "http://x.example"}],
    }}  # fmt: skip
    bundle["draftOrders"]["entry"] = [{"resource": chosen}]
    (card,) = ask(client, clock, "insulinoma", selections=["MedicationRequest/request-123"], **bundle)
    assert "by name" in card["summary"]
    assert card["indicator"] == "warning"


def shapes() -> Iterator[tuple[str, Any]]:
    """Yield drafts of octreotide in the shapes that FHIR allows and clients send."""
    concept, named = OCTREOTIDE["medicationCodeableConcept"], {"reference": "Medication/m"}
    medication = {"resourceType": "Medication", "id": "m", "code": concept}
    referring = drug("", medicationReference=named)
    yield "a Medication beside it", drafted([referring, medication])
    yield "a contained Medication", drafted([drug("", medicationReference={"reference": "#m"}, contained=[medication])])
    yield "by fullUrl", {"entry": [{"resource": drug("", medicationReference={"reference": "urn:uuid:1"})},
                                   {"fullUrl": "urn:uuid:1", "resource": medication}]}  # fmt: skip
    yield "by the display of the reference", drafted([drug("", medicationReference=named | {"display": "octreotide LAR"})])
    yield "an ingredient", drafted([referring, {"resourceType": "Medication", "id": "m",
                                                "ingredient": [{"itemCodeableConcept": concept}]}])  # fmt: skip
    yield "a resource in place of its entry", {"entry": [OCTREOTIDE]}
    yield "an entry in place of the list", {"entry": {"resource": OCTREOTIDE}}
    yield "no id", drafted([{key: part for key, part in OCTREOTIDE.items() if key != "id"}])
    yield "a list in place of a concept", drafted([OCTREOTIDE | {"medicationCodeableConcept": [concept]}])
    yield (
        "a coding in place of the list",
        drafted([OCTREOTIDE | {"medicationCodeableConcept": {"coding": concept["coding"][0]}}]),
    )
    yield "another draft that is broken", drafted([{"resourceType": "ServiceRequest", "code": 7, "subject": []}, OCTREOTIDE])
    yield "an active one, signed again", drafted([OCTREOTIDE | {"status": "active"}])


@pytest.mark.parametrize(("shape", "sent"), list(shapes()))
def test_a_draft_in_any_shape_is_recognised(client: FlaskClient, clock: Clock, shape: str, sent: Any) -> None:
    (card,) = ask(client, clock, "insulinoma", draftOrders=sent)
    assert card["indicator"] == "warning"
    assert "insulinoma" in card["summary"]


@pytest.mark.parametrize(
    "against",
    [
        {"status": "cancelled"},
        {"status": "entered-in-error"},
        {"doNotPerform": True},
        {"subject": {"reference": "Patient/other"}},
    ],
)
def test_a_draft_that_is_withdrawn_forbids_or_is_anothers_is_none(client: FlaskClient, clock: Clock, against: Answer) -> None:
    assert ask(client, clock, "insulinoma", OCTREOTIDE | against) == []


@pytest.mark.parametrize(
    "sent", [{}, {"entry": None}, {"entry": [None, 1, [], {}]}, {"entry": [{"resource": []}]}, {"entry": "x"}]
)
def test_drafts_that_are_none_at_all_get_no_card(client: FlaskClient, sent: Any) -> None:
    assert client.post(SIGN, json=bare_order_request(sent)).json == {"cards": []}


def test_a_draft_that_is_nested_deeply_is_answered(client: FlaskClient) -> None:
    for levels in (100, 400, 900):
        deep = json.loads("[" * levels + "]" * levels)
        for draft in (
            drug("", contained=[deep]),
            {"resourceType": "Medication", "id": "m", "odd": deep},
            {"resourceType": "ServiceRequest", "code": deep},
        ):
            assert client.post(SIGN, json=bare_order_request(drafted([draft]))).status_code in {200, 400}


def test_a_medication_that_a_draft_only_refers_to_is_fetched(client: FlaskClient, clock: Clock) -> None:
    medication = {"resourceType": "Medication", "id": "m", "code": OCTREOTIDE["medicationCodeableConcept"]}
    sent = order_request("insulinoma", drug("", medicationReference={"reference": "Medication/m"}))
    clock.today = as_of("insulinoma")
    assert client.post(SIGN, json=sent).json == {"cards": []}
    with FhirServer([medication]) as server:
        sent |= {"fhirServer": server.base, "fhirAuthorization": {"access_token": "t", "token_type": "Bearer"}}
        answer = client.post(SIGN, json=sent)
        assert [asked.query for asked in server.asked] == ["Medication/m"]
    assert answer.json is not None
    assert loudness(answer.json["cards"]) == ["warning"]


def test_a_laboratory_value_counts_for_thirty_days_only(client: FlaskClient, clock: Clock) -> None:
    clock.today = as_of("snomed-and-own-codes")
    request = order_request("snomed-and-own-codes", CHEMOEMBOLIZATION)
    old = json.loads(json.dumps(request["prefetch"]["observations"]).replace("2026-", "2026-"))
    for entry in old["entry"]:
        codes = {coding.get("code") for coding in entry["resource"].get("code", {}).get("coding", [])}
        if codes & {"6301-6", "777-3"}:
            entry["resource"]["effectiveDateTime"] = clock.today.fromordinal(clock.today.toordinal() - 31).isoformat()
        if "coagulopathy-uncorrectable" in codes:
            entry["resource"]["status"] = "entered-in-error"
    request["prefetch"]["observations"] = old
    cards = post(client, request)
    assert "missing: INR" in cards[0]["summary"]
    offered = [s["actions"][0]["resource"]["code"]["coding"][0]["code"] for s in cards[0]["suggestions"]]
    assert {"6301-6", "777-3"} <= set(offered)
    ordered = copy.deepcopy(request)
    ordered["context"]["draftOrders"]["entry"].append({"resource": procedure("6301-6", "http://loinc.org", "lab")})
    again = post(client, ordered)[0]["suggestions"]
    assert "6301-6" not in str(again), "it is being ordered"


def da_vinci() -> Iterator[tuple[str, str, Any]]:
    """Yield every request for our hooks, and every example order as a draft."""
    for path in (*sorted(DA_VINCI.glob("*.json")), CONTEXT):
        content = json.loads(path.read_text("utf-8"))
        if content.get("hook") in {"order-select", "order-sign"}:
            yield path.name, f"/cds-services/nlm-{content['hook']}", content
        elif "draftOrders" in content:
            yield path.name, SELECT, bare_order_request({}) | {"hook": "order-select", "context": content}
        elif content.get("resourceType"):
            drafts = [entry["resource"] for entry in content.get("entry", [{"resource": content}])]
            yield path.name, SIGN, bare_order_request(drafted(drafts))


@pytest.mark.parametrize(("name", "path", "sent"), list(da_vinci()))
def test_every_request_and_order_of_da_vinci_is_answered_without_a_card(
    client: FlaskClient, name: str, path: str, sent: Any
) -> None:
    answer = client.post(path, json=sent)
    assert (answer.status_code, answer.json) == (200, {"cards": []})


def test_da_vinci_has_requests_of_both_hooks() -> None:
    assert {path for _, path, _ in da_vinci()} == {SELECT, SIGN}
    assert len(list(da_vinci())) >= 10


# ── what changes nothing ─────────────────────────────────────────────────────────────────────────────────────────
ODD = {"extension": [{"url": "https://odd.example", "valueBoolean": True}], "odd": {"a": [1, None]}, "note": "any"}


def test_elements_context_keys_configuration_and_extensions_that_are_unknown_change_no_byte(
    client: FlaskClient, clock: Clock
) -> None:
    clock.today = as_of(OCCLUDED)
    for path, plain in (
        (SIGN, order_request(OCCLUDED, CHEMOEMBOLIZATION, CAPECITABINE)),
        (SELECT, order_request(OCCLUDED, CHEMOEMBOLIZATION, selections=["ServiceRequest/p1"])),
        (SERVICE, request_of(OCCLUDED)),
    ):
        odd = copy.deepcopy(plain)
        odd |= {"extension": {"com.odd": {"configuration": {"max-cards": 0}}}, "configuration": {"x": 1}, "odd": [None]}
        odd["context"] |= {"odd": 1, "configuration": {"coverage": False}, "draftOrdersOld": {}, "extension": {"com.odd": 1}}
        for entry in odd["context"].get("draftOrders", {}).get("entry", []):
            entry |= {"odd": 1}
            entry["resource"] |= ODD
            for key in ("code", "medicationCodeableConcept"):
                if key in entry["resource"]:
                    entry["resource"][key] |= {"extension": ODD["extension"], "odd": 1}
                    entry["resource"][key]["coding"][0] |= {"odd": 1, "userSelected": True, "version": "1"}
        if "draftOrders" in odd["context"]:
            odd["context"]["draftOrders"] |= {"meta": {"tag": []}, "odd": 1}
        for value in odd["prefetch"].values():
            if isinstance(value, dict):
                value |= {"odd": {"x": 1}}
        assert client.post(path, json=odd).data == client.post(path, json=plain).data, path
        assert client.post(path, json=plain).json != {"cards": []}


# ── what an answer consists of ───────────────────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def answers() -> list[tuple[str, Answer]]:
    """Return the answers to every fixture: of patient-view, to some kinds of orders alone, and to all of them together."""
    from cds_service.app import create_app
    from cds_service.settings import Settings

    clock, found = Clock(), []
    client = create_app(Settings(pages=False), lambda: clock.today).test_client()
    for fixture in FIXTURES:
        clock.today = as_of(fixture)
        found.append((fixture, client.post(SERVICE, json=request_of(fixture)).json or {}))
        every = [draft | {"id": f"o{place}"} for place, draft in enumerate(EVERY_KIND.values())]
        place = FIXTURES.index(fixture)
        some = [pair for number, pair in enumerate(EVERY_KIND.items()) if (number + place) % 4 == 0]
        for name, drafts in (*((name, [draft]) for name, draft in some), ("all", every)):
            answer = client.post(SIGN, json=order_request(fixture, *drafts))
            assert answer.status_code == 200
            found.append((f"{fixture}, {name}", answer.json or {}))
    return found


def cards_of(answers: list[tuple[str, Answer]]) -> list[tuple[str, Answer]]:
    return [(name, card) for name, answer in answers for card in answer["cards"]]


def resources_of(answers: list[tuple[str, Answer]]) -> list[Answer]:
    actions = [a for _, card in cards_of(answers) for s in card.get("suggestions", []) for a in s["actions"]]
    return [action["resource"] for action in actions if "resource" in action]


def test_every_answer_is_one_by_hl7s_models(answers: list[tuple[str, Answer]], client: FlaskClient) -> None:
    for name, answer in answers:
        assert hl7_models.faults("CDSHooksResponse", answer) == [], name
    services = client.get("/cds-services").json
    assert services is not None
    assert hl7_models.faults("CDSHooksServices", services) == []
    broken = copy.deepcopy(next(answer for _, answer in answers if answer["cards"]))
    broken["cards"][0] |= {"indicator": "error", "suggestions": [{"actions": [{"type": "delete"}]}], "odd": 1, "uuid": "X"}
    broken["cards"][0].pop("selectionBehavior", None)
    assert len(hl7_models.faults("CDSHooksResponse", broken)) == 7


def test_every_resource_that_is_offered_is_valid_r4(answers: list[tuple[str, Answer]]) -> None:
    offered = resources_of(answers)
    assert {part["code"]["coding"][0]["code"] for part in offered} >= {
        "6301-6",
        "777-3",
        "36046-1",
        "42148-7",
        "C93304",
        "718-7",
    }
    for part in offered:
        ServiceRequest.model_validate(part)
        assert (part["status"], part["intent"]) == ("draft", "proposal")
        assert part["subject"]["reference"].startswith("Patient/")
        assert part.get("reasonReference") or part.get("reasonCode")


@pytest.mark.skipif(not NPM.is_dir(), reason="needs node and the npm package fhir, its folder in FHIR_NPM; .ci/run has them")
def test_an_independent_validator_finds_every_resource_that_is_offered_valid(answers: list[tuple[str, Answer]]) -> None:
    different = {json.dumps(part, sort_keys=True) for part in resources_of(answers)}
    assert [fault for fault in validate_with_npm([json.loads(part) for part in sorted(different)]) if fault] == []


def test_a_warning_and_a_critical_card_can_be_overridden_with_a_reason_and_an_information_needs_none(
    answers: list[tuple[str, Answer]],
) -> None:
    wanted = [{"code": r.code, "system": r.system, "display": r.display} for r in knowledge.load().orders.reasons]
    for name, card in cards_of(answers):
        assert card.get("overrideReasons", []) == ([] if card["indicator"] == "info" else wanted), name


def test_no_suggestion_changes_an_order_and_none_acts_by_itself(answers: list[tuple[str, Answer]]) -> None:
    for name, answer in answers:
        assert set(answer) == {"cards"}, f"{name}: no systemActions"
        for card in answer["cards"]:
            for suggestion in card.get("suggestions", []):
                (action,) = suggestion["actions"]
                assert action["type"] in {"create", "delete"}
            assert card.get("selectionBehavior", "any") == "any"


def test_at_most_one_card_for_each_treatment_the_loudest_first(answers: list[tuple[str, Answer]]) -> None:
    order = ["critical", "warning", "info"]
    for name, answer in answers:
        cards = [card for card in answer["cards"] if card["extension"][EXTENSION]["kind"] == "order"]
        assert len(cards) <= 5, name
        assert loudness(cards) == sorted(loudness(cards), key=order.index)


@pytest.mark.parametrize("fixture", ["colorectal-liver-metastases"])
def test_an_order_for_a_patient_without_the_disease_gets_no_card(client: FlaskClient, clock: Clock, fixture: str) -> None:
    assert ask(client, clock, fixture, *EVERY_KIND.values()) == []


def test_an_order_for_a_patient_who_may_have_the_disease_asks_to_confirm_it(client: FlaskClient, clock: Clock) -> None:
    (card,) = ask(client, clock, "possible-nlm-two-primaries", RESECTION)
    assert card["extension"][EXTENSION]["kind"] == "possible-nlm"


def test_an_order_for_a_patient_recorded_as_deceased_says_so_and_judges_nothing(client: FlaskClient, clock: Clock) -> None:
    request = order_request("resectable", RESECTION)
    request["prefetch"]["patient"]["deceasedBoolean"] = True
    clock.today = as_of("resectable")
    (card,) = post(client, request)
    assert card["extension"][EXTENSION]["kind"] == "notice"
