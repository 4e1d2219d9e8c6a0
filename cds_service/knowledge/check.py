"""Check the references between the knowledge files, which the schema of a single file cannot see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from cds_service.errors import Fault
from cds_service.knowledge import check_faces, check_sources, check_terminology
from cds_service.knowledge.drugs import PRODUCTS, table_faults
from cds_service.knowledge.orders import order_faults
from cds_service.knowledge.shape import unknown_name
from cds_service.knowledge.statement import DECIDING_KINDS, RULES_OUT
from cds_service.knowledge.vocabulary import Edition

INDICATES = {Edition.REVIEW: "RULE", Edition.UPDATE: "LATER"}
"""Edition → the kind of statement that an indication of it has to cite (docs/knowledge.md, "Ground rules")."""

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
    "names": NUMBERS | {"code", "codes", "boolean"},
    "options": {"code", "codes"},
    "vague": {"code"},
    "vague_answers": {"code"},
    "diagnosis_stands": {"code"},
    "adverse": {"code", "boolean"},
    "window_days": {"quantity", "integer", "boolean", "code", "codes", "presence"},
    "imaging": {"quantity", "integer", "boolean", "code"},
}
"""Key of a fact → the kinds of fact for which the program reads the key."""
SOURCES_OF = {
    "uses": {"Condition", "Procedure"},
    "active": {"Medication"},
    "every_entry_read": {"Procedure"},
}
"""Key of a fact → the resource types (`from`) of a presence fact for which the program reads the key. Elsewhere the key
would be ignored silently, so it is an error."""

PASSED_OVER = frozenset({"ecog-3-or-worse", "transplanted-liver"})
"""Criteria other than cautions that may count as not met when unknown, because the card reports the gap: an unknown ECOG
is a caution, an unknown graft is listed as "not checked" (docs/knowledge.md, "What silence means")."""

Tables = Mapping[str, Any]


def cross_references(files: Mapping[str, Tables], modalities: Iterable[str], already_reported: bool) -> list[Fault]:
    """Return the faults of every check that can run on the files that could be read.

    `already_reported`: a fault within a file is reported already. Then a check that ends with a KeyError, TypeError,
    AttributeError or ValueError is skipped; otherwise the exception is raised.
    """
    checks = [
        _facts,
        _units,
        _local,
        _criteria,
        _by_name,
        table_faults,
        order_faults,
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
"""An entry of a list of facts that stands for every fact with `ask = "laboratory"`, so that a new one needs no entry."""

BOARD_LINES = ("disease", "liver", "patient", "laboratory", "done", "spare")
"""The lists of board.toml."""


def with_laboratory(names: Iterable[str], facts: Mapping[str, Tables]) -> list[str]:
    """Return the facts of a list, with the entry `laboratory` replaced by the laboratory facts of `facts`."""
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
                yield unknown_name(f"{where}.concepts", concept, "a concept of terminology.toml or drug_products.csv", concepts)
        if table["kind"] == "presence" and "from" not in table:
            yield Fault(f"{where}.from", "is required in a fact of kind presence: Condition, Procedure or Medication")
        if table["kind"] in {"quantity", "integer"} and table.get("unit") not in table.get("units", {}):
            yield Fault.wrong(f"{where}.unit", repr(table.get("unit", "")), "one of the keys of units")
        yield from _ignored_keys(files, where, table)
        if table["kind"] in {"presence", "person"} and table["ask"] != "never":
            yield Fault.wrong(f"{where}.ask", repr(table["ask"]), f"'never' in a fact of kind {table['kind']}")
    codes: dict[str, str] = {}
    for name, table in facts.items():
        for code in table.get("assessment", []):
            if code in codes:
                yield Fault(f"facts.toml: fact.{name}.assessment", f"repeats {code!r}, which fact.{codes[code]} has")
            codes[code] = name
    for name in files["facts.toml"]["missing_order"]:
        if name not in facts:
            yield unknown_name("facts.toml: missing_order", name, "a fact of facts.toml", facts)
    board = files["board.toml"]
    for name in [
        *with_laboratory((name for line in BOARD_LINES for name in board[line]), facts),
        *(fact for question in board["question"] for fact in question["facts"]),
    ]:
        if name not in facts:
            yield unknown_name("board.toml", name, "a fact of facts.toml", facts)
    for name, table in derived.items():
        if name in facts:
            yield Fault(f"derived.toml: {name}", "has the name of a fact of facts.toml; it needs another")
        for read in table["reads"]:
            if read not in facts and read not in derived:
                yield unknown_name(
                    f"derived.toml: {name}.reads", read, "a fact of facts.toml or derived.toml", [*facts, *derived]
                )
        for silent in table.get("settled_by_silence", []):
            if silent not in table["reads"]:
                yield unknown_name(f"derived.toml: {name}.settled_by_silence", silent, "one of its reads", table["reads"])
    for row in files["terminology.toml"]["value_set"]:
        if row["system"] not in systems:
            yield unknown_name(f"terminology.toml: {row['concept']}.system", row["system"], "a key of [systems]", systems)


def _ignored_keys(files: Mapping[str, Tables], where: str, table: Tables) -> Iterator[Fault]:
    """Yield the keys that the program would ignore in a fact of this kind."""
    for key, kinds in KINDS_OF.items():
        if key in table and table["kind"] not in kinds:
            kinds_allowed = ", ".join(sorted(kinds))
            yield Fault(f"{where}.{key}", f"is not allowed in a fact of kind {table['kind']}, only in {kinds_allowed}")
    source = table.get("from")
    for key, sources in SOURCES_OF.items():
        if key in table and source not in sources:
            yield Fault(f"{where}.{key}", f"is not allowed in a fact from {source}, only from {', '.join(sorted(sources))}")
    window = table.get("window_days")
    if table.get("choose") == "highest" and (window or table.get("conflict")):
        yield Fault(
            f"{where}.choose", "is 'highest', which compares every value, so window_days and conflict are not allowed beside it"
        )
    if table.get("imaging") and (window or 0) <= files["facts.toml"]["imaging_window_in_g3_and_nec_days"]:
        strict = files["facts.toml"]["imaging_window_in_g3_and_nec_days"]
        yield Fault(f"{where}.imaging", f"needs window_days above {strict}, the window of G3 and NEC; it is {window}")


def _units(files: Mapping[str, Tables]) -> Iterator[Fault]:
    """Yield spellings that mean two units or are rejected too, and units with spellings that no fact accepts."""
    accepted = {unit for table in files["facts.toml"]["fact"].values() for unit in table.get("units", {})}
    meant: dict[str, str] = {}
    for unit, spellings in files["units.toml"]["alias"].items():
        if unit not in accepted:
            yield Fault(f"units.toml: alias.{unit}", "is not a unit of facts.toml")
        for spelling in spellings:
            other = meant.setdefault(spelling, unit)
            if other != unit or spelling in accepted or spelling in files["units.toml"]["refused"]:
                yield Fault(f"units.toml: alias.{unit}", f"lists {spelling!r}, which already means {other} or is in [refused]")


def _local(files: Mapping[str, Tables]) -> Iterator[Fault]:
    """Yield bounds of local.toml on anything that is not a local convention, or that exclude the shipped number."""
    facts, criteria = files["facts.toml"]["fact"], files["criteria.toml"]
    for part in files["local.toml"]["window"]:
        for name in with_laboratory(part["facts"], facts):
            days = facts.get(name, {}).get("window_days")
            if days is None or facts[name]["kind"] == "presence" or not part["at_least"] <= days <= part["at_most"]:
                problem = "which is not a fact with window_days within the bounds, of a kind other than presence"
                yield Fault("local.toml: window.facts", f"names {name!r}, {problem}")
    for part in files["local.toml"]["limit"]:
        role, _, name = part["criterion"].partition(".")
        table = criteria.get(role, {}).get(name, {})
        limit = next((table[how] for how in ("at_most", "at_least", "below", "above") if how in table), None)
        if not table.get("local") or limit is None or not part["at_least"] <= limit <= part["at_most"]:
            expected = "a criterion with local = true and a limit within the bounds"
            yield unknown_name("local.toml: limit.criterion", part["criterion"], expected)


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
                    yield unknown_name(f"{where}.fact", fact, "a fact of facts.toml or derived.toml", [*facts, *derived])
                options = facts.get(fact, {}).get("options")
                wanted = part.get("one_of") or ([part["is"]] if isinstance(part.get("is"), str) else [])
                for value in wanted:
                    if options is not None and value not in options:
                        yield Fault.wrong(where, repr(value), f"one of {', '.join(options)}")
            if table.get("if_unknown") == "not-met" and role not in {"caution"} and name not in PASSED_OVER:
                allowed = ", ".join(sorted(PASSED_OVER))
                yield Fault(f"{where}.if_unknown", f"may be not-met only in a caution and in {allowed}")
            if role in {"contraindication", "exclusion", "requirement"}:
                yield from _deciding(files, role, where, table)
            if not table["statements"] and not table.get("local"):
                yield Fault(f"{where}.statements", "must name a statement, or the criterion have local = true")


def _by_name(files: Mapping[str, Tables]) -> Iterator[Fault]:
    """Yield criteria that may not have `by_name`, which counts a drug that is known by its name only.

    Such a drug may count against a technique or be a caution of a modality. It never makes a contraindication of a modality,
    an indication or an option.
    """
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
                yield Fault(where, "is allowed only in a caution, or in stopped_by or cautions of a technique")
            parts = _comparisons(table)
            drugs = [part for part in parts if facts.get(part["fact"], {}).get("from") == "Medication"]
            if not drugs or any(part.get("is") is not True for part in drugs) or "all_of" in table:
                yield Fault(
                    where, "is allowed only if each test is `is = true`, any_of is the only combination, and one is a drug"
                )


def _deciding(files: Mapping[str, Tables], role: str, where: str, table: Tables) -> Iterator[Fault]:
    """Yield a deciding criterion, not local, that cites no statement of a deciding kind and at least moderate confidence."""
    if table.get("local"):
        return
    found = [files["statements.toml"].get(name) for name in table["statements"]]
    firm = role in RULES_OUT
    if not any(
        s and s["kind"] in DECIDING_KINDS and s["confidence"] != "low" and not (firm and "from_memory" in s) for s in found
    ):
        names = ", ".join(f"{name} ({s['kind']})" if s else name for name, s in zip(table["statements"], found, strict=True))
        needed = "a RULE, LIMIT or LATER statement that is not of low confidence" + (" or from memory" if firm else "")
        yield Fault(f"{where}.statements", f"must have {needed}; it has {names or 'none'}")


def _modality(files: Mapping[str, Tables], name: str, expected: str) -> Iterator[Fault]:
    table, criteria = files[name], files["criteria.toml"]
    if table["id"] != expected:
        yield Fault.wrong(f"{name}: id", repr(table["id"]), repr(expected))
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
                yield unknown_name(f"{name}: excluded_by.only", only, f"one of {', '.join(indications)}")
    for technique in table.get("technique", []):
        for key in ("when", "stopped_by", "cautions"):
            wanted += [("technique", c, f"technique {technique['says'][:30]}") for c in technique.get(key, [])]
        for only in technique.get("for", []):
            if only not in indications:
                yield unknown_name(f"{name}: technique.for", only, f"one of {', '.join(indications)}")
        for hard in technique.get("critical", []):
            if hard not in technique.get("stopped_by", []):
                yield unknown_name(f"{name}: technique.critical", hard, "in stopped_by of this technique")
    for hard in table.get("critical", []):
        if hard not in [*table["contraindicated_by"], *table["cautions"]]:
            yield unknown_name(f"{name}: critical", hard, "in contraindicated_by or cautions of this file")
    concepts = {row["concept"] for row in files["terminology.toml"]["value_set"]}
    orders = [table, *table.get("technique", [])]
    for concept in [concept for part in orders for concept in part.get("ordered_by", [])]:
        if concept not in concepts:
            yield unknown_name(f"{name}: ordered_by", concept, "a concept of terminology.toml", concepts)
    for indication in table["indication"]:
        needed = [*indication.get("requires", []), *indication.get("update_requires", [])]
        wanted += [("requirement", c, f"indication {indication['id']}") for c in needed]
        if not needed and not indication.get("when_closed"):
            yield Fault(f"{name}: indication {indication['id']}", "must have requires, update_requires or when_closed")
        kinds = [files["statements.toml"].get(s, {}).get("kind") for s in indication["statements"]]
        if not indication.get("local") and (needs := INDICATES[indication["edition"]]) not in kinds:
            found = ", ".join(f"{s} ({kind})" for s, kind in zip(indication["statements"], kinds, strict=True))
            where = f"{name}: indication {indication['id']}.statements"
            yield Fault(where, f"must have a {needs} statement; it has {found or 'none'}")
    for role, criterion, where in wanted:
        if criterion not in criteria.get(role, {}):
            yield unknown_name(f"{name}: {where}", criterion, f"a [{role}.…] of criteria.toml", criteria.get(role, {}))
    for caution in table.get("downgraded_by", []):
        if caution not in table["cautions"]:
            yield unknown_name(f"{name}: downgraded_by", caution, "in cautions of this file")
