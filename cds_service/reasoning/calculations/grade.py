"""WHO grade (docs/knowledge.md, "Staging"; M001, M002) and the gate against neuroendocrine carcinoma ("Verdicts")."""

from __future__ import annotations

from cds_service.knowledge.scores import Bands
from cds_service.reasoning.facts import Fact, Facts, answer_fact, known_fact, unknown_fact
from cds_service.reasons import Explanation, Reason

SEVERITY = ("G1", "G2", "G3", "G3-or-NEC", "NEC")
GRADES = SEVERITY[:3]
NOT_GRADED_BY_INDEX = frozenset({"lung", "thymus"})
INDICES = {"ki67_index": "ki67_grade", "mitotic_count": "mitotic_grade"}
"""Index → the fact with the grade by that index alone."""
NOT_ABOVE_G2, ANY_GRADE = "G1-or-G2", "any"
"""Grades by an index with an imprecise value ("< 5")."""


def ki67_grade(facts: Facts) -> Fact:
    return _grade_by_one(facts["ki67_index"], facts.knowledge.scores.grade.ki67_index)


def mitotic_grade(facts: Facts) -> Fact:
    return _grade_by_one(facts["mitotic_count"], facts.knowledge.scores.grade.mitotic_count)


def _grade_by_one(index: Fact, bands: Bands) -> Fact:
    """Return the grade by one index: G1, G2, G3 or, for an imprecise number, `NOT_ABOVE_G2` or `ANY_GRADE`."""
    amount = index.amount
    if amount is None:
        return index
    if amount.above(bands.g3_above):
        return known_fact("G3", index)
    if amount.below(bands.g2_from):
        return known_fact("G1", index)
    if not amount.at_most(bands.g3_above):
        return known_fact(ANY_GRADE, index)
    return known_fact("G2" if amount.at_least(bands.g2_from) else NOT_ABOVE_G2, index)


def grade_by_index(facts: Facts) -> Fact:
    """Return the grade by Ki-67 and mitoses. The higher of the two decides."""
    site = facts["primary_site"]
    if site.unknown:
        return unknown_fact(Reason.SITE_UNKNOWN)
    if site.known and site.value in NOT_GRADED_BY_INDEX:
        return unknown_fact(Explanation(Reason.SITE_NOT_GRADED_BY_INDEX, site=str(site.value)), site)
    by_one = {index: facts[name] for index, name in INDICES.items()}
    parts = [fact for fact in by_one.values() if fact.value in GRADES]
    if not parts:
        return unknown_fact(Reason.NO_INDEX)
    highest = max(str(fact.value) for fact in parts)
    if highest != "G3":
        not_usable = [index for index, fact in by_one.items() if fact.value not in GRADES and not fact.silent]
        if not_usable:
            because = by_one[not_usable[0]].why or Explanation(Reason.NUMBER_NOT_EXACT)
            says = facts.knowledge.facts[not_usable[0]].says
            return unknown_fact(Explanation(Reason.INDEX_NOT_USABLE, index=says, because=because), *parts)
        return known_fact(highest, *parts)
    differentiation = facts["differentiation"]
    parts += [differentiation] if differentiation.known else []
    if differentiation.equals("well"):
        return known_fact("G3", *parts)
    return known_fact("NEC" if differentiation.equals("poor") else "G3-or-NEC", *parts)


def _is_index_above_reported(facts: Facts) -> bool:
    """Return whether an index makes a worse grade than the reported one, if the primary is not in lung or thymus."""
    given = facts["who_grade"]
    by_one = [facts[name].value for name in INDICES.values()]
    return given.known and any(v in GRADES and SEVERITY.index(str(v)) > SEVERITY.index(str(given.value)) for v in by_one)


def grade(facts: Facts) -> Fact:
    """Return the worst of the reported grade, the grade by index, and NEC if differentiation is poor."""
    given, differentiation, by_index = facts["who_grade"], facts["differentiation"], facts["grade_by_index"]
    answers = {str(by_index.value): [by_index]} if by_index.known else {}
    if given.known:
        answers[str(given.value)] = [given]
    if differentiation.equals("poor"):
        answers["NEC"] = [differentiation]
    if given.unknown and "NEC" not in answers:
        return unknown_fact(_of(Reason.REPORTED_GRADE_OPEN, given.why))  # the reported grade may be worse
    if not by_index.known and "NEC" not in answers and facts["primary_site"].unknown and _is_index_above_reported(facts):
        return unknown_fact(_of(Reason.INDEX_ABOVE_REPORTED, by_index.why), given)
    if not answers:
        return unknown_fact(by_index.why or Reason.GRADE_UNKNOWN)
    if "G3-or-NEC" in answers and differentiation.equals("well"):
        answers.setdefault("G3", [*answers["G3-or-NEC"], differentiation])
    if "G3" in answers:
        answers.pop("G3-or-NEC", None)  # the record says that it is G3
    worst = max(answers, key=SEVERITY.index)
    if len(answers) == 1:
        return known_fact(worst, *answers[worst])
    return known_fact(worst, *(part for parts in answers.values() for part in parts), note=Reason.GRADES_DISAGREE)


def _of(reason: Reason, because: Explanation | None, **names: str) -> Explanation:
    """Return an explanation that rests on another one."""
    return Explanation(reason, because=because or Explanation(Reason.NOT_DOCUMENTED), **names)


def grade_by_one_index(facts: Facts) -> Fact:
    """Return whether G1 or G2 rests on one index alone, without a reported grade."""
    by_index, graded = facts["grade_by_index"], facts["grade"]
    used = [name for name in INDICES.values() if facts[name].value in GRADES]
    one_index = by_index.known and by_index.value in {"G1", "G2"} and len(used) == 1 and not facts["who_grade"].known
    return answer_fact(one_index if graded.known else None, Reason.GRADE_UNKNOWN, graded)


def nec(facts: Facts) -> Fact:
    """Return whether it is a carcinoma; unknown if a carcinoma is not excluded."""
    found, differentiation = facts["grade"], facts["differentiation"]
    by_one = {index: facts[name] for index, name in INDICES.items()}
    if found.equals("NEC"):
        return known_fact(True, found)
    for name, fact in {"differentiation": differentiation, **by_one, "who_grade": facts["who_grade"]}.items():
        if fact.unknown:
            return unknown_fact(_of(Reason.FACT_OPEN, fact.why, fact=facts.knowledge.facts[name].says), fact)
    if found.equals("G3-or-NEC"):
        return unknown_fact(Reason.G3_OR_NEC_BY_DIFFERENTIATION, found)
    if found.known:
        return known_fact(False, found)
    if differentiation.equals("well"):
        return known_fact(False, differentiation)
    within = [fact for fact in by_one.values() if fact.known]
    if within and all(fact.value in {"G1", "G2", NOT_ABOVE_G2} for fact in within):  # one above 20 may be NEC
        return known_fact(False, *within)
    return unknown_fact(found.why or Reason.GRADE_UNKNOWN)


def nec_open(facts: Facts) -> Fact:
    """Return whether a carcinoma is not excluded."""
    fact = facts["nec"]
    return known_fact(fact.unknown, fact)


def g3(facts: Facts) -> Fact:
    """Return whether the grade is G3; unknown for "G3 or NEC"."""
    fact = facts["grade"]
    if fact.equals("G3-or-NEC") or fact.unknown:
        return unknown_fact(fact.why or Reason.G3_OR_NEC, fact)
    return known_fact(fact.value == "G3", fact)


def well_differentiated(facts: Facts) -> Fact:
    """Return whether the tumour is well differentiated. A grade of G1 to G3 implies it; "G3 or NEC" needs a recorded
    differentiation (M001)."""
    differentiation, grade_fact = facts["differentiation"], facts["grade"]
    if facts["nec"].equals(True):
        return known_fact(False, facts["nec"])
    if differentiation.equals("well"):
        return known_fact(True, differentiation)
    if grade_fact.known and grade_fact.value in {"G1", "G2", "G3"}:
        return known_fact(True, grade_fact)
    return unknown_fact(Reason.DIFFERENTIATION_UNKNOWN, differentiation)
