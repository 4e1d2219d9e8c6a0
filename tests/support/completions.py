"""Try every combination of values of the open facts of a chart, with the verdict of each, by brute force.

Written from docs/knowledge.md, "Verdicts", and the judgement of one chart. It imports nothing of the search for deciding
facts, not even the values to try: those of each number are listed here by hand, on, between and beside its limits.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import product
from math import prod

from cds_service.clinical_picture import ClinicalPicture, Interval, Observed, PartialDate, Readings, Unreadable, Value
from cds_service.knowledge.modality import RANK, Criterion, Modality, Verdict
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.vocabulary import Edition, FactKind, GradeLimit, Supplier
from cds_service.reasoning.calculations import CALCULATIONS
from cds_service.reasoning.current_facts import determine_facts
from cds_service.reasoning.facts import Fact, Facts, FactState
from cds_service.reasoning.judgement import decide, judge_criterion, judge_indication
from tests.support.pictures import UNIT
from tests.support.strategies import BASES, JUDGED, TODAY, days_ago, variants

NUMBERS = {
    "ki67_index": "1 3 5 10 15 20 30 55 70", "mitotic_count": "1 2 10 20 30", "liver_involvement": "20 30 40 50 60",
    "largest_lesion": "2 3 4", "removable_fraction": "50 70 75 80 90", "future_liver_remnant": "10 20 25 30 35 40 50",
    "ecog": "1 2 3 4", "age": "50 57 58 60 65 70 75", "total_bilirubin": "1 2 2.5 3 5", "albumin": "2 2.8 3 3.5 4",
    "inr": "1 1.7 1.75 1.8 2 2.3 3", "platelets": "20 50 200", "egfr": "10 15 20 30 90", "creatinine": "1 50",
    "months_since_status": "3 6 9",
}  # fmt: skip
SEVERAL = (
    {"hormonal-suppression"}, {"arterial-therapy"}, {"immunotherapy"}, {"none"}, {"controlled"},
    {"hormonal-suppression", "arterial-therapy"}, {"hormonal-suppression", "none"}, {"arterial-therapy", "controlled"},
)  # fmt: skip
TOGETHER = (
    ("total_bilirubin", "albumin", "inr", "ascites", "encephalopathy", "hepatic_failure", "child_pugh", "biliary_obstruction"),
    ("inr", "platelets", "coagulopathy_uncorrectable"), ("egfr", "creatinine", "renal_failure"),
    ("who_grade", "ki67_index", "mitotic_count", "differentiation", "primary_site"),
    ("resectability", "remnant_sufficient", "future_liver_remnant", "background_liver", "drainage_intact"),
    ("symptoms_refractory_to", "hormonal_symptoms_controlled", "hormonal_symptoms_extreme", "hormonal_syndrome"),
    ("extrahepatic_disease", "sstr_positive", "disease_extent"), ("disease_status", "months_since_status"),
    ("carcinoid_heart_disease", "ecog", "age"), ("recurrence_after_resection", "largest_lesion", "ecog"),
    ("liver_involvement", "frilling_type", "removable_fraction", "primary_resected"),
)  # fmt: skip
"""Facts that a calculation or an indication reads together; they are redrawn together."""
CODED = ("ascites_coded", "encephalopathy_coded", "hepatic_failure_coded", "coagulopathy_coded", "carcinoid_heart_coded",
         "renal_failure_coded", "liver_resection", "somatostatin_analogue", "vitamin_k_antagonist")  # fmt: skip
OTHERS = sorted(JUDGED - set(CODED))
NOT_KNOWN = (
    Readings(complete=True),
    Readings(),
    Readings((), (Unreadable(days_ago(5), "X/bad", UNIT),), complete=True),
)


def draw_picture(rnd: random.Random, much_open: bool = False) -> ClinicalPicture:
    """Return a patient of a board situation with a few related facts redrawn, some of them unknown."""
    readings = dict(BASES[rnd.randrange(0 if much_open else 2, len(BASES))].readings)  # the first two: nothing on record
    group = rnd.choice(TOGETHER)

    def draw(most: int) -> list[str]:
        return [rnd.choice(group) if rnd.random() < 0.8 else rnd.choice(OTHERS) for _ in range(rnd.randrange(1, most))]

    for name in (*draw(4), *rnd.choices(CODED, k=rnd.randrange(2))):
        readings[name] = rnd.choice(variants(name))
    readings |= {name: rnd.choice(NOT_KNOWN) for name in draw(16 if much_open else 5)}
    return ClinicalPicture(readings)


def values_of(knowledge: Knowledge, name: str, fact: Fact) -> list[Value]:
    definition = knowledge.facts[name]
    if fact.options:
        return list(fact.options)
    if definition.kind is FactKind.BOOLEAN:
        return [True, False]
    if definition.kind is FactKind.CODE:
        return [option for option in definition.options if option != definition.vague]
    if definition.kind is FactKind.CODES:
        return [frozenset(some) for some in SEVERAL]
    return [Interval.from_number(number) for number in NUMBERS.get(name, "").split()]


def answered(fact: Fact, value: Value, on: PartialDate) -> Fact:
    """Return the fact with an answer of that day; an answer of a set is added to the answers there."""
    new = [Observed(part, on, "new", "") for part in (sorted(value) if isinstance(value, frozenset) else [value])]
    seen = list(new)
    if isinstance(value, frozenset) and isinstance(fact.value, frozenset):
        value, seen = value | fact.value, [*new, *fact.seen]
    return Fact(FactState.KNOWN, value, on, tuple(seen), (*seen[: len(new)], *fact.history))


@dataclass(frozen=True)
class Case:
    """One undetermined verdict of one chart, and the open facts behind what is undecided."""

    facts: Facts
    modality: Modality
    ruled_out: bool | None
    answers: dict[str, list[Fact]]
    """For each open fact: the fact as it is, then with each value."""

    @property
    def completions(self) -> int:
        return prod(len(answers) for answers in self.answers.values())

    def judged(self, places: tuple[int, ...], ruled_out: bool | None) -> Verdict:
        leaves = {name: answers[place] for (name, answers), place in zip(self.answers.items(), places, strict=True)}
        return judge(self.modality, self.with_facts(leaves), ruled_out)

    def with_facts(self, leaves: dict[str, Fact]) -> Facts:
        return Facts({**self.facts.recorded, **leaves}, self.facts.knowledge, self.facts.today, CALCULATIONS)

    def deciding(self) -> tuple[set[str], Verdict]:
        """Return the facts for which two values give two verdicts with the other facts at some value; and the best verdict."""
        all_places = list(product(*(range(len(answers)) for answers in self.answers.values())))
        table = {places: self.judged(places, self.ruled_out) for places in all_places}
        best = list(table.values())
        if self.ruled_out is None:
            best += [self.judged(places, True) for places in all_places[:: max(1, len(all_places) // 20)]]
        found = set()
        for position, name in enumerate(self.answers):
            of_others: dict[tuple[int, ...], set[Verdict]] = {}
            for places, verdict in table.items():
                if places[position]:  # answered
                    of_others.setdefault((*places[:position], *places[position + 1 :]), set()).add(verdict)
            if any(len(verdicts) > 1 for verdicts in of_others.values()):
                found.add(name)
        asked = {name for name in found if self.facts.knowledge.facts[name].ask is not Supplier.NEVER}
        return asked, max(best, key=RANK.__getitem__)


def judge(modality: Modality, facts: Facts, ruled_out: bool | None) -> Verdict:
    criteria = facts.knowledge.criteria
    return decide(modality, criteria, lambda criterion: judge_criterion(criterion, facts), Edition.UPDATE, ruled_out).verdict


def cases_of(picture: ClinicalPicture, knowledge: Knowledge, today: date = TODAY) -> Iterator[Case]:
    """Yield every undetermined verdict of a picture, with the open facts behind it."""
    facts = determine_facts(picture, knowledge, today)
    verdicts: dict[str, Verdict] = {}
    for modality in knowledge.modalities:
        others = [verdicts[name] for indication in modality.indications for name in indication.when_closed]
        closed = all(RANK[verdict] == 0 for verdict in others)
        ruled_out = (False if any(RANK[v] > 1 for v in others) else True if closed else None) if others else False
        verdicts[modality.id] = judge(modality, facts, ruled_out)
        if verdicts[modality.id] is Verdict.UNDETERMINED:
            on = PartialDate.from_day(today)
            answers = {}
            for name in open_facts(modality, facts, ruled_out):
                leaf = facts.recorded[name]
                answers[name] = [leaf, *(answered(leaf, value, on) for value in values_of(knowledge, name, leaf))]
            yield Case(facts, modality, ruled_out, answers)


def open_facts(modality: Modality, facts: Facts, ruled_out: bool | None) -> list[str]:
    """Return the recorded facts that an answer could settle, behind every undecided finding."""
    criteria, found = facts.knowledge.criteria, dict[str, None]()
    looked_at = {test.fact for criterion in criteria.values() for test in criterion.tests}

    def walk(name: str, settled_by_silence: bool) -> None:
        fact, derived = facts[name], facts.knowledge.derived.get(name)
        if fact.silent and settled_by_silence:
            return
        if derived is None:
            definition = facts.knowledge.facts[name]
            grows = definition.kind is FactKind.CODES
            if (not fact.known or fact.options or grows) and (definition.ask != "never" or name in {"age", "ecog"}):
                found[name] = None
        elif not fact.known or fact.options or name not in looked_at:
            for read in derived.reads:
                walk(read, read in derived.settled_by_silence)

    def look(criterion: Criterion) -> None:
        if judge_criterion(criterion, facts).met is None:
            for name in criterion.facts:
                walk(name, criterion.silent_is_not_met)

    for criterion in (*modality.contraindications, *(c for c, only in modality.exclusions if not only)):
        look(criterion)
    if modality.nec is GradeLimit.NOT_INDICATED:
        look(criteria["gate.nec"])
    if modality.g3 is not GradeLimit.OPEN and facts["g3"].unknown:
        for name in criteria["gate.g3"].facts:
            walk(name, False)
    for indication in modality.indications:
        finding = judge_indication(indication, modality, lambda c: judge_criterion(c, facts), Edition.UPDATE, ruled_out)
        if finding.met is None:
            for part in (*finding.requirements, *finding.excluded_by):
                look(part.criterion)
    return list(found)
