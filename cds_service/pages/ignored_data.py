"""What of a chart was not used, and why."""

from __future__ import annotations

from dataclasses import dataclass

from cds_service.cards import wording
from cds_service.clinical_picture import Observed
from cds_service.knowledge.model import FactDefinition
from cds_service.pages.evaluate import Trial
from cds_service.pages.submission import Submission
from cds_service.reasoning.current_facts import unusable_facts
from cds_service.reasoning.facts import Fact
from cds_service.reasons import DECIDED_CONFLICTS

MAX_LINES = 4
"""Older readings named for each fact."""


@dataclass(frozen=True, slots=True)
class IgnoredGroup:
    title: str
    why: str
    lines: tuple[str, ...]


def ignored_data(submission: Submission, trial: Trial) -> list[IgnoredGroup]:
    picture, evaluation = trial.picture, trial.evaluation
    groups = [
        IgnoredGroup(
            "Left out",
            "Resources that do not count: another patient's, cancelled, not final, refuted.",
            tuple(
                f"{wording.safe_text(why)}: {count}"
                for why, count in sorted(wording.describe_left_out(picture.left_out).items())
            ),
        ),
        IgnoredGroup(
            "Could not be read",
            "The fact they speak of is unknown until a newer value is there.",
            tuple(f"{wording.safe_text(item.seen_in)}: {wording.safe_explanation(item.why)}" for item in picture.unreadable),
        ),
        IgnoredGroup(
            "Not answered completely",
            "Prefetch keys that did not arrive whole: what they would hold is unknown.",
            tuple(wording.safe_text(wording.key_not_consulted(part)) for part in picture.not_consulted),
        ),
    ]
    if evaluation:
        unusable = [
            wording.fact_line(evaluation.knowledge, definition.id, fact)
            for definition, fact in unusable_facts(evaluation.facts)
        ]
        decided = [
            wording.fact_line(evaluation.knowledge, name, fact)
            for name, fact in evaluation.facts.recorded.items()
            if fact.known and fact.note_reason in DECIDED_CONFLICTS
        ]
        older = [
            _superseded(evaluation.knowledge.facts[name], rest)
            for name, fact in evaluation.facts.recorded.items()
            if fact.known and (rest := _others(fact))
        ]
        invalid = [f"{wording.safe_text(item.seen_in)}: {wording.safe_explanation(item.why)}" for item in trial.invalid]
        groups += [
            IgnoredGroup(
                "Used, though not valid FHIR R4",
                "What was read of them is sound; their sender may want to know.",
                tuple(invalid),
            ),
            IgnoredGroup("Out of date, conflicting or undated", "There, but not usable today.", tuple(unusable)),
            IgnoredGroup("Conflicts that were decided", "Two values of one date: the worse counts.", tuple(decided)),
            IgnoredGroup(
                "Superseded",
                "Another reading of the same fact counts: a newer or, where the rule book says so, a higher one.",
                tuple(older),
            ),
        ]
    groups.append(
        IgnoredGroup(
            "Not asked for",
            "Types of resource in the chart that no prefetch key of the service asks for.",
            tuple(f"{wording.safe_text(kind)}: {count}" for kind, count in submission.not_asked),
        )
    )
    return [group for group in groups if group.lines]


def _others(fact: Fact) -> list[Observed]:
    """Its readings but for those that count, looked up and not compared each with each: there may be thousands of both."""
    counting = set(map(_identity, fact.seen))
    return [reading for reading in fact.history if _identity(reading) not in counting]


def _identity(reading: Observed) -> tuple[str, ...]:
    """As texts: numbers of a chart can be chosen to have one hash."""
    return reading.seen_in, str(reading.on), reading.recorded, str(reading.value)


def _superseded(definition: FactDefinition, readings: list[Observed]) -> str:
    named = "; ".join(wording.format_reading(definition, reading) for reading in readings[:MAX_LINES])
    more = f"; and {len(readings) - MAX_LINES} more" if len(readings) > MAX_LINES else ""
    return f"{definition.says}: {named}{more}"


def unjudged_because(trial: Trial) -> str:
    """Why no treatment is judged, where a card says so."""
    if trial.picture.deceased is not None:
        return "The patient is recorded as deceased."
    return wording.sentence(trial.picture.gate.because)


def gate_lines(trial: Trial) -> list[str]:
    """What the chart says of the disease itself, where that is not certain."""
    if trial.picture.deceased is not None:
        return []
    return [
        f"{wording.safe_text(seen.recorded) or 'recorded'} ({seen.on or 'undated'}, {wording.safe_text(seen.seen_in)})"
        for seen in trial.picture.gate.seen
    ]
