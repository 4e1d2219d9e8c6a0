"""Vignettes (tests/vignettes/*.toml): patients as facts, and the results that a clinician expects of the service.

Closed list of keys of a [[vignette]]:
  story            a sentence: its name
  base, given      the facts: those of a `base` of its file, replaced or taken away ("silent") by what is `given`
  unknown          facts that were not consulted ("rest": all that are not given)
  ordered          active orders: modalities, or concepts of terminology.toml by which a technique is ordered
  today            the day, where it is not that of the file
and what is expected, by modality unless said:
  expect, editions_2010, best, open, findings      verdict · by 2010 alone · best possible · kind of undetermined ·
                                                   indications
  because, cautions, no_cautions, missing, missing_has   ids among those that decided · cautions met · not met ·
                                                   exactly the deciding facts, in order · among them
  facts            fact, calculated ones too → its value as text, "silent" or "unknown"
  criteria         criterion of criteria.toml, by its key there → met | not-met | unknown
  findings_2010    indications of 2010, by 2010 alone
  dated, rests_on  indication → its edition; exactly the requirements it rests on
  against          indication → exactly the exclusions that are met against it
  options, no_options   how techniques and options begin that the card shows, or does not
  stops, burdens   technique → exactly the criteria that stop it, or burden it
  not_looked_at    technique → exactly the facts that would stop or burden it and of which too little is known
  stage            part → value
  alarms           kind of an urgent card → its loudness, or "none"
  asked            who is asked ("laboratory" ...) → exactly the deciding facts, by modality
  drafts           LOINC codes of the draft orders for the deciding facts, by modality
  questions        whether the overview asks the board its questions
  on_record        values that the overview's lines on the patient show, each from its start, in their order
  not_checked      exactly the facts that its cards name as not recorded or not usable, by modality
  stances_2010     what the review of 2010 says: for, against, divided, silent or open, by modality
  faces            exactly what is for it, the dissents and the risks on its card, as "S028 risk 1", by modality; the
                   techniques of TECHNIQUES_NAMED named
  last             the modality that is named last among those to discuss
  discussed        exactly the treatments to discuss, in the order in which the overview names them
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple

from cds_service import knowledge
from cds_service.cards import suggestions, wording
from cds_service.cards.assessment import assessment_json
from cds_service.cards.card import Card
from cds_service.cards.compose import compose_cards
from cds_service.cards.faces import statements_on_face
from cds_service.cards.missing_data import questions_paragraphs
from cds_service.cards.patient import patient_lines
from cds_service.cards.treatments import Treatment, list_treatments
from cds_service.cards.unchecked import unchecked_facts, unchecked_of
from cds_service.clinical_picture import ClinicalPicture, Observed, PartialDate, format_decimal
from cds_service.knowledge.modality import Verdict
from cds_service.knowledge.model import Knowledge
from cds_service.reasoning.assessment import Assessment, assess_modalities
from cds_service.reasoning.current_facts import determine_facts
from cds_service.reasoning.evaluation import Evaluation
from cds_service.reasoning.facts import Fact, Facts
from cds_service.reasoning.judgement import Finding, judge_criterion
from cds_service.reasoning.staging import determine_stage
from cds_service.reasoning.stances import stance_of_2010
from tests.conftest import ROOT
from tests.support.pictures import picture

FOLDER = ROOT / "tests/vignettes"
GIVEN = frozenset({"story", "given", "base", "unknown", "ordered", "today"})
SEARCHED = frozenset({"missing", "missing_has", "best", "asked", "drafts"})
"""Keys that need the search for deciding facts, which is slow."""
EXPECTED = SEARCHED | {
    "expect", "open", "because", "cautions", "no_cautions", "editions_2010", "stage", "findings", "options", "no_options",
    "criteria", "facts", "against", "findings_2010",
    "dated", "rests_on", "stances_2010", "faces",
    "stops", "burdens", "not_looked_at", "alarms", "questions", "on_record", "not_checked", "last", "discussed",
}  # fmt: skip


BY_MODALITY = EXPECTED - {
    "stage", "criteria", "facts", "stops", "burdens", "not_looked_at", "alarms", "questions", "on_record", "last",
    "discussed",
}  # fmt: skip


@dataclass(frozen=True)
class Vignette:
    story: str
    table: dict[str, Any]
    given: dict[str, Any]
    today: date

    def picture(self, knowledge: Knowledge) -> ClinicalPicture:
        found = picture(knowledge, self.given, self.today, self.table.get("unknown", ()))
        names = set(self.table.get("ordered", ()))
        names |= {modality.id for modality in knowledge.modalities if modality.orders & names}
        orders = {name: Observed(True, PartialDate.from_day(self.today), "ServiceRequest/1", name) for name in sorted(names)}
        return replace(found, orders=orders, patient_id="example")

    def facts(self, knowledge: Knowledge) -> Facts:
        return determine_facts(self.picture(knowledge), knowledge, self.today)

    @cached_property
    def searched(self) -> frozenset[str]:
        """Return the modalities whose deciding facts are searched for."""
        return frozenset(name for key in SEARCHED & set(self.table) for name in self.table[key])

    @property
    def searches(self) -> bool:
        return bool(self.searched)

    def speaks_of(self, modality: str) -> bool:
        """Return whether a change of that modality could have an effect: systemic therapy depends on the verdicts of others."""
        about = {name for key in BY_MODALITY & set(self.table) for name in self.table[key]}
        return modality in about or "systemic-therapy" in about or not set(self.table) <= BY_MODALITY | GIVEN | {"stage"}


def vignettes() -> Iterator[Vignette]:
    for path in sorted(FOLDER.glob("*.toml")):
        content = tomllib.loads(path.read_text("utf-8"))
        bases = content.get("base", {})
        for table in content["vignette"]:
            unknown = set(table) - GIVEN - EXPECTED
            assert not unknown, f"{path.name}: {table['story']}: {unknown} not allowed"
            assert EXPECTED & set(table), f"{path.name}: {table['story']}: expects nothing"
            given = {**bases[table["base"]], **table.get("given", {})} if "base" in table else table.get("given", {})
            given = {name: value for name, value in given.items() if value != "silent"}
            yield Vignette(f"{path.stem}: {table['story']}", table, given, table.get("today", content["today"]))
    yield from derived()


def derived() -> Iterator[Vignette]:
    """Yield vignettes for every laboratory fact that is asked for. On the last day of its window a value counts, in G3 too, and
    is on the overview; a day later it is out of date; two different values of one date leave it open. Facts judged against
    an upper limit get the same, except for the overview. They are made from the shipped files, so that they notice a change
    of a copy."""
    for name, fact in knowledge.load().facts.items():
        if not (fact.ask == "laboratory" or fact.upper_limit_of) or fact.window_days is None:
            continue
        days, number = fact.window_days, format_decimal(fact.range[0] + 1) if fact.range else "1"
        named = fact.short or wording.label_in_sentence(fact.says)
        shown = {} if fact.upper_limit_of else {"on_record": [f"{named} {number}"]}
        g3 = {"differentiation": "well", "ki67_index": "40"}
        for story, given, expected in (
            (f"of {days} days ago counts", {name: f"{number} {days} days ago"}, {"facts": {name: number}, **shown}),
            (f"of {days} days ago counts in G3", {name: f"{number} {days} days ago", **g3}, {"facts": {name: number}}),
            (f"of {days + 1} days ago is out of date", {name: f"{number} {days + 1} days ago"}, {"facts": {name: "unknown"}}),
            (
                "twice on one day, and not the same",
                {name: [number, format_decimal(Decimal(number) + 1)]},
                {"facts": {name: "unknown"}},
            ),
        ):
            table = {"story": f"{fact.says} {story}", "given": given, **expected}
            yield Vignette(f"derived: {table['story']}", table, given, DERIVED_TODAY)


DERIVED_TODAY = date(2026, 11, 1)


class ShownTechnique(NamedTuple):
    """A technique that the card of its modality shows, with the ids of what stops it and of its cautions."""

    name: str
    stops: list[str]
    cautions: list[str]
    not_looked_at: list[str]
    """Names of facts."""


class VignetteResult:
    """The results of the service for one patient, each computed when first used."""

    def __init__(self, facts: Facts, ordered: Mapping[str, Observed]) -> None:
        self.facts, self.ordered = facts, ordered

    @cached_property
    def assessed(self) -> dict[str, Assessment]:
        return assess_modalities(self.facts)

    @cached_property
    def evaluation(self) -> Evaluation:
        about = ClinicalPicture({}, orders=self.ordered, patient_id="example")
        return Evaluation(about, self.facts, determine_stage(self.facts), self.assessed)

    @cached_property
    def quiet(self) -> Evaluation:
        """Return the assessments without the search for deciding facts."""
        assessed = {name: without_search(assessment) for name, assessment in self.assessed.items()}
        return replace(self.evaluation, assessments=assessed)

    def of(self, modality: str) -> dict[str, Any]:
        return assessment_json(without_search(self.assessed[modality]))

    @cached_property
    def treatments(self) -> list[Treatment]:
        return list_treatments(self.quiet)

    def of_modality(self, modality: str) -> list[Treatment]:
        """Return its treatments, including one whose line is with another modality."""
        beside = [treatment.beside for treatment in self.treatments if treatment.beside]
        return [treatment for treatment in (*self.treatments, *beside) if treatment.modality.id == modality]

    @cached_property
    def cards(self) -> list[Card]:
        return compose_cards(self.quiet, ())

    def techniques(self, modality: str) -> list[ShownTechnique]:
        return [
            ShownTechnique(
                part.technique.says,
                _ids(part.stops),
                _ids(part.cautions),
                unchecked_facts(self.quiet, part.not_checked),
            )
            for treatment in self.of_modality(modality)
            for part in treatment.options
            if treatment.on_face or treatment.verdict is Verdict.CONTRAINDICATED or part.order
        ]


def _ids(findings: Iterable[Finding]) -> list[str]:
    return [finding.criterion.id for finding in findings]


def without_search(assessment: Assessment) -> Assessment:
    return replace(assessment, find_deciding=lambda: ((), assessment.verdict))


def disagreements(vignette: Vignette, facts: Facts, ordered: Mapping[str, Observed]) -> Iterator[str]:
    """Yield where the service differs from the vignette, the slow keys last."""
    result, table = VignetteResult(facts, ordered), vignette.table
    for key in sorted(EXPECTED & set(table), key=lambda key: (key in SEARCHED, key not in {"expect", "stage"}, key)):
        expected = table[key]
        pairs = expected.items() if isinstance(expected, dict) else [("", expected)]
        for about, wanted in pairs:
            found = SAYS[key](result, about, wanted)
            if found != wanted:
                yield f"{key} {about}: expected {wanted}, found {found}"


def _within(key: str) -> Any:
    """Return those of the wanted ids that are present."""
    return lambda result, name, wanted: [one for one in wanted if one in result.of(name).get(key, [])]


def _starting(wanted: Iterable[str], lines: Iterable[str]) -> list[str]:
    there = list(lines)
    return [one for one in wanted if any(line.startswith(one) for line in there)]


def _of_technique(part: Callable[[ShownTechnique], list[str]]) -> Any:
    """Return that part of the technique whose name begins so; None if it is not shown."""
    return lambda result, about, _: next(
        (part(shown) for name in result.assessed for shown in result.techniques(name) if shown.name.startswith(about)), None
    )


def _stance(result: VignetteResult, name: str, wanted: str) -> str:
    """Return a stance as a word; if the vignette asks, with the possible stances ("open: for, against") or the statements."""
    stance = stance_of_2010(name, result.facts)
    if stance.word is None:
        return "open" + (f": {', '.join(row.stance for row in stance.rows)}" if ":" in wanted else "")
    return " ".join([stance.word, *(stance.rows[0].by if " " in wanted else ())])


def _met(assessment: Assessment) -> set[str]:
    return {part.indication.id for part in assessment.decision.indications if part.met}


def _alarm(result: VignetteResult, kind: str, wanted: object) -> str:
    return next((card.indicator for card in result.cards if card.kind == kind), "none")


def _against(assessment: Assessment, wanted: Iterable[str]) -> dict[str, list[str]]:
    found = {part.indication.id: part.excluded_by for part in assessment.decision.indications}
    return {name: [finding.criterion.id for finding in found[name] if finding.met] for name in wanted}


def _value(fact: Fact) -> str:
    if isinstance(fact.value, frozenset):
        return ", ".join(sorted(fact.value))
    return fact.state.value if not fact.known else str(fact.value).lower() if fact.value in (True, False) else str(fact.value)


def _asked(result: VignetteResult, modality: str, wanted: object) -> dict[str, list[str]]:
    asked: dict[str, list[str]] = {}
    for name in result.assessed[modality].missing:
        asked.setdefault(result.facts.knowledge.facts[name].ask, []).append(name)
    return asked


def _drafts(result: VignetteResult, modality: str, wanted: object) -> list[str]:
    drafts = suggestions.draft_orders(result.quiet, result.assessed[modality].missing)
    return sorted(draft.actions[0].resource["code"]["coding"][0]["code"] for draft in drafts)


def _on_record(result: VignetteResult, _: str, wanted: list[str]) -> list[str]:
    """Return the wanted values in the order in which the uncut lines of the overview show them."""
    lines = ["; ".join(phrase.text for phrase in line.phrases) for line in patient_lines(result.quiet)]
    shown = [value for line in lines for value in VALUES.split(line)]
    places = {one: place for one in wanted for place, value in enumerate(shown) if value.startswith(one)}
    return sorted((one for one in wanted if one in places), key=places.__getitem__)


VALUES = re.compile(r"[;,:] ")
"""Split a line between its values; laboratory values follow their date."""


def _asks_the_board(result: VignetteResult, _: str, wanted: object) -> bool:
    """Return whether all the board's questions are asked, in order."""
    asked = [line.lead for paragraph in questions_paragraphs(result.quiet) for line in paragraph.lines if line.phrases]
    return asked == [question.short for question in result.facts.knowledge.board_questions]


TECHNIQUES_NAMED = frozenset({"radioembolization", "everolimus", "sunitinib", "capecitabine-temozolomide", "cabozantinib"})
FOUND = {True: "met", False: "not-met", None: "unknown"}
SAYS: Mapping[str, Any] = {
    "expect": lambda result, name, _: result.assessed[name].verdict.value,
    "editions_2010": lambda result, name, _: result.assessed[name].by_2010.verdict.value,
    "open": lambda result, name, _: result.of(name).get("open", ""),
    "because": _within("decided_by"),
    "cautions": _within("cautions"),
    "no_cautions": lambda result, name, wanted: [c for c in wanted if c not in result.of(name).get("cautions", [])],
    "findings": lambda result, name, wanted: {
        part["id"]: part["finding"] for part in result.of(name)["indications"] if part["id"] in wanted
    },
    "criteria": lambda result, key, _: FOUND[judge_criterion(result.facts.knowledge.criteria[key], result.facts).met],
    "findings_2010": lambda result, name, wanted: {
        part.indication.id: FOUND[part.met]
        for part in result.assessed[name].by_2010.indications
        if part.indication.id in wanted
    },
    "dated": lambda result, name, wanted: {
        part["id"]: part["edition"] for part in result.of(name)["indications"] if part["id"] in wanted
    },
    "rests_on": lambda result, name, wanted: {
        part.indication.id: [finding.criterion.id for finding in part.requirements]
        for part in result.assessed[name].decision.indications
        if part.indication.id in wanted
    },
    "against": lambda result, name, wanted: _against(result.assessed[name], wanted),
    "facts": lambda result, name, _: _value(result.facts[name]),
    "stage": lambda result, name, _: result.evaluation.stage[name].value,
    "best": lambda result, name, _: assessment_json(result.assessed[name]).get("best_possible", ""),
    "missing": lambda result, name, _: list(result.assessed[name].missing),
    "missing_has": lambda result, name, wanted: [one for one in wanted if one in result.assessed[name].missing],
    "options": lambda result, name, wanted: _starting(wanted, (part.name for part in result.techniques(name))),
    "no_options": lambda result, name, wanted: [
        one for one in wanted if not _starting([one], (part.name for part in result.techniques(name)))
    ],
    "stops": _of_technique(lambda shown: shown.stops),
    "burdens": _of_technique(lambda shown: shown.cautions),
    "not_looked_at": _of_technique(lambda shown: shown.not_looked_at),
    "alarms": _alarm,
    "asked": _asked,
    "drafts": _drafts,
    "questions": _asks_the_board,
    "on_record": _on_record,
    "not_checked": lambda result, name, wanted: unchecked_of(result.quiet, result.of_modality(name)),
    "stances_2010": lambda result, name, wanted: _stance(result, name, wanted),
    "faces": lambda result, name, _: [
        f"{part.statement} {part.face}{f' {part.place}' if part.place else ''}"
        for part in statements_on_face(
            result.assessed[name].modality, result.facts, _met(result.assessed[name]), TECHNIQUES_NAMED
        )
    ],
    "discussed": lambda result, _, wanted: [treatment.id for treatment in result.treatments if treatment.is_option],
    "last": lambda result, _, wanted: next((t.modality.id for t in reversed(result.treatments) if t.is_option), ""),
}
