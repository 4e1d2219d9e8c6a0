"""Facts and findings of a patient as a card shows them: short, with the date, without references."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from cds_service.cards import wording
from cds_service.cards.regimens import MONTHS, format_month
from cds_service.cards.text import Phrase
from cds_service.clinical_picture import Interval, Observed, PartialDate, Value
from cds_service.knowledge.evidence import Publication
from cds_service.knowledge.modality import Criterion
from cds_service.knowledge.model import FactDefinition, Knowledge
from cds_service.knowledge.vocabulary import Edition
from cds_service.reasoning.facts import Fact, Facts, recorded_inputs
from cds_service.reasoning.judgement import Finding, compare_with_limit
from cds_service.reasons import Reason

DAY_WITHOUT_YEAR = timedelta(days=180)
"""A day less than this ago is shown without its year, because it is unambiguous."""


def say_day(on: PartialDate | None, today: date) -> str:
    """Return, for example, "14 Sep", "Jun 2023", "2021" or "undated"."""
    if on is None:
        return "undated"
    month = MONTHS[on.latest.month - 1]
    if on.earliest == on.latest and timedelta(0) <= today - on.latest < DAY_WITHOUT_YEAR:
        return f"{on.latest.day} {month}"
    return format_month(on)


def fact_name(knowledge: Knowledge, name: str) -> str:
    """Return the name of a fact within a line."""
    definition = knowledge.facts[name]
    return definition.short or wording.label_in_sentence(definition.says)


def say_value(definition: FactDefinition, value: Value) -> str:
    """Return, for example, "INR 1.1", "portal vein open" or "3 lesions". A number has the unit of the fact, so that all lines
    of a card agree."""
    if isinstance(value, Interval):
        if str(value) in definition.words:
            return definition.words[str(value)]
        with_unit = wording.format_value(definition, value)
        if not definition.face:
            return f"{definition.short or wording.label_in_sentence(definition.says)} {with_unit}"
        number = wording.format_value(definition, value, unit=False)
        return definition.face.replace("{value}", with_unit).replace("{number}", number)
    if isinstance(value, frozenset):
        said = wording.join_words(definition.words.get(part, part.replace("-", " ")) for part in sorted(value))
        return definition.face.replace("{value}", said) if definition.face else said
    key = str(value).lower() if isinstance(value, bool) else value
    if key in definition.words:
        return definition.words[key]
    label = definition.short or wording.label_in_sentence(definition.says)
    if isinstance(value, bool):
        return label if value else f"no {label}"
    return f"{label} {value.replace('-', ' ')}"


def say_fact(knowledge: Knowledge, name: str, fact: Fact) -> str:
    """Return the text of a known, recorded fact."""
    assert fact.value is not None
    return say_value(knowledge.facts[name], fact.value)


def say_trend(knowledge: Knowledge, name: str, fact: Fact) -> str:
    """Return the text of a known fact and, if it has `trend`, its previous value."""
    said, definition = say_fact(knowledge, name, fact), knowledge.facts[name]
    if not definition.trend or len(fact.history) < 2 or fact.history[1].value == fact.value:
        return said
    return f"{said} (before: {wording.format_value(definition, fact.history[1].value, unit=False)})"


def say_reading(definition: FactDefinition, seen: Observed, today: date) -> str:
    """Return a reading with its day. An undated reading comes with its date of issue."""
    day = say_day(seen.on, today)
    if seen.on is None and seen.issued is not None:
        day = f"undated, no later than {say_day(seen.issued, today)}"
    return f"{say_value(definition, seen.value)} ({day})"


def say_open(facts: Facts, name: str) -> str:
    """Return the name of an unknown fact and, in brackets, why a recorded value was not used."""
    fact, named = facts[name], fact_name(facts.knowledge, name)
    if fact.known or not (fact.seen or fact.unread):
        return named
    if fact.reason is Reason.UNREADABLE or (fact.unread and not fact.seen):
        return f"{named} (unreadable)"
    said = wording.safe_explanation(fact.why)
    return f"{named} ({said})" if said else named


def is_silent_or_unasked(fact: Fact) -> bool:
    """Return whether the chart has no reading of the fact, so that it is "not recorded"."""
    return not fact.known and not fact.seen and not fact.unread


def say_finding(knowledge: Knowledge, finding: Finding) -> str:
    """Return the text of a criterion with the value of this patient: "INR 2.0: correct first, below 1.8". If any of several
    tests is enough, it is the text of one that is met. A drug recorded by name only is marked."""
    criterion = finding.criterion
    by_name = any(seen.reason is Reason.BY_NAME for fact in finding.facts for seen in fact.seen)
    mark = f" ({wording.explain(Reason.BY_NAME)})" if by_name else ""
    for test, fact, text in zip(criterion.tests, finding.facts, criterion.faces, strict=False):
        if compare_with_limit(test, fact) if fact.known else criterion.by_name and fact.by_name:
            return f"{_with_value(knowledge, text, test.fact, fact)}{mark}"
    name = criterion.valued_fact
    valued = next((f for test, f in zip(criterion.tests, finding.facts, strict=True) if test.fact == name), None)
    return f"{_with_value(knowledge, criterion.face, name, valued)}{mark}"


def _with_value(knowledge: Knowledge, text: str, name: str, fact: Fact | None) -> str:
    if "{" not in text or fact is None or fact.value is None:
        return text
    recorded = next((seen.fact for seen in fact.seen if seen.fact in knowledge.facts), "")
    definition = knowledge.facts.get(name) or knowledge.facts[recorded]
    shown = wording.format_value(definition, fact.value)
    if not isinstance(fact.value, Interval):
        shown = definition.words.get(str(fact.value), shown)
    return text.replace("{value}", shown).replace("{number}", wording.format_value(definition, fact.value, unit=False))


def finding_day(finding: Finding, today: date) -> str:
    """Return the day of the values behind a finding; empty if they have several days or no date."""
    days = {seen.on for fact in finding.facts for seen in fact.seen}
    return say_day(next(iter(days)), today) if len(days) == 1 and None not in days else ""


def finding_phrase(knowledge: Knowledge, finding: Finding, today: date | None = None) -> Phrase:
    """Return a caution, a stop or a contraindication with its source and, with `today`, its day."""
    text = say_finding(knowledge, finding)
    if today is not None and (day := finding_day(finding, today)):
        text = f"{text} ({day})"
    return Phrase(text, criterion_sources(knowledge, finding.criterion))


def criterion_sources(knowledge: Knowledge, criterion: Criterion) -> tuple[Publication, ...]:
    """Return the first publications of a criterion, as many as its `cited` says."""
    return statement_sources(knowledge, *criterion.statements)[: criterion.cited]


def statement_sources(knowledge: Knowledge, *names: str) -> tuple[Publication, ...]:
    """Return the publications that a card cites for statements, each once. A statement without a publication has none."""
    return tuple(dict.fromkeys(part for name in names if (part := _statement_source(knowledge, name)) is not None))


def _statement_source(knowledge: Knowledge, name: str) -> Publication | None:
    """Return the first publication of a statement. For a single study that the review reports, return that study instead."""
    statement = knowledge.statements[name]
    names = statement.publications
    if not names:
        return None
    single = statement.edition is Edition.REVIEW and statement.kind == "RESULT" and len(names) == 2
    return knowledge.publications[names[1] if single else names[0]]


def known_inputs(facts: Facts, findings: Iterable[Finding]) -> list[str]:
    """Return the known recorded facts on which findings rest, in the order of the findings."""
    names: dict[str, None] = {}
    for finding in findings:
        for test in finding.criterion.tests:
            inputs = recorded_inputs(facts.knowledge, test.fact)
            for name in facts.knowledge.facts:
                if name in inputs and facts[name].known:
                    names.setdefault(name)
    return list(names)


def shorten_list(names: Sequence[str], most: int) -> str:
    """Return, for example, "a, b and 3 more"."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def foot(knowledge: Knowledge) -> str:
    """Return the last line of a card: what it is for, and whether its knowledge is signed."""
    verified = "Signed by the site" if knowledge.signed else "Not clinically verified"
    return f"For a tumour board, never an instruction. {verified} (knowledge {knowledge.digest[:8]})."
