"""Reasons for a treatment: the facts behind its indications, the regimen of its drug, and what was done before."""

from __future__ import annotations

from dataclasses import replace

from cds_service.cards import wording
from cds_service.cards.fact_words import fact_name, finding_day, say_day, say_fact, say_finding
from cds_service.cards.regimens import current_regimens, format_regimen
from cds_service.cards.text import Cut, Phrase
from cds_service.cards.treatments import Treatment, given_drug
from cds_service.reasoning.evaluation import Evaluation
from cds_service.reasoning.failures import recorded_failures
from cds_service.reasoning.judgement import Finding, IndicationFinding


def reasons_for(evaluation: Evaluation, treatment: Treatment) -> list[Phrase]:
    """Return all reasons, the deciding ones first."""
    phrases = requirement_phrases(evaluation, treatment)
    if treatment.line and not treatment.met:
        phrases = [Phrase(option.technique.short or option.technique.says) for option in treatment.options]
    if treatment.line is not None:
        named = [name for name in treatment.line.facts if evaluation.facts[name].known]
        texts = dict.fromkeys(say_fact(evaluation.knowledge, name, evaluation.facts[name]) for name in named)
        phrases += [Phrase(text) for text in texts if text not in {phrase.brief or phrase.text for phrase in phrases}]
    if (drug := drug_phrase(evaluation, treatment)) is not None:
        phrases.append(drug)
    phrases += done_before(evaluation, treatment)
    return phrases


def requirement_phrases(evaluation: Evaluation, treatment: Treatment) -> list[Phrase]:
    """Return the facts behind the indications that are met, each once with its day; those of the overview first."""
    phrases: dict[str, Phrase] = {}
    for place, found in enumerate(sorted(treatment.met, key=lambda found: found.indication.rank)):
        weaker = Cut.DETAIL if place else Cut.KEPT  # the strongest indication is enough if space runs out
        for finding in _telling_first(found):
            if found.indication.face:
                phrases.setdefault(found.indication.face, Phrase(found.indication.face))
            for text, day in _requirement_words(evaluation, finding):
                tells = not found.indication.telling or finding.criterion.id in found.indication.telling
                tells = tells and not (treatment.line and treatment.line.does)  # the title of the line says it
                dated = Phrase(f"{text} ({day})", cut=Cut.REPEATED, brief=text) if day else Phrase(text)
                phrases.setdefault(text, replace(dated, last=weaker if tells else Cut.REPEATED))
        also = [name for name in found.indication.facts if evaluation.facts[name].known]
        for text in (say_fact(evaluation.knowledge, name, evaluation.facts[name]) for name in also):
            phrases.setdefault(text, Phrase(text))
        if found.indication.local:
            says = wording.label_in_sentence(found.indication.says)
            phrases.setdefault(says, Phrase(says))
    return list(phrases.values())


def _telling_first(found: IndicationFinding) -> list[Finding]:
    order = {name: place for place, name in enumerate(found.indication.telling)}
    return sorted(found.requirements, key=lambda finding: order.get(finding.criterion.id, len(order)))


RESECTABLE_BY = ("resectability", "lesion_count", "largest_lesion", "future_liver_remnant", "drainage_intact",
                 "extrahepatic_disease")  # fmt: skip


def _requirement_words(evaluation: Evaluation, finding: Finding) -> list[tuple[str, str]]:
    """Return text and day of a requirement. A possible curative resection is reported fact by fact."""
    knowledge, facts, today = evaluation.knowledge, evaluation.facts, evaluation.facts.today
    if any(test.fact == "curative_resection" and test.limit == "possible" for test in finding.criterion.tests):
        names = [name for name in RESECTABLE_BY if facts[name].known]
        return [(say_fact(knowledge, name, facts[name]), say_day(facts[name].on, today)) for name in names]
    return [(say_finding(knowledge, finding), finding_day(finding, today))]


def telling_facts(evaluation: Evaluation, treatment: Treatment) -> list[str]:
    """Return the few facts that decide, for a line of the overview."""
    facts = evaluation.facts
    if treatment.line is not None:
        texts = [say_fact(evaluation.knowledge, name, facts[name]) for name in treatment.line.facts if facts[name].known]
        if texts or not treatment.met:
            return texts or _drug_names(evaluation, treatment)
    found: dict[str, None] = {}
    for part in sorted(treatment.met, key=lambda part: part.indication.rank):
        if part.indication.face:
            found.setdefault(part.indication.face)
        by_id = {finding.criterion.id: finding for finding in part.requirements}
        for name in part.indication.telling:
            found |= dict.fromkeys(text for text, _ in _requirement_words(evaluation, by_id[name]))
        known = [name for name in part.indication.facts if facts[name].known]
        found |= dict.fromkeys(say_fact(evaluation.knowledge, name, facts[name]) for name in known)
    return list(found) or [phrase.brief or phrase.text for phrase in requirement_phrases(evaluation, treatment)]


def _drug_names(evaluation: Evaluation, treatment: Treatment) -> list[str]:
    """Return the drugs of a line, with a note for those given before."""
    names: list[str] = []
    for option in treatment.options:
        before = evaluation.facts.recorded.get(option.technique.id)
        given = " (given before)" if before is not None and before.equals(True) else ""
        names.append(f"{option.technique.short or option.technique.says}{given}")
    return names


def drug_phrase(evaluation: Evaluation, treatment: Treatment) -> Phrase | None:
    """Return the current regimen of the drug of a line, else when it was recorded; None if it is not on record."""
    seen = given_drug(evaluation, treatment)
    if seen is None or treatment.line is None:
        return None
    current = current_regimens(evaluation.facts[treatment.line.drug])
    if current:
        return Phrase(wording.join_words(format_regimen(reading) for reading in current))
    recorded = f"{fact_name(evaluation.knowledge, treatment.line.drug)} on record ({say_day(seen.on, evaluation.facts.today)})"
    return Phrase(recorded, cut=Cut.REPEATED)  # the overview and the title say it too


DONE_BEFORE = {
    "hepatic-arterial-therapy": ("liver_embolization", "liver_radioembolization"),
    "ablation": ("liver_ablation",),
    "resection": ("liver_resection",),
    "drugs": ("everolimus", "sunitinib", "chemotherapy"),
}
"""Modality, or line of a modality → the facts that record an earlier treatment of the same kind."""


def done_before(evaluation: Evaluation, treatment: Treatment) -> list[Phrase]:
    """Return the earlier treatments of the same kind and, for a line, the documented failure of its modality."""
    phrases: list[Phrase] = []
    facts, today = evaluation.facts, evaluation.facts.today
    for name in DONE_BEFORE.get(treatment.line.id if treatment.line else treatment.modality.id, ()):
        if facts[name].equals(True):
            days = dict.fromkeys(say_day(seen.on, today) for seen in facts[name].history[:3])
            phrases.append(Phrase(f"{say_fact(evaluation.knowledge, name, facts[name])} before ({', '.join(days)})"))
    return [*phrases, *failure_phrases(evaluation, treatment)] if treatment.line else phrases


def failure_phrases(evaluation: Evaluation, treatment: Treatment) -> list[Phrase]:
    """Return the newest documented failure of the treatment, if any."""
    failures = recorded_failures(treatment.modality.id, evaluation.facts)
    if not failures:
        return []
    return [Phrase(f"failed against the symptoms, on record ({say_day(failures[0].on, evaluation.facts.today)})")]
