"""The stance of the review of 2010 on the example patients, written by hand next to the table of stances."""

from __future__ import annotations

import pytest

from cds_service import knowledge
from cds_service.fhir.chart_files import ChartFile, read_file, story_date
from cds_service.fhir.reader import ChartReader
from cds_service.reasoning.current_facts import determine_facts
from cds_service.reasoning.stances import stance_of_2010
from tests.conftest import folder_of

ARTERIAL = "hepatic-arterial-therapy"
LIVER = ("resection", "debulking", "ablation", ARTERIAL, "transplantation")
BY_HAND = {
    "arterial-candidate": {
        ARTERIAL: "for", "ablation": "for", "systemic-therapy": "silent", "transplantation": "against",
    },
    "arterial-portal-vein-occluded": {ARTERIAL: "against", "ablation": "for"},
    "carcinoid-heart-before-resection": {"resection": "for"},
    "debulkable-refractory-syndrome": {
        "debulking": "for", "ablation": "for", ARTERIAL: "for", "transplantation": "divided",
    },
    "g3-net": {"resection": "for"},
    "insulinoma": {"resection": "for"},
    "resectable": {"resection": "for"},
    "recurrence-after-resection": {"resection": "for", ARTERIAL: "for", "ablation": "silent"},
    "milan-net": {"transplantation": "against", ARTERIAL: "for", "ablation": "for"},
    "nec": {"systemic-therapy": "silent", ARTERIAL: "for"},
    "snomed-and-own-codes": {"ablation": "for", ARTERIAL: "for", "transplantation": "against"},
    "widespread": {"systemic-therapy": "for", **dict.fromkeys(LIVER, "against")},
}  # fmt: skip
KNOWN = knowledge.load()


@pytest.mark.parametrize("fixture", BY_HAND)
def test_the_stance_of_2010_on_a_fixture_is_the_one_written_out_by_hand(fixture: str) -> None:
    path = folder_of(fixture) / "chart.json"
    content, day = read_file(path), story_date(path)
    assert isinstance(content, ChartFile)
    assert day
    facts = determine_facts(ChartReader(KNOWN).read(content.chart(), day), KNOWN, day)
    found = {name: stance_of_2010(name, facts) for name in BY_HAND[fixture]}
    assert {name: stance.word for name, stance in found.items()} == BY_HAND[fixture]
    for stance in found.values():
        assert all(KNOWN.statements[s].kind in {"RULE", "LIMIT"} for row in stance.rows for s in row.by)


def test_where_nothing_is_known_the_stance_is_open_and_tells_every_row_that_may_hold() -> None:
    path = folder_of("almost-nothing-known") / "chart.json"
    content, day = read_file(path), story_date(path)
    assert isinstance(content, ChartFile)
    assert day
    facts = determine_facts(ChartReader(KNOWN).read(content.chart(), day), KNOWN, day)
    stance = stance_of_2010("transplantation", facts)
    assert stance.word is None
    assert [row.stance for row in stance.rows] == ["against", "divided", "against", "silent"]
