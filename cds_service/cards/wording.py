"""Facts, findings and verdicts in clinical wording, as Markdown. Only dates, references and values in the vocabulary of the
knowledge are taken from a chart. Recorded text is stripped to letters, digits and plain punctuation."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from decimal import Decimal
from importlib import resources
from typing import NamedTuple

from cds_service.clinical_picture import Interval, LeftOut, NotConsulted, Observed, Omission, Value, format_decimal
from cds_service.knowledge.modality import Verdict
from cds_service.knowledge.model import FactDefinition, Knowledge
from cds_service.reasoning.facts import Fact
from cds_service.reasons import Explanation, Reason

VERDICT_WORDS = {
    Verdict.RECOMMENDED: "criteria met, recommended",
    Verdict.CONSIDER: "consider",
    Verdict.CONTRAINDICATED: "contraindicated",
    Verdict.NOT_INDICATED: "not indicated",
    Verdict.UNDETERMINED: "cannot be said",
}
OMISSION = {
    Omission.SENT_TWICE: "sent twice",
    Omission.OLDER_VERSION: "older version",
    Omission.VERSION_IN_ERROR: "version entered in error",
    Omission.TYPE_NOT_READ: "type not read",
    Omission.NO_RESOURCE_TYPE: "no resourceType",
    Omission.NO_SUBJECT: "no subject",
    Omission.MERGED_PATIENT: "record merged with this patient's",
    Omission.OTHER_PATIENT: "other patient",
    Omission.NOT_WANTED: "{0.resource_type} not wanted",
    Omission.NOT_COUNTING: "{0.resource_type} {0.status}",
    Omission.REFUTED: "{0.resource_type} refuted or entered in error",
    Omission.NOT_FINAL: "{0.resource_type} not final",
    Omission.NOT_AVAILABLE: "{0.resource_type} not available",
}
UNSAFE = re.compile(r"[^\w\s.,:;()%/+\-=×µ°²³?']|[_\u115f\u1160\u3164\uffa0]")
"""The last four are Hangul fillers, which count as letters but are invisible."""
LINK = re.compile(r"(?<=/)(?=/)|(?<=\bwww\.)(?=\w)|(?<=\w\.)(?=[^\W\d]{2})", re.IGNORECASE)
"""Positions where a space is inserted, so that a renderer makes no link of an address: "//", "www.", "a.example"."""
MAX_RECORDED_CHARS, MAX_SCANNED_CHARS = 80, 500


def _read_words() -> dict[Reason, str]:
    """Return the text of every reason. Raises KeyError if one is missing in reasons.toml."""
    words = tomllib.loads((resources.files("cds_service.cards") / "reasons.toml").read_text("utf-8"))["why"]
    return {reason: words[reason.value] for reason in Reason}


WORDS = _read_words()
"""Loaded on import, in the gunicorn master, so that a new worker reads no file."""


class ReasonKey(NamedTuple):
    """An explanation as a hashable key. Two keys are equal if reason and details are, whatever their text is."""

    reason: Reason
    details: tuple[tuple[str, str | Reason | ReasonKey], ...]
    """Name and value of each detail, sorted by name."""


def explain(explanation: Explanation | Reason | ReasonKey) -> str:
    """Return an explanation as text. It may contain unchecked text from a chart, so cards pass it through `safe_text`."""
    match explanation:
        case Reason():
            return WORDS[explanation]
        case Explanation():
            return explain(reason_key(explanation))
        case ReasonKey():
            parts = explanation.details
            details = {name: explain(part) if isinstance(part, Reason | ReasonKey) else part for name, part in parts}
            return WORDS[explanation.reason].format_map(details)


def reason_key(explanation: Explanation, numbers: str = "") -> ReasonKey:
    """Return the key of an explanation. `numbers` replaces each number of a detail, for reports that must not contain counts;
    empty: numbers are kept."""
    details = explanation.details
    return ReasonKey(explanation.reason, tuple((name, _detail_key(details[name], numbers)) for name in sorted(details)))


def _detail_key(detail: object, numbers: str) -> str | Reason | ReasonKey:
    match detail:
        case Reason():
            return detail
        case Explanation():
            return reason_key(detail, numbers)
    return re.sub(r"\d+", numbers, str(detail)) if numbers else str(detail)


def safe_explanation(explanation: Explanation | None) -> str:
    """Return the text of an explanation for a card; empty without one."""
    return safe_text(explain(explanation)) if explanation is not None else ""


def sentence(explanation: Explanation | None) -> str:
    """Return the unchecked text of an explanation with a capital letter; empty without one."""
    said = explain(explanation) if explanation is not None else ""
    return said[:1].upper() + said[1:]


def key_not_consulted(part: NotConsulted) -> str:
    """Return, for example, "procedures (missing)"."""
    return f"{part.key} ({explain(part.why)})"


def safe_text(text: str) -> str:
    """Return recorded text without anything that Markdown or HTML could treat as markup or a link, at most a line long.

    Letters are composed (NFC) first, because a combining accent would be removed, and some compose to a Markdown character.
    """
    start = unicodedata.normalize("NFC", text[:MAX_SCANNED_CHARS])
    cleaned = LINK.sub(" ", " ".join(UNSAFE.sub(" ", start).split()))
    return cleaned if len(cleaned) <= MAX_RECORDED_CHARS else cleaned[: MAX_RECORDED_CHARS - 1].rstrip() + "…"


def lead_text(text: str) -> str:
    """Return recorded text for the start of a line, where a digit, a dash or a plus sign would begin a list."""
    cleaned = safe_text(text)
    return cleaned if not cleaned or cleaned[0].isalpha() else f"recorded as {cleaned}"


def format_value(definition: FactDefinition, found: Value | None, unit: bool = True) -> str:
    """Return a value as text. `unit`: show the unit of a number."""
    behind = definition.unit_in_words if unit else ""
    match found:
        case None:
            return "not known"
        case bool():
            return "yes" if found else "no"
        case Interval():
            if found.exact is None and found.low is not None and found.high is not None:
                return f"{format_decimal(found.low)} to {format_decimal(found.high)}{behind}"
            return f"{found}{behind}"
        case frozenset():
            return ", ".join(sorted(found)).replace("-", " ")
    return found if re.fullmatch(r"[IVGMABC123]+[a-c]?|NEC", found) else found.replace("-", " ")


def original_number(seen: Observed) -> str:
    """Return a number as recorded if it was converted or calculated; else an empty string."""
    if not isinstance(seen.value, Interval) or not seen.recorded or _number(seen.recorded) == seen.value.exact:
        return ""
    return safe_text(seen.recorded)


def format_reading(definition: FactDefinition, seen: Observed, bracket: bool = True) -> str:
    """Return a reading as text: value, date, reference, and the original if it was converted or calculated."""
    said = format_value(definition, seen.value)
    parts = [str(seen.on) if seen.on else f"undated, no later than {seen.issued}" if seen.issued else "undated"]
    if original := original_number(seen):
        parts.append(f"recorded as {original}")
    if seen.note is not None:
        parts.append(safe_explanation(seen.note))
    rest = ", ".join([*parts, safe_text(seen.seen_in)])
    return f"{said} ({rest})" if bracket else f"{said}, {rest}"


def _number(text: str) -> Decimal | None:
    found = re.match(r"\d+(\.\d+)?", text)
    return Decimal(found[0]) if found else None


def fact_line(knowledge: Knowledge, name: str, fact: Fact) -> str:
    """Return, for example, "INR: 2.1 (2026-10-01, Observation/inr-1)", or why the fact is not known."""
    return f"{knowledge.facts[name].says}: {_fact_value(knowledge.facts[name], fact)}"


def _fact_value(definition: FactDefinition, fact: Fact) -> str:
    """Return, for example, "2.1 (2026-10-01, Observation/inr-1)", or why the fact is not known."""
    if fact.known and fact.seen:
        lines = "; ".join(format_reading(definition, seen) for seen in fact.seen[:3])
        if definition.trend and len(fact.history) > 1:
            lines += f"; before: {format_reading(definition, fact.history[1])}"
        return f"{lines}{_note(fact)}"
    if fact.known:
        return format_value(definition, fact.value)
    beside = "; ".join(format_reading(definition, seen) for seen in fact.seen[:2])
    reason = safe_explanation(fact.why) or explain(Reason.NOT_DOCUMENTED)
    return f"{reason}, {beside}" if beside else reason


def _note(fact: Fact) -> str:
    """Return the note of a fact in brackets; empty if its reading has the same note."""
    return f" ({explain(fact.note)})" if fact.note is not None and fact.note_reason is not fact.seen[0].reason else ""


def label_in_sentence(says: str) -> str:
    """Return the name of a fact within a sentence, without "(assessment)": "Albumin" -> "albumin"; "INR" and "Ki-67" stay."""
    short = says.replace(" (assessment)", "")
    word = short.split(" ")[0]
    return short[:1].lower() + short[1:] if word[1:].replace("-", "").isalpha() and word[1:].islower() else short


def join_words(words: Iterable[str], last: str = "and") -> str:
    """Return, for example, "a, b and c"."""
    items = list(words)
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"


def describe_left_out(counted: Mapping[LeftOut, int]) -> dict[str, int]:
    """Return text ("other patient", "Procedure not-done") → number of the resources that do not count, in the given order."""
    described: dict[str, int] = {}
    for what, count in counted.items():
        words = OMISSION[what.reason].format(what)
        described[words] = described.get(words, 0) + count
    return described
