"""Failure of coagulation and kidneys, and other findings against a treatment: found, denied or open (docs/knowledge.md, "What
silence means"). Every limit is in knowledge/scores.toml. Hepatic failure is in liver_function.py."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from cds_service.clinical_picture import Interval, Observed, PartialDate
from cds_service.reasoning.calculations.dates import denial_holds_against, is_newer_than_all, reading_dates
from cds_service.reasoning.facts import Fact, Facts, FactState, known_fact, unknown_fact
from cds_service.reasons import Explanation, Reason


def _stands(denial: Fact, against: list[PartialDate | None], laboratory: tuple[Fact, ...]) -> bool:
    """Return whether a denial by assessment counts: every laboratory value was asked for, and no abnormal or unreadable one is
    newer than the denial."""
    if any(fact.unknown and fact.reason is Reason.NOT_CONSULTED for fact in laboratory):
        return False
    return denial_holds_against(denial.on, [*against, *(item.on for fact in laboratory for item in fact.unread)])


def coagulopathy_found(facts: Facts) -> Fact:
    """Return whether there is an uncorrectable coagulopathy. It is met if documented. It is denied by an assessment that is no
    older than any abnormal value, or by INR and platelets within limits with nothing coded. A vitamin K antagonist explains
    the INR, not the platelets."""
    limits = facts.knowledge.scores.coagulation
    assessed, coded = facts["coagulopathy_uncorrectable"], facts["coagulopathy_coded"]
    inr, platelets = facts["inr"], facts["platelets"]
    if assessed.equals(True):
        return known_fact(True, assessed)
    if assessed.equals(False) and not coded.unknown and _stands(assessed, _abnormal_dates(facts), (inr, platelets)):
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


def _abnormal_dates(facts: Facts) -> list[PartialDate | None]:
    """Return the dates of coded coagulopathies and of values outside the limits of coagulation."""
    limits, coded = facts.knowledge.scores.coagulation, facts["coagulopathy_coded"]
    dates = reading_dates(coded) if coded.known else []
    dates += [
        r.on for r in facts["inr"].history if isinstance(r.value, Interval) and r.value.below(limits.inr_from) is not True
    ]
    dates += [
        r.on for r in facts["platelets"].history
        if isinstance(r.value, Interval) and r.value.at_least(limits.platelets_below) is not True
    ]  # fmt: skip
    return dates


def egfr_used(facts: Facts) -> Fact:
    """Return the eGFR as sent. If none was ever sent, calculate CKD-EPI 2021 from creatinine, age and sex, and note it."""
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
    """Return whether there is renal failure. It is met by KDIGO G5 or dialysis, coded, assessed or measured (M085). An acute
    failure counts for 90 days and is denied by a later eGFR of 30 or more. Stage 5 and dialysis status are denied by a newer
    assessment only."""
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
    if denial and not any(fact.unknown for fact in sources):  # an unknown source may hold a newer finding
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
    """Return whether a portal vein thrombosis is recorded without its extent."""
    fact = facts["portal_vein"]
    return known_fact(fact.unknown and fact.reason is Reason.EXTENT_NOT_STATED, fact)


def ecog_known(facts: Facts) -> Fact:
    return known_fact(facts["ecog"].known, facts["ecog"])


def ascites_found(facts: Facts) -> Fact:
    """Return whether there is ascites, as assessed or coded. A denial counts if it is no older than the code."""
    assessed, coded = facts["ascites"], facts["ascites_coded"]
    if assessed.known and (not coded.known or denial_holds_against(assessed.on, reading_dates(coded))):
        return known_fact(assessed.value != "none", assessed)
    return known_fact(True, coded) if coded.known else unknown_fact(assessed.why or Reason.NOT_DOCUMENTED, assessed)


def obstruction_documented(facts: Facts) -> Fact:
    return known_fact(facts["biliary_obstruction"].equals(True), facts["biliary_obstruction"])
