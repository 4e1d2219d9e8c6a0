"""One fact from its readings: which reading counts, what the fact rests on, and why it may have no value (docs/knowledge.md,
"Facts")."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from cds_service import knowledge
from cds_service.clinical_picture import Interval, Observed, PartialDate, Readings, Unreadable, Value
from cds_service.reasoning import facts
from cds_service.reasoning.current_facts import determine_fact, sort_newest_first, unusable_facts
from cds_service.reasoning.facts import Fact, Facts, FactState, Why
from cds_service.reasons import Explanation, Reason
from tests.support.pictures import UNIT, with_reasons

KNOWN = knowledge.load()
TODAY = date(2026, 11, 1)


def ago(days: int) -> PartialDate:
    return PartialDate.from_day(TODAY - timedelta(days=days))


def at(hour: int, days: int = 1) -> PartialDate:
    day = TODAY - timedelta(days=days)
    return PartialDate(day, day, datetime(day.year, day.month, day.day, hour, tzinfo=UTC))


def seen(name: str, value: Value | int, on: PartialDate | None, ref: str = "a", **more: object) -> Observed:
    value = Interval.from_number(value) if type(value) is int else value
    return replace(Observed(value, on, ref, str(value), fact=name), **more)  # type: ignore[arg-type]  # fields of Observed by name


def unread(on: PartialDate | None, ref: str = "z") -> Unreadable:
    return Unreadable(on, ref, UNIT)


UNREAD = Explanation(Reason.UNREADABLE, because=UNIT)


def fact(state: FactState, *values: Any, why: Why | None = None, note: Why | None = None, **more: Any) -> tuple[object, ...]:
    """Return what `with_reasons` makes of such a fact."""
    words = [Explanation(part) if isinstance(part, Reason) else part for part in (why, note)]
    return with_reasons(replace(Fact(state, *values, **more), why=words[0], note=words[1]))


def current_fact(
    name: str, *valid: Observed, bad: tuple[Unreadable, ...] = (), asks: tuple[Observed, ...] = (), complete: bool = True
) -> Fact:
    definition = KNOWN.facts[name]
    return determine_fact(definition, Readings(valid, bad, complete, asks), TODAY, definition.window_days)


# ── which reading is the newest ───────────────────────────────────────────────────────────────────────────────────
def test_a_dated_reading_comes_before_an_undated_one_and_the_reference_breaks_a_tie() -> None:
    undated, dated, twin = seen("inr", 1, None, "a"), seen("inr", 1, ago(9), "b"), seen("inr", 1, ago(9), "c")
    for order in ((undated, twin, dated), (twin, dated, undated)):
        assert sort_newest_first(order) == (dated, twin, undated)


def test_of_three_readings_of_a_day_the_latest_hour_comes_first_and_the_one_without_an_hour_last() -> None:
    early, whole_day, late = seen("inr", 1, at(8), "a"), seen("inr", 2, ago(1), "b"), seen("inr", 2, at(9), "c")
    assert sort_newest_first((early, whole_day, late)) == (late, early, whole_day)
    assert sort_newest_first((whole_day, late, early)) == (late, early, whole_day)


def test_an_hour_of_an_older_day_comes_after_a_newer_day_and_one_instant_twice_by_reference() -> None:
    hour, day = seen("inr", 1, at(9, days=5), "a"), seen("inr", 1, ago(1), "b")
    assert sort_newest_first((hour, day)) == sort_newest_first((day, hour)) == (day, hour)
    one, twin = seen("inr", 1, at(9), "a"), seen("inr", 1, at(9), "b")
    assert sort_newest_first((one, twin)) == sort_newest_first((twin, one)) == (one, twin)


def test_a_value_without_an_hour_that_agrees_with_the_latest_hour_is_no_conflict() -> None:
    early, whole_day, late = seen("inr", 1, at(8), "a"), seen("inr", 2, ago(1), "b"), seen("inr", 2, at(9), "c")
    assert current_fact("inr", early, whole_day, late).value == Interval.from_number(2)


def test_two_undated_answers_that_disagree_are_a_conflict_where_no_window_applies() -> None:
    one, other = seen("differentiation", "well", None, "a"), seen("differentiation", "poor", None, "b")
    found = current_fact("differentiation", one, other)
    assert with_reasons(found) == fact(
        FactState.UNKNOWN, seen=(one, other), history=(one, other), why=Reason.CONFLICT_OF_ONE_DATE
    )


def test_an_undated_answer_may_be_the_newest_where_no_window_applies() -> None:
    one, other = seen("differentiation", "well", None, "a"), seen("differentiation", "poor", ago(400), "b")
    found = current_fact("differentiation", one, other)
    assert (found.state, found.reason) == (FactState.UNKNOWN, Reason.CONFLICT_NONE_NEWER)


def test_an_undated_value_beside_a_dated_one_is_a_question_unless_the_dated_one_is_adverse() -> None:
    undated, denial = seen("hepatic_failure", True, None, "a"), seen("hepatic_failure", False, ago(4), "b")
    found = current_fact("hepatic_failure", undated, denial)
    assert (found.state, found.seen, found.reason) == (FactState.UNKNOWN, (denial, undated), Reason.UNDATED_BESIDE_DATED)
    assert current_fact("hepatic_failure", replace(undated, value=False), denial).equals(False)
    assert current_fact("hepatic_failure", replace(undated, value=False), replace(denial, value=True)).equals(True)


@pytest.mark.parametrize(("dated", "undated"), [(10, 60), (60, 10)])
def test_an_undated_number_beside_a_dated_one_leaves_both_to_be_named(dated: int, undated: int) -> None:
    """The undated number may be newer, and better or worse."""
    one, other = seen("egfr", dated, ago(4), "a"), seen("egfr", undated, None, "b")
    found = current_fact("egfr", one, other)
    assert (found.state, found.seen, found.reason) == (FactState.UNKNOWN, (one, other), Reason.UNDATED_BESIDE_DATED)
    assert current_fact("egfr", one, replace(other, value=one.value)).value == one.value
    assert current_fact("egfr", replace(one, on=ago(800)), other).seen == (replace(one, on=ago(800), fact="egfr"), other)


def test_an_undated_number_issued_before_another_was_taken_is_the_older_one() -> None:
    dated, undated = seen("egfr", 60, ago(4), "a"), seen("egfr", 10, None, "b")
    assert current_fact("egfr", dated, replace(undated, issued=ago(5))).value == Interval.from_number(60)
    for day in (4, 3):  # of the same day, or later: not the date of the specimen, which may be newer
        assert current_fact("egfr", dated, replace(undated, issued=ago(day))).seen == (dated, replace(undated, issued=ago(day)))


def test_when_they_were_issued_orders_two_undated_values_where_no_window_applies() -> None:
    one, other = (
        replace(seen("differentiation", word, None, word), issued=ago(day)) for word, day in (("well", 9), ("poor", 3))
    )
    assert current_fact("differentiation", one, other).value == "poor"
    assert current_fact("differentiation", one, replace(other, issued=one.issued)).reason is Reason.CONFLICT_OF_ONE_DATE


def test_of_a_day_the_worst_answer_stands_against_a_newer_question_however_it_was_sent() -> None:
    which = seen("extrahepatic_disease", True, ago(1), "q", note=Explanation(Reason.NODES_REGIONAL_OR_DISTANT))
    for first, second in (("a", "b"), ("b", "a")):
        pair = (
            seen("extrahepatic_disease", "none", ago(3), first),
            seen("extrahepatic_disease", "unresectable", ago(3), second),
        )
        assert current_fact("extrahepatic_disease", *pair, asks=(which,)).equals("unresectable")


def test_a_carcinoma_that_is_coded_and_stands_contradicts_a_newer_answer() -> None:
    told, coded = seen("differentiation", "well", ago(5), "a"), seen("differentiation", "poor", ago(500), "b", ageless=True)
    assert current_fact("differentiation", told, coded).state is FactState.UNKNOWN
    assert current_fact("differentiation", coded).equals("poor")


def outside(value: str, days: int) -> Observed:
    return seen("extrahepatic_disease", value, ago(days), value)


def test_a_question_takes_nothing_back_that_is_there() -> None:
    which = seen("extrahepatic_disease", True, ago(1), "q", note=Explanation(Reason.NODES_REGIONAL_OR_DISTANT))
    for there in ("present", "resectable"):
        found = current_fact("extrahepatic_disease", outside(there, 1), asks=(which,))
        assert (found.value, found.options, found.note_reason) == (
            "present",
            ("resectable", "unresectable"),
            Reason.NODES_REGIONAL_OR_DISTANT,
        )
    for other in (outside("none", 1), outside("resectable", 181)):
        assert current_fact("extrahepatic_disease", other, asks=(which,)).unknown
    assert current_fact("extrahepatic_disease", outside("unresectable", 1), asks=(which,)).equals("unresectable")


def test_a_vague_answer_does_not_undo_a_precise_one_in_its_window() -> None:
    def heart(value: str, days: int) -> Observed:
        return seen("carcinoid_heart_disease", value, ago(days), value)

    vague = heart("present", 2)
    assert current_fact("carcinoid_heart_disease", vague, heart("severe-untreated", 30)).equals("severe-untreated")
    assert current_fact("carcinoid_heart_disease", vague, heart("absent", 30)).equals("present")
    assert current_fact("carcinoid_heart_disease", vague).options == ()


def test_an_undated_diagnosis_that_still_stands_contradicts_an_answer_of_any_date() -> None:
    told, coded = (
        seen("hormonal_syndrome", "none", ago(5), "a"),
        seen("hormonal_syndrome", "carcinoid", None, "b", ageless=True),
    )
    found = current_fact("hormonal_syndrome", told, coded)
    assert (found.state, found.seen) == (FactState.UNKNOWN, (told, coded))


def test_an_older_diagnosis_that_still_stands_gives_way_to_a_newer_answer() -> None:
    told = seen("hormonal_syndrome", "none", ago(5), "a")
    coded = seen("hormonal_syndrome", "carcinoid", ago(50), "b", ageless=True)
    assert current_fact("hormonal_syndrome", told, coded).value == "none"


# ── two answers of one date ───────────────────────────────────────────────────────────────────────────────────────
def test_two_numbers_of_one_day_that_disagree_are_unknown_and_both_are_named() -> None:
    one, other = seen("inr", 1, ago(1), "a"), seen("inr", 2, ago(1), "b")
    found = current_fact("inr", one, other)
    assert with_reasons(found) == fact(
        FactState.UNKNOWN, seen=(one, other), history=(one, other), why=Reason.CONFLICT_OF_ONE_DATE
    )


def test_the_worse_of_two_answers_of_one_day_counts_and_the_conflict_is_shown() -> None:
    patent, occluded = seen("portal_vein", "patent", ago(1), "a"), seen("portal_vein", "occluded", ago(1), "b")
    found = current_fact("portal_vein", patent, occluded)
    assert (found.value, found.seen, found.history) == ("occluded", (patent, occluded), (patent, occluded))
    assert found.note_reason == Reason.CONFLICT_WORSE_COUNTS


def test_the_newest_answer_rests_on_itself_and_keeps_its_note() -> None:
    newer, older = seen("inr", 1, ago(1), "a", note=Explanation(Reason.COMPUTED)), seen("inr", 2, ago(2), "b")
    assert with_reasons(current_fact("inr", older, newer)) == fact(
        FactState.KNOWN, newer.value, newer.on, (newer,), (newer, older), note=Reason.COMPUTED
    )


@pytest.mark.parametrize(("one", "other"), [(0, 1), (1, 0), (3, 1)])
def test_of_two_performance_states_of_one_day_the_worse_counts(one: int, other: int) -> None:
    found = current_fact("ecog", seen("ecog", one, ago(1), "a"), seen("ecog", other, ago(1), "b"))
    assert found.value == Interval.from_number(max(one, other))


# ── what cannot be read ───────────────────────────────────────────────────────────────────────────────────────────
def test_a_newer_value_that_cannot_be_read_makes_the_fact_unknown_and_the_older_is_still_named() -> None:
    older, bad = seen("inr", 1, ago(9)), unread(ago(1))
    found = current_fact("inr", older, bad=(bad,))
    assert with_reasons(found) == fact(FactState.UNKNOWN, seen=(older,), history=(older,), why=UNREAD, unread=(bad,))


def test_a_value_that_cannot_be_read_is_alone_a_question_and_not_silence() -> None:
    bad = unread(ago(1))
    assert with_reasons(current_fact("inr", bad=(bad,))) == fact(FactState.UNKNOWN, why=UNREAD, unread=(bad,))


def test_an_older_value_that_cannot_be_read_takes_nothing_from_a_newer_one() -> None:
    assert current_fact("inr", seen("inr", 1, ago(1)), bad=(unread(ago(9)),)).value == Interval.from_number(1)


# ── codes that ask without answering ──────────────────────────────────────────────────────────────────────────────
def test_the_newest_of_several_questions_is_the_one_asked() -> None:
    patent = seen("portal_vein", "patent", ago(99), "a")
    asking = {"b": Reason.BY_NAME, "c": Reason.EXTENT_NOT_STATED}
    asks = tuple(seen("portal_vein", "", on, ref, note=Explanation(asking[ref])) for ref, on in (("b", ago(30)), ("c", ago(3))))
    found = current_fact("portal_vein", patent, asks=asks)
    assert with_reasons(found) == fact(FactState.UNKNOWN, seen=(asks[1],), history=(patent,), why=Reason.EXTENT_NOT_STATED)


def test_a_question_older_than_the_answer_is_answered() -> None:
    assert current_fact("portal_vein", seen("portal_vein", "patent", ago(1)), asks=(seen("portal_vein", "", ago(9)),)).known


def test_a_question_takes_nothing_from_the_worst_answer_but_from_every_better_one() -> None:
    ask = seen("portal_vein", "", ago(1), "q", note=Explanation(Reason.EXTENT_NOT_STATED))
    assert current_fact("portal_vein", seen("portal_vein", "occluded", ago(9)), asks=(ask,)).value == "occluded"
    assert current_fact("portal_vein", seen("portal_vein", "branch", ago(9)), asks=(ask,)).unknown


# ── out of its window ─────────────────────────────────────────────────────────────────────────────────────────────
def test_a_denial_out_of_its_window_is_silence_and_still_named() -> None:
    old, older = seen("hepatic_failure", False, ago(181), "a"), seen("hepatic_failure", False, ago(200), "b")
    found = current_fact("hepatic_failure", older, old)
    assert with_reasons(found) == fact(FactState.SILENT, seen=(old,), history=(old, older), why=Reason.OUT_OF_DATE)


def test_an_adverse_answer_out_of_its_window_stays_a_question_and_is_named() -> None:
    old, older = seen("hepatic_failure", True, ago(181), "a"), seen("hepatic_failure", False, ago(200), "b")
    found = current_fact("hepatic_failure", older, old)
    assert with_reasons(found) == fact(FactState.UNKNOWN, seen=(old,), history=(old, older), why=Reason.OUT_OF_DATE)


def test_a_number_out_of_its_window_is_unknown_where_no_value_of_it_is_a_denial() -> None:
    assert current_fact("inr", seen("inr", 1, ago(181))).reason == Reason.OUT_OF_DATE


def test_an_undated_answer_is_unknown_where_a_window_applies() -> None:
    assert current_fact("inr", seen("inr", 1, None)).reason == Reason.UNDATED


@pytest.mark.parametrize(("days", "value"), [(180, "resectable"), (181, "present")])
def test_a_vague_answer_is_made_precise_by_an_older_one_in_its_window(days: int, value: str) -> None:
    vague, precise = (
        seen("extrahepatic_disease", "present", ago(1), "a"),
        seen("extrahepatic_disease", "resectable", ago(days), "b"),
    )
    assert current_fact("extrahepatic_disease", vague, precise).value == value


# ── diagnoses that are there or not ───────────────────────────────────────────────────────────────────────────────
ACUTE = "acute_hepatic_failure_coded"
"""Counts for 90 days."""


def test_a_coded_diagnosis_rests_on_all_its_entries_in_the_window_and_is_of_the_newest() -> None:
    old, new, stale = (seen(ACUTE, True, ago(days), ref) for days, ref in ((90, "a"), (1, "b"), (91, "c")))
    assert with_reasons(current_fact(ACUTE, old, stale, new)) == fact(
        FactState.KNOWN, True, new.on, (new, old), (new, old, stale)
    )


def test_an_undated_diagnosis_is_a_question_where_a_window_applies_and_an_answer_where_none_does() -> None:
    undated, stale = seen(ACUTE, True, None, "a"), seen(ACUTE, True, ago(91), "b")
    found = current_fact(ACUTE, undated, stale)
    assert with_reasons(found) == fact(FactState.UNKNOWN, seen=(undated,), history=(stale, undated), why=Reason.UNDATED)
    assert current_fact("ascites_coded", seen("ascites_coded", True, None)).equals(True)


def test_a_diagnosis_out_of_its_window_is_silence_and_still_named() -> None:
    stale = seen(ACUTE, True, ago(91), "b")
    assert with_reasons(current_fact(ACUTE, stale)) == fact(
        FactState.SILENT, seen=(stale,), history=(stale,), why=Reason.OUT_OF_DATE
    )
    assert with_reasons(current_fact(ACUTE)) == fact(FactState.SILENT)


def test_a_diagnosis_that_was_not_asked_for_is_unknown() -> None:
    assert with_reasons(current_fact(ACUTE, complete=False)) == fact(FactState.UNKNOWN, why=Reason.NOT_CONSULTED)
    assert current_fact(ACUTE, seen(ACUTE, True, ago(1)), complete=False).equals(True)


def test_a_diagnosis_that_cannot_be_read_is_a_question_unless_another_says_yes() -> None:
    bad, stale = unread(ago(1)), seen(ACUTE, True, ago(91))
    found = current_fact(ACUTE, stale, bad=(bad,))
    assert with_reasons(found) == fact(FactState.UNKNOWN, history=(stale,), why=UNREAD, unread=(bad,))
    assert current_fact(ACUTE, seen(ACUTE, True, ago(9)), bad=(bad,)).equals(True)


def test_a_code_that_only_asks_leaves_a_diagnosis_unknown() -> None:
    stale, ask = seen(ACUTE, True, ago(91)), seen(ACUTE, True, ago(2), "q", note=Explanation(Reason.EXTENT_NOT_STATED))
    assert with_reasons(current_fact(ACUTE, stale, asks=(ask,))) == fact(
        FactState.UNKNOWN, seen=(ask,), history=(stale,), why=Reason.EXTENT_NOT_STATED
    )


# ── answers that add up ───────────────────────────────────────────────────────────────────────────────────────────
FAILED = "symptoms_refractory_to"


def test_what_symptoms_were_refractory_to_adds_up_in_the_window() -> None:
    one, other, stale = (
        seen(FAILED, value, ago(days), ref)
        for value, days, ref in (("hormonal-suppression", 180, "a"), ("arterial-therapy", 1, "b"), ("immunotherapy", 181, "c"))
    )
    both = frozenset({"hormonal-suppression", "arterial-therapy"})
    assert with_reasons(current_fact(FAILED, one, stale, other)) == fact(
        FactState.KNOWN, both, other.on, (other, one), (other, one, stale)
    )
    older = seen(FAILED, "immunotherapy", ago(200), "d")
    assert with_reasons(current_fact(FAILED, older, stale)) == fact(
        FactState.UNKNOWN, seen=(stale,), history=(stale, older), why=Reason.OUT_OF_DATE
    )


def test_an_answer_that_cannot_be_read_and_may_be_newer_leaves_the_union_unknown() -> None:
    one, bad = seen(FAILED, "hormonal-suppression", ago(9)), unread(ago(1))
    found = current_fact(FAILED, one, bad=(bad,))
    assert with_reasons(found) == fact(FactState.UNKNOWN, seen=(one,), history=(one,), why=UNREAD, unread=(bad,))
    assert current_fact(FAILED, bad=(bad,)).unknown
    assert current_fact(FAILED, one, bad=(unread(ago(10)),)).known


def test_nothing_tried_is_silence_only_if_everything_arrived() -> None:
    assert with_reasons(current_fact(FAILED)) == fact(FactState.SILENT)
    assert with_reasons(current_fact(FAILED, complete=False)) == fact(FactState.UNKNOWN, why=Reason.NOT_CONSULTED)


# ── the highest of all ────────────────────────────────────────────────────────────────────────────────────────────
def test_the_highest_index_counts_whatever_its_date_and_all_are_named() -> None:
    old, new = seen("ki67_index", 12, ago(900), "a"), seen("ki67_index", 3, ago(1), "b")
    found = current_fact("ki67_index", old, new)
    assert with_reasons(found) == fact(
        FactState.KNOWN, old.value, old.on, (new, old), (new, old), note=Reason.SEVERAL_HIGHEST_COUNTS
    )


def test_an_index_found_twice_is_of_the_newer_and_no_conflict() -> None:
    old, new = seen("ki67_index", 3, ago(900), "a"), seen("ki67_index", 3, ago(1), "b")
    assert with_reasons(current_fact("ki67_index", old, new)) == fact(FactState.KNOWN, new.value, new.on, (new,), (new, old))


def test_of_indices_known_by_one_end_that_with_the_higher_lower_end_dates_the_fact() -> None:
    below, zero = Interval.from_comparator("<", Decimal(5)), Interval.from_number(0)
    unsure, none = seen("ki67_index", below, ago(1), "a"), seen("ki67_index", zero, ago(9), "b")
    assert current_fact("ki67_index", unsure, none).on == none.on


def test_an_index_that_cannot_be_read_may_be_the_highest() -> None:
    old, bad = seen("ki67_index", 3, ago(1)), unread(ago(900))
    found = current_fact("ki67_index", old, bad=(bad,))
    assert with_reasons(found) == fact(FactState.UNKNOWN, seen=(old,), history=(old,), why=UNREAD, unread=(bad,))
    assert with_reasons(current_fact("ki67_index")) == fact(FactState.SILENT)
    assert with_reasons(current_fact("ki67_index", complete=False)) == fact(FactState.UNKNOWN, why=Reason.NOT_CONSULTED)


def test_every_reading_names_its_fact() -> None:
    ask, valid = Observed("", ago(1), "q", "thrombosis"), Observed("patent", ago(9), "a", "patent")
    found = current_fact("portal_vein", valid, asks=(ask,))
    assert [reading.fact for reading in (*found.seen, *found.history)] == ["portal_vein", "portal_vein"]


def test_an_hour_of_one_day_and_another_day_compare_by_their_days() -> None:
    valid = seen("inr", 1, ago(2))
    assert current_fact("inr", valid, bad=(unread(at(9, days=1)),)).unknown
    assert current_fact("inr", valid, bad=(unread(at(9, days=3)),)).known
    assert current_fact("inr", valid, bad=(unread(at(9, days=2)),)).unknown


# ── facts that are calculated from others ─────────────────────────────────────────────────────────────────────────
def test_a_calculated_fact_rests_on_every_reading_once_and_is_of_the_newest_day() -> None:
    old, new = seen("inr", 1, ago(9), "a"), seen("platelets", 200, ago(1), "b")
    parts = [Fact(FactState.KNOWN, r.value, r.on, (r,)) for r in (new, old)]
    assert with_reasons(facts.known_fact(True, *parts, parts[0], note=Reason.COMPUTED)) == fact(
        FactState.KNOWN, True, new.on, (new, old), note=Reason.COMPUTED
    )
    assert with_reasons(facts.known_fact(True, parts[1], parts[0])) == fact(FactState.KNOWN, True, new.on, (old, new))
    assert with_reasons(facts.known_fact(True, facts.SILENT_FACT)) == fact(FactState.KNOWN, True)


def test_a_calculated_fact_that_is_unknown_says_why_and_on_what_it_would_rest() -> None:
    old, new = seen("inr", 1, ago(9), "a"), seen("platelets", 200, ago(1), "b")
    parts = [Fact(FactState.KNOWN, r.value, r.on, (r,)) for r in (new, old, new)]
    assert with_reasons(facts.unknown_fact(Reason.GRADE_UNKNOWN, *parts)) == fact(
        FactState.UNKNOWN, seen=(new, old), why=Reason.GRADE_UNKNOWN
    )
    assert with_reasons(facts.answer_fact(None, Reason.GRADE_UNKNOWN, *parts)) == with_reasons(
        facts.unknown_fact(Reason.GRADE_UNKNOWN, *parts)
    )
    assert with_reasons(facts.answer_fact(False, Reason.GRADE_UNKNOWN, *parts)) == with_reasons(facts.known_fact(False, *parts))
    assert with_reasons(facts.answer_fact(True, Reason.GRADE_UNKNOWN, parts[0], note=Reason.COMPUTED)) == with_reasons(
        facts.known_fact(True, parts[0], note=Reason.COMPUTED)
    )


def test_a_calculation_sees_only_what_it_says_it_reads_and_is_done_once() -> None:
    asked = []

    def child_pugh(given: Facts) -> Fact:
        asked.append(given["inr"])
        with pytest.raises(KeyError, match="ecog is not among the facts that this calculation reads"):
            given["ecog"]
        return facts.known_fact("A")

    reads = replace(KNOWN.derived["child_pugh_class"], reads=("inr",))
    knowledge = replace(KNOWN, derived={"child_pugh_class": reads})
    judged = Facts({"inr": facts.SILENT_FACT, "ecog": facts.SILENT_FACT}, knowledge, TODAY, {"child_pugh_class": child_pugh})
    assert judged["child_pugh_class"].equals("A")
    assert judged["child_pugh_class"].equals("A")
    assert judged["ecog"] == facts.SILENT_FACT
    assert asked == [facts.SILENT_FACT]


def test_the_leaves_of_a_fact_are_those_of_all_that_it_is_calculated_from() -> None:
    a, b, c = (replace(next(iter(KNOWN.derived.values())), id=name, reads=reads) for name, reads in
               (("a", ("b", "inr")), ("b", ("c", "ecog")), ("c", ("platelets", "inr"))))  # fmt: skip
    knowledge = replace(KNOWN, derived={"a": a, "b": b, "c": c}, digest="of a test")
    assert facts.recorded_inputs(knowledge, "a") == {"inr", "ecog", "platelets"}
    assert facts.recorded_inputs(knowledge, "c") == {"platelets", "inr"}
    assert facts.recorded_inputs(knowledge, "inr") == {"inr"}


def test_a_value_that_is_there_but_cannot_be_used_is_told_and_nothing_else() -> None:
    value = (seen("inr", 1, ago(200)),)
    leaves = {
        "inr": Fact(FactState.UNKNOWN, seen=value, why=Explanation(Reason.OUT_OF_DATE)),
        "platelets": Fact(FactState.UNKNOWN, why=Explanation(Reason.UNREADABLE, because=UNIT)),
        "albumin": Fact(FactState.UNKNOWN, why=Explanation(Reason.NOT_CONSULTED)),
        "egfr": Fact(FactState.KNOWN, Interval.from_number(90), ago(1), value),
        "ecog": facts.SILENT_FACT,
    }
    told = unusable_facts(Facts(leaves, KNOWN, TODAY, {}))
    assert list(told) == [(KNOWN.facts[name], leaves[name]) for name in ("inr", "platelets")]


def test_what_cannot_be_read_is_older_only_if_it_certainly_is() -> None:
    undated, october = seen("differentiation", "well", None), PartialDate(date(2026, 10, 1), date(2026, 10, 31))
    assert current_fact("differentiation", undated, bad=(unread(ago(9)),)).unknown
    assert current_fact("inr", seen("inr", 1, october), bad=(unread(PartialDate.from_day(date(2026, 10, 5))),)).unknown
    assert current_fact("inr", seen("inr", 1, ago(1)), seen("inr", 2, at(9), "b")).unknown
