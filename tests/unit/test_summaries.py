"""The summary of an overview for every combination of verdicts, against a table written by hand that gives the precedence."""

from __future__ import annotations

import re
from itertools import product

import pytest

from cds_service.cards.summaries import MAX_SUMMARY_CHARS, Contraindicated, Outlook, say_outlook

TREATMENTS = {
    "resection": "unresectable disease", "debulking": "liver failure", "ablation": "clotting that cannot be corrected",
    "arterial therapy": "main portal vein occluded", "transplant referral": "disease outside the liver",
    "systemic therapy": "a reason", "hormonal treatment": "another reason",
}  # fmt: skip
DISEASE = ("NET G2, liver and elsewhere, unresectable", "NET G2", "NLM")
QUESTION = "Grade and differentiation?"
OPTION, NEARLY, OPEN, STOPPED, RULED_OUT = "option", "nearly", "open", "contraindicated", "not-indicated"
VERDICTS = ("recommended", "consider", "undetermined", STOPPED, RULED_OUT)
TABLE: tuple[tuple[str, frozenset[str], str], ...] = (
    # verdicts of which at least one treatment has one; verdicts that no treatment has; the expected summary
    (OPTION, frozenset(), r"discuss (resection|debulking|ablation|arterial|transplant|systemic|hormonal)"),
    (OPEN, frozenset({OPTION}), r"nothing to decide on yet.*(\?|questions for the board)"),
    (STOPPED, frozenset({OPTION, OPEN}), r"contraindicated.*nothing else meets its criteria: discuss individually"),
    (RULED_OUT, frozenset({OPTION, OPEN, STOPPED}), r"no criterion of these rules is met; discuss individually"),
)
"""From top to bottom; the first matching row applies."""


def outlook(verdicts: tuple[str, ...], nearly: bool = False) -> Outlook:
    named = dict(zip(TREATMENTS, verdicts, strict=True))
    undecided = [name for name, verdict in named.items() if verdict == "undetermined"]
    return Outlook(
        [name for name, verdict in named.items() if verdict in {"recommended", "consider"}],
        undecided if nearly else [],
        [] if nearly else undecided,
        [Contraindicated(name, TREATMENTS[name]) for name, verdict in named.items() if verdict == STOPPED],
        QUESTION if undecided else "",
    )


def stands(verdict: str) -> str:
    return {"recommended": OPTION, "consider": OPTION, "undetermined": OPEN}.get(verdict, verdict)


def test_the_summary_says_what_the_table_says_for_every_combination_of_verdicts() -> None:
    tried = 0
    for verdicts in product(VERDICTS, repeat=len(TREATMENTS)):
        kinds = {stands(verdict) for verdict in verdicts}
        expected = next(said for any_of, none_of, said in TABLE if any_of in kinds and not none_of & kinds)
        said = say_outlook(DISEASE, outlook(verdicts))
        assert re.search(expected, said, re.IGNORECASE), (verdicts, said)
        assert len(said) <= MAX_SUMMARY_CHARS
        if OPEN in kinds or OPTION in kinds:
            assert not re.search(r"\bnone\b|no criterion|nothing else", said), (verdicts, said)
        tried += 1
    assert tried == 78_125


@pytest.mark.parametrize("count", range(1, 8))
def test_what_only_waits_for_safety_checks_is_named_as_indicated(count: int) -> None:
    verdicts = ("undetermined",) * count + (RULED_OUT,) * (7 - count)
    said = say_outlook(DISEASE, outlook(verdicts, nearly=True))
    assert "resection" in said
    assert "indicated, safety checks open" in said
    assert len(said) <= MAX_SUMMARY_CHARS


def test_a_contraindication_beside_a_treatment_to_discuss_is_named_where_there_is_room() -> None:
    said = say_outlook(("NET G2",), Outlook(["PRRT"], [], [], [Contraindicated("arterial therapy", "an occlusion")], ""))
    assert said == "NET G2: discuss PRRT; arterial therapy contraindicated"


def test_the_most_important_part_of_the_summary_comes_first() -> None:
    said = say_outlook(("NET G2, liver only, resectable",), Outlook(["resection"], [], [], [], "", ["cardiology first"]))
    assert said == "NET G2, liver only, resectable: cardiology first; discuss resection"


def test_many_treatments_are_counted_and_none_is_cut() -> None:
    names = [f"a treatment with a long name, number {word}" for word in ("one", "two", "three", "four")]
    said = say_outlook(("NET G2, widespread",), Outlook(names, [], [], [], ""))
    assert said.endswith("and 2 more")
    assert "…" not in said
