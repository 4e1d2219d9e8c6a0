"""The chapters on calculations, limits, windows, silence and local choices."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

import msgspec

from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.overlay import Bounds
from cds_service.knowledge.vocabulary import FactKind
from cds_service.rulebook.blocks import Section, Text, bullet_block, table_block
from cds_service.rulebook.prose import chapter, load_prose, text
from cds_service.rulebook.words import capitalize, comparison_text, criterion_text, source_list

ROLE = {
    "gate": "gate", "contraindication": "contraindicates", "exclusion": "excludes", "requirement": "indication needs it",
    "caution": "caution only", "technique": "option only",
}  # fmt: skip
LINE = re.compile(r"(?<=[.;]) (?=(?:Absent|Possible|Yes|No|Else|Everything else|Open|Where)\b)")


def calculations_section(knowledge: Knowledge) -> Section:
    """Return the chapter on calculated facts: how each is made, and from which facts."""
    rows = (
        (f"**{capitalize(derived.says)}**†", _how(derived.how), _reads(knowledge, name))
        for name, derived in knowledge.derived.items()
    )
    return chapter("calculations", *table_block("Calculated fact|How|From", rows, (20, 55, 25)))


def _how(how: str) -> str:
    """Return the text with a line each for what makes it so, what denies it and what leaves it open."""
    return LINE.sub("\n", how)


def _reads(knowledge: Knowledge, name: str) -> str:
    return "; ".join(
        f"{knowledge.derived[read].says}†" if read in knowledge.derived else knowledge.facts[read].says
        for read in knowledge.derived[name].reads
    )


def limits_section(knowledge: Knowledge) -> Section:
    """Return the chapter with every number that is compared with a value of a chart."""
    return chapter(
        "limits",
        *table_block("Limit|What it does|Sources", _limits_of_criteria(knowledge), (45, 30, 25)),
        Text(text("limits", "scores")),
        *table_block("Calculation|Numbers|Sources", _limits_of_scores(knowledge), (25, 50, 25)),
    )


def _limits_of_criteria(knowledge: Knowledge) -> Iterator[tuple[str, str, str]]:
    for key, criterion in knowledge.criteria.items():
        source = source_list(knowledge, criterion.statements, criterion.local)
        for test in criterion.tests:
            if isinstance(test.limit, Decimal):
                yield comparison_text(knowledge, test), f"{ROLE[key.split('.')[0]]}: {criterion.id}", source


def _limits_of_scores(knowledge: Knowledge) -> Iterator[tuple[str, str, str]]:
    for part, content in msgspec.to_builtins(knowledge.scores).items():
        source = source_list(knowledge, content.get("statements", ()), content.get("local", False)) or content.get(
            "citation", ""
        )
        skipped = {"statements", "local", "citation", "fact"}
        numbers = "; ".join(_told(key, value) for key, value in content.items() if key not in skipped)
        yield f"**{_score_name(part)}**", numbers, source


def _score_name(key: str) -> str:
    words: dict[str, str] = load_prose()["scores"]
    return words.get(key, key.replace("_", " "))


def _told(key: str, value: object) -> str:
    if isinstance(value, dict):
        return f"{_score_name(key)}: {', '.join(_told(inner, number) for inner, number in value.items())}"
    return f"{_score_name(key)} {value}"


def windows_section(knowledge: Knowledge) -> Section:
    """Return the chapter on windows: after how many days each fact is out of date."""
    by_days: dict[int | None, list[str]] = {}
    for fact in knowledge.facts.values():
        if fact.kind is not FactKind.PERSON:
            mark = "*" if fact.imaging else ""
            by_days.setdefault(fact.window_days, []).append(f"{fact.says}{mark}")
    ordered = sorted(by_days.items(), key=lambda item: item[0] or 100_000)
    rows = ((f"{days} days" if days else "no limit", "; ".join(names)) for days, names in ordered)
    imaging = text("windows", "imaging", days=knowledge.strict_imaging_days)
    laboratory = text("windows", "laboratory", days=knowledge.laboratory_days_with_order)
    return chapter("windows", *table_block("Window|Facts", rows, (15, 85)), *bullet_block([imaging, laboratory]))


def silence_section(knowledge: Knowledge) -> Section:
    """Return the chapter on silence: what it means if a chart has nothing on a fact."""
    deciding = [
        criterion
        for key, criterion in knowledge.criteria.items()
        if not key.startswith(("caution.", "technique."))
        and not any(test.fact in knowledge.derived for test in criterion.tests)
    ]
    settled = [
        f"{derived.says}†: {', '.join(_fact(knowledge, name) for name in derived.settled_by_silence)}"
        for derived in knowledge.derived.values()
        if derived.settled_by_silence
    ]
    told = {
        "open": [c.says for c in deciding if not c.silent_is_not_met],
        "not_met": [c.says for c in deciding if c.silent_is_not_met],
        "unknown": [c.says for c in deciding if c.unknown_is_not_met],
        "settled": settled,
        "complete": [f.says for f in knowledge.facts.values() if f.every_entry_read or f.source == "Medication"],
        "by_name": [criterion.says for criterion in knowledge.criteria.values() if criterion.by_name],
    }
    lines = [text("silence", key, names="; ".join(dict.fromkeys(names))) for key, names in told.items() if names]
    return chapter("silence", *bullet_block([*lines, text("silence", "calculated")]))


def _fact(knowledge: Knowledge, name: str) -> str:
    return knowledge.facts[name].says if name in knowledge.facts else knowledge.derived[name].says


def local_choices_section(knowledge: Knowledge) -> Section:
    """Return the chapter on conventions without a source (docs/knowledge.md, "Ground rules")."""
    criteria = [f"{criterion_text(c)}: {ROLE[key.split('.')[0]]}" for key, c in knowledge.criteria.items() if c.local]
    indications = [f"**{i.id}** {i.says}" for modality in knowledge.modalities for i in modality.indications if i.local]
    scores = [
        f"{_score_name(part)}: "
        + "; ".join(_told(key, value) for key, value in content.items() if key not in {"local", "statements"})
        for part, content in msgspec.to_builtins(knowledge.scores).items()
        if content.get("local")
    ]
    return chapter(
        "local",
        *bullet_block([*criteria, *indications, *scores, *load_prose()["local"]["others"]]),
        Text(text("local", "bounds")),
        *table_block("What a site may set|From|To|Why no further", _bounds(knowledge), (45, 10, 10, 35)),
    )


def _bounds(knowledge: Knowledge) -> Iterator[tuple[str, str, str, str]]:
    """Yield the bounds of local.toml: a row for each limit, and one for all windows with the same bounds and reason."""
    for key, bounds in knowledge.limit_bounds.items():
        criterion = knowledge.criteria[key]
        yield f"**{criterion.says}** ({criterion.id})", str(bounds.at_least), str(bounds.at_most), bounds.reason
    windows: dict[Bounds, list[str]] = {}
    for name, bounds in knowledge.window_bounds.items():
        windows.setdefault(bounds, []).append(knowledge.facts[name].says)
    for bounds, names in windows.items():
        yield f"**Window** of {'; '.join(names)}", f"{bounds.at_least} days", f"{bounds.at_most} days", bounds.reason
