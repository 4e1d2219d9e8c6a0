"""Failure of liver, coagulation and kidneys: found, denied or open (CLINICAL sections 5 and 6.4). Every limit is in
knowledge/scores.toml; a laboratory value alone never makes hepatic failure."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal

from cds_service.clinical_picture import Interval, Observed, PartialDate
from cds_service.knowledge.scores import Falling, Rising
from cds_service.reasoning.calculations.dates import denial_holds_against, is_newer_than_all, reading_dates
from cds_service.reasoning.facts import Fact, Facts, FactState, known_fact, unknown_fact
from cds_service.reasons import Explanation, Reason

HEPATIC_PARTS = ("total_bilirubin", "albumin", "inr", "ascites", "encephalopathy")


def _points_rising(amount: Interval, bands: Rising) -> tuple[int, int]:
    """Fewest and most points that a value can mean, for a test whose high values are bad."""
    most = 1 if amount.below(bands.two_from) else 2 if amount.at_most(bands.three_above) else 3
    fewest = 3 if amount.above(bands.three_above) else 2 if amount.at_least(bands.two_from) else 1
    return fewest, most


def _points_falling(amount: Interval, bands: Falling) -> tuple[int, int]:
    most = 1 if amount.above(bands.one_above) else 2 if amount.at_least(bands.three_below) else 3
    fewest = 3 if amount.below(bands.three_below) else 2 if amount.at_most(bands.one_above) else 1
    return fewest, most


def _points(facts: Facts) -> dict[str, tuple[int, int] | None]:
    """Child-Pugh points of each part, fewest and most; None where the part is not known."""
    scores = facts.knowledge.scores.child_pugh
    points: dict[str, tuple[int, int] | None] = dict.fromkeys(HEPATIC_PARTS)
    for name, bands in (("total_bilirubin", scores.total_bilirubin), ("inr", scores.inr)):
        if amount := facts[name].amount:
            points[name] = _points_rising(amount, bands)
    if amount := facts["albumin"].amount:
        points["albumin"] = _points_falling(amount, scores.albumin)
    for name, table in (("ascites", scores.ascites), ("encephalopathy", scores.encephalopathy)):
        fact, coded = facts[name], facts[f"{name}_coded"]
        if fact.known:
            points[name] = (table[str(fact.value)], table[str(fact.value)])
        if coded.known and (points[name] or (1, 1))[1] < 2:
            points[name] = (2, 3)  # there is some; its degree is not coded
    return points


def child_pugh_class(facts: Facts) -> Fact:
    """As assessed, else computed: C when the known points plus one for each unknown part reach 10; A and B only with
    all five parts known. Not scored on a vitamin K antagonist, which raises the INR by itself."""
    given = facts["child_pugh"]
    if given.known:
        return given
    if given.unknown:
        return given
    if not facts["vitamin_k_antagonist"].silent:
        return unknown_fact(Reason.ON_VITAMIN_K_ANTAGONIST, facts["vitamin_k_antagonist"])
    limits, points = facts.knowledge.scores.hepatic_failure, _points(facts)
    parts = tuple(facts[name] for name in HEPATIC_PARTS if facts[name].known)
    parts += tuple(facts[f"{name}_coded"] for name in ("ascites", "encephalopathy") if facts[f"{name}_coded"].known)
    fewest = sum(found[0] if found else 1 for found in points.values())
    if fewest >= limits.child_pugh_c_from:
        return known_fact("C", *parts, note=Explanation(Reason.POINTS_AT_LEAST, points=fewest))
    ranges = [found for found in points.values() if found]
    if len(ranges) == len(HEPATIC_PARTS) and fewest == sum(found[1] for found in ranges):
        grade = "B" if fewest >= limits.child_pugh_b_from else "A"
        return known_fact(grade, *parts, note=Explanation(Reason.POINTS, points=fewest))
    return unknown_fact(Reason.PARTS_UNKNOWN, *parts)


def _stands(denial: Fact, against: list[PartialDate | None], laboratory: tuple[Fact, ...]) -> bool:
    """Whether a denial by assessment holds: none of the abnormal values is newer, nor any that could not be read, and
    everything that could be abnormal was at least asked for."""
    if any(fact.unknown and fact.reason is Reason.NOT_CONSULTED for fact in laboratory):
        return False
    return denial_holds_against(denial.on, [*against, *(item.on for fact in laboratory for item in fact.unread)])


def _abnormal(facts: Facts) -> list[PartialDate | None]:
    """Dates of the values that age a denial of hepatic failure."""
    limits, coagulation = facts.knowledge.scores.hepatic_failure, facts.knowledge.scores.coagulation
    within: dict[str, Callable[[Interval], bool | None]] = {
        "total_bilirubin": lambda value: value.at_most(limits.total_bilirubin_at_most),
        "albumin": lambda value: value.at_least(limits.albumin_below),
        "inr": lambda value: value.below(coagulation.inr_from),
    }
    return [
        reading.on
        for name, is_within in within.items()
        for reading in facts[name].history or facts[name].seen
        if isinstance(reading.value, Interval) and is_within(reading.value) is not True
    ]


def hepatic_failure_found(facts: Facts) -> Fact:
    """Met: coded, assessed, Child-Pugh C. Denied: a newer assessment, Child-Pugh A, or normal enough laboratory.
    Bilirubin above 2 mg/dL or Child-Pugh B alone leave it open: failure or obstruction?"""
    assessed, score = facts["hepatic_failure"], facts["child_pugh_class"]
    coded = [facts["hepatic_failure_coded"], facts["acute_hepatic_failure_coded"]]
    laboratory = (facts["total_bilirubin"], facts["albumin"], facts["inr"])
    adverse = [fact for fact in coded if fact.known]
    adverse += [assessed] if assessed.equals(True) else []
    adverse += [score] if score.equals("C") else []
    denial = assessed if assessed.equals(False) else None
    dates = [on for fact in adverse for on in ([score.on] if fact is score else reading_dates(fact))]
    if adverse and not (denial and is_newer_than_all(denial.on, dates)):
        against = Reason.OLDER_ASSESSMENT_DENIES if denial else None
        return known_fact(True, *adverse, *([denial] if denial else []), note=against)
    if denial and not any(fact.unknown for fact in coded) and _stands(denial, _abnormal(facts), laboratory):
        note = Reason.NEWER_ASSESSMENT_DENIES if adverse else None
        return known_fact(False, denial, *adverse, note=note)
    blocked = next((fact for fact in (assessed, *coded, facts["child_pugh"]) if fact.unknown), None)
    if blocked:
        return unknown_fact(blocked.why or Reason.NOT_DOCUMENTED, blocked)
    if adverse:
        return unknown_fact(Reason.ABNORMAL_SINCE_DENIAL, *adverse)
    if score.equals("A") and _stands(score, _abnormal(facts), laboratory):
        return known_fact(False, score)
    return _hepatic_failure_by_laboratory(facts)


def _hepatic_failure_by_laboratory(facts: Facts) -> Fact:
    limits, points = facts.knowledge.scores.hepatic_failure, _points(facts)
    bilirubin, inr = facts["total_bilirubin"], facts["inr"]
    if facts["ascites_coded"].known or facts["encephalopathy_coded"].known:
        return unknown_fact(Reason.ASCITES_OR_ENCEPHALOPATHY_CODED, facts["ascites_coded"], facts["encephalopathy_coded"])
    if facts["ascites_coded"].unknown or facts["encephalopathy_coded"].unknown:
        return unknown_fact(Reason.DIAGNOSES_NOT_CONSULTED)
    obstruction = facts["biliary_obstruction"]
    obstructed = obstruction.equals(True) and all(reading.value is True for reading in obstruction.seen)  # nobody denies it
    total = 0
    for name in HEPATIC_PARTS:
        found = points[name]
        if name == "total_bilirubin" and obstructed:
            total += 1  # explained by the obstruction, whatever its value
        elif found:
            total += found[1]
        else:
            total += 1 if facts[name].silent else 3
    parts = tuple(facts[name] for name in HEPATIC_PARTS if facts[name].known)
    if total <= limits.child_pugh_sum_at_most:
        within = inr.amount.below(facts.knowledge.scores.coagulation.inr_from) if inr.amount else None
        if obstructed and within is True:
            return known_fact(False, obstruction, *parts, note=Reason.OBSTRUCTION_EXPLAINS_BILIRUBIN)
        if bilirubin.amount and bilirubin.amount.at_most(limits.total_bilirubin_at_most):
            return known_fact(False, *parts, note=Explanation(Reason.BILIRUBIN_WITHIN_LIMIT, points=total))
    if not bilirubin.known:
        late = Explanation(Reason.BILIRUBIN_OPEN, because=bilirubin.why) if bilirubin.why is not None else None
        return unknown_fact(late or Reason.NO_BILIRUBIN, bilirubin)
    return unknown_fact(Reason.FAILURE_OR_OBSTRUCTION, *parts)


def coagulopathy_found(facts: Facts) -> Fact:
    """Met: documented as uncorrectable. Denied: an assessment as new as the worst values, or INR and platelets within
    limits and nothing coded; a vitamin K antagonist excuses the INR, never the platelets."""
    limits = facts.knowledge.scores.coagulation
    assessed, coded = facts["coagulopathy_uncorrectable"], facts["coagulopathy_coded"]
    inr, platelets = facts["inr"], facts["platelets"]
    if assessed.equals(True):
        return known_fact(True, assessed)
    bad = reading_dates(coded) if coded.known else []
    bad += [r.on for r in inr.history if isinstance(r.value, Interval) and r.value.below(limits.inr_from) is not True]
    bad += [
        r.on for r in platelets.history
        if isinstance(r.value, Interval) and r.value.at_least(limits.platelets_below) is not True
    ]  # fmt: skip
    if assessed.equals(False) and not coded.unknown and _stands(assessed, bad, (inr, platelets)):
        return known_fact(False, assessed)
    if assessed.unknown:
        return unknown_fact(assessed.why or Reason.NOT_DOCUMENTED, assessed)
    on_antagonist = facts["vitamin_k_antagonist"].known
    inr_fine = inr.known and (on_antagonist or (inr.amount is not None and inr.amount.below(limits.inr_from) is True))
    platelets_fine = platelets.amount is not None and platelets.amount.at_least(limits.platelets_below) is True
    if inr_fine and platelets_fine and coded.silent:
        note = Reason.ANTAGONIST_EXPLAINS_INR if on_antagonist else None
        return known_fact(False, inr, platelets, note=note)
    parts = [fact for fact in (inr, platelets, coded) if fact.known]
    return unknown_fact(Reason.CORRECTABLE if parts else Reason.NO_INR_AND_PLATELETS, *parts)


def egfr_used(facts: Facts) -> Fact:
    """eGFR as sent; CKD-EPI 2021 from creatinine, age and sex only when no eGFR was ever sent, and it says so."""
    sent = facts["egfr"]
    if not sent.silent:
        return sent
    creatinine, age, sex = facts["creatinine"], facts["age"], facts["sex"]
    equation = facts.knowledge.scores.ckd_epi_2021
    value = creatinine.amount.exact if creatinine.amount else None
    years = age.amount.exact if age.amount else None
    if value is None or value <= 0 or years is None or not sex.known or sex.value not in equation.kappa:
        return unknown_fact(Reason.NO_EGFR, creatinine)
    if years < equation.adults_from_years:
        return unknown_fact(Reason.NO_EGFR_NOT_ADULT, creatinine)
    person = str(sex.value)
    ratio = value / equation.kappa[person]
    result = equation.factor * min(ratio, Decimal(1)) ** equation.alpha[person]
    result *= max(ratio, Decimal(1)) ** equation.exponent_above * equation.per_year ** int(years)
    result *= equation.female if person == "female" else 1
    rounded = result.quantize(Decimal(1), ROUND_HALF_UP)
    reading = creatinine.seen[0]
    text = f"{rounded} mL/min/1.73 m² (CKD-EPI 2021 from creatinine {reading.recorded})"
    seen = Observed(Interval.from_number(rounded), reading.on, reading.seen_in, text, Explanation(Reason.COMPUTED))
    return Fact(FactState.KNOWN, seen.value, reading.on, (seen,), (seen,), note=Explanation(Reason.EGFR_FROM_CREATININE))


def renal_failure_found(facts: Facts) -> Fact:
    """Met: KDIGO G5 or dialysis, coded, assessed or measured (M085). An acute failure counts for 90 days and is denied
    by a later eGFR of 30 or more; stage 5 and dialysis status are denied by a newer assessment only."""
    limits = facts.knowledge.scores.renal_failure
    assessed, egfr = facts["renal_failure"], facts["egfr_used"]
    acute = [facts["acute_renal_failure_coded"], facts["dialysis"]]
    recovered = egfr.amount is not None and egfr.amount.at_least(limits.egfr_denies_acute_from) is True
    adverse = [facts["renal_failure_coded"]] if facts["renal_failure_coded"].known else []
    adverse += [fact for fact in acute if fact.known and not (recovered and is_newer_than_all(egfr.on, reading_dates(fact)))]
    adverse += [assessed] if assessed.equals(True) else []
    adverse += [egfr] if egfr.amount is not None and egfr.amount.below(limits.egfr_below) else []
    denial = assessed if assessed.equals(False) else None
    dates = [on for fact in adverse for on in ([egfr.on] if fact is egfr else reading_dates(fact))]
    sources = (assessed, facts["renal_failure_coded"], *acute)
    if adverse and not (denial and is_newer_than_all(denial.on, dates)):
        return known_fact(True, *adverse, *([denial] if denial else []))
    if denial and not any(fact.unknown for fact in sources):  # what nobody could read may be newer than the denial
        if adverse:
            return known_fact(False, denial, *adverse, note=Reason.NEWER_ASSESSMENT_DENIES_MEASURED)
        if _stands(denial, [], (facts["egfr"], facts["creatinine"])):
            return known_fact(False, denial)
    blocked = next((fact for fact in sources if fact.unknown), None)
    if blocked:
        return unknown_fact(blocked.why or Reason.NOT_DOCUMENTED, blocked)
    if egfr.amount is not None and egfr.amount.at_least(limits.egfr_below):
        return known_fact(False, egfr, note=egfr.note)
    return unknown_fact(egfr.why or Reason.EGFR_NOT_EXACT, egfr)


def portal_thrombosis_open(facts: Facts) -> Fact:
    fact = facts["portal_vein"]
    return known_fact(fact.unknown and fact.reason is Reason.EXTENT_NOT_STATED, fact)


def ecog_known(facts: Facts) -> Fact:
    return known_fact(facts["ecog"].known, facts["ecog"])


def ascites_found(facts: Facts) -> Fact:
    assessed, coded = facts["ascites"], facts["ascites_coded"]
    if assessed.known and (not coded.known or denial_holds_against(assessed.on, reading_dates(coded))):
        return known_fact(assessed.value != "none", assessed)
    return known_fact(True, coded) if coded.known else unknown_fact(assessed.why or Reason.NOT_DOCUMENTED, assessed)


def obstruction_documented(facts: Facts) -> Fact:
    return known_fact(facts["biliary_obstruction"].equals(True), facts["biliary_obstruction"])
