"""The overview card: what a tumour board sees first (CLINICAL section 7.1), and the machine-readable assessment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cds_service.cards import evidence, wording
from cds_service.cards.card import EXTENSION, Card, longest_fitting
from cds_service.cards.technique_findings import evaluate_techniques
from cds_service.knowledge.model import RANK, Knowledge, Verdict
from cds_service.knowledge.vocabulary import Edition, Supplier
from cds_service.reasoning.assessment import Assessment
from cds_service.reasoning.evaluation import Evaluation
from cds_service.reasoning.facts import recorded_inputs
from cds_service.reasoning.judgement import Finding, OpenPart, compare_with_limit
from cds_service.reasoning.staging import StageValue
from cds_service.reasons import DECIDED_CONFLICTS, STAGE_CONFLICTS, UNDECIDED_CONFLICTS, Reason


def assessment_json(assessment: Assessment) -> dict[str, Any]:
    """One modality as assessment.schema.json wants it; empty lists are left out."""
    words = {True: "met", False: "not-met", None: "unknown"}
    found: dict[str, Any] = {
        "verdict": assessment.verdict.value,
        "indications": [
            {"id": f.indication.id, "edition": f.indication.edition.value, "finding": words[f.met]}
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


def overview_card(evaluation: Evaluation, folded: Iterable[str]) -> Card:
    """`folded`: sections of cards that found no place of their own."""
    knowledge = evaluation.knowledge
    statements = ["S063", *(s for assessment in evaluation.assessments.values() for s in deciding_statements(assessment))]
    sections = [
        _section("On record", _known(evaluation)),
        f"**Stage.** {_stage(evaluation)}",
        _section("Treatment", _verdicts(evaluation)),
        _section("Cannot be said yet", _undetermined(evaluation)),
        _section("Bears on safety", _safety(evaluation)),
        _not_checked(evaluation),
        *folded,
        f"{wording.TONE} Neuroendocrine liver metastases by Reddy and Clary 2010 and later evidence, {knowledge.provenance}.",
        knowledge.overlay.note,
    ]
    extension = {
        "kind": "overview",
        "knowledge": knowledge.digest,
        "staging": {name: part.value for name, part in evaluation.stage.items()},
        "modalities": {name: assessment_json(assessment) for name, assessment in evaluation.assessments.items()},
    }
    return Card(
        summary=_summary(evaluation),
        indicator="info",
        source=evidence.primary_source(knowledge, ["S063"], "NlmOverview", "Neuroendocrine liver metastases: overview"),
        detail="\n\n".join(section for section in sections if section),
        extension={EXTENSION: extension},
        links=evidence.publication_links(knowledge, statements),
    )


def deciding_statements(assessment: Assessment) -> list[str]:
    """The statements of what decided a modality's verdict."""
    found = [s for finding in assessment.decision.findings for s in finding.criterion.statements]
    for part in assessment.decision.indications:
        if part.indication.id in assessment.decision.decided_by and part.met:
            found += part.indication.statements
    return found


def _section(title: str, lines: list[str]) -> str:
    return f"**{title}**\n\n{wording.bullet_list(lines)}" if lines else ""


def _summary(evaluation: Evaluation) -> str:
    options = [assessment.modality.short.lower() for assessment in evaluation.options]
    stopped = len(evaluation.with_verdict(Verdict.CONTRAINDICATED))
    ruled_out = len(evaluation.with_verdict(Verdict.NOT_INDICATED))
    return format_summary(evaluation.knowledge, evaluation.stage["treatment_group"].value, options, stopped, ruled_out)


def format_summary(knowledge: Knowledge, group: str, options: list[str], stopped: int, ruled_out: int) -> str:
    """The group of the patient, and what can be considered, or why nothing can."""
    named = "Neuroendocrine liver metastases"
    if group != "undetermined":
        named += f", {knowledge.words[group]}"
    count = len(knowledge.modalities)
    if options:
        many = f"{named}; {len(options)} of {count} treatments to discuss"
        return many if len(options) > 2 else longest_fitting(f"{named}; to discuss: {wording.join_words(options)}", many)
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


def _known(evaluation: Evaluation) -> list[str]:
    facts = evaluation.facts
    lines = [
        wording.fact_line(evaluation.knowledge, name, facts[name])
        for name in evaluation.knowledge.board_facts
        if facts[name].known
    ]
    if facts["egfr_used"].known and not facts["egfr"].known:
        reading = facts["egfr_used"].seen[0]
        lines.append(f"eGFR: {wording.safe_text(reading.recorded)}, {reading.on}")
    return lines


TOLD_OF_STAGE = frozenset({*STAGE_CONFLICTS, *DECIDED_CONFLICTS, *UNDECIDED_CONFLICTS, Reason.LIVER_ONLY_NOT_CONFIRMED})
"""What a part of the stage rests on, where the overview says so."""


def _stage(evaluation: Evaluation) -> str:
    words, said = evaluation.knowledge.words, []
    for name, part in evaluation.stage.items():
        title = evaluation.knowledge.staging[name].title
        if part.value != "unknown":
            conflict = f" ({_because(part)})" if any(because.reason in TOLD_OF_STAGE for because in part.because) else ""
            said.append(f"{title}: {words.get(part.value, part.value)}{conflict}")
        elif name == "m_category":  # liver metastases are stage IV, whatever else is known
            said.append(f"Stage IV ({_because(part)})")
    unknown = [
        wording.label_in_sentence(evaluation.knowledge.staging[name].title)
        for name, part in evaluation.stage.items()
        if part.value == "unknown" and name != "m_category"
    ]
    if unknown:
        said.append(f"not known: {', '.join(unknown)}")
    return "; ".join(said) + "."


def _because(part: StageValue) -> str:
    """Each reason for itself, so that none is cut off for the length of another."""
    return "; ".join(wording.safe_explanation(because) for because in part.because)


def reason_lines(knowledge: Knowledge, assessment: Assessment) -> list[str]:
    """What decided, each with its values and statements."""
    lines = [wording.finding_line(knowledge, finding) for finding in assessment.decision.findings]
    for found in assessment.decision.indications:
        if found.indication.id in assessment.decision.decided_by and found.met:
            sources = wording.format_citations(knowledge, found.indication.statements)
            lines.append(f"{found.indication.says} [{found.indication.id}; {sources}]")
    return lines


def _verdicts(evaluation: Evaluation) -> list[str]:
    lines = []
    for assessment in sorted(
        evaluation.assessments.values(), key=lambda m: (*evaluation.display_rank(m), m.verdict is Verdict.NOT_INDICATED)
    ):
        if assessment.verdict is Verdict.UNDETERMINED:
            continue
        because = "; ".join(_short(finding) for finding in assessment.decision.findings)
        if not because and assessment.verdict is Verdict.NOT_INDICATED:
            because = "no indication is met"
        if assessment.verdict is Verdict.NOT_INDICATED and assessment.decision.findings and assessment.modality.excluded_say:
            because += f"; {assessment.modality.excluded_say}"
        line = f"**{assessment.modality.short}**: {wording.VERDICT_WORDS[assessment.verdict]}"
        line += f" ({because})" if because else ""
        lines.append(line + format_editions(assessment))
    return lines


def _short(finding: Finding) -> str:
    criterion = finding.criterion
    return f"{criterion.says}{f': {criterion.then}' if criterion.then else ''}"


def format_editions(assessment: Assessment) -> str:
    """Both verdicts, dated, where the 2010 review and what came after it differ."""
    if assessment.by_2010.verdict is assessment.verdict:
        return ""
    return (
        f"; by the review of 2010 alone: {wording.VERDICT_WORDS[assessment.by_2010.verdict]}, "
        f"with later evidence: {wording.VERDICT_WORDS[assessment.verdict]}"
    )


def _undetermined(evaluation: Evaluation) -> list[str]:
    """Told in two kinds: indication unknown; indication met, safety checks open. On a chart that says almost nothing
    only what was found against it: the questions of the board say the rest."""
    found, lines = evaluation.with_verdict(Verdict.UNDETERMINED), []
    for assessment in found:
        stopped = [finding for finding in assessment.decision.findings if finding.met]
        if assessment.decision.open is OpenPart.SAFETY:
            names = [wording.label_in_sentence(evaluation.knowledge.facts[name].says) for name in assessment.missing[:6]] or [
                "grade"
            ]
            told = f"indication met, safety checks open: {', '.join(names)}"
        elif stopped:
            told = "; ".join(_short(finding) for finding in stopped)
        elif len(found) == len(evaluation.assessments):
            continue
        else:
            told = "indication unknown"
        best = assessment.best_possible
        possible = f"; best still possible: {wording.VERDICT_WORDS[best]}" if best and RANK[best] > 1 else ""
        lines.append(f"**{assessment.modality.short}**: {told}{possible}{format_editions(assessment)}")
    return lines


ONLY_IF_LIKELY = frozenset({"age-above-50", "age-56-to-59", "age-60-or-more", "ecog-unknown"})
"""Remarks on the person: noise beside a treatment that nobody can propose yet."""


def _safety(evaluation: Evaluation) -> list[str]:
    """What stops an ordered technique; cautions that are met, and the modalities that may come about on which each bears."""
    bearing: dict[str, tuple[Finding, list[str]]] = {}
    for assessment in evaluation.assessments.values():
        likely = RANK[assessment.verdict] > RANK[Verdict.UNDETERMINED] or assessment.decision.open is OpenPart.SAFETY
        for finding in assessment.cautions:
            if RANK[assessment.verdict] == 0 or (not likely and finding.criterion.id in ONLY_IF_LIKELY):
                continue
            if finding.facts:
                bearing.setdefault(finding.criterion.id, (finding, []))[1].append(assessment.modality.short.lower())
    stopped = [
        f"{option.technique.says}{wording.order_suffix(option.order)}: stopped by "
        + wording.finding_lines(evaluation.knowledge, option.stops)
        for assessment in evaluation.assessments.values()
        for option in evaluate_techniques(evaluation.facts, assessment, evaluation.picture.orders)
        if option.order and option.stops
    ]
    return stopped + [
        f"{wording.finding_line(evaluation.knowledge, finding)}; bears on {wording.join_words(names)}"
        for finding, names in bearing.values()
    ]


def _not_checked(evaluation: Evaluation) -> str:
    """What nobody looked at, where it bears on a modality that may come about or is ordered. Never: "no
    contraindication"."""
    open_ones = [
        assessment
        for name, assessment in evaluation.assessments.items()
        if RANK[assessment.verdict] > RANK[Verdict.UNDETERMINED]
        or assessment.decision.open is OpenPart.SAFETY
        or name in evaluation.picture.orders
    ]
    names = unchecked_fact_names(evaluation, open_ones)
    return f"**Not checked:** {', '.join(names)}." if names else ""


def unchecked_fact_names(evaluation: Evaluation, assessments: Iterable[Assessment]) -> list[str]:
    """The facts behind cautions, and behind what would stop or burden a technique, that count as not met only because
    nothing is known of them."""
    findings: list[Finding] = []
    for assessment in assessments:
        findings += assessment.not_checked
        for option in evaluate_techniques(evaluation.facts, assessment, evaluation.picture.orders):
            findings += option.not_checked
    return [wording.label_in_sentence(evaluation.knowledge.facts[name].says) for name in unchecked_facts(evaluation, findings)]


def unchecked_facts(evaluation: Evaluation, findings: Iterable[Finding]) -> list[str]:
    """The plain facts for want of which findings are open, in the order of the knowledge. A value that is there but not
    exact enough for the limit ("< 100") leaves its finding open like one that is not there. What nobody is asked for (a
    drug, a coded diagnosis) is named where it is unknown, not where a complete chart is silent of it, and not beside what
    is asked for of the same finding."""
    knowledge = evaluation.knowledge
    leaves: set[str] = set()
    for finding in findings:
        wanting: set[str] = set()
        for test, fact in zip(finding.criterion.tests, finding.facts, strict=True):
            rests_on = recorded_inputs(knowledge, test.fact)
            missing = {leaf for leaf in rests_on if not evaluation.facts[leaf].known}
            inexact = not fact.known or compare_with_limit(test, fact) is None
            wanting |= missing or (rests_on if inexact else set())
        asked = {leaf for leaf in wanting if knowledge.facts[leaf].ask is not Supplier.NEVER}
        leaves |= asked or {leaf for leaf in wanting if evaluation.facts[leaf].unknown}
    return [name for name in knowledge.facts if name in leaves]
