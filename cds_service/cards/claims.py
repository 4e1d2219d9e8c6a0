"""What each edition says of a treatment: its stance, claims for it, dissents and risks, each with its source."""

from __future__ import annotations

from dataclasses import replace

from cds_service.cards.fact_words import finding_phrase, say_finding, statement_sources
from cds_service.cards.text import Cut, Phrase
from cds_service.cards.treatments import Treatment, is_outgrown, since_stance
from cds_service.knowledge.evidence import Publication
from cds_service.knowledge.shown import Face, ShownStatement, StanceWord
from cds_service.knowledge.vocabulary import Edition
from cds_service.reasoning.evaluation import Evaluation
from cds_service.reasoning.populations import population_fits

OPEN_STANCE = "open"
"""The stance if an unknown fact decides it."""
MAX_DRUGS = 3
"""The drugs whose figures are shown; further ones are counted."""


def stance_word(treatment: Treatment) -> str:
    """Return the stance of 2010 in one word. It is "silent" for a line of systemic therapy."""
    return word.value if (word := _word(treatment)) else OPEN_STANCE


def _word(treatment: Treatment) -> StanceWord | None:
    if treatment.line is not None and treatment.modality.id == "systemic-therapy":
        return StanceWord.SILENT
    return treatment.stances.word


def speaks_against(treatment: Treatment) -> bool:
    """Return whether the review is against the treatment or divided. Such a dissent is never left out."""
    return _word(treatment) in {StanceWord.AGAINST, StanceWord.DIVIDED}


def stance_condition(treatment: Treatment) -> str:
    """Return what an open stance would be, and on which condition."""
    rows = treatment.stances.rows
    first = next((row for row in rows if row.stance is not StanceWord.SILENT), rows[0])
    return f"{first.stance.value} if {first.situation}"


def review_phrases(evaluation: Evaluation, treatment: Treatment) -> list[Phrase]:
    """Return what the review says, starting with its stance."""
    word = _word(treatment)
    if word is None:
        return [Phrase(f"2010 **open:** {stance_condition(treatment)}", cut=Cut.DETAIL, brief="2010 **open**")]
    if word is StanceWord.SILENT:
        return [Phrase("2010 **silent**")]
    row, claims = treatment.stances.rows[0], _claims(evaluation, treatment, Edition.REVIEW)
    if speaks_against(treatment):
        return [Phrase(f"2010 **{word.value}:** {row.says or row.situation}", sources_of_stance(evaluation, treatment))]
    sources, said = sources_of_stance(evaluation, treatment), row.says or row.situation
    if word is StanceWord.FOR and claims:
        said, sources = claims[0].text, claims[0].sources
    return [Phrase(f"2010 **{word.value}:** {said}", sources, Cut.DETAIL, f"2010 **{word.value}**", unsourced=Cut.WORDING)]


def sources_of_stance(evaluation: Evaluation, treatment: Treatment) -> tuple[Publication, ...]:
    """Return the source of the stance of 2010; empty if it is open or silent."""
    word = _word(treatment)
    if word is None or word is StanceWord.SILENT:
        return ()
    return statement_sources(evaluation.knowledge, *treatment.stances.rows[0].by)[:1]


def since_phrases(evaluation: Evaluation, treatment: Treatment, most_drugs: int = MAX_DRUGS) -> list[Phrase]:
    """Return the first later claim for the treatment (for a line of drugs, up to `most_drugs`), preferring claims whose
    population fits the patient. A drug on which the tumour grows has none."""
    parts = [part for part in (treatment, treatment.beside) if part is not None and not is_outgrown(evaluation, part)]
    claims = [claim for part in parts for claim in _claims(evaluation, part, Edition.UPDATE)]
    if not claims:
        return []
    by_drug = treatment.line is not None and not treatment.line.indications
    shown = claims[: most_drugs if by_drug else 1]
    more = f"; {len(claims) - len(shown)} more: rule book" if by_drug and len(claims) > len(shown) else ""
    brief = f"Since **for:** {shown[0].brief}" if shown[0].brief else "Since **for**"
    phrases = [replace(shown[0], text=f"Since **for:** {shown[0].text}", brief=brief), *shown[1:]]
    return [*phrases[:-1], replace(phrases[-1], after=more)]


def _claims(evaluation: Evaluation, treatment: Treatment, edition: Edition) -> list[Phrase]:
    parts = [part for part in treatment.faces(Face.FOR) if part.says and _edition(evaluation, part) is edition]
    parts.sort(key=lambda part: (bool(part.drug) and part.drug != treatment.given, _fits(evaluation, part) is not True))
    return [claim_phrase(evaluation, part) for part in parts]


def _fits(evaluation: Evaluation, part: ShownStatement) -> bool | None:
    population = evaluation.knowledge.statements[part.statement].population
    return True if population is None else population_fits(population, evaluation.facts)


def claim_phrase(evaluation: Evaluation, part: ShownStatement) -> Phrase:
    """Return a statement with its source, and with its population if the patient is not known to belong to it."""
    text, brief = part.says, part.brief
    population = evaluation.knowledge.statements[part.statement].population
    if population is not None and population.says and _fits(evaluation, part) is not True:
        text = f"{text} {population.says}"
        brief = f"{brief} {population.says}" if brief else ""
    return Phrase(text, statement_sources(evaluation.knowledge, part.statement), Cut.FIGURES, brief, sources_stay=True)


def dissent_phrases(evaluation: Evaluation, treatment: Treatment) -> list[Phrase]:
    """Return the dissents, which are never left out. The only exception is a dissent on which the shown stance of 2010 rests:
    the stance already says it."""
    here = " here" if since_stance(evaluation, treatment) is StanceWord.AGAINST else ""
    since = _against(evaluation, treatment, Edition.UPDATE, f"Since **against{here}:** ")
    return [*_against(evaluation, treatment, Edition.REVIEW, "2010 **against:** "), *since]


def _against(evaluation: Evaluation, treatment: Treatment, edition: Edition, label: str) -> list[Phrase]:
    covered = treatment.stances.rows[0].by if _word(treatment) else ()
    faces = [*treatment.faces(Face.DISSENT), *(treatment.beside.faces(Face.DISSENT) if treatment.beside else ())]
    parts = [part for part in faces if part.says and part.statement not in covered and _edition(evaluation, part) is edition]
    phrases = [keep_phrase(_with_state(evaluation, treatment, part, claim_phrase(evaluation, part))) for part in parts]
    if not phrases:
        return []
    first, *more = phrases
    return [replace(first, text=label + first.text, brief=label + first.brief if first.brief else ""), *more]


def _with_state(evaluation: Evaluation, treatment: Treatment, part: ShownStatement, phrase: Phrase) -> Phrase:
    """Return a dissent about an indication of the update with the reason why that indication is not met."""
    found = next((found for found in treatment.unmet if found.indication.id in part.unless), None)
    if found is None:
        return phrase
    against = [finding for finding in found.excluded_by if finding.met]
    by = say_finding(evaluation.knowledge, against[0]) if against else ""
    state = (f"not met ({by})" if by else "not met") if found.met is False else "not shown to be met"
    return replace(phrase, text=phrase.text.replace("{state}", state), brief=phrase.brief.replace("{state}", state))


def keep_phrase(phrase: Phrase) -> Phrase:
    """Return a phrase that is shortened to `brief` if space runs out, but never left out."""
    return Phrase(phrase.text, phrase.sources, Cut.WORDING if phrase.brief else Cut.KEPT, phrase.brief)


def _edition(evaluation: Evaluation, part: ShownStatement) -> Edition:
    return evaluation.knowledge.statements[part.statement].edition


def risk_phrases(evaluation: Evaluation, treatment: Treatment) -> list[Phrase]:
    """Return the risks in their order. A caution that is a risk ("drug-eluting beads: avoid") comes second."""
    faces = [*treatment.faces(Face.RISK), *(treatment.beside.faces(Face.RISK) if treatment.beside else ())]
    risks = list(dict.fromkeys(keep_phrase(claim_phrase(evaluation, part)) for part in faces if part.says))
    cautions = treatment.assessment.cautions if treatment.line is None else ()
    always = [finding_phrase(evaluation.knowledge, finding) for finding in cautions if finding.criterion.risk]
    return [*risks[:1], *always, *risks[1:]]
