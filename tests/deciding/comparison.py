"""Compares the deciding facts of the service with those found by brute force."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

from cds_service.clinical_picture import PartialDate, Value
from cds_service.knowledge.modality import Verdict
from cds_service.knowledge.model import Knowledge
from cds_service.reasoning import undecided, verdict_diagrams
from cds_service.reasoning.assessment import assess_modalities
from cds_service.reasoning.deciding_facts import DecidingFacts, judge_answers
from cds_service.reasoning.diagrams import Diagram, Node
from cds_service.reasoning.judgement import judge_criterion
from tests.support.completions import Case, answered, cases_of, draw_picture, judge
from tests.support.strategies import KNOWN
from tests.support.vignette import vignettes


class Completion(NamedTuple):
    """Answers to some open facts of a chart, and the verdict with them."""

    given: dict[str, Value]
    verdict: Verdict


def small_cases(seed: int, most: int, known: Knowledge = KNOWN) -> Iterator[Case]:
    """Yield undetermined verdicts of drawn charts with few enough completions to try all. Endless."""
    rnd = random.Random(seed)
    while True:
        yield from (case for case in cases_of(draw_picture(rnd), known) if 2 < case.completions <= most)


def large_cases(seed: int) -> Iterator[Case]:
    """Yield undetermined verdicts of vignettes and of drawn charts with many open facts, in turn. Endless."""
    rnd, stories = random.Random(seed), list(vignettes())
    while True:
        vignette = rnd.choice(stories)
        yield from cases_of(vignette.picture(KNOWN), KNOWN, vignette.today)
        yield from cases_of(draw_picture(rnd, much_open=True), KNOWN)


def difference(case: Case, missing: set[str], best: Verdict) -> str:
    """Return how the service differs from brute force; empty if it does not."""
    try:
        said = assess_modalities(case.facts)[case.modality.id]
        found, reached = set(said.missing), said.best_possible
    except KeyError as fault:
        return f"{case.modality.id}: {fault} is no answer"
    if (found, reached) == (missing, best):
        return ""
    return f"{case.modality.id}: missed {missing - found}, needless {found - missing}, best {reached} instead of {best}"


def complete(case: Case, rnd: random.Random) -> Completion:
    """Return a random completion of a chart, judged as if its answers were recorded."""
    on, leaves, given = PartialDate.from_day(case.facts.today), {}, {}
    for name, (leaf, *_) in case.answers.items():
        values = undecided.trial_values(case.facts.knowledge, name, leaf)
        if values and rnd.random() < 0.7:
            given[name] = rnd.choice(values)
            leaves[name] = answered(leaf, given[name], on)
    return Completion(given, judge(case.modality, case.with_facts(leaves), case.ruled_out))


def differences(case: Case, completions: list[Completion]) -> Iterator[str]:
    """Yield how the diagram of a verdict differs from the verdicts of completed charts."""
    knowledge = case.facts.knowledge
    open_facts = undecided.undecided_facts(
        case.modality, case.facts, lambda criterion: judge_criterion(criterion, case.facts), case.ruled_out
    )
    try:
        questions = DecidingFacts(case.facts).answer_questions(case.modality, case.ruled_out, open_facts)
    except KeyError as fault:
        yield f"{case.modality.id}: {fault} is no answer"
        return
    numbers = verdict_diagrams.verdict_diagrams(knowledge).numbers
    for given, verdict in completions:
        places: dict[int, int] = {}
        for name, (leaf, *_) in case.answers.items():
            values = undecided.trial_values(knowledge, name, leaf)
            places[numbers.get(name, -1)] = values.index(given[name]) + 1 if name in given else 0
        if (reached := follow(judge_answers(*questions), places)) is not verdict:
            yield f"{case.modality.id}: {reached} instead of {verdict}, given {given}"


def follow(diagram: Diagram, places: dict[int, int]) -> Diagram:
    """Return the outcome of a diagram for the given answers, by number of the question."""
    while isinstance(diagram, Node):
        diagram = diagram.answers[places[diagram.number]]
    return diagram
