"""A modality as its file describes it: criteria, indications, exclusions, cautions and techniques."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from cds_service.knowledge.shown import ShownStatement, TreatmentLine, build_lines, build_shown
from cds_service.knowledge.vocabulary import Edition, GradeLimit


class Verdict(StrEnum):
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
"""Order of strength; contraindicated and not-indicated rank equal (CLINICAL section 5, laws)."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """`how`: is | one_of | at_most | at_least | below | above; `limit` in the fact's unit."""

    fact: str
    how: str
    limit: Decimal | bool | str | frozenset[str]


@dataclass(frozen=True, slots=True)
class Criterion:
    key: str
    """Its name in criteria.toml: role and id, e.g. "caution.inr-above-limit"."""
    id: str
    """The id it goes by outside (CLINICAL section 9)."""
    says: str
    tests: tuple[Comparison, ...]
    combine: str
    """all | any; a criterion without tests always holds."""
    silent_is_not_met: bool
    unknown_is_not_met: bool
    statements: tuple[str, ...]
    cited: int = 1
    """Publications of its statements that a card names, the first first."""
    local: bool = False
    then: str = ""
    by_name: bool = False
    """Whether a drug that is known by its name alone counts as met; elsewhere it asks (CLINICAL section 8)."""
    face: str = ""
    """What a card says of this patient where it is met; {value} and {number} are those of `valued_fact`."""
    faces: tuple[str, ...] = ()
    """In place of `face`, where one text would not be true of every test of an `any`: a text for each test, in their order;
    {value} and {number} are those of the test's own fact."""
    risk: bool = False
    """Whether a caution stands among the risks of a treatment."""
    before_procedure: str = ""
    """Of a caution that is told once for all treatments, before any procedure: what it is called where it is only named."""
    worse: str = ""
    """Of a caution that lowers a verdict: what would make it a contraindication."""
    lift: str = ""
    """What would change it: of a contraindication, an exclusion, a gate, a stop, or a caution that lowers a verdict."""

    @property
    def facts(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(test.fact for test in self.tests))

    @property
    def valued_fact(self) -> str:
        """The fact whose value its face shows: the first that is compared with a number, else the first; "" without tests."""
        numeric = (test.fact for test in self.tests if isinstance(test.limit, Decimal))
        return next(numeric, self.tests[0].fact if self.tests else "")


@dataclass(frozen=True, slots=True)
class Indication:
    id: str
    edition: Edition
    strength: Verdict
    says: str
    requires: tuple[Criterion, ...]
    update_requires: tuple[Criterion, ...]
    when_closed: tuple[str, ...]
    statements: tuple[str, ...]
    local: bool = False
    rank: int = 0
    """Its place among the indications met of equal verdict, as a card orders them: a convention of ours."""
    telling: tuple[str, ...] = ()
    """Ids of the requirements that an overview names where it is met, in its order; none: the facts behind them."""
    face: str = ""
    """What a card calls all its requirements together, where they have a name."""
    facts: tuple[str, ...] = ()
    """What a card shows beside its requirements."""
    change: str = ""
    """What would change the verdict where it is met; empty: as of its modality."""


@dataclass(frozen=True, slots=True)
class Technique:
    """One way of doing a modality, or one option in it: shown on its card, no part of any verdict."""

    says: str
    when: tuple[Criterion, ...]
    only_for: frozenset[str]
    stopped_by: tuple[Criterion, ...]
    cautions: tuple[Criterion, ...]
    also: str
    statements: tuple[str, ...]
    ordered_by: tuple[str, ...] = ()
    """Concepts of orders that mean this technique."""
    critical: frozenset[str] = frozenset()
    """Those of `stopped_by` that are hard facts against it once it is ordered (CLINICAL section 7.3)."""
    short: str = ""
    """Its name in a summary; where it has `critical` stops."""
    id: str = ""
    rank: int = 0
    untried: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Other treatments, as a card calls them → the facts that say that it was done; none: no fact says so."""
    own_line: str = ""
    """The id of the line that it has of its own on a card; empty where it is told with its modality."""


class Exclusion(NamedTuple):
    """`only`: the indications that it excludes; an empty set: the whole modality."""

    criterion: Criterion
    only: frozenset[str]


@dataclass(frozen=True, slots=True)
class Modality:
    id: str
    title: str
    short: str
    liver_directed: bool
    nec: GradeLimit
    g3: GradeLimit
    downgraded_by: tuple[str, ...]
    contraindications: tuple[Criterion, ...]
    contraindications_say: str
    exclusions: tuple[Exclusion, ...]
    excluded_say: str
    cautions: tuple[Criterion, ...]
    indications: tuple[Indication, ...]
    beside: tuple[str, ...]
    support: tuple[str, ...]
    about: tuple[str, ...]
    shown: tuple[ShownStatement, ...] = ()
    """What some of its statements are on the face of a card."""
    techniques: tuple[Technique, ...] = ()
    lines: tuple[TreatmentLine, ...] = ()
    """Parts of it that have a line of their own on a card; of several with one id the first that fits."""
    face_title: str = ""
    """What a card calls it."""
    face_name: str = ""
    """The same within a sentence."""
    nec_says: str = ""
    """How a card says that it can be considered in a carcinoma."""
    not_read: tuple[str, ...] = ()
    """What bears on it and no fact of this service holds."""
    change: str = ""
    """What would change its verdict."""
    critical: frozenset[str] = frozenset()
    """Ids of its contraindications that are hard facts against it once it is ordered, and of its cautions of the heart that
    are, while the heart is not assessed (CLINICAL section 7.3); those against a technique stand with it."""
    ordered_by: tuple[str, ...] = ()
    """Value sets whose codes, in an active order or a scheduled procedure, mean this modality."""

    @property
    def orders(self) -> frozenset[str]:
        """All of them: an order of one way of doing it is an order of the modality."""
        return frozenset(self.ordered_by).union(*(technique.ordered_by for technique in self.techniques))


def build_comparison(table: Mapping[str, Any]) -> Comparison:
    how = next(key for key in table if key in {"is", "one_of", "at_most", "at_least", "below", "above"})
    limit = table[how]
    if how == "one_of":
        limit = frozenset(limit)
    elif how != "is":
        limit = Decimal(limit)
    return Comparison(table["fact"], how, limit)


def build_criterion(key: str, table: Mapping[str, Any]) -> Criterion:
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
