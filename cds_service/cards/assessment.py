"""The machine-readable assessment in the extension of a card, as assessment.schema.json wants it (CLINICAL section 9)."""

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
MAX_TOLD = 6
"""Entries of one fact, or of one kind of resource, that could not be used; more are counted."""


def assessment_json(assessment: Assessment) -> dict[str, Any]:
    """One modality; empty lists are left out."""
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
    """Modality → its assessment with both stances."""
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
    """The treatments with a line of their own, each id once, the strongest verdict first."""
    found: dict[str, dict[str, Any]] = {}
    for treatment in treatments:
        if treatment.line is None or treatment.id in found:
            continue
        review = StanceWord.SILENT if treatment.modality.id == "systemic-therapy" else treatment.stances.word
        told: dict[str, Any] = {
            "id": treatment.id,
            "verdict": treatment.verdict.value,
            "stances": {
                Edition.REVIEW.value: review.value if review else OPEN_STANCE,
                Edition.UPDATE.value: since_stance(evaluation, treatment).value,
            },
        }
        if treatment.stops:
            told["stopped_by"] = [finding.criterion.id for finding in treatment.stops]
        found[treatment.id] = told
    return list(found.values())


def provenance_json(evaluation: Evaluation, names: Iterable[str]) -> list[dict[str, str]]:
    """Where known facts come from: value, day, reference and what was recorded, each reading of each fact once."""
    told: list[dict[str, str]] = []
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
            told.append(entry)
    return told


def unusable_json(evaluation: Evaluation, invalid: Iterable[Unreadable]) -> list[dict[str, str]]:
    """Where the data come from that could not be used: resources that could not be read, MAX_TOLD of each fact and kind and how
    many more; values out of date or in conflict. The value of each is the code of the reason."""
    told: list[dict[str, str]] = []
    for name, fact in evaluation.facts.recorded.items():
        told += [_unread_json(name, item) for item in fact.unread[:MAX_TOLD]]
        told += more_json(name, len(fact.unread) - MAX_TOLD)
        if not fact.known and fact.why is not None:
            told += [
                {"fact": name, "value": fact.why.reason.value, "reference": wording.safe_text(seen.seen_in)}
                | ({"on": str(seen.on)} if seen.on else {})
                for seen in fact.seen[:2]
            ]
    by_kind: dict[str, list[Unreadable]] = {}
    for item in (*evaluation.picture.unreadable, *invalid):
        by_kind.setdefault(item.seen_in.partition("/")[0], []).append(item)
    for kind, items in by_kind.items():
        told += [*map(resource_json, items[:MAX_TOLD]), *more_json(wording.safe_text(kind), len(items) - MAX_TOLD)]
    return told


def more_json(name: str, count: int) -> list[dict[str, str]]:
    """How many entries of a fact there are beside those that are told, where there are any."""
    return [{"fact": name, "value": f"{count} more"}] if count > 0 else []


def resource_json(item: Unreadable) -> dict[str, str]:
    """A resource that could not be read, under its type."""
    return _unread_json(wording.safe_text(item.seen_in.partition("/")[0]), item)


def _unread_json(name: str, item: Unreadable) -> dict[str, str]:
    told = {
        "fact": name,
        "value": item.why.reason.value,
        "reference": wording.safe_text(item.seen_in),
    }
    if item.on:
        told["on"] = str(item.on)
    return told | ({"recorded": wording.safe_text(item.unit)} if item.unit else {})


def shown_facts(evaluation: Evaluation) -> list[str]:
    """The facts that a face can show: those of the board, and those behind findings."""
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
