"""The block of a treatment on a modality card: full for the first three of the overview, short for the others
(docs/cards.md, "Structure")."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

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
from cds_service.cards.fact_words import criterion_sources, finding_phrase, known_inputs, say_fact, say_finding, shorten_list
from cds_service.cards.reasons_for import failure_phrases, reasons_for
from cds_service.cards.text import Cut, Line, Paragraph, Phrase
from cds_service.cards.treatments import Treatment, cautions_of, drug_fails, given_drug, is_current
from cds_service.cards.unchecked import checked_stops, facts_of_concern, open_facts, split_unrecorded, unchecked_of
from cds_service.knowledge.modality import Verdict
from cds_service.knowledge.vocabulary import GradeLimit
from cds_service.reasoning.evaluation import Evaluation
from cds_service.reasoning.failures import recorded_failures
from cds_service.reasoning.judgement import Finding, judge_criterion

BULLET = "- "
MAX_FULL_BULLETS, MAX_SHORT_BULLETS = 6, 4
MAX_FULL_RISKS, MAX_SHORT_RISKS = 2, 1
MAX_CHECKED_STOPS, MAX_CHECKED_STOPS_IN_SHORT, MAX_NAMED, MAX_WHY = 7, 1, 4, 4


def treatment_block(
    evaluation: Evaluation, treatment: Treatment, full: bool, shown_cautions: frozenset[str]
) -> list[Paragraph]:
    """Return the title and the lines of a treatment. `shown_cautions`: ids of cautions that are shown elsewhere."""
    lines = _full(evaluation, treatment, shown_cautions) if full else _short(evaluation, treatment, shown_cautions)
    most = MAX_FULL_BULLETS if full else MAX_SHORT_BULLETS
    return [Paragraph((Line((), block_title(evaluation, treatment)),)), Paragraph(tuple(lines), most)]


def block_title(evaluation: Evaluation, treatment: Treatment) -> str:
    return f"{treatment.title}: {verdict_words(evaluation, treatment)}"


def verdict_words(evaluation: Evaluation, treatment: Treatment) -> str:
    """Return the verdict as text ("consider", "continue as given", "open"), with the gate or caution that lowered it."""
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
    """Return the cautions and gates that lower a recommendation. A gate lowers it also while it is unknown."""
    modality, criteria = treatment.modality, evaluation.knowledge.criteria
    found = [finding for finding in treatment.assessment.cautions if finding.criterion.id in modality.downgraded_by]
    limits = {"gate.g3": modality.g3, "gate.nec": modality.nec}
    gates = [judge_criterion(criteria[n], evaluation.facts) for n, at in limits.items() if at is GradeLimit.AT_MOST_CONSIDER]
    return [*found, *(gate for gate in gates if gate.met is not False)]


def _say_what_lowers(finding: Finding) -> str:
    named = wording.label_in_sentence(finding.criterion.says)
    return named if finding.met else f"{named}, not ruled out"


def drug_advice(evaluation: Evaluation, treatment: Treatment) -> str:
    """Return the advice on a drug that is on record: continue, change dose or interval, or add another treatment. Empty if it
    is not on record."""
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


def _full(evaluation: Evaluation, treatment: Treatment, shown_cautions: frozenset[str]) -> Iterator[Line]:
    yield why_line(evaluation, treatment)
    yield from stance_lines(evaluation, treatment)
    yield from against_lines(evaluation, treatment, shown_cautions, MAX_FULL_RISKS)
    if (line := stops_line(evaluation, treatment)) is not None:
        yield line
    yield change_line(evaluation, treatment)


def _short(evaluation: Evaluation, treatment: Treatment, shown_cautions: frozenset[str]) -> Iterator[Line]:
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
    yield from against_lines(evaluation, treatment, shown_cautions, MAX_SHORT_RISKS)
    yield change_line(evaluation, treatment)


def why_line(evaluation: Evaluation, treatment: Treatment) -> Line:
    """Return the reasons for a treatment, or what is missing if it is nearly an option."""
    if treatment.is_nearly_option:
        return missing_line(evaluation, treatment)
    phrases = reasons_for(evaluation, treatment) or [Phrase("see its criteria")]
    return Line(tuple(phrases), "Why:", BULLET, listed=True, keep_whole=True)


def missing_line(evaluation: Evaluation, treatment: Treatment) -> Line:
    """Return the open facts of a treatment, unusable values first."""
    names, unusable = split_unrecorded(evaluation, open_facts(evaluation, treatment))
    said = Phrase(", ".join([*unusable, *names]) or "what could stop it")
    at_best = best_words(treatment)
    return Line((said,), f"Missing ({at_best}):" if at_best else "Missing:", BULLET, listed=True)


def best_words(treatment: Treatment) -> str:
    """Return, for example, "consider at best" for an open treatment; empty if no outcome would make it an option."""
    best = treatment.assessment.best_possible
    return {Verdict.RECOMMENDED: "recommended at best", Verdict.CONSIDER: "consider at best"}.get(best or treatment.verdict, "")


def stance_lines(evaluation: Evaluation, treatment: Treatment) -> Iterator[Line]:
    """Yield what the review and later evidence say, with dissents on a line of their own."""
    phrases = (*review_phrases(evaluation, treatment), *since_phrases(evaluation, treatment))
    yield Line(phrases, "", BULLET, joins=True)
    if dissent := dissent_phrases(evaluation, treatment):
        yield Line(tuple(dissent), "", BULLET, joins=True)


def own_cautions(treatment: Treatment, shown_cautions: frozenset[str]) -> list[Finding]:
    """Return the cautions that are met and not shown elsewhere."""
    seen: dict[str, Finding] = {}
    for finding in cautions_of(treatment):
        if not finding.criterion.risk and finding.criterion.id not in shown_cautions:
            seen.setdefault(finding.criterion.id, finding)
    return list(seen.values())


def against_lines(
    evaluation: Evaluation, treatment: Treatment, shown_cautions: frozenset[str], max_risks: int
) -> Iterator[Line]:
    """Yield all cautions and all stops of its techniques, then the first risks and the number of the others."""
    knowledge = evaluation.knowledge
    against = [finding_phrase(knowledge, finding) for finding in own_cautions(treatment, shown_cautions)]
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
        if others:  # a second risk that is left out is counted
            phrases.append(Phrase(_more(left), cut=counted_at, brief=_more(len(others))))
    if phrases:
        yield Line(tuple(phrases), "", BULLET)


def _more(count: int) -> str:
    return f"{count} more: rule book" if count > 0 else ""


def _labelled(label: str, phrase: Phrase) -> Phrase:
    return replace(phrase, text=f"**{label}:** {phrase.text}", brief=f"**{label}:** {phrase.brief}" if phrase.brief else "")


def stops_line(evaluation: Evaluation, treatment: Treatment) -> Line | None:
    """Return which stops were checked and not met, which are not recorded, and which are not read here. The line must not imply
    "no contraindication"."""
    looked = checked_stop_words(evaluation, checked_stops(evaluation, treatment))
    silent, unusable = split_unrecorded(evaluation, unchecked_of(evaluation, [treatment]))
    phrases: list[Phrase] = []
    if looked:
        said = "Stops looked at, none met: "
        brief = said + shorten_list(looked, MAX_CHECKED_STOPS_IN_SHORT)
        phrases.append(Phrase(said + shorten_list(looked, MAX_CHECKED_STOPS), cut=Cut.DETAIL, brief=brief))
    if unusable and not treatment.is_nearly_option:  # else they are listed as missing
        phrases.append(Phrase(f"Out of date or unreadable: {shorten_list(unusable, MAX_NAMED)}", cut=Cut.DETAIL))
    if silent:
        # REPEATED: the overview names them too
        phrases.append(Phrase(f"Not recorded: {shorten_list(silent, MAX_NAMED)}", cut=Cut.REPEATED))
    if unjudged := unjudged_words(evaluation, treatment):
        phrases.append(Phrase(f"{unjudged}: not judged, no upper limit sent"))
    if treatment.not_read:
        phrases.append(Phrase(f"Not read here: {', '.join(treatment.not_read)}", cut=Cut.REPEATED))  # the overview says it
    return Line(tuple(phrases), "", BULLET) if phrases else None


def unjudged_words(evaluation: Evaluation, treatment: Treatment) -> str:
    """Return the values that could not be judged, because their stop is a multiple of an upper limit that was not sent."""
    knowledge, facts = evaluation.knowledge, evaluation.facts
    stops = [criterion for option in treatment.options for criterion in option.technique.stopped_by] if treatment.line else []
    names = [test.fact for criterion in stops for test in criterion.tests]
    values = [knowledge.facts[name].upper_limit_of for name in names if name in knowledge.facts and not facts[name].known]
    return ", ".join(say_fact(knowledge, name, facts[name]) for name in values if name and facts[name].known)


def checked_stop_words(evaluation: Evaluation, findings: Iterable[Finding]) -> list[str]:
    """Return the known facts behind findings that are not met, each once. Age, sex and creatinine with a sent eGFR are left
    out. So are facts on which a caution of any treatment rests: an INR to be corrected must not be listed under "none met"."""
    facts = evaluation.facts
    names = sorted(known_inputs(facts, findings), key=lambda name: not _is_telling(evaluation, name))
    left_out = {"age", "sex", *facts_of_concern(evaluation), *(["creatinine"] if facts["egfr"].known else [])}
    shown = [name for name in names if name not in left_out and not facts[name].equals(True)]  # "yes" is not "none met"
    return list(dict.fromkeys(say_fact(evaluation.knowledge, name, facts[name]) for name in shown))


def _is_telling(evaluation: Evaluation, name: str) -> bool:
    """Return whether it is a measured value or the portal vein, which are listed before other answers."""
    return evaluation.knowledge.facts[name].kind.numeric or name == "portal_vein"


def change_line(evaluation: Evaluation, treatment: Treatment) -> Line:
    """Return what would change the verdict of a treatment."""
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
    """Return what would change the verdict, as stated by the line, the indication that is met, or the modality."""
    if treatment.line is not None and treatment.line.adjusted and treatment.is_option and drug_fails(evaluation, treatment):
        return [treatment.line.adjusted]
    ranked = sorted(treatment.met, key=lambda found: found.indication.rank)
    by_indication = [found.indication.change for found in ranked if found.indication.change] if treatment.line is None else []
    return by_indication[:1] or [treatment.change]


def untried_names(evaluation: Evaluation, treatment: Treatment) -> list[str]:
    """Return the treatments that "refractory" implies were tried, without a record that they were given or failed."""
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
