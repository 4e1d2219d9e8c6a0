"""Kinds of orders, draft orders that a card offers, and reasons for overriding a card (knowledge/orders.toml)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from cds_service.errors import Fault
from cds_service.knowledge.drugs import PRODUCTS, words_of
from cds_service.knowledge.shape import unknown_name

FILE = "orders.toml"
MAX_NAME_CHARS = 120
"""Characters of a text that may name a procedure."""
Tables = Mapping[str, Any]


class JudgedBy(StrEnum):
    """What the verdict of an order is judged by."""

    MODALITY = "modality"
    INDICATIONS = "indications"
    """Those that the kind lists."""
    CONDITIONS = "conditions"
    """The conditions (`when`) of its technique."""


class OrderBeside(NamedTuple):
    """Another order at the same time, and the criterion that it is for this one."""

    order: str
    stop: str
    """Key of the criterion."""


@dataclass(frozen=True, slots=True)
class OrderKind:
    """One kind of order. Criteria are named by their keys in criteria.toml."""

    id: str
    title: str
    concepts: frozenset[str]
    names: frozenset[tuple[str, ...]]
    """Names of a procedure, in words."""
    modalities: tuple[str, ...]
    judged_by: JudgedBy
    technique: str = ""
    """`id` or `own_line` of a technique of these modalities."""
    indications: frozenset[str] = frozenset()
    cautions: tuple[str, ...] | None = None
    """Instead of the cautions of the modality; None: those of the modality."""
    stopped_by: tuple[str, ...] = ()
    beside: tuple[OrderBeside, ...] = ()
    warns: frozenset[str] = frozenset()
    """Ids of the cautions that make the card a warning."""
    critical: frozenset[str] = frozenset()
    """Ids of criteria that make the card critical, beside those of the modality and the technique."""
    aloud: frozenset[str] = frozenset()
    given: str = ""
    """The fact that says that the drug has been given."""
    not_read: tuple[str, ...] = ()
    """What would stop it and is in no fact of this service."""


@dataclass(frozen=True, slots=True)
class DraftTest:
    """A draft order that a card offers."""

    code: str
    system: str
    """URI."""
    title: str
    category: str = ""
    concepts: frozenset[str] = frozenset()
    codes: frozenset[tuple[str, str]] = frozenset()
    """(system of terminology.toml, code) of other orders of the same."""
    cautions: frozenset[str] = frozenset()
    """Ids of the cautions that it answers."""
    board: bool = False
    """A referral to the tumour board."""


@dataclass(frozen=True, slots=True)
class SuggestionShape:
    """How a site wants suggestions (`[suggestions]` of its file)."""

    offered: bool = True
    intent: str = "proposal"
    """`ServiceRequest.intent` of draft orders."""
    codings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Code of a test that the service offers → the site's own coding of it, which comes first in the draft order."""


class OverrideReason(NamedTuple):
    """A reason for overriding a card."""

    code: str
    system: str
    display: str


@dataclass(frozen=True, slots=True)
class Orders:
    """The content of orders.toml."""

    kinds: tuple[OrderKind, ...]
    """In the order in which a procedure is recognised."""
    quiet: frozenset[str]
    """Ids of the cautions that an order does not repeat."""
    filler: frozenset[str]
    tests: tuple[DraftTest, ...]
    categories: Mapping[str, tuple[str, str]]
    """laboratory or imaging → code of SNOMED CT and its display."""
    reasons: tuple[OverrideReason, ...]

    def named(self, text: str) -> OrderKind | None:
        """Return the kind of procedure that a text names, if all its other words are fillers; else None."""
        said = tuple(words_of(text)) if len(text) <= MAX_NAME_CHARS else ()
        for kind in self.kinds:
            for name in kind.names:
                for start in range(len(said) - len(name) + 1):
                    rest = (*said[:start], *said[start + len(name) :])
                    if said[start : start + len(name)] == name and self.filler.issuperset(rest):
                        return kind
        return None


def build_orders(table: Tables) -> Orders:
    """Build the orders from the parsed orders.toml, which has to be free of `order_faults`."""
    return Orders(
        tuple(map(_build_kind, table["order"])),
        frozenset(table["quiet"]),
        frozenset(table["filler"]),
        tuple(
            DraftTest(
                t["code"], t["system"], t["title"], t.get("category", ""), frozenset(t.get("concepts", ())),
                frozenset((system, code) for system, codes in t.get("codes", {}).items() for code in codes),
                frozenset(t.get("cautions", ())), t.get("board", False),
            )
            for t in table["test"]
        ),
        {c["of"]: (c["code"], c["display"]) for c in table["category"]},
        tuple(OverrideReason(r["code"], r["system"], r["display"]) for r in table["reason"]),
    )  # fmt: skip


def _build_kind(table: Tables) -> OrderKind:
    return OrderKind(
        id=table["id"],
        title=table["title"],
        concepts=frozenset(table["concepts"]),
        names=frozenset(tuple(words_of(name)) for name in table.get("names", ())),
        modalities=tuple(table["modalities"]),
        judged_by=JudgedBy(table["judged_by"]),
        technique=table.get("technique", ""),
        indications=frozenset(table.get("indications", ())),
        cautions=tuple(f"caution.{name}" for name in table["cautions"]) if "cautions" in table else None,
        stopped_by=tuple(f"technique.{name}" for name in table.get("stopped_by", ())),
        beside=tuple(OrderBeside(b["order"], f"technique.{b['stop']}") for b in table.get("beside", ())),
        warns=frozenset(table.get("warns", ())),
        critical=frozenset(table.get("critical", ())),
        aloud=frozenset(table.get("aloud", ())),
        given=table.get("given", ""),
        not_read=tuple(table.get("not_read", ())),
    )


def order_faults(files: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield names in orders.toml that do not exist elsewhere in the knowledge, and kinds that could not be judged."""
    table, criteria = files[FILE], files["criteria.toml"]
    concepts = {row["concept"] for row in (*files["terminology.toml"]["value_set"], *files[PRODUCTS])}
    modalities = {content["id"]: content for name, content in files.items() if name.startswith("modalities/")}
    kinds = [kind["id"] for kind in table["order"]]
    for kind in table["order"]:
        where = f"{FILE}: order {kind['id']}"
        yield from _unknown(f"{where}.concepts", kind["concepts"], concepts, "a concept with codes")
        yield from _unknown(f"{where}.modalities", kind["modalities"], modalities, "a modality")
        of_kind = [modalities[name] for name in kind["modalities"] if name in modalities]
        indications = {i["id"] for modality in of_kind for i in modality["indication"]}
        yield from _unknown(f"{where}.indications", kind.get("indications", ()), indications, "an indication of its modalities")
        techniques = {t.get(key) for modality in of_kind for t in modality.get("technique", ()) for key in ("id", "own_line")}
        named = [kind["technique"]] if "technique" in kind else []
        yield from _unknown(f"{where}.technique", named, techniques - {None}, "a technique of its modalities")
        if (kind["judged_by"] == JudgedBy.INDICATIONS) != ("indications" in kind):
            yield Fault(f"{where}.indications", "is required if judged_by is 'indications', and not allowed otherwise")
        if kind["judged_by"] == JudgedBy.CONDITIONS and not named:
            yield Fault(f"{where}.technique", "is required if judged_by is 'conditions'")
        yield from _unknown(f"{where}.cautions", kind.get("cautions", ()), criteria["caution"], "a [caution.…]")
        stops = [*kind.get("stopped_by", ()), *(beside["stop"] for beside in kind.get("beside", ()))]
        yield from _unknown(f"{where}.stopped_by", stops, criteria["technique"], "a [technique.…]")
        yield from _unknown(f"{where}.critical", kind.get("critical", ()), stops, "in stopped_by or beside")
        yield from _unknown(f"{where}.beside", (b["order"] for b in kind.get("beside", ())), kinds, "an order of this file")
        ids = {criteria["caution"].get(name, {}).get("as", name) for modality in of_kind for name in modality["cautions"]}
        own = {*ids, *kind["cautions"]} if "cautions" in kind else ids
        yield from _unknown(f"{where}.warns", kind.get("warns", ()), own, "one of its cautions")
        yield from _unknown(f"{where}.aloud", kind.get("aloud", ()), table["quiet"], "in quiet")
        if kind.get("given"):
            yield from _unknown(f"{where}.given", [kind["given"]], files["facts.toml"]["fact"], "a fact of facts.toml")
    yield from _unknown(f"{FILE}: quiet", table["quiet"], criteria["caution"], "a [caution.…]")
    for test in table["test"]:
        where = f"{FILE}: test {test['code']}"
        yield from _unknown(f"{where}.concepts", test.get("concepts", ()), concepts, "a concept with codes")
        of = [test["category"]] if "category" in test else []
        yield from _unknown(f"{where}.category", of, [c["of"] for c in table["category"]], "the `of` of a category")
        yield from _unknown(f"{where}.codes", test.get("codes", {}), files["terminology.toml"]["systems"], "a key of [systems]")
        yield from _unknown(f"{where}.cautions", test.get("cautions", ()), criteria["caution"], "a [caution.…]")


def _unknown(where: str, names: Iterable[str], known: Iterable[str], what: str) -> Iterator[Fault]:
    allowed = list(known)
    yield from (unknown_name(where, name, what, allowed) for name in names if name not in allowed)
