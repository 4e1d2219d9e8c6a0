"""Hepatic failure: found, denied or open, by assessment, Child-Pugh class and laboratory (docs/knowledge.md, "What silence
means"). Every limit is in knowledge/scores.toml. A laboratory value alone never makes hepatic failure.

A calculation that would read many facts is split into parts that read few, so that every answer to each can be tried.
"""

from __future__ import annotations

from decimal import Decimal

from cds_service.clinical_picture import Interval, Observed
from cds_service.knowledge.scores import Falling, Rising
from cds_service.reasoning.calculations.dates import (
    denial_holds_against,
    is_newer_than_all,
    newest_of_each_kind,
    reading_dates,
)
from cds_service.reasoning.facts import Fact, Facts, FactState, answer_fact, known_fact, unknown_fact
from cds_service.reasons import Explanation, Reason

ABNORMAL_VALUES = ("abnormal_bilirubin", "abnormal_albumin", "abnormal_inr")


def _points(fewest: int | Decimal, most: int | Decimal) -> Interval:
    """Return points of the Child-Pugh score, which may not be known exactly."""
    return Interval(Decimal(fewest), Decimal(most))


ANY_POINTS = _points(1, 3)
"""The points of a part that is not known."""


def _points_rising(amount: Interval, bands: Rising) -> Interval:
    """Return the points of a test whose high values are bad."""
    most = 1 if amount.below(bands.two_from) else 2 if amount.at_most(bands.three_above) else 3
    fewest = 3 if amount.above(bands.three_above) else 2 if amount.at_least(bands.two_from) else 1
    return _points(fewest, most)


def _points_falling(amount: Interval, bands: Falling) -> Interval:
    """Return the points of a test whose low values are bad."""
    most = 1 if amount.above(bands.one_above) else 2 if amount.at_least(bands.three_below) else 3
    fewest = 3 if amount.below(bands.three_below) else 2 if amount.at_most(bands.one_above) else 1
    return _points(fewest, most)


def bilirubin_points(facts: Facts) -> Fact:
    test = facts["total_bilirubin"]
    bands = facts.knowledge.scores.child_pugh.total_bilirubin
    return known_fact(_points_rising(test.amount, bands), test) if test.amount else test


def albumin_points(facts: Facts) -> Fact:
    test = facts["albumin"]
    return known_fact(_points_falling(test.amount, facts.knowledge.scores.child_pugh.albumin), test) if test.amount else test


def inr_points(facts: Facts) -> Fact:
    test = facts["inr"]
    return known_fact(_points_rising(test.amount, facts.knowledge.scores.child_pugh.inr), test) if test.amount else test


def ascites_points(facts: Facts) -> Fact:
    return _points_of_sign(facts["ascites"], facts["ascites_coded"], facts.knowledge.scores.child_pugh.ascites)


def encephalopathy_points(facts: Facts) -> Fact:
    table = facts.knowledge.scores.child_pugh.encephalopathy
    return _points_of_sign(facts["encephalopathy"], facts["encephalopathy_coded"], table)


def _points_of_sign(assessed: Fact, coded: Fact, table: dict[str, int]) -> Fact:
    parts = [fact for fact in (assessed, coded) if fact.known]
    points = table[str(assessed.value)] if assessed.known else None
    if coded.known and (points is None or points < 2):
        return known_fact(_points(2, 3), *parts)  # the code does not say the degree
    return assessed if points is None else known_fact(_points(points, points), *parts)


def _sum(parts: list[Fact]) -> Interval:
    ranges = [part.amount or ANY_POINTS for part in parts]
    return _points(sum(points.low or 0 for points in ranges), sum(points.high or 0 for points in ranges))


def laboratory_points(facts: Facts) -> Fact:
    parts = [facts[name] for name in ("bilirubin_points", "albumin_points", "inr_points")]
    return known_fact(_sum(parts), *(part for part in parts if part.known))


def sign_points(facts: Facts) -> Fact:
    parts = [facts[name] for name in ("ascites_points", "encephalopathy_points")]
    return known_fact(_sum(parts), *(part for part in parts if part.known))


def child_pugh_class(facts: Facts) -> Fact:
    """Return the assessed class, else calculate it: C if the known points plus one for each unknown part reach 10; A and B only
    if all five parts are known. It is not calculated with a vitamin K antagonist, which raises the INR."""
    given = facts["child_pugh"]
    if not given.silent:
        return given
    if not facts["vitamin_k_antagonist"].silent:
        return unknown_fact(Reason.ON_VITAMIN_K_ANTAGONIST, facts["vitamin_k_antagonist"])
    limits, parts = facts.knowledge.scores.hepatic_failure, [facts["laboratory_points"], facts["sign_points"]]
    points = _sum(parts)
    fewest = int(points.low or 0)
    if fewest >= limits.child_pugh_c_from:
        return known_fact("C", *parts, note=Explanation(Reason.POINTS_AT_LEAST, points=fewest))
    if points.exact is not None:
        grade = "B" if fewest >= limits.child_pugh_b_from else "A"
        return known_fact(grade, *parts, note=Explanation(Reason.POINTS, points=fewest))
    return unknown_fact(Reason.PARTS_UNKNOWN, *parts)


def _counted(part: Fact) -> Decimal | int:
    """Return the points that count against a denial by laboratory: one for a silent part, three for an unknown part."""
    return (part.amount.high or 0) if part.amount else 1 if part.silent else 3


def _counted_together(facts: Facts, first: str, second: str) -> Fact:
    parts = (facts[first], facts[second])
    total = sum(_counted(part) for part in parts)
    return known_fact(_points(total, total), *(part for part in parts if part.known))


def laboratory_points_counted(facts: Facts) -> Fact:
    """Return the points of albumin and INR that count against a denial by laboratory."""
    return _counted_together(facts, "albumin_points", "inr_points")


def sign_points_counted(facts: Facts) -> Fact:
    """Return the points of ascites and encephalopathy that count against a denial by laboratory."""
    return _counted_together(facts, "ascites_points", "encephalopathy_points")


def bilirubin_within_limit(facts: Facts) -> Fact:
    test, limit = facts["total_bilirubin"], facts.knowledge.scores.hepatic_failure.total_bilirubin_at_most
    return answer_fact(test.amount.at_most(limit) if test.amount else None, Reason.NOT_DOCUMENTED, test)


def inr_within_limit(facts: Facts) -> Fact:
    test, limit = facts["inr"], facts.knowledge.scores.coagulation.inr_from
    return answer_fact(test.amount.below(limit) if test.amount else None, Reason.NOT_DOCUMENTED, test)


def _abnormal(test: Fact, readings: list[Observed]) -> Fact:
    """Return whether there is an abnormal value. A denial that is older than a value of its `history` does not count. Unknown
    if the test was not asked for."""
    if test.unknown and test.reason is Reason.NOT_CONSULTED:
        return unknown_fact(Reason.NOT_CONSULTED, test)
    return Fact(FactState.KNOWN, bool(readings), history=newest_of_each_kind(readings), unread=newest_of_each_kind(test.unread))


def _amounts(test: Fact) -> list[tuple[Observed, Interval]]:
    return [(r, r.value) for r in test.history or test.seen if isinstance(r.value, Interval)]


def abnormal_bilirubin(facts: Facts) -> Fact:
    test, limit = facts["total_bilirubin"], facts.knowledge.scores.hepatic_failure.total_bilirubin_at_most
    return _abnormal(test, [reading for reading, amount in _amounts(test) if amount.at_most(limit) is not True])


def abnormal_albumin(facts: Facts) -> Fact:
    test, limit = facts["albumin"], facts.knowledge.scores.hepatic_failure.albumin_below
    return _abnormal(test, [reading for reading, amount in _amounts(test) if amount.at_least(limit) is not True])


def abnormal_inr(facts: Facts) -> Fact:
    test, limit = facts["inr"], facts.knowledge.scores.coagulation.inr_from
    return _abnormal(test, [reading for reading, amount in _amounts(test) if amount.below(limit) is not True])


def _stands(denial: Fact, facts: Facts) -> bool:
    """Return whether a denial counts: every test was asked for, and no abnormal or unreadable value is newer."""
    for name in ABNORMAL_VALUES:
        test = facts[name]
        dates = [*(reading.on for reading in test.history), *(bad.on for bad in test.unread)]
        if test.unknown or not denial_holds_against(denial.on, dates):
            return False
    return True


def hepatic_failure_found(facts: Facts) -> Fact:
    """Return whether there is hepatic failure. It is met if coded, assessed or Child-Pugh C. It is denied by a newer
    assessment, by Child-Pugh A, or by laboratory values within limits. Bilirubin above 2 mg/dL or Child-Pugh B alone leave it
    unknown, because the cause may be failure or obstruction."""
    assessed, score = facts["hepatic_failure"], facts["child_pugh_class"]
    coded = [facts["hepatic_failure_coded"], facts["acute_hepatic_failure_coded"]]
    adverse = [fact for fact in coded if fact.known]
    adverse += [assessed] if assessed.equals(True) else []
    adverse += [score] if score.equals("C") else []
    denial = assessed if assessed.equals(False) else None
    dates = [on for fact in adverse for on in ([score.on] if fact is score else reading_dates(fact))]
    if adverse and not (denial and is_newer_than_all(denial.on, dates)):
        against = Reason.OLDER_ASSESSMENT_DENIES if denial else None
        return known_fact(True, *adverse, *([denial] if denial else []), note=against)
    unseen_score = facts["child_pugh"].unknown and facts["child_pugh"].reason is not Reason.OUT_OF_DATE  # it may be class C
    if denial and not unseen_score and not any(fact.unknown for fact in coded) and _stands(denial, facts):
        note = Reason.NEWER_ASSESSMENT_DENIES if adverse else None
        return known_fact(False, denial, *adverse, note=note)
    blocked = next((fact for fact in (assessed, *coded, facts["child_pugh"]) if fact.unknown), None)
    if blocked:
        return unknown_fact(blocked.why or Reason.NOT_DOCUMENTED, blocked)
    if adverse:
        return unknown_fact(Reason.ABNORMAL_SINCE_DENIAL, *adverse)
    if score.equals("A") and _stands(score, facts):
        return known_fact(False, score)
    return facts["hepatic_failure_by_laboratory"]


def hepatic_failure_by_laboratory(facts: Facts) -> Fact:
    """Return whether laboratory values deny hepatic failure; they never confirm it."""
    if facts["ascites_coded"].known or facts["encephalopathy_coded"].known:
        return unknown_fact(Reason.ASCITES_OR_ENCEPHALOPATHY_CODED, facts["ascites_coded"], facts["encephalopathy_coded"])
    if facts["ascites_coded"].unknown or facts["encephalopathy_coded"].unknown:
        return unknown_fact(Reason.DIAGNOSES_NOT_CONSULTED)
    obstruction = facts["biliary_obstruction"]
    obstructed = obstruction.equals(True) and all(reading.value is True for reading in obstruction.seen)  # no reading denies it
    bilirubin, others = facts["bilirubin_points"], [facts["laboratory_points_counted"], facts["sign_points_counted"]]
    total = sum(_counted(part) for part in others)
    total += 1 if obstructed else _counted(bilirubin)  # the obstruction explains bilirubin of any value
    parts = [part for part in (bilirubin, *others) if part.known]
    if total <= facts.knowledge.scores.hepatic_failure.child_pugh_sum_at_most:
        if obstructed and facts["inr_within_limit"].equals(True):
            return known_fact(False, obstruction, *parts, note=Reason.OBSTRUCTION_EXPLAINS_BILIRUBIN)
        if facts["bilirubin_within_limit"].equals(True):
            return known_fact(False, *parts, note=Explanation(Reason.BILIRUBIN_WITHIN_LIMIT, points=int(total)))
    if not bilirubin.known:
        late = Explanation(Reason.BILIRUBIN_OPEN, because=bilirubin.why) if bilirubin.why is not None else None
        return unknown_fact(late or Reason.NO_BILIRUBIN, bilirubin)
    return unknown_fact(Reason.FAILURE_OR_OBSTRUCTION, *parts)
