"""Plants errors in the search for deciding facts. Brute force finds each of them, so it would find a real one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import cache
from itertools import islice
from typing import Any

import pytest

from cds_service.clinical_picture import Interval, PartialDate
from cds_service.knowledge.modality import Verdict
from cds_service.reasoning import deciding_facts, undecided, verdict_diagrams
from cds_service.reasoning.deciding_facts import DecidingFacts
from cds_service.reasoning.fact_diagrams import FactDiagrams
from cds_service.reasoning.verdict_diagrams import VerdictDiagrams
from tests.deciding.comparison import Completion, complete, difference, differences, large_cases, small_cases
from tests.support import depth
from tests.support.completions import Case
from tests.support.strategies import KNOWN

SMALL, MOST_COMPLETIONS, LARGE = 600, 60, 3_500
SOON_FOUND = frozenset({
    "an_answer_is_of_yesterday", "a_dated_fact_stays_as_it_is_on_the_chart", "silence_is_taken_for_unknown",
    "unknown_is_taken_for_silence", "silence_settles_everything", "the_gates_are_open", "nothing_holds_a_verdict_down",
    "the_last_answer_of_a_coded_fact_is_not_tried",
})  # fmt: skip
"""The errors that the short form plants, since a tenth of the charts finds them. The full form plants all."""
Patch = pytest.MonkeyPatch
PLANTS: list[Callable[[Patch], None]] = []
stretch_of, trial_values, answered_fact = verdict_diagrams.stretch_of, undecided.trial_values, deciding_facts.answered_fact
without_references = deciding_facts.without_references


def plant(error: Callable[[Patch], None]) -> Callable[[Patch], None]:
    PLANTS.append(error)
    return error


@plant
def a_value_on_a_limit_is_taken_for_one_below(patch: Patch) -> None:
    def wrong(value: Interval, cuts: Any) -> Interval:
        limit = value.exact
        return stretch_of(value if limit is None or limit not in cuts else Interval.from_number(limit - 1), cuts)

    patch.setattr(verdict_diagrams, "stretch_of", wrong)


@plant
def a_value_astride_a_limit_is_taken_for_its_end(patch: Patch) -> None:
    def wrong(value: Interval, cuts: Any) -> Interval:
        end = value.low if value.low is not None else value.high
        return stretch_of(Interval(end, end), cuts)

    patch.setattr(verdict_diagrams, "stretch_of", wrong)


def try_values(patch: Patch, change: Callable[..., Any]) -> None:
    for module in (verdict_diagrams, deciding_facts):
        patch.setattr(module, "trial_values", change)


@plant
def the_highest_value_is_not_tried(patch: Patch) -> None:
    def wrong(knowledge: Any, name: str, fact: Any) -> Any:
        found = trial_values(knowledge, name, fact)
        numbers = [value for value in found if isinstance(value, Interval)]
        return tuple(value for value in found if value != max(numbers, key=lambda number: number.low or 0, default=None))

    try_values(patch, wrong)


@plant
def the_last_answer_of_a_coded_fact_is_not_tried(patch: Patch) -> None:
    def wrong(knowledge: Any, name: str, fact: Any) -> Any:
        found = trial_values(knowledge, name, fact)
        return found[:-1] if isinstance(found[-1], str) else found

    try_values(patch, wrong)


@plant
def an_answer_is_of_yesterday(patch: Patch) -> None:
    def wrong(fact: Any, value: Any, on: PartialDate) -> Any:
        return answered_fact(fact, value, PartialDate.from_day(on.latest - timedelta(days=1)))

    patch.setattr(deciding_facts, "answered_fact", wrong)


@plant
def an_answer_takes_the_place_of_others_that_stand(patch: Patch) -> None:
    patch.setattr(deciding_facts, "answered_fact", lambda fact, value, on: answered_fact(replace(fact, value=None), value, on))


@plant
def what_could_not_be_read_is_forgotten(patch: Patch) -> None:
    patch.setattr(deciding_facts, "without_references", lambda fact: replace(without_references(fact), unread=()))


@plant
def earlier_readings_are_forgotten(patch: Patch) -> None:
    patch.setattr(deciding_facts, "without_references", lambda fact: replace(without_references(fact), history=()))


@plant
def why_a_fact_is_unknown_is_forgotten(patch: Patch) -> None:
    patch.setattr(deciding_facts, "without_references", lambda fact: replace(without_references(fact), why=None))


@plant
def the_readings_that_a_fact_rests_on_are_forgotten(patch: Patch) -> None:
    patch.setattr(deciding_facts, "without_references", lambda fact: replace(without_references(fact), seen=()))


@plant
def a_calculated_fact_has_no_date(patch: Patch) -> None:
    outcome = FactDiagrams._outcome
    patch.setattr(FactDiagrams, "_outcome", lambda self, new: outcome(self, replace(new, on=None) if new.has_dates else new))


@plant
def a_calculated_fact_has_no_earlier_readings(patch: Patch) -> None:
    outcome = FactDiagrams._outcome
    patch.setattr(FactDiagrams, "_outcome", lambda self, new: outcome(self, replace(new, history=()) if new.has_dates else new))


@plant
def a_dated_fact_stays_as_it_is_on_the_chart(patch: Patch) -> None:
    patch.setattr(VerdictDiagrams, "inputs_of", lambda self, name: ())


@plant
def silence_is_taken_for_unknown(patch: Patch) -> None:
    place_of = VerdictDiagrams.place_of
    patch.setattr(VerdictDiagrams, "place_of", lambda self, name, fact: 0 if fact.silent else place_of(self, name, fact))


@plant
def unknown_is_taken_for_silence(patch: Patch) -> None:
    place_of = VerdictDiagrams.place_of
    patch.setattr(VerdictDiagrams, "place_of", lambda self, name, fact: 1 if fact.unknown else place_of(self, name, fact))


@plant
def silence_settles_everything(patch: Patch) -> None:
    look = undecided._look_beneath
    patch.setattr(undecided, "_look_beneath", lambda facts, name, _, looks: look(facts, name, True, looks))


@plant
def a_part_that_is_known_settles_what_is_beneath_it(patch: Patch) -> None:
    patch.setitem(vars(KNOWN), "judged_facts", frozenset(KNOWN.derived))


@plant
def to_leave_a_fact_open_counts_as_a_value(patch: Patch) -> None:
    patch.setattr(deciding_facts, "_values_lead_apart", lambda node: True)


@plant
def what_the_later_edition_requires_is_passed_over(patch: Patch) -> None:
    strength = VerdictDiagrams._strength
    patch.setattr(
        VerdictDiagrams,
        "_strength",
        lambda self, indication, modality, shut: strength(self, replace(indication, update_requires=()), modality, shut),
    )


@plant
def the_gates_are_open(patch: Patch) -> None:
    patch.setattr(verdict_diagrams, "closing_gates", lambda modality, criteria: ())


@plant
def nothing_holds_a_verdict_down(patch: Patch) -> None:
    patch.setattr(verdict_diagrams, "is_held_down", lambda modality, criteria, judged: False)


@plant
def the_best_verdict_forgets_what_the_other_modalities_leave_open(patch: Patch) -> None:
    decisive = DecidingFacts._decisive
    patch.setattr(
        DecidingFacts, "_decisive", lambda self, modality, shut, open_facts: decisive(self, modality, shut and None, open_facts)
    )


@cache
def judged_by_brute_force() -> tuple[list[tuple[Case, set[str], Verdict]], list[tuple[Case, list[Completion]]]]:
    """Return verdicts with the result of all completions, and verdicts of charts with many open facts with some completions."""
    rnd = random.Random(3)
    small = [(case, *case.deciding()) for case in islice(small_cases(17, MOST_COMPLETIONS), SMALL // (1 if depth.full else 6))]
    large = list(islice(large_cases(17), LARGE // (1 if depth.full else 6)))
    return small, [(case, [complete(case, rnd) for _ in range(5)]) for case in large]


def find_differences() -> Iterator[str]:
    """Yield the differences between the service and brute force."""
    small, large = judged_by_brute_force()
    yield from filter(None, (difference(*case) for case in small))
    for case, completions in large:
        yield from differences(case, completions)


def clear_caches() -> None:
    for cached in (
        verdict_diagrams.verdict_diagrams, deciding_facts.ask_for_place, deciding_facts.calculate_place,
        deciding_facts.find_decisive,
    ):  # fmt: skip
        cached.cache_clear()


@pytest.fixture(autouse=True)
def empty_caches() -> Iterator[None]:
    clear_caches()
    yield
    clear_caches()


def test_without_a_planted_error_nothing_differs() -> None:
    assert list(find_differences()) == []


TRIED = [error for error in PLANTS if depth.full or error.__name__ in SOON_FOUND]


@pytest.mark.parametrize("error", TRIED, ids=lambda error: error.__name__)
def test_a_planted_error_is_found(error: Callable[[Patch], None], monkeypatch: Patch) -> None:
    judged_by_brute_force()
    error(monkeypatch)
    assert next(find_differences(), "")


def test_twenty_errors_are_planted() -> None:
    assert len(PLANTS) >= 20
    assert {error.__name__ for error in PLANTS} >= SOON_FOUND
