"""A modality and its parts as types: criteria, indications, exclusions, cautions and techniques."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from cds_service.knowledge.shown import ShownStatement, TreatmentLine, build_lines, build_shown
from cds_service.knowledge.vocabulary import Edition, GradeLimit


class Verdict(StrEnum):
    """The result for a modality; docs/knowledge.md, "Verdicts", says how it is found."""

    CONTRAINDICATED = "contraindicated"
    NOT_INDICATED = "not-indicated"
    UNDETERMINED = "undetermined"
    CONSIDER = "consider"
    RECOMMENDED = "recommended"


RANK = {
    Verdict.CONTRAINDICATED: 0,
    Verdict.NOT_INDICATED: 0,
    Verdict.UNDETERMINED: 1,
    Verdict.CONSIDER: 2,
    Verdict.RECOMMENDED: 3,
}
"""Verdict → strength; contraindicated and not-indicated rank equal (docs/knowledge.md, "Laws")."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A test of one fact."""

    fact: str
    """Id of a fact of facts.toml or derived.toml."""
    how: str
    """is | one_of | at_most | at_least | below | above"""
    limit: Decimal | bool | str | frozenset[str]
    """A number is in the unit of the fact."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """One table of criteria.toml."""

    key: str
    """Its name in criteria.toml, role and id: `caution.inr-above-limit`."""
    id: str
    """Its id on cards and in the API (docs/knowledge.md, "Ids")."""
    says: str
    """The criterion as a sentence."""
    tests: tuple[Comparison, ...]
    """A criterion without tests is always met."""
    combine: str
    """How the tests combine: all | any."""
    silent_is_not_met: bool
    """Counts as not met if its facts are silent."""
    unknown_is_not_met: bool
    """Counts as not met if its facts are unknown."""
    statements: tuple[str, ...]
    """Ids of the statements that it rests on."""
    cited: int = 1
    """How many publications of its statements a card names, from the first."""
    local: bool = False
    """A convention of this service."""
    then: str = ""
    """A remark for the rule book and the evidence page."""
    by_name: bool = False
    """A drug that is known by its name alone counts as met; without this it only asks."""
    face: str = ""
    """The text of a card for a patient who meets the criterion; {value} and {number} are those of `valued_fact`."""
    faces: tuple[str, ...] = ()
    """Instead of `face`, one text for each test of an `any`, in order; {value} and {number} are those of the test's fact."""
    risk: bool = False
    """A caution that is listed among the risks of a treatment."""
    before_procedure: str = ""
    """Short name of a caution that is shown once for all treatments, before any procedure."""
    worse: str = ""
    """What would make a caution that lowers a verdict a contraindication."""
    lift: str = ""
    """What would change the result of a contraindication, exclusion, gate, stop, or caution that lowers a verdict."""

    @property
    def facts(self) -> tuple[str, ...]:
        """Return the ids of the facts that it compares, each once."""
        return tuple(dict.fromkeys(test.fact for test in self.tests))

    @property
    def valued_fact(self) -> str:
        """Return the fact whose value `face` shows: the first compared with a number, else the first; "" without tests."""
        numeric = (test.fact for test in self.tests if isinstance(test.limit, Decimal))
        return next(numeric, self.tests[0].fact if self.tests else "")


@dataclass(frozen=True, slots=True)
class Indication:
    """A reason for a modality; met if all its requirements are met."""

    id: str
    edition: Edition
    """Whose criteria it belongs to."""
    strength: Verdict
    """The verdict if it is met: recommended or consider."""
    says: str
    requires: tuple[Criterion, ...]
    update_requires: tuple[Criterion, ...]
    """Further requirements of the later edition."""
    when_closed: tuple[str, ...]
    """Ids of modalities that must all be contraindicated or not indicated."""
    statements: tuple[str, ...]
    """Ids of the statements that it rests on."""
    local: bool = False
    """A convention of this service."""
    rank: int = 0
    """Order on a card among met indications with the same verdict (a local convention)."""
    telling: tuple[str, ...] = ()
    """Ids of the requirements that an overview names if it is met, in this order; empty: the facts behind them."""
    face: str = ""
    """Name of all its requirements together on a card, if they have one."""
    facts: tuple[str, ...] = ()
    """Facts that a card shows with its requirements."""
    change: str = ""
    """What would change the verdict if it is met; empty: `change` of its modality."""


@dataclass(frozen=True, slots=True)
class Technique:
    """One technique of a modality, or one option in it: shown on its card, without effect on any verdict."""

    says: str
    when: tuple[Criterion, ...]
    """It is shown only if all of these are met."""
    only_for: frozenset[str]
    """Ids of indications, one of which must be possible unless the technique is ordered; empty: no such condition."""
    stopped_by: tuple[Criterion, ...]
    """Each of these, if met, rules the technique out."""
    cautions: tuple[Criterion, ...]
    also: str
    """A further remark."""
    statements: tuple[str, ...]
    """Ids of the statements that it rests on."""
    ordered_by: tuple[str, ...] = ()
    """Concepts of orders that mean this technique."""
    critical: frozenset[str] = frozenset()
    """Ids of those of `stopped_by` that make the card of an order of it critical."""
    short: str = ""
    """Its name in a summary; required if it has `critical`."""
    id: str = ""
    rank: int = 0
    """Order among the techniques on a card."""
    untried: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Name of another treatment on a card → facts or modalities that show that it was tried; empty: none shows it."""
    own_line: str = ""
    """Id of its own line on a card; empty if it is shown with its modality."""


class Exclusion(NamedTuple):
    """A criterion that makes a modality, or some of its indications, not indicated."""

    criterion: Criterion
    only: frozenset[str]
    """Ids of the indications that it excludes; empty: the whole modality."""


@dataclass(frozen=True, slots=True)
class Modality:
    """One treatment: one file of modalities/."""

    id: str
    title: str
    short: str
    """Short name."""
    liver_directed: bool
    """Treats the liver, and so is undetermined with a transplanted liver."""
    nec: GradeLimit
    """What a carcinoma leaves of it."""
    g3: GradeLimit
    """What a G3 tumour leaves of it."""
    downgraded_by: tuple[str, ...]
    """Ids of the cautions that lower its verdict."""
    contraindications: tuple[Criterion, ...]
    contraindications_say: str
    """A remark on the contraindications as a whole."""
    exclusions: tuple[Exclusion, ...]
    excluded_say: str
    """A remark on the exclusions as a whole."""
    cautions: tuple[Criterion, ...]
    indications: tuple[Indication, ...]
    beside: tuple[str, ...]
    """Ids of statements that are cited with it as context."""
    support: tuple[str, ...]
    """Ids of statements that are cited with it as support."""
    about: tuple[str, ...]
    """Ids of further statements, which only the rule book lists."""
    shown: tuple[ShownStatement, ...] = ()
    """How some of its statements appear on a card."""
    techniques: tuple[Technique, ...] = ()
    lines: tuple[TreatmentLine, ...] = ()
    """Parts with a line of their own on a card; of several with the same id the first that applies."""
    face_title: str = ""
    """Its name on a card."""
    face_name: str = ""
    """Its name within a sentence of a card."""
    nec_says: str = ""
    """How a card says that it can be considered in a carcinoma."""
    not_read: tuple[str, ...] = ()
    """What affects it but is in no fact of this service."""
    change: str = ""
    """What would change its verdict."""
    critical: frozenset[str] = frozenset()
    """Ids of criteria that make the card of an order critical. A contraindication does so whenever it is met; a caution about
    the heart, only while there is no current cardiac assessment. Those of a technique are in `Technique.critical`."""
    ordered_by: tuple[str, ...] = ()
    """Value sets whose codes, in an active order or a scheduled procedure, mean this modality."""

    @property
    def orders(self) -> frozenset[str]:
        """Return `ordered_by` of the modality and its techniques: an order of a technique is an order of the modality."""
        return frozenset(self.ordered_by).union(*(technique.ordered_by for technique in self.techniques))


def build_comparison(table: Mapping[str, Any]) -> Comparison:
    """Build one comparison from its table of criteria.toml."""
    how = next(key for key in table if key in {"is", "one_of", "at_most", "at_least", "below", "above"})
    limit = table[how]
    if how == "one_of":
        limit = frozenset(limit)
    elif how != "is":
        limit = Decimal(limit)
    return Comparison(table["fact"], how, limit)


def build_criterion(key: str, table: Mapping[str, Any]) -> Criterion:
    """Build the criterion `key` (`role.name`) from its table of criteria.toml."""
    tables = table.get("all_of") or table.get("any_of") or ([table] if "fact" in table else [])
    caution = key.startswith(("caution.", "technique."))
    return Criterion(
        key=key,
        id=table.get("as", key.split(".", 1)[1]),
        says=table["says"],
        tests=tuple(build_comparison(part) for part in tables),
        combine="any" if "any_of" in table else "all",
        silent_is_not_met=caution or table.get("if_silent") == "not-met",
        unknown_is_not_met=caution or table.get("if_unknown") == "not-met",
        statements=tuple(table["statements"]),
        cited=table.get("cited", 1),
        local=table.get("local", False),
        then=table.get("then", ""),
        by_name=table.get("by_name", False),
        face=table.get("face", ""),
        faces=tuple(table.get("faces", ())),
        risk=table.get("risk", False),
        before_procedure=table.get("before_procedure", ""),
        lift=table.get("lift", ""),
        worse=table.get("worse", ""),
    )


def build_modality(table: Mapping[str, Any], criteria: Mapping[str, Criterion]) -> Modality:
    """Build a modality from its file and the criteria that it names. Raises KeyError if a criterion does not exist."""

    def named(role: str, names: list[str]) -> tuple[Criterion, ...]:
        return tuple(criteria[f"{role}.{name}"] for name in names)

    exclusions = [(e, []) if isinstance(e, str) else (e["id"], e["only"]) for e in table["excluded_by"]]
    return Modality(
        id=table["id"],
        title=table["title"],
        short=table["short"],
        liver_directed=table["liver_directed"],
        nec=GradeLimit(table["nec"]),
        g3=GradeLimit(table["g3"]),
        downgraded_by=tuple(table.get("downgraded_by", ())),
        contraindications=named("contraindication", table["contraindicated_by"]),
        contraindications_say=table.get("contraindications_say", ""),
        exclusions=tuple(Exclusion(criteria[f"exclusion.{name}"], frozenset(only)) for name, only in exclusions),
        excluded_say=table.get("excluded_say", ""),
        cautions=named("caution", table["cautions"]),
        indications=tuple(
            Indication(
                id=i["id"],
                edition=Edition(i["edition"]),
                strength=Verdict(i["strength"]),
                says=i["says"],
                requires=named("requirement", i.get("requires", [])),
                update_requires=named("requirement", i.get("update_requires", [])),
                when_closed=tuple(i.get("when_closed", ())),
                statements=tuple(i["statements"]),
                local=i.get("local", False),
                rank=i["rank"],
                telling=tuple(i.get("telling", ())),
                face=i.get("face", ""),
                facts=tuple(i.get("facts", ())),
                change=i.get("change", ""),
            )
            for i in table["indication"]
        ),
        beside=tuple(table["beside"]),
        support=tuple(table["support"]),
        about=tuple(table["about"]),
        shown=build_shown(table.get("shown", [])),
        techniques=tuple(
            Technique(
                says=t["says"],
                when=named("technique", t.get("when", [])),
                only_for=frozenset(t.get("for", ())),
                stopped_by=named("technique", t.get("stopped_by", [])),
                cautions=named("technique", t.get("cautions", [])),
                also=t.get("also", ""),
                statements=tuple(t["statements"]),
                ordered_by=tuple(t.get("ordered_by", ())),
                critical=frozenset(t.get("critical", ())),
                short=t.get("short", ""),
                id=t.get("id", ""),
                rank=t.get("rank", 0),
                own_line=t.get("own_line", ""),
                untried={name: tuple(facts) for name, facts in t.get("untried", {}).items()},
            )
            for t in table.get("technique", ())
        ),
        ordered_by=tuple(table.get("ordered_by", ())),
        lines=build_lines(table.get("line", [])),
        face_title=table["face_title"],
        face_name=table["face_name"],
        nec_says=table.get("nec_says", ""),
        not_read=tuple(table.get("not_read", ())),
        change=table["change"],
        critical=frozenset(table.get("critical", ())),
    )
