"""The cards of orders: golden ones for both hooks, and the limits of docs/cards.md on fixtures and on drawn evaluations.

golden/*.json has a fixture, drafts and the cards. The cards are written only by `pytest --update-golden`.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from functools import cache, partial
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient

from cds_service import knowledge
from cds_service.cards.card import Card
from cds_service.cards.fact_words import say_finding
from cds_service.cards.order_cards import compose_order_cards, speaks
from cds_service.cards.text import visible_length, visible_text
from cds_service.clinical_picture import DraftOrder
from cds_service.hooks import patient_view
from cds_service.hooks.order_review import answer_sign
from cds_service.hooks.request import parse_request
from cds_service.reasoning.evaluation import Evaluation, evaluate
from cds_service.reasoning.order_judgement import OrderJudgement, judge_orders
from cds_service.sites import Site, development_site
from tests.conftest import FIXTURES, PROOF, ROOT, Clock, Record, as_of, request_of
from tests.support import card_limits, depth
from tests.support.drawn_evaluations import draw_evaluations
from tests.support.order_requests import EVERY_KIND, SELECT, SIGN, order_request
from tests.support.vignette import without_search

FOLDER = ROOT / "tests/orders/golden"
GOLDEN = sorted(path.stem for path in FOLDER.glob("*.json"))
KNOWN = knowledge.load()
KINDS = [kind.id for kind in KNOWN.orders.kinds]
FIRST_CHARS, MOST_THAT_GIVE_WAY = 300, 0.01


@pytest.mark.parametrize("name", GOLDEN)
def test_the_cards_of_these_drafts_are_the_golden_ones(
    client: FlaskClient, clock: Clock, name: str, request: pytest.FixtureRequest
) -> None:
    file = FOLDER / f"{name}.json"
    told = json.loads(file.read_text("utf-8"))
    clock.today = as_of(told["fixture"])
    sent = order_request(told["fixture"], *told["drafts"], selections=told.get("selections"))
    answer = client.post(SELECT if "selections" in told else SIGN, json=sent)
    assert answer.status_code == 200
    found = json.loads(answer.data)["cards"]
    if request.config.getoption("--update-golden"):
        file.write_text(json.dumps(told | {"cards": found}, ensure_ascii=False, indent=1) + "\n", "utf-8")
        told["cards"] = found
    assert found == told["cards"], "if the cards should have changed: pytest --update-golden, and read the diff"


def test_the_golden_cards_are_of_both_hooks_and_of_every_loudness() -> None:
    tables = [json.loads((FOLDER / f"{name}.json").read_text("utf-8")) for name in GOLDEN]
    assert {"selections" in table for table in tables} == {True, False}
    assert {card["indicator"] for table in tables for card in table["cards"]} == {"critical", "warning", "info"}
    assert [] in [table["cards"] for table in tables]


@cache
def drawn() -> tuple[tuple[Evaluation, tuple[Card, ...]], ...]:
    """Return drawn evaluations with one to three drafts each, and their cards."""
    draw, found = random.Random(7), []
    for evaluation in draw_evaluations(2000 if depth.full else 250, seed=2):
        drafts = tuple(DraftOrder(kind, f"X/{kind}") for kind in draw.sample(KINDS, draw.choice((1, 1, 1, 2, 3))))
        whole = evaluate(replace(evaluation.picture, drafts=drafts), KNOWN, evaluation.facts.today)
        quick = replace(whole, assessments={name: without_search(part) for name, part in whole.assessments.items()})
        found.append((quick, tuple(compose_order_cards(quick))))
    return tuple(found)


def groups(evaluation: Evaluation) -> list[list[OrderJudgement]]:
    """Return the judgements that share a card, in the order of the knowledge."""
    found: dict[str, list[OrderJudgement]] = {}
    for judgement in judge_orders(evaluation):
        if speaks(evaluation, judgement):
            found.setdefault(judgement.kind.modalities[0], []).append(judgement)
    return list(found.values())


def broken_limits(card: Card) -> Iterator[str]:
    """Yield what of docs/cards.md does not hold, but for the length."""
    for check in (card_limits.summary_answers, card_limits.answer_first, card_limits.links, card_limits.no_ids,
                  card_limits.sourced, card_limits.markdown):  # fmt: skip
        yield from check(None, [card])
    yield from (f"a line of {visible_length(line)}" for line in card.detail.splitlines() if visible_length(line) > 220)


def test_drawn_orders_keep_the_limits_of_cards(record_property: Record) -> None:
    """Only the length gives way, where what may never be left out does not fit, on at most one card in a hundred."""
    cards = [card for _, found in drawn() for card in found]
    assert len(cards) > len(drawn()) / 2
    assert [fault for card in cards for fault in broken_limits(card)] == []
    long = [card for card in cards if visible_length(card.detail) > (1000 if card.detail.startswith("**Orders:") else 700)]
    record_property(PROOF, f"limits of order cards: {len(cards)} cards, {len(long)} longer ({len(long) / len(cards):.1%})")
    assert len(long) / len(cards) <= MOST_THAT_GIVE_WAY, [f"{visible_length(c.detail)}: {c.detail}" for c in long[:3]]


def test_the_answer_and_its_reason_stand_in_the_first_300_characters() -> None:
    checked = 0
    for evaluation, cards in drawn():
        for group in groups(evaluation):
            loudest = min(group, key=lambda judgement: ["critical", "warning", "info"].index(judgement.severity))
            if loudest.against:
                said = [say_finding(KNOWN, finding) for finding in loudest.against]
                heads = [visible_text(card.detail)[:FIRST_CHARS].lower() for card in cards]
                checked += 1
                assert any("contraindicated" in head and any(reason.lower() in head for reason in said) for head in heads), said
    assert checked > 20


def test_everything_against_an_order_and_every_caution_is_said() -> None:
    missed: list[tuple[str, str]] = []
    for evaluation, cards in drawn():
        told = "\n".join(visible_text(card.detail) for card in cards).lower()
        for judgement in (judgement for group in groups(evaluation) for judgement in group):
            for finding in (*judgement.against, *judgement.cautions):
                if (said := say_finding(KNOWN, finding)).lower() not in told:
                    missed.append((judgement.kind.id, said))
            lifts = [finding.criterion.lift for finding in judgement.against if finding.criterion.lift]
            missed += [(judgement.kind.id, lift) for lift in lifts if lift.lower() not in told]
    assert missed == []


def test_a_card_says_of_several_orders_which_one_a_reason_is_for(client: FlaskClient, clock: Clock) -> None:
    table: dict[str, Any] = json.loads((FOLDER / "two-arterial-orders-portal-vein-occluded.json").read_text("utf-8"))
    (card,) = table["cards"]
    told = visible_text(card["detail"])
    assert "main portal vein occluded (" in told, "it is for both"
    assert "a stop where disseminated: radioembolization" in told


@pytest.mark.parametrize("fixture", [name for place, name in enumerate(FIXTURES) if depth.full or place % 8 == 0])
def test_orders_cost_at_most_half_as_much_again_as_the_overview(fixture: str) -> None:
    """Counted in calls of functions, which do not depend on how busy the machine is."""
    site, day = development_site(), as_of(fixture)
    plain = msgspec.json.encode(request_of(fixture))
    every = [draft | {"id": f"o{place}"} for place, draft in enumerate(EVERY_KIND.values())]
    overview = calls(lambda: patient_view.answer_request(parse_request(plain, "patient-view"), site, day))
    for drafts in (every, *([draft] for draft in every[:1])):
        sent = msgspec.json.encode(order_request(fixture, *drafts))
        assert calls(partial(_sign, sent, site, day)) <= 1.5 * overview


def _sign(sent: bytes, site: Site, day: date) -> object:
    return answer_sign(parse_request(sent, "order-sign"), site, day)


def calls(run: Callable[[], object]) -> int:
    """Return the number of functions that a second run calls."""
    run()
    counted = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal counted
        counted += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        run()
    finally:
        sys.setprofile(before)
    return counted
