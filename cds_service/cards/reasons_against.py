"""The reason why a treatment is not indicated: what excludes it, else the requirements that are not met."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from cds_service.cards.fact_words import say_fact, say_finding
from cds_service.cards.treatments import Treatment
from cds_service.knowledge.shown import StanceWord
from cds_service.reasoning.evaluation import Evaluation
from cds_service.reasoning.facts import Fact
from cds_service.reasoning.judgement import IndicationFinding

MAX_REASONS_OF_INDICATIONS = 2


def reasons_not_indicated(evaluation: Evaluation, treatment: Treatment, most: int = MAX_REASONS_OF_INDICATIONS) -> str:
    """Return the reasons, for example "diffuse pattern, a local limit; 2010 for". `most`: the number of unmet requirements."""
    findings = () if treatment.line else treatment.assessment.decision.findings
    # none is left out: docs/cards.md, "Limits", 8
    said = list(dict.fromkeys(say_finding(evaluation.knowledge, finding) for finding in findings))
    if said and treatment.modality.excluded_say:
        said.append(treatment.modality.excluded_say)
    said = said or list(dict.fromkeys(unmet_answers(evaluation, treatment.unmet)))[: 1 if treatment.line else most]
    if any(finding.criterion.local for finding in findings) and treatment.stances.word is StanceWord.FOR:
        said.append("2010 for")
    return "; ".join(said)


def unmet_answers(evaluation: Evaluation, unmet: Iterable[IndicationFinding]) -> list[str]:
    """Return known answers that rule out the indications: first the answer that rules out most, then those for the others."""
    by_indication: list[list[str]] = []
    for found in sorted(unmet, key=lambda found: found.indication.rank):
        said = [text for finding in found.requirements if finding.met is False
                for test, fact in zip(finding.criterion.tests, finding.facts, strict=True)
                if (text := say_answer(evaluation, test.fact, fact))]  # fmt: skip
        if said:
            by_indication.append(said)
    reasons: list[str] = []
    while by_indication:
        counts = Counter(text for said in by_indication for text in dict.fromkeys(said))
        reasons.append(counts.most_common(1)[0][0])
        by_indication = [said for said in by_indication if reasons[-1] not in said]
    return reasons


def say_answer(evaluation: Evaluation, name: str, fact: Fact) -> str:
    """Return the text of a known answer, or an empty string if it has none."""
    if not fact.known or fact.value is None:
        return ""
    knowledge = evaluation.knowledge
    key = str(fact.value).lower() if isinstance(fact.value, bool) else str(fact.value)
    if name in knowledge.derived:
        return knowledge.derived[name].words.get(key, "")
    definition = knowledge.facts[name]
    if definition.kind.numeric:
        return say_fact(knowledge, name, fact)
    return definition.words.get(key, "")
