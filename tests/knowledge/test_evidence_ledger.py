"""The ledger of November 2026 (docs/ledger-2026-11.csv) lists every statement and every row of the evidence that was re-read,
with its result: changed and where, entered as a statement, or unchanged and why."""

from __future__ import annotations

import csv
import re
from collections import Counter
from functools import cache

from cds_service import knowledge
from tests.conftest import PROOF, ROOT, Record

FOLDER = ROOT / "cds_service/knowledge"


@cache
def ledger() -> list[dict[str, str]]:
    return list(csv.DictReader((ROOT / "docs/ledger-2026-11.csv").read_text("utf-8").splitlines()))


def review() -> list[dict[str, str]]:
    return list(csv.DictReader((ROOT / "tests/data/evidence_review_2026-11.csv").read_text("utf-8").splitlines()))


def test_the_ledger_holds_every_statement_and_every_row_of_the_review_once(record_property: Record) -> None:
    statements = [row["id"] for row in ledger() if row["list"] == "statement"]
    assert sorted(statements) == sorted(knowledge.load().statements)
    assert {f"S{n:03}" for n in range(1, 104)} | {f"M{n:03}" for n in range(1, 86)} <= set(statements)
    assert sorted(row["id"] for row in ledger() if row["list"] == "review") == sorted(row["id"] for row in review())
    counts = Counter((row["list"], row["what"]) for row in ledger())
    record_property(PROOF, "ledger: " + ", ".join(f"{name} {what} {count}" for (name, what), count in sorted(counts.items())))


def test_what_changed_is_found_at_one_line_and_what_did_not_has_its_reason() -> None:
    for row in ledger():
        assert row["why"], row
        assert bool(row["where"]) or row["what"] in {"unchanged", "not entered"}, row
        for place in filter(None, row["where"].split("; ")):
            file, table = place.split(" ", 1)
            lines = (FOLDER / file).read_text("utf-8").splitlines()
            assert lines.count(table) == 1, place


def test_a_row_that_was_confirmed_or_corrected_carries_the_day_it_was_compared() -> None:
    """If the review only searched and found nothing, the day of the last comparison stays."""
    statements = knowledge.load().statements
    for row in review():
        if row["id"].startswith("NEW"):
            continue
        seen = not re.match("still|not re-checked|superseded", row["verdict"])
        assert (statements[row["id"]].checked == "2026-11-30") == seen, (row["id"], row["verdict"])


def test_a_mark_from_memory_goes_only_where_the_text_was_seen() -> None:
    """Rows whose text was not seen keep their day."""
    statements = knowledge.load().statements
    for row in review():
        if row["verdict"].startswith("still unverified"):
            assert statements[row["id"]].from_memory, row["id"]
    for name in ("M057", "M059"):
        assert not statements[name].from_memory


def test_a_regulatory_status_has_its_jurisdiction_and_date() -> None:
    found = {s.id: s.regulatory for s in knowledge.load().statements.values() if s.regulatory}
    assert {"M055", "M056", "M061", "M065", "M066", "M088", "M090", "M091"} == set(found)
    assert {(part.jurisdiction, part.on) for part in found["M061"]} == {("US", "2025-03-26"), ("EU", "2025-07-24")}
    for statement in knowledge.load().statements.values():
        assert statement.regulatory or not re.search(r"FDA approval|\bapproved in\b", f"{statement.says} {statement.numbers}")
