"""Check that every criterion and fact that a card may have to mention has words for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cds_service.errors import Fault
from cds_service.knowledge.numbers import placeholders
from cds_service.knowledge.shape import unknown_name

Tables = Mapping[str, Any]

LIFTED = frozenset({"gate", "contraindication", "exclusion"})
"""Roles that rule a treatment out, so that the card has to say what would change it (`lift`)."""
NUMBERS = frozenset({"quantity", "integer", "person"})
YES_OR_NO = frozenset({"boolean", "presence"})
NUMERIC = frozenset({"at_most", "at_least", "below", "above"})


def _criteria(files: Mapping[str, Tables]) -> Iterator[Fault]:
    lifted = _lifted(files)
    for role, tables in files["criteria.toml"].items():
        for name, table in tables.items():
            where = f"criteria.toml: {role}.{name}"
            if "face" not in table and "faces" not in table:
                yield Fault(f"{where}.face", "or faces is required: the card text for a patient who meets the criterion")
            if "faces" in table and len(table["faces"]) != len(table.get("any_of", ())):
                yield Fault(f"{where}.faces", f"must have one text for each test of any_of; it has {len(table['faces'])}")
            if (role in LIFTED or f"{role}.{name}" in lifted) and "lift" not in table:
                yield Fault(f"{where}.lift", "is required: what would change the result")
            yield from _values(files["facts.toml"]["fact"], where, table)


def _lifted(files: Mapping[str, Tables]) -> set[str]:
    """Return the keys (`role.name`) of the criteria that stop a technique and of the cautions that lower a verdict."""
    found = set()
    for modality in (table for name, table in files.items() if name.startswith("modalities/")):
        found |= {f"caution.{name}" for name in modality.get("downgraded_by", ())}
        found |= {f"technique.{name}" for t in modality.get("technique", ()) for name in t.get("stopped_by", ())}
    return found


def _values(facts: Tables, where: str, table: Tables) -> Iterator[Fault]:
    """Yield placeholders of a value whose fact has neither a number nor words for every answer that meets the test."""
    tests = table.get("any_of") or table.get("all_of") or ([table] if "fact" in table else [])
    valued = next((test for test in tests if test.keys() & NUMERIC), tests[0] if tests else {})
    said = list(zip(table["faces"], tests, strict=False)) if "faces" in table else [(table.get("face", ""), valued)]
    for text, test in said:
        wanted = {"value", "number"} & set(placeholders(text))
        fact = facts.get(test.get("fact", ""))
        if not wanted or (test and fact is None):  # a calculated fact: its answers are not listed anywhere
            continue
        if fact is None or (fact["kind"] not in NUMBERS and "number" in wanted):
            yield Fault(f"{where}.face", f"must not use {{{min(wanted)}}}, as its test has no number")
        elif fact["kind"] not in NUMBERS:
            answers = test.get("one_of", [test["is"]] if isinstance(test.get("is"), str) else [])
            for answer in answers:
                if answer not in fact.get("words", {}):
                    yield Fault(f"facts.toml: fact.{test['fact']}.words", f"needs an entry for {answer}, which {where} uses")


def _facts(files: Mapping[str, Tables]) -> Iterator[Fault]:
    facts = files["facts.toml"]["fact"]
    for name, table in facts.items():
        where, words = f"facts.toml: fact.{name}", table.get("words", {})
        if "face" in table and table["kind"] not in NUMBERS:
            yield Fault(f"{where}.face", f"is not allowed in a fact of kind {table['kind']}; use words")
        if "face" in table and not {"value", "number"} & set(placeholders(table["face"])):
            yield Fault(f"{where}.face", f"must have {{value}} or {{number}}; it is {table['face']!r}")
        if table["kind"] in NUMBERS:
            continue
        answers = ["true", "false"] if table["kind"] in YES_OR_NO else table.get("options", [])
        for answer in words:
            if answer not in answers:
                yield unknown_name(f"{where}.words", answer, f"one of {', '.join(answers)}")
        for answer in answers if words else ():
            if answer not in words:
                yield Fault(f"{where}.words", f"must have every answer; {answer} is missing")


def _board(files: Mapping[str, Tables]) -> Iterator[Fault]:
    """Yield facts without words that a line of the overview may show."""
    facts = files["facts.toml"]["fact"]
    lines = [names for line, names in files["board.toml"].items() if line != "question"]
    shown = {name for names in lines for name in names}
    for name, table in facts.items():
        listed = name in shown or table["ask"] == "laboratory"
        if listed and not table.get("face") and not table.get("words"):
            yield Fault(f"facts.toml: fact.{name}", "must have face or words, as the overview shows it")


def _untried(files: Mapping[str, Tables]) -> Iterator[Fault]:
    """Yield names in `untried` that are neither a fact nor a modality, and so cannot show that a treatment was tried."""
    facts = files["facts.toml"]["fact"].keys()
    modalities = {name: table for name, table in files.items() if name.startswith("modalities/")}
    ids = {table["id"] for table in modalities.values()}
    for name, table in modalities.items():
        for technique in table.get("technique", ()):
            for what, records in technique.get("untried", {}).items():
                for record in (r for r in records if r not in facts | ids):
                    yield unknown_name(f"{name}: technique.untried.{what}", record, "a fact or the id of a modality")


CHECKS = (_criteria, _facts, _board, _untried)
