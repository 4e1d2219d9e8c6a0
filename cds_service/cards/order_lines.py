"""The text of a card for orders that are being written: the answer and its reason first, then what else bears on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cds_service.cards import wording
from cds_service.cards.blocks import BULLET, MAX_CHECKED_STOPS, MAX_NAMED, checked_stop_words
from cds_service.cards.draft import Draft, Limits
from cds_service.cards.fact_words import fact_name, finding_day, finding_phrase, foot, say_finding, shorten_list
from cds_service.cards.reasons_against import say_answer, unmet_answers
from cds_service.cards.summaries import first_fitting
from cds_service.cards.text import Cut, Line, Paragraph, Phrase
from cds_service.cards.unchecked import split_unrecorded, unchecked_facts, without_bearing
from cds_service.cards.urgent import edition_lines
from cds_service.knowledge.modality import Verdict
from cds_service.knowledge.orders import JudgedBy
from cds_service.reasoning.evaluation import Evaluation
from cds_service.reasoning.judgement import Finding
from cds_service.reasoning.order_judgement import OrderJudgement, Severity
from cds_service.reasons import Reason

LIMITS, LIMITS_OF_SEVERAL = Limits(chars=700, lines=14), Limits(chars=1000, lines=19)
WORDS = {
    Verdict.RECOMMENDED: "recommended",
    Verdict.CONSIDER: "consider",
    Verdict.UNDETERMINED: "open",
    Verdict.NOT_INDICATED: "not indicated by these rules",
    Verdict.CONTRAINDICATED: "contraindicated",
}
CARDIOLOGY_FIRST, WITH_CAUTION = "cardiology first", "caution"
MAX_UNMET = 2
NO_GRAFT = "gate.transplanted-liver"


def order_draft(evaluation: Evaluation, group: Sequence[OrderJudgement]) -> Draft:
    """Return the draft of the card for orders of one treatment, the loudest first."""
    title = Line((), _title(group))
    lines = tuple(_lines(evaluation, group))
    limits = LIMITS if len(group) == 1 else LIMITS_OF_SEVERAL
    foot_line = Paragraph((Line((Phrase(foot(evaluation.knowledge)),)),))
    return Draft(_summary(evaluation, group), [Paragraph((title,)), Paragraph(lines), foot_line], limits)


def missing_facts(evaluation: Evaluation, judgement: OrderJudgement) -> list[str]:
    """Return the facts that would decide an undetermined order."""
    if judgement.verdict is not Verdict.UNDETERMINED:
        return []
    if judgement.kind.judged_by is JudgedBy.MODALITY and judgement.assessment.missing:
        return list(judgement.assessment.missing)
    return unchecked_facts(evaluation, judgement.open)


def unchecked_stops(evaluation: Evaluation, judgement: OrderJudgement) -> list[str]:
    """Return the facts that could stop the ordered technique, or be a caution for it, and of which too little is known."""
    idle = without_bearing(evaluation)
    return [name for name in unchecked_facts(evaluation, judgement.unchecked) if name not in idle]


def _name(judgement: OrderJudgement) -> str:
    mark = f" ({wording.explain(Reason.BY_NAME)})" if judgement.by_name else ""
    return f"{wording.label_in_sentence(judgement.kind.title)}{mark}"


def _word(judgement: OrderJudgement) -> str:
    """Return the answer in a few words. A caution that is loud comes before the verdict, which it does not change."""
    if judgement.verdict is Verdict.CONTRAINDICATED or judgement.severity is Severity.INFO:
        return WORDS[judgement.verdict]
    loud = CARDIOLOGY_FIRST if judgement.severity is Severity.CRITICAL else WITH_CAUTION
    if judgement.verdict in {Verdict.NOT_INDICATED, Verdict.UNDETERMINED}:
        return f"{loud}; {WORDS[judgement.verdict]}"
    return loud


def _title(group: Sequence[OrderJudgement]) -> str:
    """Return, for example, "Order of radioembolization: contraindicated"."""
    if len(group) == 1:
        return f"Order of {_name(group[0])}: {_word(group[0])}"
    words: dict[str, list[str]] = {}
    for judgement in group:
        words.setdefault(_word(judgement), []).append(_name(judgement))
    return f"Orders: {'; '.join(f'{wording.join_words(names)}: {word}' for word, names in words.items())}"


def _lines(evaluation: Evaluation, group: Sequence[OrderJudgement]) -> Iterator[Line]:
    loud = [(j, f) for j in group for f in j.cautions if f.criterion.id in j.kind.warns]
    others = [(j, f) for j in group for f in j.cautions if f.criterion.id not in j.kind.warns]
    against = [(judgement, finding) for judgement in group for finding in judgement.against]
    for lead, found in (("Why:", against), ("Why:" if not against else "Caution:", loud)):
        if found:
            yield Line(tuple(_phrases(evaluation, group, found)), lead, BULLET, listed=True, keep_whole=True)
    if not_met := _not_indicated(evaluation, group):
        yield Line(tuple(not_met), "Not indicated:" if against or loud else "Why:", BULLET, listed=True, keep_whole=True)
    stopped = [j for j in group if j.verdict is Verdict.CONTRAINDICATED]
    whole = {j.assessment.modality.id: j.assessment for j in stopped if j.assessment.verdict is Verdict.CONTRAINDICATED}
    yield from edition_lines(evaluation, list(whole.values()))
    missing = list(dict.fromkeys(name for judgement in group for name in missing_facts(evaluation, judgement)))
    if texts := list(dict.fromkeys(text for judgement in group for text in _open_texts(evaluation, judgement))):
        yield Line((Phrase(shorten_list(texts, MAX_NAMED)),), "Missing:", BULLET)
    if others:
        phrases = _phrases(evaluation, group, others, unsourced=Cut.WORDING)
        yield Line(tuple(phrases), "Cautions:", BULLET, listed=True, keep_whole=True)
    yield from _looked_at(evaluation, group, stopped)
    yield from _unrecorded(evaluation, group, set(missing))
    if lifts := list(dict.fromkeys(f.criterion.lift for _, f in (*against, *loud) if f.criterion.lift)):
        yield Line(tuple(Phrase(lift) for lift in lifts), "Would change it:", BULLET, listed=True, keep_whole=True)


def _phrases(
    evaluation: Evaluation,
    group: Sequence[OrderJudgement],
    found: Sequence[tuple[OrderJudgement, Finding]],
    unsourced: Cut = Cut.KEPT,
) -> Iterator[Phrase]:
    """Yield each finding once with its source and its day and, if the card is for several orders, with those it is for.
    `unsourced`: from here on without the source."""
    by_id: dict[str, tuple[Finding, list[OrderJudgement]]] = {}
    for judgement, finding in found:
        by_id.setdefault(finding.criterion.id, (finding, []))[1].append(judgement)
    for finding, orders in by_id.values():
        phrase, day = finding_phrase(evaluation.knowledge, finding), finding_day(finding, evaluation.facts.today)
        brief = f"{phrase.text}{_whose(group, orders)}"
        text = f"{phrase.text} ({day}){_whose(group, orders)}" if day else brief
        yield Phrase(text, phrase.sources, Cut.REPEATED, brief, unsourced=unsourced)


def _whose(group: Sequence[OrderJudgement], orders: Sequence[OrderJudgement]) -> str:
    """Return what of a card for several orders a text is for; empty if it is for all."""
    return f": {', '.join(map(_name, orders))}" if len(orders) < len(group) else ""


def _not_indicated(evaluation: Evaluation, group: Sequence[OrderJudgement]) -> list[Phrase]:
    """Return why orders are not indicated, or that no rule covers a transplanted liver, each reason once."""
    by_reason: dict[str, list[OrderJudgement]] = {}
    for judgement in group:
        for reason in reasons_of(evaluation, judgement):
            by_reason.setdefault(reason, []).append(judgement)
    return [Phrase(f"{reason}{_whose(group, orders)}") for reason, orders in by_reason.items()]


def reasons_of(evaluation: Evaluation, judgement: OrderJudgement) -> list[str]:
    """Return why an order is not indicated, as texts; empty if it is, or if it is open."""
    knowledge = evaluation.knowledge
    if any(finding.criterion.key == NO_GRAFT for finding in judgement.decided):
        return ["transplanted liver: no rule covers a graft, ask the transplant team"]
    if judgement.verdict is not Verdict.NOT_INDICATED:
        return []
    if judgement.kind.judged_by is JudgedBy.CONDITIONS:
        pairs = [(test.fact, fact, f.criterion.says) for f in judgement.decided
                 for test, fact in zip(f.criterion.tests, f.facts, strict=True)]  # fmt: skip
        said = [
            say_answer(evaluation, name, fact) or f"not met: {wording.label_in_sentence(says)}" for name, fact, says in pairs
        ]
        return list(dict.fromkeys(said))[:MAX_UNMET]
    excluded = list(dict.fromkeys(say_finding(knowledge, finding) for finding in judgement.decided))
    if excluded:
        more = judgement.assessment.modality.excluded_say
        return [*excluded, *([more] if more else [])]
    found = list(dict.fromkeys(unmet_answers(evaluation, judgement.unmet)))[:MAX_UNMET]
    return found or ["none of its indications is met"]


def _looked_at(evaluation: Evaluation, group: Sequence[OrderJudgement], stopped: Sequence[OrderJudgement]) -> Iterator[Line]:
    """Yield the verdict without what contraindicates an order, and the other stops that were checked."""
    phrases = []
    for judgement in stopped:
        whose = f" ({_name(judgement)})" if len(group) > 1 else ""
        phrases.append(Phrase(f"But for that: {WORDS[judgement.but_for]}{whose}", cut=Cut.WORDING))
    checked = list({f.criterion.id: f for judgement in group for f in judgement.checked}.values())
    if words := checked_stop_words(evaluation, checked):
        other = "Other stops" if stopped else "Stops"
        phrases.append(Phrase(f"{other} looked at, none met: {shorten_list(words, MAX_CHECKED_STOPS)}", cut=Cut.NORMAL_VALUE))
    if phrases:
        yield Line(tuple(phrases), "", BULLET)


def _unrecorded(evaluation: Evaluation, group: Sequence[OrderJudgement], said: set[str]) -> Iterator[Line]:
    names = [name for judgement in group for name in unchecked_stops(evaluation, judgement) if name not in said]
    silent, unusable = split_unrecorded(evaluation, dict.fromkeys(names))
    for lead, texts in (("Not recorded:", silent), ("Out of date or unreadable:", unusable)):
        if texts:
            yield Line(tuple(map(Phrase, texts)), lead, BULLET, listed=True, keep_whole=True, joins=True)
    if not_read := list(dict.fromkeys(what for judgement in group for what in judgement.kind.not_read)):
        whole = Phrase("; ".join(not_read), cut=Cut.WORDING, brief=shorten_list(not_read, 1))
        yield Line((whole,), "Not read here:", BULLET, listed=True, joins=True)
    if gaps := [wording.key_not_consulted(part) for part in evaluation.picture.not_consulted]:
        yield Line((Phrase(shorten_list(gaps, MAX_NAMED)),), "Not consulted:", BULLET)


def _summary(evaluation: Evaluation, group: Sequence[OrderJudgement]) -> str:
    """Return the longest summary that fits: what is ordered, the answer, its reasons, and what would lift it. With several
    orders the reasons are those of the loudest."""
    first, knowledge, head = group[0], evaluation.knowledge, _title(group)
    loud = [finding for finding in first.cautions if finding.criterion.id in first.kind.warns]
    findings = [*first.against, *loud] or list(first.cautions)
    reasons = list(dict.fromkeys(say_finding(knowledge, finding) for finding in findings))
    labels = list(dict.fromkeys(_label(finding) for finding in findings))
    if not (first.against or loud):  # what decides it, else what comes before it
        before = list(dict.fromkeys(f.criterion.before_procedure or _label(f) for f in findings))
        other = reasons_of(evaluation, first) or _missing_words(evaluation, first)
        reasons, labels = other or reasons, other or before
    whose = f" ({_name(first)})" if len(group) > 1 else ""
    lifts = list(dict.fromkeys(finding.criterion.lift for finding in findings if finding.criterion.lift))
    candidates = (
        [f"{head}, {reasons[0]}{whose}. What would lift it: {lifts[0]}"] if len(reasons) == 1 and len(lifts) == 1 else []
    )
    for texts in (reasons, labels):
        candidates += [f"{head}, {shorten_list(texts, shown)}{whose}" for shown in range(len(texts), 0, -1)]
    short = f"{len(group)} orders: {_name(first)} {_word(first)}" if len(group) > 1 else head
    return first_fitting([*candidates, *(f"{short}, {label}" for label in labels[:1]), head, short])


def _label(finding: Finding) -> str:
    return wording.label_in_sentence(finding.criterion.says)


def _open_texts(evaluation: Evaluation, judgement: OrderJudgement) -> list[str]:
    """Return the facts that would decide an open order by name; without any, the conditions that nothing on record meets."""
    if names := missing_facts(evaluation, judgement):
        return list(dict.fromkeys(fact_name(evaluation.knowledge, name) for name in names))
    return (
        list(dict.fromkeys(_label(finding) for finding in judgement.open)) if judgement.verdict is Verdict.UNDETERMINED else []
    )


def _missing_words(evaluation: Evaluation, judgement: OrderJudgement) -> list[str]:
    """Return what is missing for an open order, or is not recorded for the ordered technique, as texts."""
    knowledge = evaluation.knowledge
    if texts := _open_texts(evaluation, judgement):
        return [f"missing: {shorten_list(texts, MAX_NAMED)}"]
    if judgement.cautions:
        return []
    names = [fact_name(knowledge, name) for name in unchecked_stops(evaluation, judgement)]
    return [f"not checked: {shorten_list(names, MAX_NAMED)}"] if names else []
