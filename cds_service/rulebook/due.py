"""List which parts of the knowledge have to be checked again, and by when (review.toml)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.statement import Statement
from cds_service.knowledge.vocabulary import Edition


def due_date(knowledge: Knowledge, statement: Statement) -> date:
    """Return the day by which a statement has to be compared with its source again."""
    last = date.fromisoformat(statement.checked) if statement.checked else knowledge.review.drawn_up
    return _months_later(last, knowledge.review.months[_interval(statement)])


def _interval(statement: Statement) -> str:
    if statement.from_memory or statement.confidence == "low":
        return "from_memory"
    return "review" if statement.edition is Edition.REVIEW else statement.confidence


def _months_later(day: date, months: int) -> date:
    """Return the same day `months` later, or the last day of that month if it is shorter."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    last = (date(year + (month == 11), (month + 1) % 12 + 1, 1) - date(year, month + 1, 1)).days
    return date(year, month + 1, min(day.day, last))


REASONS = {
    "from_memory": "Of low confidence, or partly from memory",
    "moderate": "Later evidence of moderate confidence",
    "high": "Later evidence of high confidence",
    "review": "The review of 2010 (misprints and doubtful figures sooner)",
}


def review_plan(knowledge: Knowledge) -> list[tuple[str, str, str]]:
    """Return (day, what, statements) of the open checks and of the groups of statements, soonest first."""
    found = [(check.due, check.says, check.statements) for check in knowledge.review.open]
    groups: dict[tuple[date, str], list[str]] = {}
    for statement in knowledge.statements.values():
        groups.setdefault((due_date(knowledge, statement), _interval(statement)), []).append(statement.id)
    found += [(day, REASONS[reason], tuple(names)) for (day, reason), names in groups.items()]
    return [(str(day), says, format_ranges(names)) for day, says, names in sorted(found, key=lambda item: item[0])]


def due_list(knowledge: Knowledge, today: date) -> str:
    """Return, as text, what is due on `today`, and what is due next."""
    rows = review_plan(knowledge)
    late = [row for row in rows if date.fromisoformat(row[0]) <= today]
    coming = [row for row in rows if row not in late]
    lines = [f"Due by {today}:" if late else f"Nothing is due by {today}."]
    lines += [_line(row) for row in late]
    if coming:
        lines += ["", "Next:", *(_line(row) for row in coming if row[0] == coming[0][0])]
    return "\n".join(lines)


def _line(row: tuple[str, str, str]) -> str:
    day, says, names = row
    return f"- {day}  {says}{f': {names}' if names else ''}"


def format_ranges(names: tuple[str, ...]) -> str:
    """Return consecutive ids as ranges: S001, S002, S003, S007 → "S001-S003, S007"."""
    return ", ".join(_runs(names))


def _runs(names: tuple[str, ...]) -> Iterator[str]:
    first = last = ""
    for name in [*names, ""]:
        if last and name and name[0] == last[0] and int(name[1:]) == int(last[1:]) + 1:
            last = name
            continue
        if last:
            yield first if first == last else f"{first}, {last}" if int(last[1:]) == int(first[1:]) + 1 else f"{first}-{last}"
        first = last = name
