"""Cross-references between the knowledge files: what the schema of a single file cannot see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from cds_service.errors import Fault
from cds_service.knowledge import check_faces, check_sources, check_terminology
from cds_service.knowledge.drugs import PRODUCTS, table_faults
from cds_service.knowledge.statement import DECIDING_KINDS, RULES_OUT
from cds_service.knowledge.vocabulary import Edition

INDICATES = {Edition.REVIEW: "RULE", Edition.UPDATE: "LATER"}
"""The kind of statement that carries an indication of each edition (CLINICAL rule 4)."""

NUMBERS = frozenset({"quantity", "integer"})
KINDS_OF = {
    "from": {"presence"},
    "uses": {"presence"},
    "active": {"presence"},
    "every_entry_read": {"presence"},
    "unit": NUMBERS,
    "units": NUMBERS,
    "range": NUMBERS | {"person"},
    "choose": NUMBERS,
    "conflict": NUMBERS,
    "adverse_above": NUMBERS,
    "trend": NUMBERS,
    "options": {"code", "codes"},
    "vague": {"code"},
    "vague_answers": {"code"},
    "diagnosis_stands": {"code"},
    "adverse": {"code", "boolean"},
    "window_days": {"quantity", "integer", "boolean", "code", "codes", "presence"},
    "imaging": {"quantity", "integer", "boolean", "code"},
}
SOURCES_OF = {
    "uses": {"Condition", "Procedure"},
    "active": {"Medication"},
    "every_entry_read": {"Procedure"},
}
"""Key of a fact → the kinds of fact for which anything reads it, and of a presence the resources. Elsewhere
it would be passed over without a word."""

PASSED_OVER = frozenset({"ecog-3-or-worse", "transplanted-liver"})
"""Not met when unknown, and said: no ECOG is a caution, no word on a graft is "not checked" (CLINICAL section 5)."""

Tables = Mapping[str, Any]


def cross_references(files: Mapping[str, Tables], modalities: Iterable[str], already_reported: bool) -> list[Fault]:
    """Every check that can be made of what could be read; `already_reported`: whether a fault within a file is told already,
    which may keep a check from ending."""
    checks = [
        _facts,
        _units,
        _local,
        _criteria,
        _by_name,
        table_faults,
        *check_faces.CHECKS,
        *check_terminology.CHECKS,
        *check_sources.CHECKS,
    ]
    expected = {f"modalities/{name}.toml": name for name in modalities}
    checks += [partial(_modality, name=file, expected=name) for file, name in expected.items()]
    checks += [check_sources.unused_faults] if expected.keys() | {"outcomes.toml"} <= files.keys() else []
    faults: list[Fault] = []
    for check in checks:
        try:
            faults += check(files)
        except (KeyError, TypeError, AttributeError, ValueError):
            if not already_reported:
                raise
    return faults


LABORATORY = "laboratory"
"""In a list of facts: every laboratory value that somebody is asked for, so that a new one needs no entry."""


BOARD_LINES = ("disease", "liver", "patient", "laboratory", "done", "spare")
"""The lists of board.toml."""


def with_laboratory(names: Iterable[str], facts: Mapping[str, Tables]) -> list[str]:
    """The facts of a list, with the laboratory values in the place of their name."""
    values = [name for name, table in facts.items() if table["ask"] == LABORATORY]
    return [fact for name in names for fact in (values if name == LABORATORY else [name])]


def _facts(files: Mapping[str, Tables]) -> Iterator[Fault]:
    facts, derived = files["facts.toml"]["fact"], files["derived.toml"]
    products: Sequence[Mapping[str, str]] = files[PRODUCTS]  # type: ignore[assignment]  # rows, where a TOML file has tables
    concepts = {row["concept"] for row in (*files["terminology.toml"]["value_set"], *products)}
    systems = set(files["terminology.toml"]["systems"])
    for name, table in facts.items():
        where = f"facts.toml: fact.{name}"
        for concept in table.get("concepts", []):
            if concept not in concepts:
                yield Fault(f"{where}.concepts", repr(concept), "a concept of terminology.toml or drug_products.csv")
        if table["kind"] == "presence" and "from" not in table:
            yield Fault(f"{where}.from", "nothing", "Condition, Procedure or Medication")
        if table["kind"] in {"quantity", "integer"} and table.get("unit") not in table.get("units", {}):
            yield Fault(f"{where}.unit", repr(table.get("unit")), "one of the units listed")
        yield from _ignored_keys(files, where, table)
        if table["kind"] in {"presence", "person"} and table["ask"] != "never":
            yield Fault(f"{where}.ask", repr(table["ask"]), "never: a code or a date is no answer that anybody could give")
    codes: dict[str, str] = {}
    for name, table in facts.items():
        for code in table.get("assessment", []):
            if code in codes:
                yield Fault(f"facts.toml: fact.{name}.assessment", repr(code), f"a code not used by {codes[code]}")
            codes[code] = name
    for name in files["facts.toml"]["missing_order"]:
        if name not in facts:
            yield Fault("facts.toml: missing_order", repr(name), "a fact of facts.toml")
    board = files["board.toml"]
    for name in [
        *with_laboratory((name for line in BOARD_LINES for name in board[line]), facts),
        *(fact for question in board["question"] for fact in question["facts"]),
    ]:
        if name not in facts:
            yield Fault("board.toml", repr(name), "a fact of facts.toml")
    for name, table in derived.items():
        if name in facts:
            yield Fault(f"derived.toml: {name}", "the name of a fact", "a name of its own")
        for read in table["reads"]:
            if read not in facts and read not in derived:
                yield Fault(f"derived.toml: {name}.reads", repr(read), "a fact or derived fact")
        for silent in table.get("settled_by_silence", []):
            if silent not in table["reads"]:
                yield Fault(f"derived.toml: {name}.settled_by_silence", repr(silent), "one of its reads")
    for row in files["terminology.toml"]["value_set"]:
        if row["system"] not in systems:
            yield Fault(f"terminology.toml: {row['concept']}", repr(row["system"]), "a name of [systems]")


def _ignored_keys(files: Mapping[str, Tables], where: str, table: Tables) -> Iterator[Fault]:
    """Keys that stand where nothing reads them."""
    for key, kinds in KINDS_OF.items():
        if key in table and table["kind"] not in kinds:
            yield Fault(f"{where}.{key}", f"in a fact of kind {table['kind']}", f"only in {', '.join(sorted(kinds))}")
    source = table.get("from")
    for key, sources in SOURCES_OF.items():
        if key in table and source not in sources:
            yield Fault(f"{where}.{key}", f"in a fact from {source}", f"only in one from {', '.join(sorted(sources))}")
    window = table.get("window_days")
    if table.get("choose") == "highest" and (window or table.get("conflict")):
        yield Fault(f"{where}.choose", "highest, with a window or a conflict", "highest alone: it looks at every value")
    if table.get("imaging") and (window or 0) <= files["facts.toml"]["imaging_window_in_g3_and_nec_days"]:
        yield Fault(f"{where}.imaging", f"with a window of {window}", "a window longer than that of G3 and NEC")


def _units(files: Mapping[str, Tables]) -> Iterator[Fault]:
    """One spelling means one unit, and is no trap at once; a unit that has spellings is one that some fact accepts."""
    accepted = {unit for table in files["facts.toml"]["fact"].values() for unit in table.get("units", {})}
    meant: dict[str, str] = {}
    for unit, spellings in files["units.toml"]["alias"].items():
        if unit not in accepted:
            yield Fault(f"units.toml: alias.{unit}", "a unit of no fact", "a unit of facts.toml")
        for spelling in spellings:
            other = meant.setdefault(spelling, unit)
            if other != unit or spelling in accepted or spelling in files["units.toml"]["refused"]:
                yield Fault(f"units.toml: alias.{unit}", repr(spelling), "a spelling that means nothing else")


def _local(files: Mapping[str, Tables]) -> Iterator[Fault]:
    """A site may set only what is a convention of ours, and our own choice is within the bounds."""
    facts, criteria = files["facts.toml"]["fact"], files["criteria.toml"]
    for part in files["local.toml"]["window"]:
        for name in with_laboratory(part["facts"], facts):
            days = facts.get(name, {}).get("window_days")
            if days is None or facts[name]["kind"] == "presence" or not part["at_least"] <= days <= part["at_most"]:
                yield Fault(
                    "local.toml: window.facts", repr(name), "a fact, not of presence, whose own window is in the bounds"
                )
    for part in files["local.toml"]["limit"]:
        role, _, name = part["criterion"].partition(".")
        table = criteria.get(role, {}).get(name, {})
        limit = next((table[how] for how in ("at_most", "at_least", "below", "above") if how in table), None)
        if not table.get("local") or limit is None or not part["at_least"] <= limit <= part["at_most"]:
            yield Fault(
                "local.toml: limit.criterion", repr(part["criterion"]), "a local criterion with its number in the bounds"
            )


def _comparisons(table: Tables) -> list[Tables]:
    listed: list[Tables] = table.get("all_of") or table.get("any_of") or ([table] if "fact" in table else [])
    return listed


def _criteria(files: Mapping[str, Tables]) -> Iterator[Fault]:
    facts, derived = files["facts.toml"]["fact"], files["derived.toml"]
    for role, tables in files["criteria.toml"].items():
        for name, table in tables.items():
            where = f"criteria.toml: {role}.{name}"
            for part in _comparisons(table):
                fact = part["fact"]
                if fact not in facts and fact not in derived:
                    yield Fault(f"{where}.fact", repr(fact), "a fact of facts.toml or derived.toml")
                options = facts.get(fact, {}).get("options")
                wanted = part.get("one_of") or ([part["is"]] if isinstance(part.get("is"), str) else [])
                for value in wanted:
                    if options is not None and value not in options:
                        yield Fault(where, repr(value), f"one of {', '.join(options)}")
            if table.get("if_unknown") == "not-met" and role not in {"caution"} and name not in PASSED_OVER:
                yield Fault(f"{where}.if_unknown", "not-met", "only a caution, ECOG or a graft may be passed over when unknown")
            if role in {"contraindication", "exclusion", "requirement"}:
                yield from _deciding(files, role, where, table)
            if not table["statements"] and not table.get("local"):
                yield Fault(f"{where}.statements", "none", "a statement, or local = true for a convention of ours")


def _by_name(files: Mapping[str, Tables]) -> Iterator[Fault]:
    """A drug known by its name alone may count against a technique or burden a modality; it never makes a contraindication
    of a modality, and never an indication or an option."""
    facts = files["facts.toml"]["fact"]
    options = {
        name
        for file, table in files.items()
        if file.startswith("modalities/")
        for technique in table.get("technique", [])
        for name in technique.get("when", [])
    }
    for role, tables in files["criteria.toml"].items():
        for name, table in tables.items():
            if "by_name" not in table:
                continue
            where = f"criteria.toml: {role}.{name}.by_name"
            if role not in {"caution", "technique"} or (role == "technique" and name in options):
                yield Fault(where, "true", "only a caution, or what stops or burdens a technique")
            parts = _comparisons(table)
            drugs = [part for part in parts if facts.get(part["fact"], {}).get("from") == "Medication"]
            if not drugs or any(part.get("is") is not True for part in drugs) or "all_of" in table:
                yield Fault(where, "true", "a drug that is there, alone or as one of several (any_of)")


def _deciding(files: Mapping[str, Tables], role: str, where: str, table: Tables) -> Iterator[Fault]:
    """A criterion that decides needs a statement that may decide, of at least moderate confidence, or be local."""
    if table.get("local"):
        return
    found = [files["statements.toml"].get(name) for name in table["statements"]]
    firm = role in RULES_OUT
    if not any(
        s and s["kind"] in DECIDING_KINDS and s["confidence"] != "low" and not (firm and "from_memory" in s) for s in found
    ):
        told = ", ".join(f"{name} ({s['kind']})" if s else name for name, s in zip(table["statements"], found, strict=True))
        allowed = "a RULE, LIMIT or LATER statement, not of low confidence" + (" or from memory" if firm else "")
        yield Fault(f"{where}.statements", told or "none", allowed)


def _modality(files: Mapping[str, Tables], name: str, expected: str) -> Iterator[Fault]:
    table, criteria = files[name], files["criteria.toml"]
    if table["id"] != expected:
        yield Fault(f"{name}: id", repr(table["id"]), expected)
    indications = [i["id"] for i in table["indication"]]
    wanted = [("contraindication", c, "contraindicated_by") for c in table["contraindicated_by"]]
    wanted += [("caution", c, "cautions") for c in table["cautions"]]
    for exclusion in table["excluded_by"]:
        if isinstance(exclusion, str):
            wanted.append(("exclusion", exclusion, "excluded_by"))
            continue
        wanted.append(("exclusion", exclusion["id"], "excluded_by"))
        for only in exclusion["only"]:
            if only not in indications:
                yield Fault(f"{name}: excluded_by.only", repr(only), f"one of {', '.join(indications)}")
    for technique in table.get("technique", []):
        for key in ("when", "stopped_by", "cautions"):
            wanted += [("technique", c, f"technique {technique['says'][:30]}") for c in technique.get(key, [])]
        for only in technique.get("for", []):
            if only not in indications:
                yield Fault(f"{name}: technique.for", repr(only), f"one of {', '.join(indications)}")
        for hard in technique.get("critical", []):
            if hard not in technique.get("stopped_by", []):
                yield Fault(f"{name}: technique.critical", repr(hard), "one of its stopped_by")
    for hard in table.get("critical", []):
        if hard not in [*table["contraindicated_by"], *table["cautions"]]:
            yield Fault(f"{name}: critical", repr(hard), "one of its contraindicated_by or cautions")
    concepts = {row["concept"] for row in files["terminology.toml"]["value_set"]}
    orders = [table, *table.get("technique", [])]
    for concept in [concept for part in orders for concept in part.get("ordered_by", [])]:
        if concept not in concepts:
            yield Fault(f"{name}: ordered_by", repr(concept), "a concept of terminology.toml")
    for indication in table["indication"]:
        needed = [*indication.get("requires", []), *indication.get("update_requires", [])]
        wanted += [("requirement", c, f"indication {indication['id']}") for c in needed]
        if not needed and not indication.get("when_closed"):
            yield Fault(f"{name}: indication {indication['id']}", "no requirement", "at least one")
        kinds = [files["statements.toml"].get(s, {}).get("kind") for s in indication["statements"]]
        if not indication.get("local") and (needs := INDICATES[indication["edition"]]) not in kinds:
            found = ", ".join(f"{s} ({kind})" for s, kind in zip(indication["statements"], kinds, strict=True))
            yield Fault(f"{name}: indication {indication['id']}.statements", found or "none", f"a {needs} statement")
    for role, criterion, where in wanted:
        if criterion not in criteria.get(role, {}):
            yield Fault(f"{name}: {where}", repr(criterion), f"a [{role}.…] of criteria.toml")
    for caution in table.get("downgraded_by", []):
        if caution not in table["cautions"]:
            yield Fault(f"{name}: downgraded_by", repr(caution), "one of its cautions")
