"""The machine-readable assessment in the extension of a card (openapi.yaml; docs/knowledge.md, "Ids")."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from cds_service.cards import wording
from cds_service.cards.treatments import Treatment, since_stance
from cds_service.clinical_picture import Unreadable
from cds_service.knowledge.shown import StanceWord
from cds_service.knowledge.vocabulary import Edition
from cds_service.reasoning.assessment import Assessment
from cds_service.reasoning.evaluation import Evaluation
from cds_service.reasoning.facts import recorded_inputs
from cds_service.reasoning.stances import Stance, stance_of_2010

FINDING_WORDS = {True: "met", False: "not-met", None: "unknown"}
OPEN_STANCE = "open"
MAX_LISTED_ENTRIES = 6
"""Unusable entries that are listed for each fact and each type of resource; further ones are counted."""


def assessment_json(assessment: Assessment) -> dict[str, Any]:
    """Return the JSON of one modality, without empty lists."""
    found: dict[str, Any] = {
        "verdict": assessment.verdict.value,
        "indications": [
            {"id": f.indication.id, "edition": f.indication.edition.value, "finding": FINDING_WORDS[f.met]}
            for f in assessment.decision.indications
        ],
        "editions": {
            Edition.REVIEW.value: assessment.by_2010.verdict.value,
            Edition.UPDATE.value: assessment.verdict.value,
        },
        "decided_by": list(assessment.decision.decided_by),
        "cautions": caution_ids([assessment]),
        "statements": list(assessment.statements()),
        "missing": list(assessment.missing),
        "depends_on": list(assessment.depends_on),
    }
    if assessment.decision.open is not None:
        found |= {
            "open": assessment.decision.open.value,
            "best_possible": (assessment.best_possible or assessment.verdict).value,
        }
    return {key: value for key, value in found.items() if value != []}


def caution_ids(assessments: Iterable[Assessment]) -> list[str]:
    return list(dict.fromkeys(f.criterion.id for assessment in assessments for f in assessment.cautions))


def modalities_json(evaluation: Evaluation, treatments: Sequence[Treatment]) -> dict[str, Any]:
    """Return modality id → JSON of its assessment and both stances."""
    since: dict[str, StanceWord] = {}
    for treatment in treatments:
        stance = since_stance(evaluation, treatment)
        if stance is not StanceWord.SILENT or treatment.modality.id not in since:
            since[treatment.modality.id] = stance
    return {
        name: {
            **assessment_json(assessment),
            "stances": {
                Edition.REVIEW.value: stance_json(stance_of_2010(name, evaluation.facts)),
                Edition.UPDATE.value: since.get(name, StanceWord.SILENT).value,
            },
        }
        for name, assessment in evaluation.assessments.items()
    }


def stance_json(stance: Stance) -> str:
    return stance.word.value if stance.word else OPEN_STANCE


def techniques_json(evaluation: Evaluation, treatments: Iterable[Treatment]) -> list[dict[str, Any]]:
    """Return the JSON of the treatments with a line of their own, each id once, in the given order."""
    found: dict[str, dict[str, Any]] = {}
    for treatment in treatments:
        if treatment.line is None or treatment.id in found:
            continue
        review = StanceWord.SILENT if treatment.modality.id == "systemic-therapy" else treatment.stances.word
        entry: dict[str, Any] = {
            "id": treatment.id,
            "verdict": treatment.verdict.value,
            "stances": {
                Edition.REVIEW.value: review.value if review else OPEN_STANCE,
                Edition.UPDATE.value: since_stance(evaluation, treatment).value,
            },
        }
        if treatment.stops:
            entry["stopped_by"] = [finding.criterion.id for finding in treatment.stops]
        found[treatment.id] = entry
    return list(found.values())


def provenance_json(evaluation: Evaluation, names: Iterable[str]) -> list[dict[str, str]]:
    """Return value, date, reference and recorded text of the readings of known facts, at most three for each fact."""
    entries: list[dict[str, str]] = []
    for name in dict.fromkeys(names):
        fact = evaluation.facts.recorded[name]
        if not fact.known or fact.value is None:
            continue
        value = wording.format_value(evaluation.knowledge.facts[name], fact.value)
        for seen in fact.seen[:3] or ():
            entry = {"fact": name, "value": value, "reference": wording.safe_text(seen.seen_in)}
            if seen.on:
                entry["on"] = str(seen.on)
            if seen.recorded:
                entry["recorded"] = wording.safe_text(seen.recorded)
            entries.append(entry)
    return entries


def unusable_json(evaluation: Evaluation, invalid: Iterable[Unreadable]) -> list[dict[str, str]]:
    """Return the data that could not be used: unreadable resources, at most MAX_LISTED_ENTRIES of each fact and type with the
    number of the others; values out of date or in conflict. The `value` of an entry is its reason code."""
    entries: list[dict[str, str]] = []
    for name, fact in evaluation.facts.recorded.items():
        entries += [_unread_json(name, item) for item in fact.unread[:MAX_LISTED_ENTRIES]]
        entries += more_json(name, len(fact.unread) - MAX_LISTED_ENTRIES)
        if not fact.known and fact.why is not None:
            entries += [
                {"fact": name, "value": fact.why.reason.value, "reference": wording.safe_text(seen.seen_in)}
                | ({"on": str(seen.on)} if seen.on else {})
                for seen in fact.seen[:2]
            ]
    by_kind: dict[str, list[Unreadable]] = {}
    for item in (*evaluation.picture.unreadable, *invalid):
        by_kind.setdefault(item.seen_in.partition("/")[0], []).append(item)
    for kind, items in by_kind.items():
        entries += [
            *map(resource_json, items[:MAX_LISTED_ENTRIES]),
            *more_json(wording.safe_text(kind), len(items) - MAX_LISTED_ENTRIES),
        ]
    return entries


def more_json(name: str, count: int) -> list[dict[str, str]]:
    """Return an entry with the number of entries that are not listed; empty if there are none."""
    return [{"fact": name, "value": f"{count} more"}] if count > 0 else []


def resource_json(item: Unreadable) -> dict[str, str]:
    """Return the entry of an unreadable resource, whose `fact` is its type."""
    return _unread_json(wording.safe_text(item.seen_in.partition("/")[0]), item)


def _unread_json(name: str, item: Unreadable) -> dict[str, str]:
    entry = {
        "fact": name,
        "value": item.why.reason.value,
        "reference": wording.safe_text(item.seen_in),
    }
    if item.on:
        entry["on"] = str(item.on)
    return entry | ({"recorded": wording.safe_text(item.unit)} if item.unit else {})


def shown_facts(evaluation: Evaluation) -> list[str]:
    """Return the facts that a card can show: those of board.toml and those behind findings."""
    knowledge = evaluation.knowledge
    names = [name for line in knowledge.board for name in line]
    for assessment in evaluation.assessments.values():
        findings = [*assessment.decision.findings, *assessment.cautions]
        findings += [f for found in assessment.decision.indications if found.met for f in found.requirements]
        for finding in findings:
            for test in finding.criterion.tests:
                names += recorded_inputs(knowledge, test.fact)
    order = {name: place for place, name in enumerate(knowledge.facts)}
    return sorted(dict.fromkeys(names), key=order.__getitem__)
