"""The facts that a verdict is said to be missing are those that decide it: held against brute force (CLINICAL section 9).

Brute force knows nothing of the search: it supposes every combination of answers and judges each from the start.
"""

from __future__ import annotations

import gc
import random
import weakref
from functools import partial
from itertools import product
from math import prod

from hypothesis import given
from hypothesis import strategies as st

from cds_service.clinical_picture import ClinicalPicture, Readings, Unreadable
from cds_service.knowledge.model import RANK, Modality, Verdict
from cds_service.knowledge.vocabulary import Edition
from cds_service.reasoning.assessment import Assessment, assess_modalities
from cds_service.reasoning.calculations import CALCULATIONS
from cds_service.reasoning.current_facts import determine_facts
from cds_service.reasoning.deciding_facts import DecidingFactSearch
from cds_service.reasoning.facts import Fact, Facts
from cds_service.reasoning.judgement import alternatives_ruled_out, decide, judge_criterion
from cds_service.reasoning.what_if import WhatIf, hypothetical_fact
from tests.support.pictures import UNIT
from tests.support.strategies import BASES, KNOWN, REDRAWN, SITUATIONS, TODAY, Law, days_ago, variants

MOST_COMBINATIONS = 150
ASKABLE = tuple(name for name, definition in KNOWN.facts.items() if definition.supposable)
NOT_KNOWN = (
    Readings(complete=True),
    Readings(),
    Readings((), (Unreadable(days_ago(5), "X/bad", UNIT),), complete=True),
)


def _made(base: int, changed: list[tuple[str, int]], open_: list[tuple[str, Readings]]) -> ClinicalPicture:
    redrawn = {name: variants(name)[place % len(variants(name))] for name, place in changed}
    return ClinicalPicture({**BASES[base].readings, **redrawn, **dict(open_)})


NEARLY_KNOWN = st.builds(
    _made,
    st.integers(1, len(SITUATIONS) - 1).map(lambda place: 2 * place),
    st.lists(REDRAWN, max_size=3),
    st.lists(st.tuples(st.sampled_from(ASKABLE), st.sampled_from(NOT_KNOWN)), min_size=1, max_size=4),
)
"""A patient of whom all but a few facts is known: few enough open ones to try every combination."""


def judged(modality: Modality, facts: Facts, shut: bool | None) -> Verdict:
    return decide(modality, KNOWN.criteria, lambda criterion: judge_criterion(criterion, facts), Edition.UPDATE, shut).verdict


def search_of(result: Assessment, facts: Facts, results: dict[str, Assessment]) -> DecidingFactSearch:
    depends = [other for indication in result.modality.indications for other in indication.when_closed]
    shut = alternatives_ruled_out({name: found.verdict for name, found in results.items()}, depends) if depends else False
    return DecidingFactSearch(result.modality, WhatIf(facts), shut)


@Law(100)
@given(NEARLY_KNOWN)
def test_what_is_missing_is_what_brute_force_finds(picture: ClinicalPicture) -> None:
    facts = determine_facts(picture, KNOWN, TODAY)
    results = assess_modalities(facts)
    for result in results.values():
        if result.verdict is not Verdict.UNDETERMINED:
            assert (result.missing, result.best_possible) == ((), None)
            continue
        search = search_of(result, facts, results)
        names = [name for name in search.asked if search.values[name]]
        if not names or prod(len(search.values[name]) + 1 for name in names) > MOST_COMBINATIONS:
            continue
        on_record = {name: facts.recorded[name] for name in names}
        answers = {
            name: [on_record[name], *(hypothetical_fact(on_record[name], v, days_ago(0)) for v in search.values[name])]
            for name in names
        }
        table = {}
        for places in product(*(range(len(answers[name])) for name in names)):
            leaves = {**facts.recorded, **{name: answers[name][place] for name, place in zip(names, places, strict=True)}}
            table[places] = judged(result.modality, Facts(leaves, KNOWN, TODAY, CALCULATIONS), search.ruled_out)
        deciding = set()
        for position, name in enumerate(names):
            of_others: dict[tuple[int, ...], set[Verdict]] = {}
            for places, verdict in table.items():
                if places[position]:  # answered
                    of_others.setdefault((*places[:position], *places[position + 1 :]), set()).add(verdict)
            if any(len(found) > 1 for found in of_others.values()) and KNOWN.facts[name].ask != "never":
                deciding.add(name)
        assert set(result.missing) == deciding, result.modality.id
        assert result.best_possible is not None
        reachable = max(table.values(), key=RANK.__getitem__)
        assert RANK[result.best_possible] >= RANK[reachable], result.modality.id
        if search.ruled_out is not None:
            assert result.best_possible is reachable, result.modality.id


LIVER = ("total_bilirubin", "albumin", "inr", "ascites", "encephalopathy", "hepatic_failure", "child_pugh")
WITH_MUCH_OPEN = st.builds(
    _made,
    st.integers(1, 2 * len(SITUATIONS) - 1),
    st.lists(REDRAWN | st.tuples(st.sampled_from(["ascites_coded", "encephalopathy_coded"]), st.just(2)), max_size=3),
    st.lists(st.tuples(st.sampled_from([*ASKABLE, *LIVER * 6]), st.sampled_from(NOT_KNOWN)), min_size=5, max_size=12),
)
"""More is open than can be tried in every combination, the tests of the liver most often: they decide together."""


@Law(12)
@given(WITH_MUCH_OPEN, st.integers(0, 99))
def test_answers_to_what_is_not_missing_change_no_verdict_alone_or_together(picture: ClinicalPicture, seed: int) -> None:
    rnd = random.Random(seed)
    facts = determine_facts(picture, KNOWN, TODAY)
    results = assess_modalities(facts)
    for result in results.values():
        if result.verdict is not Verdict.UNDETERMINED:
            continue
        search = search_of(result, facts, results)
        others = [n for n in search.asked if n not in result.missing and search.values[n] and KNOWN.facts[n].ask != "never"]
        for some in (*([name] for name in others), *([others] * 8)):
            given = {}
            for name in some:
                possible = search.values[name]
                value = rnd.choice([possible[0], possible[-1], *possible])
                given[name] = hypothetical_fact(facts.recorded[name], value, days_ago(0))
            answered = Facts({**facts.recorded, **given}, KNOWN, TODAY, CALCULATIONS)
            verdict = judged(result.modality, answered, search.ruled_out)
            assert verdict is Verdict.UNDETERMINED, f"{result.modality.id}: {[(n, fact.value) for n, fact in given.items()]}"


@Law(40)
@given(WITH_MUCH_OPEN, st.integers(0, 99))
def test_a_fact_on_supposed_answers_is_the_one_calculated_from_the_start(picture: ClinicalPicture, seed: int) -> None:
    """Suppositions keeps what was calculated, and shows a calculation less of what another one calculated."""
    rnd = random.Random(seed)
    facts = determine_facts(picture, KNOWN, TODAY)
    what_if = WhatIf(facts)
    open_ones = [name for name in ASKABLE if not facts.recorded[name].known and what_if.trial_values(name)]
    for _ in range(10):
        context = {name: rnd.randrange(len(what_if.trial_values(name))) for name in open_ones if rnd.random() < 0.4}
        answers = {name: what_if.hypothetical(name, place) for name, place in context.items()}
        afresh = Facts({**facts.recorded, **answers}, KNOWN, TODAY, CALCULATIONS)
        for name in CALCULATIONS:
            assert of_use(what_if.fact(name, context)) == of_use(afresh[name]), name


def of_use(fact: Fact) -> tuple[object, ...]:
    return fact.state, fact.value, fact.on, fact.reason, fact.options


def test_what_was_supposed_for_a_chart_is_let_go_with_it() -> None:
    """It is much, where little is known; in a cycle it would wait for a collection, and the memory of a worker grow."""
    facts = determine_facts(ClinicalPicture({}), KNOWN, TODAY)
    results = assess_modalities(facts)
    search = results["resection"].search
    assert isinstance(search, partial)
    kept = weakref.ref(next(part for part in search.args if isinstance(part, WhatIf)))
    gc.collect()
    gc.disable()
    try:
        assert any(result.missing for result in results.values())
        del facts, results, search
        assert kept() is None
    finally:
        gc.enable()
