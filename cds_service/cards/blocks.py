"""A treatment as a block of a modality card: full for the first three of the overview, short for the others (CARDS)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from cds_service.cards import wording
from cds_service.cards.claims import (
    dissent_phrases,
    review_phrases,
    risk_phrases,
    since_phrases,
    sources_of_stance,
    speaks_against,
    stance_word,
)
from cds_service.cards.fact_words import counted, criterion_sources, finding_phrase, known_inputs, say_fact, say_finding
from cds_service.cards.reasons_for import failure_phrases, reasons_for
from cds_service.cards.text import Cut, Line, Paragraph, Phrase
from cds_service.cards.treatments import Treatment, cautions_of, drug_fails, given_drug, is_current
from cds_service.cards.unchecked import facts_of_concern, open_facts, split_unrecorded, stops_looked_at, unchecked_of
from cds_service.knowledge.modality import Verdict
from cds_service.knowledge.vocabulary import GradeLimit
from cds_service.reasoning.evaluation import Evaluation
from cds_service.reasoning.failures import recorded_failures
from cds_service.reasoning.judgement import Finding, judge_criterion

BULLET = "- "
MAX_FULL_BULLETS, MAX_SHORT_BULLETS = 6, 4
MAX_FULL_RISKS, MAX_SHORT_RISKS = 2, 1
MAX_LOOKED_AT, MAX_LOOKED_AT_IN_SHORT, MAX_NAMED, MAX_WHY = 7, 1, 4, 4


@dataclass(frozen=True, slots=True)
class Told:
    """What a card says elsewhere, so that a block names it at most: ids of cautions."""

    cautions: frozenset[str]


def treatment_block(evaluation: Evaluation, treatment: Treatment, full: bool, told: Told) -> list[Paragraph]:
    lines = _full(evaluation, treatment, told) if full else _short(evaluation, treatment, told)
    most = MAX_FULL_BULLETS if full else MAX_SHORT_BULLETS
    return [Paragraph((Line((), block_title(evaluation, treatment)),)), Paragraph(tuple(lines), most)]


def block_title(evaluation: Evaluation, treatment: Treatment) -> str:
    return f"{treatment.title}: {verdict_words(evaluation, treatment)}"


def verdict_words(evaluation: Evaluation, treatment: Treatment) -> str:
    """ "consider", "continue as given", "open"; where a gate or a caution lowered it, by which."""
    if treatment.is_option and (advice := drug_advice(evaluation, treatment)):
        return advice
    if treatment.is_option and treatment.line and treatment.line.does:
        return treatment.line.does
    if treatment.is_lowered and (by := lowered_by(evaluation, treatment)):
        held = wording.join_words(dict.fromkeys(_say_what_lowers(finding) for finding in by))
        return f"consider (would be recommended but for {held})"
    if treatment.is_option and treatment.line is None and treatment.modality.nec_says and evaluation.facts["nec"].equals(True):
        return treatment.modality.nec_says
    words = {
        Verdict.RECOMMENDED: "recommended", Verdict.CONSIDER: "consider", Verdict.CONTRAINDICATED: "contraindicated",
        Verdict.NOT_INDICATED: "not indicated", Verdict.UNDETERMINED: "open",
    }  # fmt: skip
    said = words[treatment.verdict]
    return (
        f"{said}, as a class"
        if treatment.modality.id == "systemic-therapy" and treatment.verdict is Verdict.RECOMMENDED
        else said
    )


def lowered_by(evaluation: Evaluation, treatment: Treatment) -> list[Finding]:
    """The cautions or the grade that hold a recommendation back. A grade does so too while it is open."""
    modality, criteria = treatment.modality, evaluation.knowledge.criteria
    found = [finding for finding in treatment.assessment.cautions if finding.criterion.id in modality.downgraded_by]
    limits = {"gate.g3": modality.g3, "gate.nec": modality.nec}
    gates = [judge_criterion(criteria[n], evaluation.facts) for n, at in limits.items() if at is GradeLimit.AT_MOST_CONSIDER]
    return [*found, *(gate for gate in gates if gate.met is not False)]


def _say_what_lowers(finding: Finding) -> str:
    named = wording.label_in_sentence(finding.criterion.says)
    return named if finding.met else f"{named}, not ruled out"


def drug_advice(evaluation: Evaluation, treatment: Treatment) -> str:
    """What is said of a drug that is given already: continue, dose or interval, or another treatment first."""
    if treatment.line is None or given_drug(evaluation, treatment) is None:
        return ""
    facts, drug = evaluation.facts, treatment.given or "the analogue"
    if not is_current(evaluation, treatment):
        return "on record; is it still given?"
    given, adjust = (text.replace("{drug}", drug) for text in (treatment.line.given, treatment.line.adjust))
    if treatment.modality.id == "systemic-therapy":
        said = adjust if drug_fails(evaluation, treatment) else given
        return said if facts["disease_status"].known else f"{said}; stable or progressing?"
    if facts["disease_status"].equals("progression") and treatment.line.progressing:
        given = treatment.line.progressing.replace("{drug}", drug)
    more = [option.technique.short for option in treatment.options if option.technique.short]
    if more or drug_fails(evaluation, treatment):
        return f"{adjust}, or add {wording.join_words(more)}" if more else adjust
    return given if facts["hormonal_symptoms_controlled"].known else f"{given}; are the symptoms controlled?"


def _full(evaluation: Evaluation, treatment: Treatment, told: Told) -> Iterator[Line]:
    yield why_line(evaluation, treatment)
    yield from stance_lines(evaluation, treatment)
    yield from against_lines(evaluation, treatment, told, MAX_FULL_RISKS)
    if (line := stops_line(evaluation, treatment)) is not None:
        yield line
    yield change_line(evaluation, treatment)


def _short(evaluation: Evaluation, treatment: Treatment, told: Told) -> Iterator[Line]:
    why = why_line(evaluation, treatment)
    sources = sources_of_stance(evaluation, treatment)
    stances = [Phrase(f"2010 **{stance_word(treatment)}**", sources, unsourced=Cut.WORDING)]
    if speaks_against(treatment):
        stances = review_phrases(evaluation, treatment)
    whole = "; ".join(phrase.brief or phrase.text for phrase in why.phrases[:MAX_WHY])
    tells = "; ".join(phrase.brief or phrase.text for phrase in why.phrases if phrase.last is Cut.KEPT)
    yield Line((Phrase(whole, cut=Cut.DETAIL, brief=tells or whole), *stances), why.lead, BULLET)
    if since := [*since_phrases(evaluation, treatment, most_drugs=1), *dissent_phrases(evaluation, treatment)]:
        yield Line(tuple(since), "", BULLET)
    yield from against_lines(evaluation, treatment, told, MAX_SHORT_RISKS)
    yield change_line(evaluation, treatment)


def why_line(evaluation: Evaluation, treatment: Treatment) -> Line:
    if treatment.is_nearly_option:
        return missing_line(evaluation, treatment)
    phrases = reasons_for(evaluation, treatment) or [Phrase("see its criteria")]
    return Line(tuple(phrases), "Why:", BULLET, listed=True, keep_whole=True)


def missing_line(evaluation: Evaluation, treatment: Treatment) -> Line:
    names, unusable = split_unrecorded(evaluation, open_facts(evaluation, treatment))
    said = Phrase(", ".join([*unusable, *names]) or "what could stop it")
    at_best = best_words(treatment)
    return Line((said,), f"Missing ({at_best}):" if at_best else "Missing:", BULLET, listed=True)


def best_words(treatment: Treatment) -> str:
    """ "consider at best", of a treatment that is open; empty where nothing speaks for it whatever comes."""
    best = treatment.assessment.best_possible
    return {Verdict.RECOMMENDED: "recommended at best", Verdict.CONSIDER: "consider at best"}.get(best or treatment.verdict, "")


def stance_lines(evaluation: Evaluation, treatment: Treatment) -> Iterator[Line]:
    """What the review says and what came since; a dissent has a line of its own."""
    phrases = (*review_phrases(evaluation, treatment), *since_phrases(evaluation, treatment))
    yield Line(phrases, "", BULLET, joins=True)
    if dissent := dissent_phrases(evaluation, treatment):
        yield Line(tuple(dissent), "", BULLET, joins=True)


def own_cautions(treatment: Treatment, told: Told) -> list[Finding]:
    """Cautions that this patient meets and that no other place of the answer says."""
    seen: dict[str, Finding] = {}
    for finding in cautions_of(treatment):
        if not finding.criterion.risk and finding.criterion.id not in told.cautions:
            seen.setdefault(finding.criterion.id, finding)
    return list(seen.values())


def against_lines(evaluation: Evaluation, treatment: Treatment, told: Told, max_risks: int) -> Iterator[Line]:
    """Cautions and stops of ways of doing it, all of them; then the first risks, the others counted."""
    knowledge = evaluation.knowledge
    against = [finding_phrase(knowledge, finding) for finding in own_cautions(treatment, told)]
    if treatment.line is None:
        for option in treatment.options:
            if option.stops:
                said = "; ".join(say_finding(knowledge, finding) for finding in option.stops)
                sources = tuple(dict.fromkeys(s for f in option.stops for s in criterion_sources(knowledge, f.criterion)))
                ordered = ", ordered" if option.order else ""
                against.append(Phrase(f"{option.technique.short}{ordered}: stopped by {said}", sources[:2]))
        against += failure_phrases(evaluation, treatment)
    phrases = [_labelled("Against", against[0]), *against[1:]] if against else []
    if risks := risk_phrases(evaluation, treatment):
        first, *others = risks
        phrases.append(_labelled("Risk", first))
        phrases += [replace(phrase, last=Cut.DETAIL, supporting=True) for phrase in others[: max_risks - 1]]
        left = len(risks) - max_risks
        counted_at = Cut.DETAIL if max_risks > 1 else Cut.KEPT
        if others:  # where the second is left out, it is counted
            phrases.append(Phrase(_more(left), cut=counted_at, brief=_more(len(others))))
    if phrases:
        yield Line(tuple(phrases), "", BULLET)


def _more(count: int) -> str:
    return f"{count} more: rule book" if count > 0 else ""


def _labelled(label: str, phrase: Phrase) -> Phrase:
    return replace(phrase, text=f"**{label}:** {phrase.text}", brief=f"**{label}:** {phrase.brief}" if phrase.brief else "")


def stops_line(evaluation: Evaluation, treatment: Treatment) -> Line | None:
    """What was looked at and not found, what is not recorded, what cannot be read here. Never "no contraindication"."""
    looked = looked_at_words(evaluation, stops_looked_at(evaluation, treatment))
    silent, unusable = split_unrecorded(evaluation, unchecked_of(evaluation, [treatment]))
    phrases: list[Phrase] = []
    if looked:
        said = "Stops looked at, none met: "
        brief = said + counted(looked, MAX_LOOKED_AT_IN_SHORT)
        phrases.append(Phrase(said + counted(looked, MAX_LOOKED_AT), cut=Cut.DETAIL, brief=brief))
    if unusable and not treatment.is_nearly_option:  # there they stand among what is missing
        phrases.append(Phrase(f"Out of date or unreadable: {counted(unusable, MAX_NAMED)}", cut=Cut.DETAIL))
    if silent:
        phrases.append(Phrase(f"Not recorded: {counted(silent, MAX_NAMED)}", cut=Cut.REPEATED))  # the overview names them too
    if unjudged := unjudged_words(evaluation, treatment):
        phrases.append(Phrase(f"{unjudged}: not judged, no upper limit sent"))
    if treatment.not_read:
        phrases.append(Phrase(f"Not read here: {', '.join(treatment.not_read)}", cut=Cut.REPEATED))  # the overview says it
    return Line(tuple(phrases), "", BULLET) if phrases else None


def unjudged_words(evaluation: Evaluation, treatment: Treatment) -> str:
    """Values whose stop is a multiple of an upper limit that was not sent with them."""
    knowledge, facts = evaluation.knowledge, evaluation.facts
    stops = [criterion for option in treatment.options for criterion in option.technique.stopped_by] if treatment.line else []
    names = [test.fact for criterion in stops for test in criterion.tests]
    values = [knowledge.facts[name].upper_limit_of for name in names if name in knowledge.facts and not facts[name].known]
    return ", ".join(say_fact(knowledge, name, facts[name]) for name in values if name and facts[name].known)


def looked_at_words(evaluation: Evaluation, findings: Iterable[Finding]) -> list[str]:
    """The documented facts that were looked at, each once: not the person, nor the creatinine beside an eGFR that was sent, nor
    what a caution of any treatment rests on: "none met" beside an INR to be corrected reads as if it were harmless."""
    facts = evaluation.facts
    names = sorted(known_inputs(facts, findings), key=lambda name: not _is_telling(evaluation, name))
    left_out = {"age", "sex", *facts_of_concern(evaluation), *(["creatinine"] if facts["egfr"].known else [])}
    shown = [name for name in names if name not in left_out and not facts[name].equals(True)]  # a yes is no "none met"
    return list(dict.fromkeys(say_fact(evaluation.knowledge, name, facts[name]) for name in shown))


def _is_telling(evaluation: Evaluation, name: str) -> bool:
    """Measured values, and the portal vein, before answers that only deny."""
    return evaluation.knowledge.facts[name].kind.numeric or name == "portal_vein"


def change_line(evaluation: Evaluation, treatment: Treatment) -> Line:
    lifts = (
        [finding.criterion.lift for finding in lowered_by(evaluation, treatment) if finding.criterion.lift]
        if treatment.is_lowered
        else []
    )
    said = [f"{lift} → recommended" for lift in dict.fromkeys(lifts)]
    worse = [finding.criterion.worse for finding in lowered_by(evaluation, treatment) if finding.criterion.worse]
    said += [f"{text} → contraindicated" for text in dict.fromkeys(worse)] if treatment.is_lowered else []
    if treatment.is_nearly_option and treatment.assessment.best_possible in {Verdict.RECOMMENDED, Verdict.CONSIDER}:
        said.append(f"no stop found → {treatment.assessment.best_possible.value}")
    if names := untried_names(evaluation, treatment):
        said.append(f'{wording.join_words(names, "or")}, not on record (is it "refractory"?)')
    return Line((Phrase("; ".join([*said, *_own_change(evaluation, treatment)])),), "Would change it:", BULLET)


def _own_change(evaluation: Evaluation, treatment: Treatment) -> list[str]:
    """What would change the verdict, by the indication that is met, or the line, or the modality."""
    if treatment.line is not None and treatment.line.adjusted and treatment.is_option and drug_fails(evaluation, treatment):
        return [treatment.line.adjusted]
    ranked = sorted(treatment.met, key=lambda found: found.indication.rank)
    by_indication = [found.indication.change for found in ranked if found.indication.change] if treatment.line is None else []
    return by_indication[:1] or [treatment.change]


def untried_names(evaluation: Evaluation, treatment: Treatment) -> list[str]:
    """Treatments that "refractory" takes for tried and of which no record shows that they were, nor that they failed."""
    facts = evaluation.facts
    return [
        name
        for option in treatment.options
        for name, records in option.technique.untried.items()
        if not any(
            recorded_failures(record, facts) if record in evaluation.assessments else facts[record].equals(True)
            for record in records
        )
    ]
