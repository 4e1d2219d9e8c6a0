"""Cards keep their limits: on the example patients, with a banner and a note, and on drawn evaluations.

Each limit is a check of tests/support/card_limits.py. For each, a planted error shows that the check can fail.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import msgspec
import pytest

from cds_service import knowledge
from cds_service.cards import blocks, claims, compose, overview, summaries, text
from cds_service.cards.card import Card, add_banner
from cds_service.cards.compose import compose_cards
from cds_service.cards.fact_words import fact_name, say_fact
from cds_service.cards.missing_data import says_almost_nothing
from cds_service.cards.text import Line, Paragraph, Phrase
from cds_service.cards.treatments import list_treatments
from cds_service.fhir.chart_files import ChartFile, read_file, story_date
from cds_service.hooks.patient_view import answer_picture, reader_for
from cds_service.knowledge.modality import Verdict
from cds_service.knowledge.overlay import Overlay
from cds_service.knowledge.shown import Face
from cds_service.reasoning.evaluation import Evaluation, evaluate
from cds_service.reasoning.facts import Fact, recorded_inputs
from tests.conftest import FIXTURES, PROOF, Record, folder_of
from tests.support import card_limits, depth
from tests.support.card_limits import (
    GIVES_WAY,
    LIMITS,
    NAMES_ALONE,
    Must,
    adverse_facts,
    all_parts,
    body,
    is_ordered,
    is_said,
    may_be_pregnant,
    must_be_said,
    statements_of,
    told_against,
)
from tests.support.drawn_evaluations import LINES, draw_evaluations, inputs_of

KNOWN = knowledge.load()
BANNER, NOTE = "For testing only: not for the care of patients.", "HPB board on Thursdays at four."
MOST_THAT_GIVE_WAY = 0.01
MIX = {
    "three or more to discuss": 0.3, "an active order": 0.2, "three or more contraindications": 0.1, "nothing structured": 0.1,
    "a transplanted liver": 0.03, "a drug by its name only": 0.03, "a drug that was stopped": 0.03,
    "an ordered technique whose modality is contraindicated": 0.03, "an insulinoma": 0.03, "an unknown primary": 0.02,
    "an unknown fact of each line": 0.01,
}  # fmt: skip
"""The minimum share of each kind in the drawn evaluations; for "an unknown fact of each line", the share of the rarest line."""
LEAST_WITH_BANNER = 0.1


@cache
def answered(fixture: str) -> tuple[Evaluation | None, tuple[Card, ...]]:
    path = folder_of(fixture) / "chart.json"
    content, day = read_file(path), story_date(path)
    assert isinstance(content, ChartFile)
    assert day is not None
    answer = answer_picture(reader_for(KNOWN).read(content.chart(), day), KNOWN, day)
    return answer.evaluation, tuple(answer.cards)


@cache
def drawn() -> tuple[Evaluation, ...]:
    return tuple(draw_evaluations(6000 if depth.full else 400, seed=1))


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("fixture", FIXTURES)
def test_an_example_patient_keeps_the_limit(fixture: str, limit: str) -> None:
    evaluation, cards = answered(fixture)
    if cards:
        assert not list(LIMITS[limit](evaluation, cards))


def test_drawn_evaluations_keep_the_limits(record_property: Record) -> None:
    """Where text that must not be left out does not fit, only the length limits give way, on at most one card in a hundred."""
    gave_way, told, example = 0, Counter[str](), dict[str, str]()
    for number, evaluation in enumerate(drawn()):
        broken = {limit: found for limit, check in LIMITS.items() if (found := list(check(evaluation, composed(number))))}
        gave_way += bool(broken.keys() & GIVES_WAY)
        told.update(list(broken))
        for limit, found in broken.items():
            example.setdefault(limit, f"evaluation {number}: {found[0]}")
    share = gave_way / len(drawn())
    record_property(PROOF, f"limits of the cards: {len(drawn())} drawn evaluations, {gave_way} give way ({share:.1%})")
    others = {limit: (told[limit], example[limit]) for limit in told if limit not in GIVES_WAY}
    assert not others, others
    assert share <= MOST_THAT_GIVE_WAY, told


@cache
def composed(number: int) -> tuple[Card, ...]:
    return tuple(compose_cards(drawn()[number], ()))


def test_the_drawn_evaluations_are_the_mix_that_the_limits_are_hard_for(record_property: Record) -> None:
    counts, of_lines = Counter[str](), Counter[int]()
    for evaluation in drawn():
        treatments, facts = list_treatments(evaluation), evaluation.facts
        recorded = facts.recorded.values()
        counts["three or more to discuss"] += sum(t.is_option for t in treatments) >= 3
        counts["an active order"] += bool(evaluation.picture.orders)
        counts["three or more contraindications"] += sum(t.verdict is Verdict.CONTRAINDICATED for t in treatments) >= 3
        counts["nothing structured"] += says_almost_nothing(evaluation)
        counts["a transplanted liver"] += facts["transplanted"].equals(True)
        counts["a drug by its name only"] += any(fact.by_name for fact in recorded)
        counts["a drug that was stopped"] += any(_is_stopped(fact) for fact in recorded)
        counts["an ordered technique whose modality is contraindicated"] += any(
            is_ordered(evaluation, technique)
            for assessment in evaluation.with_verdict(Verdict.CONTRAINDICATED)
            for technique in assessment.modality.techniques
        )
        counts["an insulinoma"] += facts["insulinoma"].equals(True)
        counts["an unknown primary"] += facts["primary_site"].equals("unknown")
        for place, (modality, line) in enumerate(LINES):
            of_lines[place] += any(facts[name].unknown for name in inputs_of(modality, line))
    counts["an unknown fact of each line"] = min(of_lines[place] for place in range(len(LINES)))
    shares = {name: counts[name] / len(drawn()) for name in MIX}
    record_property(PROOF, "mix of the cards: " + ", ".join(f"{name} {share:.0%}" for name, share in shares.items()))
    assert all(shares[name] >= least for name, least in MIX.items()), shares


def _is_stopped(fact: Fact) -> bool:
    return any(seen.regimen is not None and not seen.regimen.active for seen in fact.seen)


def test_a_banner_and_a_note_stand_apart_and_count_for_nothing_in_the_limits(record_property: Record) -> None:
    known, carried = replace(KNOWN, overlay=Overlay("north", "d1", NOTE)), 0
    for number in range(0, len(drawn()), 5):
        evaluation = drawn()[number]
        judged = evaluate(evaluation.picture, known, evaluation.facts.today)
        cards = add_banner(compose_cards(judged, ()), BANNER)
        assert all(card.detail.startswith(f"**{BANNER}**\n\n") for card in cards)
        carried += all(BANNER in card.detail for card in cards)
        assert cards[0].detail.endswith(f"\n\n{NOTE}")
        bare = [Card(c.summary, c.indicator, c.source, body(c, BANNER, NOTE), c.extension, c.links) for c in cards]
        for limit, check in LIMITS.items():
            assert list(check(judged, bare)) == list(check(evaluation, composed(number))), limit
    record_property(PROOF, f"a site's banner: on the cards of {carried} of {len(drawn())} drawn evaluations")
    assert carried >= LEAST_WITH_BANNER * len(drawn())


Planted = Callable[[pytest.MonkeyPatch], None]


def _wrapped(module: Any, name: str, change: Callable[[Any], Any]) -> Planted:
    real = getattr(module, name)
    return lambda patch: patch.setattr(module, name, lambda *given, **named: change(real(*given, **named)))


def _ids(phrase: Phrase) -> Phrase:
    return replace(phrase, text=f"{phrase.text} [S019]")


def _no_sources(phrase: Phrase) -> Phrase:
    return replace(phrase, sources=())


def _bulleted(found: list[Paragraph]) -> list[Paragraph]:
    return [Paragraph((Line((Phrase("a bullet first"),), "", "- "),)), *found]


def _twice(lines: Iterator[Line]) -> Iterator[Line]:
    for line in lines:
        yield from (line, line)


PLANTED: dict[str, Planted] = {
    "1 the summary answers": lambda patch: patch.setattr(summaries, "MAX_SUMMARY_CHARS", 400),
    "2 the answer stands first": _wrapped(overview, "_to_discuss", _bulleted),
    "3 characters": lambda patch: patch.setattr(compose, "squeeze_all", lambda drafts, _: [0] * len(drafts)),
    "4 lines": lambda patch: patch.setattr(text, "MAX_LINE_CHARS", 400),
    "5 links": lambda patch: patch.setattr(compose, "Link", lambda label, url: compose.__dict__["_Link"](f"{label[:4]}…", url)),
    "6 no ids": _wrapped(claims, "claim_phrase", _ids),
    "7 every result has a source": _wrapped(claims, "claim_phrase", _no_sources),
    "8 what bears on safety is said": _wrapped(blocks, "own_cautions", lambda found: found[1:]),
    "10 none met": lambda patch: patch.setattr(
        blocks, "stops_line", lambda *_: Line((Phrase("No contraindication"),), "", blocks.BULLET)
    ),
    "12 once": _wrapped(blocks, "against_lines", _twice),
    "13 what lowers a verdict": lambda patch: patch.setattr(blocks, "lowered_by", lambda *_: []),
    "14 Markdown": lambda patch: patch.setattr(blocks, "BULLET", "  - "),
}


@pytest.mark.parametrize("limit", PLANTED)
def test_a_planted_error_breaks_the_limit(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The damaged check finds more than it finds on undamaged cards."""
    before = [_broken(limit, evaluation) for evaluation in _worst()]
    monkeypatch.setattr(compose, "_Link", compose.__dict__["Link"], raising=False)
    PLANTED[limit](monkeypatch)
    assert any(
        {*_broken(limit, evaluation)} - {*found} for evaluation, found in zip(_worst(), before, strict=True)
    )  # fmt: skip


def _broken(limit: str, evaluation: Evaluation) -> list[str]:
    return list(LIMITS[limit](evaluation, compose_cards(evaluation, ())))


@cache
def _worst() -> Sequence[Evaluation]:
    examples = [found for fixture in FIXTURES if (found := answered(fixture)[0]) is not None]
    return [*examples, *drawn()[:60]]


Damage = Callable[[Evaluation, Card], Card]
"""Plants an error in a finished card."""


def _with(card: Card, detail: str) -> Card:
    return msgspec.structs.replace(card, detail=detail)


def _replaced(pattern: str, by: str) -> Damage:
    return lambda _, card: _with(card, re.sub(pattern, by, card.detail))


def _none_met(choose: Callable[[Evaluation], Iterator[str]]) -> Damage:
    """Add one entry under "none met"."""

    def damage(evaluation: Evaluation, card: Card) -> Card:
        entry = next(choose(evaluation), "")
        return _with(card, card.detail.replace("none met: ", f"none met: {entry}, ")) if entry else card

    return damage


def _not_recorded(choose: Callable[[Evaluation], Iterator[str]]) -> Damage:
    """Add one entry under "Not recorded"."""
    lead = "**Not recorded, bears on the above:** "

    def damage(evaluation: Evaluation, card: Card) -> Card:
        entry = next(choose(evaluation), "")
        return _with(card, card.detail.replace(lead, f"{lead}{entry}; ")) if entry else card

    return damage


def _adverse(evaluation: Evaluation) -> Iterator[str]:
    for name in adverse_facts(evaluation):
        if name in KNOWN.facts and evaluation.facts[name].known:
            yield say_fact(KNOWN, name, evaluation.facts[name])


READ = frozenset[str]().union(*(recorded_inputs(KNOWN, name) for c in KNOWN.criteria.values() for name in c.facts))


def _held(evaluation: Evaluation) -> Iterator[str]:
    yield from (fact_name(KNOWN, name) for name, fact in evaluation.facts.recorded.items() if fact.known and name == "ecog")


def _unusable(evaluation: Evaluation) -> Iterator[str]:
    yield from (fact_name(KNOWN, name) for name, fact in evaluation.facts.recorded.items() if fact.unknown and fact.seen)


def _idle(evaluation: Evaluation) -> Iterator[str]:
    facts = evaluation.facts
    yield from (fact_name(KNOWN, name) for name in KNOWN.facts if name not in READ and facts[name].silent)


def _not_pregnant(evaluation: Evaluation) -> Iterator[str]:
    if not may_be_pregnant(evaluation) and not evaluation.facts["pregnancy"].known:
        yield fact_name(KNOWN, "pregnancy")


def _without_missing(evaluation: Evaluation, card: Card) -> Card:
    detail = card.detail
    for assessment in evaluation.assessments.values():
        for name in assessment.missing:
            detail = re.sub(re.escape(fact_name(KNOWN, name)), "…", detail, flags=re.IGNORECASE)
    return _with(card, detail)


def _in_brief(evaluation: Evaluation, card: Card) -> Card:
    """Shorten the dissents and risks."""
    detail = card.detail
    for part in all_parts(evaluation):
        for statement, _ in statements_of(evaluation, part):
            if statement.brief and "{" not in statement.says:
                detail = detail.replace(statement.says, statement.brief)
    return _with(card, detail)


def _without_second_risks(evaluation: Evaluation, card: Card) -> Card:
    detail = card.detail
    for part in all_parts(evaluation):
        risks = [wordings for statement, wordings in statements_of(evaluation, part) if statement.face is Face.RISK]
        for wording in (word for wordings in risks[1:] for word in wordings if word):
            detail = detail.replace(wording, "…")
    return _with(card, detail.replace("Drug-eluting beads", "…"))


def _excluded(evaluation: Evaluation, card: Card) -> Card:
    """Remove the exclusions from an overview."""
    return _with(card, re.sub(r"\*\*Not indicated:\*\*.*", "", card.detail)) if card.kind == "overview" else card


def _summary(kind: str, says: Callable[[list[str]], str]) -> Damage:
    """Replace the summary by one with the names of the contraindicated treatments."""

    def damage(evaluation: Evaluation, card: Card) -> Card:
        names = [assessment.modality.face_name for assessment in evaluation.with_verdict(Verdict.CONTRAINDICATED)]
        return msgspec.structs.replace(card, summary=says(names)) if card.kind == kind and len(names) > 1 else card

    return damage


DAMAGED: dict[tuple[str, str], Damage] = {
    ("4 lines", "a full block has"): _replaced(r"(- \*\*Would change it)", r"- a\n- b\n- c\n- d\n\1"),
    ("4 lines", "a short block has"): _replaced(r"(- \*\*Would change it)", r"- a\n- b\n- c\n- d\n\1"),
    ("9 dropped in this order", "no room for: the fuller heading"): _replaced(r"\(by verdict; 2010", "(2010"),
    ("9 dropped in this order", "normal values stand"): _excluded,
    ("9 dropped in this order", "is cut: "): _in_brief,
    ("9 dropped in this order", "a second risk of"): _without_second_risks,
    ("9 dropped in this order", "does not say what would change it"): _replaced("Would change it:", ""),
    ("9 dropped in this order", "an unknown of"): _without_missing,
    ("10 none met", "not known: 'lung shunt 3 %'"): _none_met(lambda _: iter(["lung shunt 3 %, pregnancy excluded"])),
    ("10 none met", "not known: 'pregnancy excluded'"): _none_met(lambda _: iter(["lung shunt 3 %, pregnancy excluded"])),
    ("10 none met", "met: "): _none_met(_adverse),
    ("11 not recorded", "no fact: "): _not_recorded(lambda _: iter(["the phase of the moon"])),
    ("11 not recorded", "the chart holds it: "): _not_recorded(_held),
    ("11 not recorded", "the chart says something of it: "): _not_recorded(_unusable),
    ("11 not recorded", "changes nothing: "): _not_recorded(_idle),
    ("11 not recorded", "not of this patient: "): _not_recorded(_not_pregnant),
    ("11 not recorded", "stops not looked at: "): _replaced(r"- (?:Stops looked at|Not recorded:|Out of date).*", "- …"),
    ("summaries are true of each treatment", "one reason, "): _summary(
        "contraindication", lambda names: f"{names[0]} and {names[1]}: contraindicated, the weather"
    ),
    ("summaries are true of each treatment", "none of the reasons"): _summary(
        "contraindication", lambda names: f"{names[0]} and {names[1]}: contraindicated, the weather; the season"
    ),
    ("summaries are true of each treatment", "of the overview, "): _summary(
        "overview", lambda names: f"NET: {names[0]} and 1 more contraindicated (the weather); nothing else meets its criteria"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("limit", "says"), DAMAGED)
def test_an_error_in_a_finished_card_breaks_the_limit(limit: str, says: str) -> None:
    """The check reports the error in the expected words, and reports nothing without it."""
    check, damage = LIMITS[limit], DAMAGED[limit, says]
    for number, evaluation in enumerate(drawn()):
        new = {*check(evaluation, [damage(evaluation, card) for card in composed(number)])}
        if any(says in found for found in new - {*check(evaluation, composed(number))}):
            return
    pytest.fail(f"no error says: {says}")


SAFETY = "8 what bears on safety is said"
SAID = ("contraindication", "exclusion", "gate", "caution", "stop", "stop of what is ordered", "caution of a technique",
        "dissent of 2010", "dissent of update", "first risk")  # fmt: skip


def _mended(evaluation: Evaluation, cards: Sequence[Card]) -> list[Card]:
    """Return the cards with every required sentence added, whatever they say now."""
    lines = [f"- **Against:** {wording}." for must in must_be_said(evaluation) for wording in must.wordings[:1]]
    return [_with(cards[0], "\n".join([cards[0].detail, *lines])), *cards[1:]]


def _unsaid(cards: Sequence[Card], must: Must) -> list[Card]:
    found = list(cards)
    for wording in filter(None, must.wordings):
        found = [_with(card, re.sub(re.escape(wording), "…", card.detail, flags=re.IGNORECASE)) for card in found]
    return found


def _lost(choose: Callable[[Evaluation, Must], bool]) -> set[str]:
    """Return what the check newly reports when the first chosen item is removed from cards that have it; empty if there is
    none."""
    for number, evaluation in enumerate(drawn()):
        if composed(number)[0].kind != "overview":
            continue
        for must in must_be_said(evaluation):
            if all(must.wordings) and choose(evaluation, must):
                whole = _mended(evaluation, composed(number))
                found = {*LIMITS[SAFETY](evaluation, _unsaid(whole, must))} - {*LIMITS[SAFETY](evaluation, whole)}
                return {text for text in found if text.startswith(f"{must.kind} of {must.whose}: not")}
    return set()


@pytest.mark.parametrize("kind", [*SAID, *NAMES_ALONE])
def test_whatever_of_safety_is_taken_from_the_cards_is_missed(kind: str) -> None:
    assert _lost(lambda _, must: must.kind == kind)


def test_a_stop_of_what_is_ordered_is_missed_where_its_modality_is_contraindicated() -> None:
    arterial = "hepatic-arterial-therapy"
    assert _lost(
        lambda evaluation, must: (
            must.kind == "stop of what is ordered"
            and must.whose.startswith(arterial)
            and evaluation.assessments[arterial].verdict is Verdict.CONTRAINDICATED
        )
    )


def test_every_reason_against_a_treatment_is_asked_for_not_the_first_alone() -> None:
    def is_second(evaluation: Evaluation, must: Must) -> bool:
        of_it = [other for other in must_be_said(evaluation) if (other.kind, other.whose) == (must.kind, must.whose)]
        return must.kind in {"exclusion", "contraindication"} and len(of_it) > 1 and must == of_it[-1]

    assert _lost(is_second)


def test_a_risk_that_is_not_said_is_counted() -> None:
    for number, evaluation in enumerate(drawn()):
        cards = composed(number)
        uncounted = [_with(card, re.sub(r"\d+ more: rule book", "", card.detail)) for card in cards]
        new = {*LIMITS[SAFETY](evaluation, uncounted)} - {*LIMITS[SAFETY](evaluation, cards)}
        if any(text.startswith("count of risks of ") for text in new):
            return
    pytest.fail("no count is missed")


def test_an_empty_phrase_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card_limits, "say_finding", lambda *_: "")
    assert any(
        "an empty phrase" in text for number, e in enumerate(drawn()[:60]) for text in LIMITS[SAFETY](e, composed(number))
    )


@pytest.mark.parametrize("text", ["- Risk: abscess, passing liver failure, effusion.", "- **Would change it:** liver failure.",
                                  "**Not recorded, bears on the above:** liver failure.", "- Missing (consider at best): "
                                  "liver failure.", "**Patient:** 52 y; liver failure (1 Nov)."])  # fmt: skip
def test_a_stop_is_not_said_by_the_same_words_elsewhere(text: str) -> None:
    card = composed(0)[0]
    assert not is_said("liver failure", told_against([_with(card, text)]))
    assert is_said("liver failure", told_against([_with(card, f"{text}\n- Radioembolization: stopped by liver failure.")]))
