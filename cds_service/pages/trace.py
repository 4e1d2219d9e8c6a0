"""Describes an Evaluation in words: every criterion of every modality, with the facts it was judged by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cds_service.cards import wording
from cds_service.knowledge.modality import Criterion
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.vocabulary import Edition, GradeLimit
from cds_service.pages.phrases import ReadingView, describe_readings, fact_name, fact_phrase, limit_phrase
from cds_service.reasoning.assessment import Assessment
from cds_service.reasoning.evaluation import Evaluation
from cds_service.reasoning.judgement import Finding, IndicationFinding, judge_criterion

MET = {True: "met", False: "not met", None: "unknown"}
GATE = {
    GradeLimit.NOT_INDICATED: "if met: not indicated",
    GradeLimit.AT_MOST_CONSIDER: "if met: at most consider",
    GradeLimit.OPEN: "no effect on this verdict",
}


@dataclass(frozen=True, slots=True)
class TestRow:
    """One test of a criterion: its fact, the value found, and the limit."""

    fact: str
    found: str
    limit: str


@dataclass(frozen=True, slots=True)
class CriterionRow:
    """One criterion. `state`: met, not met, unknown, or not checked (nothing is recorded, which counts as not met)."""

    id: str
    says: str
    then: str
    state: str
    decided: bool
    scope: str
    joint: str
    tests: tuple[TestRow, ...]
    readings: tuple[ReadingView, ...]
    notes: tuple[str, ...]
    statements: tuple[str, ...]
    local: bool


@dataclass(frozen=True, slots=True)
class IndicationTrace:
    """One indication: its finding by each edition (`by_2010`, `now`), and its criteria."""

    id: str
    says: str
    edition: str
    strength: str
    by_2010: str
    now: str
    statements: tuple[str, ...]
    local: bool
    closed: tuple[str, ...]
    rows: tuple[CriterionRow, ...]


@dataclass(frozen=True, slots=True)
class ModalityTrace:
    """One modality: its verdicts, why, and its criteria. `groups`: (heading, criteria)."""

    id: str
    title: str
    short: str
    verdict: str
    by_2010: str
    verdict_words: str
    by_2010_words: str
    because: tuple[str, ...]
    missing: tuple[str, ...]
    best: str
    groups: tuple[tuple[str, tuple[CriterionRow, ...]], ...]
    indications: tuple[IndicationTrace, ...]


def trace_evaluation(evaluation: Evaluation) -> list[ModalityTrace]:
    """Return the trace of every modality, in the order of the assessments."""
    return [_modality(evaluation, assessment) for assessment in evaluation.assessments.values()]


def statements_of(traces: Iterable[ModalityTrace]) -> list[str]:
    """Return the ids of all statements that the traces cite, those of the review (S…) first."""
    cited: set[str] = set()
    for modality in traces:
        rows = [row for _, group in modality.groups for row in group]
        rows += [row for indication in modality.indications for row in indication.rows]
        cited.update(name for row in rows for name in row.statements)
        cited.update(name for indication in modality.indications for name in indication.statements)
    return sorted(cited, key=lambda name: (name[:1] != "S", name))


def _modality(evaluation: Evaluation, assessment: Assessment) -> ModalityTrace:
    modality, knowledge = assessment.modality, evaluation.knowledge
    decided = {finding.criterion.id for finding in assessment.decision.findings}

    def row(criterion: Criterion, scope: str = "") -> CriterionRow:
        return _row(knowledge, judge_criterion(criterion, evaluation.facts), criterion.id in decided, scope)

    gates = [row(knowledge.criteria["gate.transplanted-liver"], "if met: no verdict")] if modality.liver_directed else []
    while_open = "; if unknown: no verdict" if modality.nec is GradeLimit.NOT_INDICATED else ""
    gates.append(row(knowledge.criteria["gate.nec"], GATE[modality.nec] + while_open))
    gates.append(row(knowledge.criteria["gate.g3"], GATE[modality.g3]))
    exclusions = tuple(
        row(criterion, f"only for {wording.join_words(sorted(only))}" if only else "")
        for criterion, only in modality.exclusions
    )
    held = GATE[GradeLimit.AT_MOST_CONSIDER]
    cautions = tuple(row(c, held if c.id in modality.downgraded_by else "") for c in modality.cautions)
    groups = (
        ("Contraindications", tuple(row(criterion) for criterion in modality.contraindications)),
        ("Gates: grade and transplanted liver", tuple(gates)),
        ("Exclusions", exclusions),
        ("Cautions", cautions),
    )
    best = assessment.best_possible
    return ModalityTrace(
        id=modality.id,
        title=modality.title,
        short=modality.short,
        verdict=assessment.verdict.value,
        by_2010=assessment.by_2010.verdict.value,
        verdict_words=wording.VERDICT_WORDS[assessment.verdict],
        by_2010_words=wording.VERDICT_WORDS[assessment.by_2010.verdict],
        because=_because(assessment),
        missing=tuple(wording.label_in_sentence(knowledge.facts[name].says) for name in assessment.missing),
        best=wording.VERDICT_WORDS[best] if best and best is not assessment.verdict else "",
        groups=tuple((title, rows) for title, rows in groups if rows),
        indications=tuple(_indication(evaluation, assessment, number) for number in range(len(modality.indications))),
    )


def _because(assessment: Assessment) -> tuple[str, ...]:
    """Return what decided the verdict, in short: criteria, then the indications that are met."""
    found = [finding.criterion.says for finding in assessment.decision.findings]
    found += [
        f"{part.indication.id}: {part.indication.says}"
        for part in assessment.decision.indications
        if part.met and part.indication.id in assessment.decision.decided_by
    ]
    if not found and all(part.met is False for part in assessment.decision.indications):
        found.append("no indication is met")
    return tuple(dict.fromkeys(found))


def _indication(evaluation: Evaluation, assessment: Assessment, number: int) -> IndicationTrace:
    indication = assessment.modality.indications[number]

    def met(parts: tuple[IndicationFinding, ...]) -> str:
        return next((MET[part.met] for part in parts if part.indication.id == indication.id), "not in this edition")

    rows = [_row(evaluation.knowledge, judge_criterion(criterion, evaluation.facts)) for criterion in indication.requires]
    rows += [
        _row(evaluation.knowledge, judge_criterion(criterion, evaluation.facts), scope="with later evidence only")
        for criterion in indication.update_requires
    ]
    return IndicationTrace(
        id=indication.id,
        says=indication.says,
        edition="review of 2010" if indication.edition is Edition.REVIEW else "later evidence",
        strength=wording.VERDICT_WORDS[indication.strength],
        by_2010=met(assessment.by_2010.indications),
        now=met(assessment.decision.indications),
        statements=indication.statements,
        local=indication.local,
        closed=tuple(evaluation.knowledge.modality(name).short.lower() for name in indication.when_closed),
        rows=tuple(rows),
    )


def _row(knowledge: Knowledge, finding: Finding, decided: bool = False, scope: str = "") -> CriterionRow:
    criterion = finding.criterion
    tests = tuple(
        TestRow(fact_name(knowledge, test.fact), fact_phrase(knowledge, test.fact, fact), limit_phrase(knowledge, test))
        for test, fact in zip(criterion.tests, finding.facts, strict=True)
    )
    seen = list(dict.fromkeys(reading for fact in finding.facts for reading in fact.seen))
    return CriterionRow(
        id=criterion.id,
        says=criterion.says,
        then=criterion.then,
        state="not checked" if finding.met is False and not finding.checked else MET[finding.met],
        decided=decided,
        scope=scope,
        joint="one of these is enough" if criterion.combine == "any" and len(tests) > 1 else "",
        tests=tests,
        readings=describe_readings(knowledge, seen),
        notes=tuple(dict.fromkeys(wording.safe_explanation(f.note) for f in finding.facts if f.note is not None)),
        statements=criterion.statements,
        local=criterion.local,
    )
