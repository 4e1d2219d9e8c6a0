"""The overview card: what a tumour board sees first (CLINICAL section 7.1), and the machine-readable assessment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cds_service.cards import evidence, wording
from cds_service.cards.card import EXTENSION, Card, fitting
from cds_service.cards.technique_findings import ways
from cds_service.knowledge.model import RANK, Knowledge, Verdict
from cds_service.knowledge.vocabulary import Edition, Supplier
from cds_service.reasoning.assessment import Assessed
from cds_service.reasoning.evaluation import Board
from cds_service.reasoning.facts import leaves_of
from cds_service.reasoning.judgement import Finding, OpenPart, compare
from cds_service.reasoning.staging import Part
from cds_service.reasons import DECIDED_CONFLICTS, STAGE_CONFLICTS, UNDECIDED_CONFLICTS, Reason


def assessment_of(modality: Assessed) -> dict[str, Any]:
    """One modality as assessment.schema.json wants it; empty lists are left out."""
    words = {True: "met", False: "not-met", None: "unknown"}
    found: dict[str, Any] = {
        "verdict": modality.verdict.value,
        "indications": [
            {"id": f.indication.id, "edition": f.indication.edition.value, "finding": words[f.met]}
            for f in modality.opinion.indications
        ],
        "editions": {
            Edition.REVIEW.value: modality.by_2010.verdict.value,
            Edition.UPDATE.value: modality.verdict.value,
        },
        "decided_by": list(modality.opinion.decided_by),
        "cautions": caution_ids([modality]),
        "statements": list(modality.statements()),
        "missing": list(modality.missing),
        "depends_on": list(modality.depends_on),
    }
    if modality.opinion.open is not None:
        found |= {"open": modality.opinion.open.value, "best_possible": (modality.best_possible or modality.verdict).value}
    return {key: value for key, value in found.items() if value != []}


def caution_ids(modalities: Iterable[Assessed]) -> list[str]:
    return list(dict.fromkeys(f.criterion.id for modality in modalities for f in modality.cautions))


def overview(board: Board, folded: Iterable[str]) -> Card:
    """`folded`: sections of cards that found no place of their own."""
    knowledge = board.knowledge
    statements = ["S063", *(s for modality in board.assessed.values() for s in deciding(modality))]
    sections = [
        _section("On record", _known(board)),
        f"**Stage.** {_stage(board)}",
        _section("Treatment", _verdicts(board)),
        _section("Cannot be said yet", _undetermined(board)),
        _section("Bears on safety", _safety(board)),
        _not_checked(board),
        *folded,
        f"{wording.TONE} Neuroendocrine liver metastases by Reddy and Clary 2010 and later evidence, {knowledge.provenance}.",
        knowledge.overlay.note,
    ]
    extension = {
        "kind": "overview",
        "knowledge": knowledge.digest,
        "staging": {name: part.value for name, part in board.stage.items()},
        "modalities": {name: assessment_of(modality) for name, modality in board.assessed.items()},
    }
    return Card(
        summary=_summary(board),
        indicator="info",
        source=evidence.source(knowledge, ["S063"], "NlmOverview", "Neuroendocrine liver metastases: overview"),
        detail="\n\n".join(section for section in sections if section),
        extension={EXTENSION: extension},
        links=evidence.links(knowledge, statements),
    )


def deciding(modality: Assessed) -> list[str]:
    """The statements of what decided a modality's verdict."""
    found = [s for finding in modality.opinion.findings for s in finding.criterion.statements]
    for part in modality.opinion.indications:
        if part.indication.id in modality.opinion.decided_by and part.met:
            found += part.indication.statements
    return found


def _section(title: str, lines: list[str]) -> str:
    return f"**{title}**\n\n{wording.bullets(lines)}" if lines else ""


def _summary(board: Board) -> str:
    options = [modality.modality.short.lower() for modality in board.options]
    stopped = len(board.with_verdict(Verdict.CONTRAINDICATED))
    ruled_out = len(board.with_verdict(Verdict.NOT_INDICATED))
    return summary_of(board.knowledge, board.stage["treatment_group"].value, options, stopped, ruled_out)


def summary_of(knowledge: Knowledge, group: str, options: list[str], stopped: int, ruled_out: int) -> str:
    """The group of the patient, and what can be considered, or why nothing can."""
    named = "Neuroendocrine liver metastases"
    if group != "undetermined":
        named += f", {knowledge.words[group]}"
    count = len(knowledge.modalities)
    if options:
        many = f"{named}; {len(options)} of {count} treatments to discuss"
        return many if len(options) > 2 else fitting(f"{named}; to discuss: {wording.listing(options)}", many)
    open_ = count - stopped - ruled_out
    if stopped and open_:
        return f"{named}: {stopped} of {count} treatments contraindicated, {open_} still open"
    if stopped:
        return f"{named}: {stopped} of {count} treatments contraindicated, none can be considered"
    if ruled_out == count:
        return f"{named}: no treatment meets its criteria on what is documented"
    if ruled_out:
        return f"{named}: {ruled_out} of {count} treatments not indicated, {open_} still open"
    return f"{named}: not enough is documented to decide; questions for the board"


def _known(board: Board) -> list[str]:
    facts = board.facts
    lines = [wording.fact_line(board.knowledge, name, facts[name]) for name in board.knowledge.board_facts if facts[name].known]
    if facts["egfr_used"].known and not facts["egfr"].known:
        reading = facts["egfr_used"].seen[0]
        lines.append(f"eGFR: {wording.safe(reading.recorded)}, {reading.on}")
    return lines


TOLD_OF_STAGE = frozenset({*STAGE_CONFLICTS, *DECIDED_CONFLICTS, *UNDECIDED_CONFLICTS, Reason.LIVER_ONLY_NOT_CONFIRMED})
"""What a part of the stage rests on, where the overview says so."""


def _stage(board: Board) -> str:
    words, said = board.knowledge.words, []
    for name, part in board.stage.items():
        title = board.knowledge.staging[name].title
        if part.value != "unknown":
            conflict = f" ({_because(part)})" if any(because.reason in TOLD_OF_STAGE for because in part.because) else ""
            said.append(f"{title}: {words.get(part.value, part.value)}{conflict}")
        elif name == "m_category":  # liver metastases are stage IV, whatever else is known
            said.append(f"Stage IV ({_because(part)})")
    unknown = [
        wording.name(board.knowledge.staging[name].title)
        for name, part in board.stage.items()
        if part.value == "unknown" and name != "m_category"
    ]
    if unknown:
        said.append(f"not known: {', '.join(unknown)}")
    return "; ".join(said) + "."


def _because(part: Part) -> str:
    """Each reason for itself, so that none is cut off for the length of another."""
    return "; ".join(wording.safe_explanation(because) for because in part.because)


def reasons(knowledge: Knowledge, modality: Assessed) -> list[str]:
    """What decided, each with its values and statements."""
    lines = [wording.finding_line(knowledge, finding) for finding in modality.opinion.findings]
    for found in modality.opinion.indications:
        if found.indication.id in modality.opinion.decided_by and found.met:
            sources = wording.cited(knowledge, found.indication.statements)
            lines.append(f"{found.indication.says} [{found.indication.id}; {sources}]")
    return lines


def _verdicts(board: Board) -> list[str]:
    lines = []
    for modality in sorted(board.assessed.values(), key=lambda m: (*board.place(m), m.verdict is Verdict.NOT_INDICATED)):
        if modality.verdict is Verdict.UNDETERMINED:
            continue
        because = "; ".join(_short(finding) for finding in modality.opinion.findings)
        if not because and modality.verdict is Verdict.NOT_INDICATED:
            because = "no indication is met"
        if modality.verdict is Verdict.NOT_INDICATED and modality.opinion.findings and modality.modality.excluded_say:
            because += f"; {modality.modality.excluded_say}"
        line = f"**{modality.modality.short}**: {wording.VERDICT[modality.verdict]}"
        line += f" ({because})" if because else ""
        lines.append(line + editions(modality))
    return lines


def _short(finding: Finding) -> str:
    criterion = finding.criterion
    return f"{criterion.says}{f': {criterion.then}' if criterion.then else ''}"


def editions(modality: Assessed) -> str:
    """Both verdicts, dated, where the 2010 review and what came after it differ."""
    if modality.by_2010.verdict is modality.verdict:
        return ""
    return (
        f"; by the review of 2010 alone: {wording.VERDICT[modality.by_2010.verdict]}, "
        f"with later evidence: {wording.VERDICT[modality.verdict]}"
    )


def _undetermined(board: Board) -> list[str]:
    """Told in two kinds: indication unknown; indication met, safety checks open. On a chart that says almost nothing
    only what was found against it: the questions of the board say the rest."""
    found, lines = board.with_verdict(Verdict.UNDETERMINED), []
    for modality in found:
        stopped = [finding for finding in modality.opinion.findings if finding.met]
        if modality.opinion.open is OpenPart.SAFETY:
            names = [wording.name(board.knowledge.facts[name].says) for name in modality.missing[:6]] or ["grade"]
            told = f"indication met, safety checks open: {', '.join(names)}"
        elif stopped:
            told = "; ".join(_short(finding) for finding in stopped)
        elif len(found) == len(board.assessed):
            continue
        else:
            told = "indication unknown"
        best = modality.best_possible
        possible = f"; best still possible: {wording.VERDICT[best]}" if best and RANK[best] > 1 else ""
        lines.append(f"**{modality.modality.short}**: {told}{possible}{editions(modality)}")
    return lines


ONLY_IF_LIKELY = frozenset({"age-above-50", "age-56-to-59", "age-60-or-more", "ecog-unknown"})
"""Remarks on the person: noise beside a treatment that nobody can propose yet."""


def _safety(board: Board) -> list[str]:
    """What stops an ordered technique; cautions that are met, and the modalities that may come about on which each bears."""
    bearing: dict[str, tuple[Finding, list[str]]] = {}
    for modality in board.assessed.values():
        likely = RANK[modality.verdict] > RANK[Verdict.UNDETERMINED] or modality.opinion.open is OpenPart.SAFETY
        for finding in modality.cautions:
            if RANK[modality.verdict] == 0 or (not likely and finding.criterion.id in ONLY_IF_LIKELY):
                continue
            if finding.facts:
                bearing.setdefault(finding.criterion.id, (finding, []))[1].append(modality.modality.short.lower())
    stopped = [
        f"{way.technique.says}{wording.ordered(way.order)}: stopped by " + wording.finding_lines(board.knowledge, way.stops)
        for modality in board.assessed.values()
        for way in ways(board.facts, modality, board.picture.ordered)
        if way.order and way.stops
    ]
    return stopped + [
        f"{wording.finding_line(board.knowledge, finding)}; bears on {wording.listing(names)}"
        for finding, names in bearing.values()
    ]


def _not_checked(board: Board) -> str:
    """What nobody looked at, where it bears on a modality that may come about or is ordered. Never: "no
    contraindication"."""
    open_ones = [
        modality
        for name, modality in board.assessed.items()
        if RANK[modality.verdict] > RANK[Verdict.UNDETERMINED]
        or modality.opinion.open is OpenPart.SAFETY
        or name in board.picture.ordered
    ]
    names = unchecked(board, open_ones)
    return f"**Not checked:** {', '.join(names)}." if names else ""


def unchecked(board: Board, modalities: Iterable[Assessed]) -> list[str]:
    """The facts behind cautions, and behind what would stop or burden a technique, that count as not met only because
    nothing is known of them."""
    findings: list[Finding] = []
    for modality in modalities:
        findings += modality.not_checked
        for way in ways(board.facts, modality, board.picture.ordered):
            findings += way.not_checked
    return [wording.name(board.knowledge.facts[name].says) for name in open_facts(board, findings)]


def open_facts(board: Board, findings: Iterable[Finding]) -> list[str]:
    """The plain facts for want of which findings are open, in the order of the knowledge. A value that is there but not
    exact enough for the limit ("< 100") leaves its finding open like one that is not there. What nobody is asked for (a
    drug, a coded diagnosis) is named where it is unknown, not where a complete chart is silent of it, and not beside what
    is asked for of the same finding."""
    knowledge = board.knowledge
    leaves: set[str] = set()
    for finding in findings:
        wanting: set[str] = set()
        for test, fact in zip(finding.criterion.tests, finding.facts, strict=True):
            rests_on = leaves_of(knowledge, test.fact)
            missing = {leaf for leaf in rests_on if not board.facts[leaf].known}
            inexact = not fact.known or compare(test, fact) is None
            wanting |= missing or (rests_on if inexact else set())
        asked = {leaf for leaf in wanting if knowledge.facts[leaf].ask is not Supplier.NEVER}
        leaves |= asked or {leaf for leaf in wanting if board.facts[leaf].unknown}
    return [name for name in knowledge.facts if name in leaves]
