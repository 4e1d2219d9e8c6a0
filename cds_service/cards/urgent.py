"""Cards that are never moved to the overview: contraindications, stopped orders and safety (docs/knowledge.md, "Which
cards")."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from cds_service.cards import wording
from cds_service.cards.blocks import BULLET, MAX_CHECKED_STOPS, checked_stop_words
from cds_service.cards.draft import Draft, Limits
from cds_service.cards.fact_words import (
    finding_day,
    finding_phrase,
    say_day,
    say_fact,
    say_finding,
    say_trend,
    shorten_list,
    statement_sources,
)
from cds_service.cards.summaries import first_fitting
from cds_service.cards.technique_findings import order_for
from cds_service.cards.text import Cut, Line, Paragraph, Phrase
from cds_service.clinical_picture import Observed
from cds_service.knowledge.modality import Technique, Verdict
from cds_service.knowledge.shown import StanceWord
from cds_service.reasoning.assessment import LOST_BY_CONTRAINDICATION, Assessment, verdict_but_for
from cds_service.reasoning.evaluation import Evaluation
from cds_service.reasoning.judgement import Finding, judge_criterion
from cds_service.reasoning.stances import stance_of_2010

CARD_LIMITS, SHARED_CARD_LIMITS = Limits(chars=700, lines=14), Limits(chars=1000, lines=19)


@dataclass(frozen=True, slots=True)
class StoppedTreatment:
    """A contraindicated modality, or an ordered technique that is stopped. `name`: as used within a sentence."""

    title: str
    name: str
    order: Observed | None
    findings: tuple[Finding, ...]
    assessment: Assessment
    technique: Technique | None
    critical: bool

    @property
    def modality(self) -> str:
        return self.assessment.modality.id


def find_stopped_treatments(evaluation: Evaluation) -> list[StoppedTreatment]:
    """Return what gets a contraindication card: critical ones first, then ordered ones. Transplantation is included only if it
    is ordered; else it is a line of the overview."""
    orders = evaluation.picture.orders
    found = list(_stopped_orders(evaluation))
    for assessment in evaluation.with_verdict(Verdict.CONTRAINDICATED):
        if needs_card(evaluation, assessment):
            order, critical = orders.get(assessment.modality.id), _critical(evaluation, assessment)
            found.append(
                StoppedTreatment(
                    assessment.modality.face_title,
                    assessment.modality.face_name,
                    order,
                    assessment.contraindications,
                    assessment,
                    None,
                    critical,
                )
            )
    return sorted(found, key=lambda part: (not part.critical, part.order is None))


def _stopped_orders(evaluation: Evaluation) -> Iterator[StoppedTreatment]:
    """Yield the ordered techniques (radioembolization, radionuclide therapy) with a hard fact against them."""
    for assessment in evaluation.assessments.values():
        for technique in assessment.modality.techniques:
            order = order_for(technique, evaluation.picture.orders)
            if order is None:
                continue
            met = tuple(f for c in technique.stopped_by if (f := judge_criterion(c, evaluation.facts)).met)
            if any(finding.criterion.id in technique.critical for finding in met):
                yield StoppedTreatment(
                    technique.short, wording.label_in_sentence(technique.short), order, met, assessment, technique, True
                )


def needs_card(evaluation: Evaluation, assessment: Assessment) -> bool:
    """Return whether a contraindicated modality gets a card. It does if it is ordered. Except for transplantation, it also does
    if no exclusion is met and, contraindications aside, an indication is met or unknown."""
    if assessment.modality.id in evaluation.picture.orders:
        return True
    excluded = any(
        judge_criterion(criterion, evaluation.facts).met for criterion, only in assessment.modality.exclusions if not only
    )
    return assessment.modality.id != "transplantation" and _possible(assessment) and not excluded


def _possible(assessment: Assessment) -> bool:
    return any(
        part.met is not False or {f.criterion.key for f in part.requirements if f.met is False} == {LOST_BY_CONTRAINDICATION}
        for part in assessment.decision.indications
    )


def _critical(evaluation: Evaluation, assessment: Assessment) -> bool:
    met = {finding.criterion.id for finding in assessment.contraindications}
    return assessment.modality.id in evaluation.picture.orders and bool(met & assessment.modality.critical)


def contraindication_draft(evaluation: Evaluation, stopped: Sequence[StoppedTreatment]) -> Draft:
    """Return the draft of the contraindication card: each reason with what it stops, and what would lift it."""
    title = Line((), f"{wording.join_words(_named_with_order(evaluation, stopped))}: contraindicated")
    by_reason: dict[str, tuple[Finding, list[str]]] = {}
    for part in stopped:
        for finding in part.findings:
            by_reason.setdefault(finding.criterion.id, (finding, []))[1].append(part.name)
    several = len({tuple(sorted(names)) for _, names in by_reason.values()}) > 1
    reasons = tuple(_reason(evaluation, finding, names if several else []) for finding, names in by_reason.values())
    lines = [Line(reasons, "Why:", BULLET, listed=True, keep_whole=True)]
    assessments = list({part.modality: part.assessment for part in stopped if part.technique is None}.values())
    lines += [*edition_lines(evaluation, assessments), *but_for_that(evaluation, assessments)]
    lifts = list(dict.fromkeys(finding.criterion.lift for finding, _ in by_reason.values() if finding.criterion.lift))
    if lifts:
        lines.append(Line(tuple(Phrase(lift) for lift in lifts), "Would change it:", BULLET, listed=True, keep_whole=True))
    limits = CARD_LIMITS if len({part.modality for part in stopped}) == 1 else SHARED_CARD_LIMITS
    return Draft(_contraindication_summary(evaluation, stopped), [Paragraph((title,)), Paragraph(tuple(lines))], limits)


def _reason(evaluation: Evaluation, finding: Finding, names: Sequence[str]) -> Phrase:
    phrase = finding_phrase(evaluation.knowledge, finding)
    day = finding_day(finding, evaluation.facts.today)
    against = f": {', '.join(names)}" if names else ""
    brief = f"{phrase.text}{against}"
    return Phrase(f"{phrase.text} ({day}){against}" if day else brief, phrase.sources, Cut.REPEATED, brief)


def _named_with_order(evaluation: Evaluation, stopped: Sequence[StoppedTreatment]) -> list[str]:
    """Return the names for one sentence, each once, with the day of the order."""
    named: dict[str, None] = {}
    for place, part in enumerate(stopped):
        ordered = f" (ordered {say_day(part.order.on, evaluation.facts.today)})" if part.order else ""
        named.setdefault(f"{part.title if not place else part.name}{ordered}")
    return list(named)


def _contraindication_summary(evaluation: Evaluation, stopped: Sequence[StoppedTreatment]) -> str:
    """Return the longest summary that fits: what is contraindicated, by what, and what would lift it."""
    names = _names_of(stopped)
    ordered = "Ordered: " if all(part.order for part in stopped) else ""
    what = f"{ordered}{wording.join_words(names)}: contraindicated"
    lifts = list(dict.fromkeys(f.criterion.lift for part in stopped for f in part.findings if f.criterion.lift))
    against = [list(dict.fromkeys(say_finding(evaluation.knowledge, f) for f in part.findings)) for part in stopped]
    if all(reasons == against[0] for reasons in against):
        candidates = [f"{what}, {'; '.join(against[0])}. What would lift it: {lifts[0]}"] if len(lifts) == 1 else []
        candidates += [f"{what}, {shorten_list(against[0], shown)}" for shown in range(len(against[0]), 0, -1)]
    else:  # each treatment with its own reason
        each = [f"{name} ({shorten_list(reasons, 1)})" for name, reasons in zip(names, against, strict=False)]
        candidates = [f"{ordered}contraindicated: {'; '.join(each)}"] if len(names) == len(against) else []
    return first_fitting([*candidates, what, f"{ordered}{names[0]} and {len(names) - 1} more: contraindicated"])


def _names_of(group: Sequence[StoppedTreatment]) -> list[str]:
    """Return the names for one sentence, each once."""
    return list(dict.fromkeys(part.title if not place else part.name for place, part in enumerate(group)))


def edition_lines(evaluation: Evaluation, assessments: Sequence[Assessment]) -> list[Line]:
    """Return what the review says of each modality. The same text is shown once, with the modalities that it is about."""
    said: dict[Phrase, list[str]] = {}
    for assessment in assessments:
        stance = stance_of_2010(assessment.modality.id, evaluation.facts)
        phrase = Phrase(assessment.modality.contraindications_say)
        if stance.word is StanceWord.AGAINST:
            row = stance.rows[0]
            phrase = Phrase(
                f"2010 **against:** {row.says or row.situation}", statement_sources(evaluation.knowledge, *row.by)[:1]
            )
        if phrase.text:
            said.setdefault(phrase, []).append(assessment.modality.face_name)
    several = len(assessments) > 1
    return [
        Line((replace(phrase, after=f" [{', '.join(names)}]" if several else ""),), "", BULLET)
        for phrase, names in said.items()
    ]


BUT_FOR_THAT = {
    Verdict.RECOMMENDED: "recommended",
    Verdict.CONSIDER: "consider",
    Verdict.UNDETERMINED: "open",
    Verdict.NOT_INDICATED: "not indicated",
}


def but_for_that(evaluation: Evaluation, assessments: Sequence[Assessment]) -> list[Line]:
    """Return the verdict without the contraindications, and the other stops that were checked."""
    verdicts: dict[str, list[str]] = {}
    looked: list[Finding] = []
    for assessment in assessments:
        said = BUT_FOR_THAT[verdict_but_for(assessment, evaluation.facts)]
        verdicts.setdefault(said, []).append(assessment.modality.face_name)
        judged = [judge_criterion(criterion, evaluation.facts) for criterion in assessment.modality.contraindications]
        looked += [finding for finding in judged if finding.met is False and finding.checked]
    phrases: list[Phrase] = []
    if verdicts:
        several = len(assessments) > 1
        verdict_text = "; ".join(f"{said} ({', '.join(names)})" if several else said for said, names in verdicts.items())
        phrases.append(Phrase(f"But for that: {verdict_text}"))
    if words := checked_stop_words(evaluation, looked):
        phrases.append(Phrase(f"Other stops looked at, none met: {shorten_list(words, MAX_CHECKED_STOPS)}", cut=Cut.DETAIL))
    return [Line(tuple(phrases), "", BULLET)] if phrases else []


SEVERE_HEART_DISEASE = "contraindication.severe-carcinoid-heart-disease"
CARDIAC_CAUTIONS = ("carcinoid-heart-disease", "possible-carcinoid-heart-disease", "cardiac-assessment-missing")


def cardiac_findings(evaluation: Evaluation) -> list[Finding]:
    """Return the findings of the safety card: carcinoid heart disease, or a carcinoid syndrome without a cardiac assessment in
    its window."""
    criteria = evaluation.knowledge.criteria
    keys = [SEVERE_HEART_DISEASE, *(f"caution.{name}" for name in CARDIAC_CAUTIONS)]
    return [finding for key in keys if (finding := judge_criterion(criteria[key], evaluation.facts)).met]


def safety_is_critical(evaluation: Evaluation) -> bool:
    """Return whether a treatment is ordered for which a cardiac finding is critical, without a current cardiac assessment."""
    ordered = [modality for modality in evaluation.knowledge.modalities if modality.id in evaluation.picture.orders]
    hard = frozenset[str]().union(*(modality.critical for modality in ordered))
    unassessed = evaluation.facts["cardiac_assessment_current"].equals(False)
    return unassessed and any(finding.criterion.id in hard for finding in cardiac_findings(evaluation))


def safety_draft(
    evaluation: Evaluation, cardiac: Sequence[Finding], procedural: Sequence[Finding], already_shown: Sequence[Finding] = ()
) -> Draft:
    """Return the draft of the safety card. `procedural`: the other cautions for any procedure; `already_shown`: findings that
    the contraindication card shows."""
    knowledge, facts, today = evaluation.knowledge, evaluation.facts, evaluation.facts.today
    said = {finding.criterion.key for finding in already_shown}
    shown = [finding for finding in cardiac if finding.criterion.key not in said]
    heart = tuple(finding_phrase(knowledge, finding, today) for finding in shown)
    lines = [Line(heart, "Heart:", BULLET, listed=True, keep_whole=True)] if heart else []
    if facts["nt_probnp"].known:
        measured = f"{say_trend(knowledge, 'nt_probnp', facts['nt_probnp'])} ({say_day(facts['nt_probnp'].on, today)})"
        lines.append(Line((Phrase(measured),), "", BULLET))
    here = {finding.criterion.id for finding in cardiac}
    others = [finding for finding in procedural if finding.criterion.id not in here]
    lines += [Line((finding_phrase(knowledge, finding),), "", BULLET) for finding in others]
    new = [finding for finding in cardiac if not said & {finding.criterion.key, SEVERE_HEART_DISEASE}]
    if lifts := list(dict.fromkeys(finding.criterion.lift for finding in new if finding.criterion.lift)):
        lines.append(Line((Phrase("; ".join(lifts)),), "Would change it:", BULLET))
    steps = wording.join_words(dict.fromkeys(f.criterion.before_procedure for f in cardiac if f.criterion.before_procedure))
    title = f"Before any procedure: {steps or 'cardiology'}"
    return Draft(_safety_summary(evaluation, cardiac), [Paragraph((Line((), title),)), Paragraph(tuple(lines))], CARD_LIMITS)


def _safety_summary(evaluation: Evaluation, cardiac: Sequence[Finding]) -> str:
    said = list(dict.fromkeys(wording.label_in_sentence(finding.criterion.says) for finding in cardiac))
    facts = evaluation.facts
    if facts["nt_probnp"].known:
        said.append(say_fact(evaluation.knowledge, "nt_probnp", facts["nt_probnp"]))
    start = "Cardiology before any procedure: "
    return first_fitting([start + ", ".join(said[:n]) for n in range(len(said), 0, -1)] + ["Cardiology before any procedure"])


def join_drafts(first: Draft, second: Draft) -> Draft:
    """Return two drafts as one card."""
    return Draft(
        first_fitting([f"{first.summary}; {second.summary[:1].lower()}{second.summary[1:]}", first.summary]),
        [*first.paragraphs, *second.paragraphs],
        SHARED_CARD_LIMITS,
    )
