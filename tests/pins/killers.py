"""Find the vignette, or the row of the table of charts, that catches a mutant of the knowledge.

It is fast enough for every test run because little is computed twice: a mutant is tried first on patients whose story names
what it changes, facts that it cannot affect are determined once, and patients whose findings it cannot affect are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import msgspec

from cds_service import knowledge
from cds_service.clinical_picture import ClinicalPicture
from cds_service.fhir.reader import ChartReader
from cds_service.knowledge.check import cross_references
from cds_service.knowledge.drugs import NAMES, PRODUCTS, RULES
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.orders import FILE as ORDERS
from cds_service.knowledge.orders import build_orders
from cds_service.knowledge.scores import Scores
from cds_service.knowledge.shape import shape_faults
from cds_service.reasoning.current_facts import determine_fact, determine_facts, window_of
from cds_service.reasoning.evaluation import Evaluation
from cds_service.reasoning.facts import Facts
from cds_service.reasoning.judgement import judge_criterion
from cds_service.reasoning.undecided import criteria_of
from tests.pins import mutants
from tests.pins.change import Files
from tests.pins.mutants import Mutant
from tests.support import coding_tables, order_table
from tests.support.vignette import Vignette, disagreements, vignettes

WORD = re.compile(r"[a-z0-9_./-]+", re.IGNORECASE)
BY_FACTS = frozenset({"staging.toml", "board.toml", "stances.toml"})
"""Files that no fact depends on."""
ECOG = "contraindication.ecog-3-or-worse"
"""The only criterion whose limit a calculation reads."""
SEARCHED_KEYS = frozenset({"options", "range", "vague", "kind", "ask", "order"})
"""Keys of a fact that the search for deciding facts, the questions or the orders read."""
READ_FROM_CHARTS = frozenset({
    "assessment_system", "assessment", "concepts", "uses", "from", "active", "every_entry_read", "unit", "units",
    "range", "kind", "options",
})  # fmt: skip
"""Keys of a fact that say how it is read from a chart; the table of charts is tried first for them."""
SHOWN_KEYS = frozenset({"unit", "trend", "ask"})
"""Keys of a fact that cards read."""
BY_CHARTS = frozenset({"terminology.toml", "units.toml", "drugs.toml"})
"""Files that no vignette depends on, as a vignette has facts and neither codes nor units."""


EMPTY: Files = {"statements.toml": {}, "publications.toml": {}, PRODUCTS: [], NAMES: []}
"""Files that mutants of other files do not need, replaced by empty ones."""
NO_CODES: Files = {"systems": {}, "value_set": []}
"""The two large tables of terminology.toml, replaced likewise."""


@dataclass
class Case:
    """A vignette with its picture, facts and words, each computed once."""

    vignette: Vignette
    picture: ClinicalPicture
    facts: Facts
    words: frozenset[str]
    strict: bool
    """Return whether its grade shortens the window of imaging."""
    _met: dict[str, tuple[bool | None, bool]] = field(default_factory=dict)

    def finding(self, knowledge: Knowledge, key: str) -> tuple[bool | None, bool]:
        if key not in self._met:
            self._met[key] = _finding(knowledge, key, self.facts)
        return self._met[key]


def _finding(knowledge: Knowledge, key: str, facts: Facts) -> tuple[bool | None, bool]:
    found = judge_criterion(knowledge.criteria[key], facts)
    return found.met, found.checked


class Pinning:
    def __init__(self) -> None:
        self.files = mutants.read()
        self.known = _built(self.files, "shipped")
        self.lines = list(coding_tables.lines())
        self.reader = ChartReader(self.known)
        self._holds: dict[str, bool] = {}
        self._judges: dict[str, frozenset[str]] = {}
        for changed in {*self.files}:
            self._built(self.files, changed, "unchanged")  # else every mutant of the file would count as refused

    @cached_property
    def cases(self) -> list[Case]:
        found = []
        for vignette in vignettes():
            picture = vignette.picture(self.known)
            facts = determine_facts(picture, self.known, vignette.today)
            for name in self.known.derived:
                facts[name]  # worked out once for all mutants that cannot change it
            words = frozenset(WORD.findall(str((vignette.given, vignette.table))))
            strict = facts["g3"].equals(True) or facts["nec"].equals(True)
            found.append(Case(vignette, picture, facts, words, strict))
        return found

    def killer(self, mutant: Mutant, number: int) -> str:
        """Return the vignette or chart that fails, or the fault with which the loader rejects the mutant; else ""."""
        files = mutant.of(self.files)
        if mutant.file == ORDERS:
            return self._killer_of_orders(files)
        try:
            knowledge = self._built(files, mutant.file, f"mutant {number}")
        except Exception as error:  # whatever it is: the service does not start
            return f"refused: {type(error).__name__}"
        refused = mutant.file not in BY_CHARTS and self._refused(files)
        if refused:
            return refused
        attempts = [self._vignettes(mutant, knowledge)]
        if mutant.path[-1] == "order":
            attempts.insert(0, self._orders(knowledge))
        if mutant.file in BY_CHARTS | {"coded_values.toml", "facts.toml"} or mutant.path[-1] == "ordered_by":
            first = mutant.file != "facts.toml" or mutant.path[-1] in READ_FROM_CHARTS
            attempts.insert(0 if first else 1, self._charts(mutant, knowledge))
        if mutant.file in BY_CHARTS:
            attempts = attempts[:1]  # no vignette holds a code
        for attempt in attempts:
            if name := next(attempt, ""):
                return name
        faults = shape_faults(mutants.SCHEMA, mutant.file, files[mutant.file])
        return next((f"refused: {fault.where}" for fault in faults), "") or self._refused(files)

    def _killer_of_orders(self, files: Files) -> str:
        """Return what notices a change of orders.toml. No vignette has a draft, and nothing else depends on the file."""
        try:
            name = next(self._orders(replace(self.known, orders=build_orders(files[ORDERS]))), "")
        except (KeyError, ValueError) as error:
            return f"refused: {type(error).__name__}"
        faults = () if name else shape_faults(mutants.SCHEMA, ORDERS, files[ORDERS])
        return name or next((f"refused: {fault.where}" for fault in faults), "") or self._refused(files)

    def _refused(self, files: Files) -> str:
        faults = cross_references(files, knowledge.MODALITIES, already_reported=False)
        return f"refused: {faults[0].where}" if faults else ""

    def _built(self, files: Files, changed: str, digest: str) -> Knowledge:
        """Build the knowledge of a mutant; parts that the change cannot reach are taken from the original."""
        same, empty = self.known, {**EMPTY, "terminology.toml": files["terminology.toml"] | NO_CODES}
        if codes := changed in {"terminology.toml", "coded_values.toml", RULES}:
            for name in ("terminology.toml", PRODUCTS, *([NAMES] if changed == RULES else [])):
                del empty[name]
        knowledge = _built({**files, **empty}, digest)
        return replace(
            knowledge,
            terminology=knowledge.terminology if codes else same.terminology,
            drugs=knowledge.drugs if changed == RULES else same.drugs,
            statements=same.statements,
            publications=same.publications,
        )

    @cached_property
    def _ordered(self) -> list[tuple[order_table.Row, Evaluation]]:
        return [(row, row.evaluation(self.known)) for row in order_table.rows()]

    @cached_property
    def _nobody(self) -> Evaluation:
        return order_table.nobody(self.known)

    def _orders(self, knowledge: Knowledge) -> Iterator[str]:
        """Yield the rows of the tables of orders that fail. No fact and no verdict depends on an order."""
        for row, evaluation in self._ordered:
            try:
                wrong = row.disagreement(_with(evaluation, knowledge))
            except Exception as error:  # a test that breaks has noticed
                wrong = type(error).__name__
            if wrong:
                yield f"orders: {wrong}"
        yield from filter(None, (row.disagreement(knowledge) for row in order_table.draft_rows()))
        yield from order_table.offers(_with(self._nobody, knowledge))

    def _charts(self, mutant: Mutant, knowledge: Knowledge) -> Iterator[str]:
        words, reader = _words(mutant), ChartReader(knowledge)
        if mutant.path[-1] in {"concepts", "ordered_by"}:
            words |= {meaning.code for _, meaning in self.known.terminology.all_rows() if meaning.concept in words}
        for row in sorted(self.lines, key=lambda line: -len(words & line.words)):
            try:
                wrong = row.disagreement(reader)
            except Exception as error:  # a test that breaks has noticed
                wrong = type(error).__name__
            if wrong and self._sound(row.name, partial(row.disagreement, self.reader)):
                yield row.name

    def _vignettes(self, mutant: Mutant, knowledge: Knowledge) -> Iterator[str]:
        words = _words(mutant)
        late = str(mutant.path[-1]) not in SEARCHED_KEYS | {"missing_order", "settled_by_silence"}
        in_order = mutant.path[-1] == "missing_order"

        def place(case: Case) -> tuple[bool, int]:
            if in_order:
                return False, -max((len(names) for names in case.vignette.table.get("missing", {}).values()), default=0)
            return late and case.vignette.searches, -len(words & case.words)

        for case in sorted(self.cases, key=place):
            try:
                facts = self._facts(mutant, knowledge, case)
                if facts is None:
                    continue
                wrong = next(disagreements(case.vignette, facts, case.picture.orders), "")
            except Exception as error:
                wrong = type(error).__name__
            if wrong and self._sound(case.vignette.story, partial(self._now, case)):
                yield case.vignette.story

    def _sound(self, name: str, now: Callable[[], str]) -> bool:
        """Return whether the case passes with the original knowledge; otherwise its failure proves nothing."""
        if name not in self._holds:
            self._holds[name] = not now()
        return self._holds[name]

    def _now(self, case: Case) -> str:
        return next(disagreements(case.vignette, case.facts, case.picture.orders), "")

    def _facts(self, mutant: Mutant, knowledge: Knowledge, case: Case) -> Facts | None:
        """Return the facts of a case with the knowledge of the mutant; None if they cannot differ."""
        vignette, key = case.vignette, str(mutant.path[-1])
        if mutant.file == "criteria.toml":
            name = f"{mutant.path[0]}.{mutant.path[1]}"
            if name == ECOG:
                return determine_facts(case.picture, knowledge, vignette.today)
            facts = replace(case.facts, knowledge=knowledge)
            same = key != "as" and _finding(knowledge, name, facts) == case.finding(self.known, name)
            return None if same and not vignette.searched & self._judged_by(name) else facts
        if mutant.file.startswith("modalities/"):
            name = mutant.file.removeprefix("modalities/").removesuffix(".toml")
            return replace(case.facts, knowledge=knowledge) if vignette.speaks_of(name) else None
        if mutant.file in BY_FACTS:
            return replace(case.facts, knowledge=knowledge)
        if mutant.file == "facts.toml" and len(mutant.path) > 2:
            name = str(mutant.path[1])
            window = window_of(knowledge.facts[name], case.picture, knowledge, case.strict)
            leaf = determine_fact(knowledge.facts[name], case.picture.readings_of(name), vignette.today, window)
            reaches = vignette.searches and key in SEARCHED_KEYS
            if leaf == case.facts.recorded[name] and not reaches and key not in SHOWN_KEYS:
                return None
        return determine_facts(case.picture, knowledge, vignette.today)

    def _judged_by(self, name: str) -> frozenset[str]:
        """Return the modalities whose verdict depends on a criterion."""
        if name not in self._judges:
            looking = (m.id for m in self.known.modalities if any(c.key == name for c in criteria_of(m, self.known)))
            self._judges[name] = frozenset(looking)
        return self._judges[name]


def _built(files: Files, digest: str) -> Knowledge:
    return knowledge._build(files, msgspec.convert(files["scores.toml"], Scores), digest)


def _with(evaluation: Evaluation, knowledge: Knowledge) -> Evaluation:
    return replace(evaluation, facts=replace(evaluation.facts, knowledge=knowledge))


FILLERS = frozenset({"facts", "fact", "without", "nothing", "with", "or", "value_set", "taken", "out", "True", "False"})


def _words(mutant: Mutant) -> frozenset[str]:
    """Return words that a story which notices the mutant probably has."""
    found = WORD.findall(" ".join([mutant.file.split("/")[-1].removesuffix(".toml"), *map(str, mutant.path), mutant.says]))
    return frozenset(found) - FILLERS
