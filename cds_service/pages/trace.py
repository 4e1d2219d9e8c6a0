"""Why: every criterion of every modality with what was found, in words. Reads a Board, decides nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cds_service.cards import wording
from cds_service.knowledge.model import Criterion, Knowledge
from cds_service.knowledge.vocabulary import Edition, GradeLimit
from cds_service.pages.phrases import Reading, fact_name, found_words, limit_words, reading_of
from cds_service.reasoning.assessment import Assessed
from cds_service.reasoning.evaluation import Board
from cds_service.reasoning.judgement import Finding, IndicationFinding, judge

MET = {True: "met", False: "not met", None: "unknown"}
GATE = {
    GradeLimit.NOT_INDICATED: "if met: not indicated",
    GradeLimit.AT_MOST_CONSIDER: "if met: at most consider",
    GradeLimit.OPEN: "no effect on this verdict",
}


@dataclass(frozen=True, slots=True)
class Test:
    fact: str
    found: str
    limit: str


@dataclass(frozen=True, slots=True)
class Row:
    """One criterion. `state`: met, not met, unknown, not checked (counts as not met only because nothing is known)."""

    id: str
    says: str
    then: str
    state: str
    decided: bool
    scope: str
    joint: str
    tests: tuple[Test, ...]
    readings: tuple[Reading, ...]
    notes: tuple[str, ...]
    statements: tuple[str, ...]
    local: bool


@dataclass(frozen=True, slots=True)
class IndicationTrace:
    id: str
    says: str
    edition: str
    strength: str
    by_2010: str
    now: str
    statements: tuple[str, ...]
    local: bool
    closed: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class ModalityTrace:
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
    groups: tuple[tuple[str, tuple[Row, ...]], ...]
    indications: tuple[IndicationTrace, ...]


def trace(board: Board) -> list[ModalityTrace]:
    return [_modality(board, assessed) for assessed in board.assessed.values()]


def statements_of(traces: Iterable[ModalityTrace]) -> list[str]:
    """Every statement that a trace cites, the review's first."""
    cited: set[str] = set()
    for modality in traces:
        rows = [row for _, group in modality.groups for row in group]
        rows += [row for indication in modality.indications for row in indication.rows]
        cited.update(name for row in rows for name in row.statements)
        cited.update(name for indication in modality.indications for name in indication.statements)
    return sorted(cited, key=lambda name: (name[:1] != "S", name))


def _modality(board: Board, assessed: Assessed) -> ModalityTrace:
    modality, known = assessed.modality, board.knowledge
    decided = {finding.criterion.id for finding in assessed.opinion.findings}

    def row(criterion: Criterion, scope: str = "") -> Row:
        return _row(known, judge(criterion, board.facts), criterion.id in decided, scope)

    gates = [row(known.criteria["gate.transplanted-liver"], "if met: no verdict")] if modality.liver_directed else []
    while_open = "; if unknown: no verdict" if modality.nec is GradeLimit.NOT_INDICATED else ""
    gates.append(row(known.criteria["gate.nec"], GATE[modality.nec] + while_open))
    gates.append(row(known.criteria["gate.g3"], GATE[modality.g3]))
    exclusions = tuple(
        row(criterion, f"only for {wording.listing(sorted(only))}" if only else "") for criterion, only in modality.exclusions
    )
    held = GATE[GradeLimit.AT_MOST_CONSIDER]
    cautions = tuple(row(c, held if c.id in modality.downgraded_by else "") for c in modality.cautions)
    groups = (
        ("Contraindications", tuple(row(criterion) for criterion in modality.contraindications)),
        ("Gates: grade and transplanted liver", tuple(gates)),
        ("Exclusions", exclusions),
        ("Cautions", cautions),
    )
    best = assessed.best_possible
    return ModalityTrace(
        id=modality.id,
        title=modality.title,
        short=modality.short,
        verdict=assessed.verdict.value,
        by_2010=assessed.by_2010.verdict.value,
        verdict_words=wording.VERDICT[assessed.verdict],
        by_2010_words=wording.VERDICT[assessed.by_2010.verdict],
        because=_because(assessed),
        missing=tuple(wording.name(known.facts[name].says) for name in assessed.missing),
        best=wording.VERDICT[best] if best and best is not assessed.verdict else "",
        groups=tuple((title, rows) for title, rows in groups if rows),
        indications=tuple(_indication(board, assessed, number) for number in range(len(modality.indications))),
    )


def _because(assessed: Assessed) -> tuple[str, ...]:
    """What decided, in short: criteria, then the indications that are met."""
    found = [finding.criterion.says for finding in assessed.opinion.findings]
    found += [
        f"{part.indication.id}: {part.indication.says}"
        for part in assessed.opinion.indications
        if part.met and part.indication.id in assessed.opinion.decided_by
    ]
    if not found and all(part.met is False for part in assessed.opinion.indications):
        found.append("no indication is met")
    return tuple(dict.fromkeys(found))


def _indication(board: Board, assessed: Assessed, number: int) -> IndicationTrace:
    indication = assessed.modality.indications[number]

    def met(parts: tuple[IndicationFinding, ...]) -> str:
        return next((MET[part.met] for part in parts if part.indication.id == indication.id), "not in this edition")

    rows = [_row(board.knowledge, judge(criterion, board.facts)) for criterion in indication.requires]
    rows += [
        _row(board.knowledge, judge(criterion, board.facts), scope="with later evidence only")
        for criterion in indication.update_requires
    ]
    return IndicationTrace(
        id=indication.id,
        says=indication.says,
        edition="review of 2010" if indication.edition is Edition.REVIEW else "later evidence",
        strength=wording.VERDICT[indication.strength],
        by_2010=met(assessed.by_2010.indications),
        now=met(assessed.opinion.indications),
        statements=indication.statements,
        local=indication.local,
        closed=tuple(board.knowledge.modality(name).short.lower() for name in indication.when_closed),
        rows=tuple(rows),
    )


def _row(known: Knowledge, finding: Finding, decided: bool = False, scope: str = "") -> Row:
    criterion = finding.criterion
    tests = tuple(
        Test(fact_name(known, test.fact), found_words(known, test.fact, fact), limit_words(known, test))
        for test, fact in zip(criterion.tests, finding.facts, strict=True)
    )
    seen = list(dict.fromkeys(reading for fact in finding.facts for reading in fact.seen))
    return Row(
        id=criterion.id,
        says=criterion.says,
        then=criterion.then,
        state="not checked" if finding.met is False and not finding.checked else MET[finding.met],
        decided=decided,
        scope=scope,
        joint="one of these is enough" if criterion.combine == "any" and len(tests) > 1 else "",
        tests=tests,
        readings=tuple(reading_of(known, reading) for reading in seen),
        notes=tuple(dict.fromkeys(wording.safe_explanation(f.note) for f in finding.facts if f.note is not None)),
        statements=criterion.statements,
        local=criterion.local,
    )
