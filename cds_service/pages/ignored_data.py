"""Lists the data of a chart that was not used, with reasons."""

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
"""Superseded readings that are listed for each fact."""


@dataclass(frozen=True, slots=True)
class IgnoredGroup:
    """One heading with its explanation and its lines."""

    title: str
    why: str
    lines: tuple[str, ...]


def ignored_data(submission: Submission, trial: Trial) -> list[IgnoredGroup]:
    """Return the groups that have lines."""
    picture, evaluation = trial.picture, trial.evaluation
    groups = [
        IgnoredGroup(
            "Left out",
            "Resources that do not count: of another patient, cancelled, not final or refuted.",
            tuple(
                f"{wording.safe_text(why)}: {count}"
                for why, count in sorted(wording.describe_left_out(picture.left_out).items())
            ),
        ),
        IgnoredGroup(
            "Could not be read",
            "Their fact is unknown until there is a newer value.",
            tuple(f"{wording.safe_text(item.seen_in)}: {wording.safe_explanation(item.why)}" for item in picture.unreadable),
        ),
        IgnoredGroup(
            "Not answered completely",
            "Prefetch keys that are missing or incomplete: their data is unknown.",
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
                "The parts that were read are valid; the sender may want to know.",
                tuple(invalid),
            ),
            IgnoredGroup("Out of date, conflicting or undated", "On record, but not usable today.", tuple(unusable)),
            IgnoredGroup("Conflicts that were decided", "Of two values with the same date the worse counts.", tuple(decided)),
            IgnoredGroup(
                "Superseded",
                "Another reading of the same fact counts: the newer or, if the rule book says so, the higher.",
                tuple(older),
            ),
        ]
    groups.append(
        IgnoredGroup(
            "Not asked for",
            "Resource types in the chart that no prefetch key queries.",
            tuple(f"{wording.safe_text(kind)}: {count}" for kind, count in submission.not_asked),
        )
    )
    return [group for group in groups if group.lines]


def _others(fact: Fact) -> list[Observed]:
    """Return the readings of a fact that do not count. Uses a set, as there may be thousands of readings of both kinds."""
    counting = set(map(_identity, fact.seen))
    return [reading for reading in fact.history if _identity(reading) not in counting]


def _identity(reading: Observed) -> tuple[str, ...]:
    """Return a key for a reading. Numbers become text, as the numbers in a chart can be chosen to have the same hash."""
    return reading.seen_in, str(reading.on), reading.recorded, str(reading.value)


def _superseded(definition: FactDefinition, readings: list[Observed]) -> str:
    named = "; ".join(wording.format_reading(definition, reading) for reading in readings[:MAX_LINES])
    more = f"; and {len(readings) - MAX_LINES} more" if len(readings) > MAX_LINES else ""
    return f"{definition.says}: {named}{more}"


def unjudged_because(trial: Trial) -> str:
    """Return why no treatment is judged, for a chart without an evaluation."""
    if trial.picture.deceased is not None:
        return "The patient is recorded as deceased."
    return wording.sentence(trial.picture.gate.because)


def gate_lines(trial: Trial) -> list[str]:
    """Return the recorded data about the disease itself, for a chart that does not show it with certainty."""
    if trial.picture.deceased is not None:
        return []
    return [
        f"{wording.safe_text(seen.recorded) or 'recorded'} ({seen.on or 'undated'}, {wording.safe_text(seen.seen_in)})"
        for seen in trial.picture.gate.seen
    ]
