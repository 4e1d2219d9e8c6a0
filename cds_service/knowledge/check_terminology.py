"""Check for codes that may not decide, and for codes that would decide twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from cds_service.errors import Fault
from cds_service.knowledge.shape import unknown_name
from cds_service.knowledge.terminology import Use

DECIDING_ROLES = ("gate", "contraindication", "exclusion", "requirement")

Tables = Mapping[str, Any]


class HeldCode(NamedTuple):
    """A code of the knowledge files, and the path of the table that has it."""

    where: str
    system: str
    code: str


def _refused(files: Mapping[str, Tables]) -> Iterator[Fault]:
    """Yield the codes that [refused] of terminology.toml lists as wrong."""
    terms = files["terminology.toml"]
    refused = {(system, code): why for system, codes in terms["refused"].items() for code, why in codes.items()}
    held = [
        HeldCode(f"terminology.toml: {r['concept']}.codes", r["system"], code)
        for r in terms["value_set"]
        for code in r["codes"]
    ]
    for fact, values in files["coded_values.toml"].items():
        if fact != "portal_drained":
            held += [
                HeldCode(f"coded_values.toml: {fact}.{value}", system, code)
                for value, systems in values.items()
                for system, codes in systems.items()
                for code in codes
            ]
    for where, system, code in held:
        if why := refused.get((system, code)):
            yield Fault(where, f"has {system} {code!r}, which [refused] of terminology.toml rejects: {why}")


def _uses(files: Mapping[str, Tables]) -> Iterator[Fault]:
    """Yield facts with a `use` that may not state a fact or that no code has, and deciding criteria on codes that only ask."""
    facts, rows = files["facts.toml"]["fact"], files["terminology.toml"]["value_set"]
    for name, fact in facts.items():
        offered = {row["use"] for row in rows if row["concept"] in fact.get("concepts", [])}
        for use in fact.get("uses", []):
            if not Use(use).may_state_a_fact:
                yield unknown_name(f"facts.toml: fact.{name}.uses", use, "a use that decides or asks")
            elif use not in offered:
                yield unknown_name(f"facts.toml: fact.{name}.uses", use, f"one of {', '.join(sorted(offered))}")
    for role in DECIDING_ROLES:
        for name, criterion in files["criteria.toml"].get(role, {}).items():
            for part in criterion.get("all_of") or criterion.get("any_of") or [criterion]:
                uses = facts.get(part.get("fact"), {}).get("uses", [Use.DECIDES])
                if not any(Use(use).decides for use in uses):
                    found = f"a fact whose codes may decide (its uses: {', '.join(uses)})"
                    yield unknown_name(f"criteria.toml: {role}.{name}.fact", part["fact"], found)


def _twice(files: Mapping[str, Tables]) -> Iterator[Fault]:
    seen: dict[tuple[str, str, str], str] = {}
    for row in files["terminology.toml"]["value_set"]:
        for code in row["codes"]:
            key = (row["concept"], row["system"], code.replace(".", ""))
            if key in seen:
                where = f"terminology.toml: {row['concept']}.codes"
                yield Fault(where, f"has {row['system']} {code!r} twice (use {seen[key]} and {row['use']})")
            seen[key] = row["use"]


CHECKS: tuple[Callable[[Mapping[str, Tables]], Iterator[Fault]], ...] = (_refused, _uses, _twice)
