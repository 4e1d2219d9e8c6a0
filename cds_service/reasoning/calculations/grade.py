"""WHO grade (CLINICAL section 4: M001, M002) and the gate against neuroendocrine carcinoma (section 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from cds_service.knowledge.scores import Bands
from cds_service.reasoning.facts import Fact, Facts, answer_fact, known_fact, unknown_fact
from cds_service.reasons import Explanation, Reason, reason_of

SEVERITY = ("G1", "G2", "G3", "G3-or-NEC", "NEC")
NOT_GRADED_BY_INDEX = frozenset({"lung", "thymus"})
INDICES = ("ki67_index", "mitotic_count")


@dataclass(frozen=True, slots=True)
class GradeResult:
    grade: str
    """One of SEVERITY, or an empty string when unknown."""
    parts: tuple[Fact, ...]
    one_index: bool = False
    note: Explanation | None = None
    why: Explanation | None = None


def _index_grade(index: Fact, bands: Bands) -> int | None:
    """1, 2 or 3 by one index; None if the value is known too vaguely ("< 5")."""
    amount = index.amount
    if amount is None:
        return None
    if amount.above(bands.g3_above):
        return 3
    if amount.below(bands.g2_from):
        return 1
    return 2 if amount.at_least(bands.g2_from) and amount.at_most(bands.g3_above) else None


class IndexGrade(NamedTuple):
    """The grade that Ki-67 and mitoses make."""

    grade: str
    """One of SEVERITY, or an empty string where there is none."""
    one_index: bool
    """True where it rests on one of the two alone."""
    parts: tuple[Fact, ...]
    why: Explanation | None = None
    """Why there is none."""


def _by_indices(facts: Facts) -> IndexGrade:
    site = facts["primary_site"]
    if site.unknown:
        return IndexGrade("", False, (), Explanation(Reason.SITE_UNKNOWN))
    if site.known and site.value in NOT_GRADED_BY_INDEX:
        return IndexGrade("", False, (site,), Explanation(Reason.SITE_NOT_GRADED_BY_INDEX, site=str(site.value)))
    bands = facts.knowledge.scores.grade
    found = {name: _index_grade(facts[name], getattr(bands, name)) for name in INDICES}
    grades = [value for value in found.values() if value is not None]
    parts = tuple(facts[name] for name in INDICES if found[name] is not None)
    if not grades:
        return IndexGrade("", False, (), Explanation(Reason.NO_INDEX))
    open_ones = [name for name in INDICES if found[name] is None and not facts[name].silent]
    if max(grades) < 3 and open_ones:
        index = facts.knowledge.facts[open_ones[0]].says
        because = facts[open_ones[0]].why or Explanation(Reason.NUMBER_NOT_EXACT)
        return IndexGrade("", False, parts, Explanation(Reason.INDEX_NOT_USABLE, index=index, because=because))
    one_index = len(grades) == 1 and max(grades) < 3
    if max(grades) < 3:
        return IndexGrade(f"G{max(grades)}", one_index, parts)
    differentiation = facts["differentiation"]
    parts = (*parts, differentiation) if differentiation.known else parts
    if differentiation.equals("well"):
        return IndexGrade("G3", False, parts)
    return IndexGrade("NEC" if differentiation.equals("poor") else "G3-or-NEC", False, parts)


def _index_above_reported(facts: Facts) -> bool:
    """Whether an index would be a worse grade than the reported one, were the primary known not to be in lung or thymus."""
    given, bands = facts["who_grade"], facts.knowledge.scores.grade
    by_index = [_index_grade(facts[name], getattr(bands, name)) or 0 for name in INDICES]
    return given.known and max(by_index) > SEVERITY.index(str(given.value)) + 1


def _grade_result(facts: Facts) -> GradeResult:
    given, differentiation = facts["who_grade"], facts["differentiation"]
    derived, one_index, parts, why = _by_indices(facts)
    answers = {derived: parts} if derived else {}
    if given.known:
        answers[str(given.value)] = (given,)
    if differentiation.equals("poor"):
        answers["NEC"] = (differentiation,)
    if given.unknown and "NEC" not in answers:
        return GradeResult("", (), why=_of(Reason.REPORTED_GRADE_OPEN, given.why))  # it might be a worse one
    if reason_of(why) is Reason.SITE_UNKNOWN and "NEC" not in answers and _index_above_reported(facts):
        return GradeResult("", (given,), why=_of(Reason.INDEX_ABOVE_REPORTED, why))
    if not answers:
        return GradeResult("", (), why=why)
    if "G3-or-NEC" in answers and differentiation.equals("well"):
        answers.setdefault("G3", (*answers["G3-or-NEC"], differentiation))
    if "G3" in answers:
        answers.pop("G3-or-NEC", None)  # somebody said which of the two it is
    worst = max(answers, key=SEVERITY.index)
    note = Explanation(Reason.GRADES_DISAGREE) if len(answers) > 1 else None
    all_parts = tuple(part for some in answers.values() for part in some)
    return GradeResult(worst, all_parts if note else answers[worst], one_index and not given.known, note)


def _of(reason: Reason, because: Explanation | None, **names: str) -> Explanation:
    """A reason that rests on another one."""
    return Explanation(reason, because=because or Explanation(Reason.NOT_DOCUMENTED), **names)


def grade(facts: Facts) -> Fact:
    found = _grade_result(facts)
    return (
        known_fact(found.grade, *found.parts, note=found.note)
        if found.grade
        else unknown_fact(found.why or Reason.GRADE_UNKNOWN, *found.parts)
    )


def grade_by_one_index(facts: Facts) -> Fact:
    found = _grade_result(facts)
    return answer_fact(found.one_index if found.grade else None, Reason.GRADE_UNKNOWN, *found.parts)


def nec(facts: Facts) -> Fact:
    """Yes, no, or not excluded."""
    found = _grade_result(facts)
    if found.grade == "NEC":
        return known_fact(True, *found.parts)
    for name in ("differentiation", *INDICES, "who_grade"):
        fact = facts[name]
        if fact.unknown:
            return unknown_fact(_of(Reason.FACT_OPEN, fact.why, fact=facts.knowledge.facts[name].says), fact)
    if found.grade == "G3-or-NEC":
        return unknown_fact(Reason.G3_OR_NEC_BY_DIFFERENTIATION, *found.parts)
    if found.grade:
        return known_fact(False, *found.parts)
    if facts["differentiation"].equals("well"):
        return known_fact(False, facts["differentiation"])
    bands = facts.knowledge.scores.grade
    within = [
        (facts[name], amount.at_most(getattr(bands, name).g3_above)) for name in INDICES if (amount := facts[name].amount)
    ]
    if within and all(answer for _, answer in within):  # the higher index decides: one above 20 leaves it open
        return known_fact(False, *(index for index, _ in within))
    return unknown_fact(found.why or Reason.GRADE_UNKNOWN)


def nec_open(facts: Facts) -> Fact:
    fact = facts["nec"]
    return known_fact(fact.unknown, fact)


def g3(facts: Facts) -> Fact:
    fact = facts["grade"]
    if fact.equals("G3-or-NEC") or fact.unknown:
        return unknown_fact(fact.why or Reason.G3_OR_NEC, fact)
    return known_fact(fact.value == "G3", fact)


def well_differentiated(facts: Facts) -> Fact:
    """G1 and G2 are well differentiated by definition; above, differentiation has to be known (M001)."""
    differentiation, grade_fact = facts["differentiation"], facts["grade"]
    if facts["nec"].equals(True):
        return known_fact(False, facts["nec"])
    if differentiation.equals("well"):
        return known_fact(True, differentiation)
    if grade_fact.known and grade_fact.value in {"G1", "G2", "G3"}:
        return known_fact(True, grade_fact)
    return unknown_fact(Reason.DIFFERENTIATION_UNKNOWN, differentiation)
