"""Hormonal syndrome, refractory symptoms and carcinoid heart disease (docs/knowledge.md, "Staging" and "Treatments")."""

from __future__ import annotations

from cds_service.clinical_picture import PartialDate
from cds_service.reasoning.calculations.dates import denial_holds_against, is_newer, newest_date, reading_dates
from cds_service.reasoning.facts import Fact, Facts, answer_fact, known_fact, unknown_fact
from cds_service.reasoning.judgement import compare_with_limit, judge_criterion
from cds_service.reasons import Reason

MIDGUT = frozenset({"small-bowel", "appendix"})
DENIALS = frozenset({"none", "controlled"})


def functioning(facts: Facts) -> Fact:
    """Return whether there is any hormonal syndrome."""
    syndrome = facts["hormonal_syndrome"]
    if not syndrome.known:
        return unknown_fact(syndrome.why or Reason.NOT_DOCUMENTED, syndrome)
    return known_fact(syndrome.value != "none", syndrome)


def insulinoma(facts: Facts) -> Fact:
    """Return whether the syndrome is an insulinoma; unknown if the syndrome is not named."""
    syndrome = facts["hormonal_syndrome"]
    if not syndrome.known or syndrome.value == "unspecified":
        return unknown_fact(syndrome.why or Reason.SYNDROME_NOT_NAMED, syndrome)
    return known_fact(syndrome.value == "insulinoma", syndrome)


def carcinoid_possible(facts: Facts) -> Fact:
    """Return whether there is a carcinoid syndrome, or may be: the syndrome is open and the primary is in the midgut."""
    syndrome, site = facts["hormonal_syndrome"], facts["primary_site"]
    if syndrome.equals("carcinoid"):
        return known_fact(True, syndrome)
    open_syndrome = not syndrome.known or syndrome.value == "unspecified"
    return known_fact(open_syndrome and site.known and site.value in MIDGUT, site)


def analogue_possible(facts: Facts) -> Fact:
    """Return whether a somatostatin analogue is given or may be, for a syndrome that it treats or against growth (Y4). It is
    denied only if known facts exclude all of these."""
    criteria, systemic = facts.knowledge.criteria, facts.knowledge.modality("systemic-therapy")
    against_growth = next(indication for indication in systemic.indications if indication.id == "Y4")
    given, syndrome = facts["somatostatin_analogue"], facts["hormonal_syndrome"]
    treated = criteria["technique.analogue-syndrome"].tests[0]
    for_syndrome = not syndrome.known or compare_with_limit(treated, syndrome) is not False
    needed = (*against_growth.requires, *against_growth.update_requires)
    possible = for_syndrome or all(judge_criterion(criterion, facts).met is not False for criterion in needed)
    return known_fact(possible or not given.silent, given, syndrome)


def _failures(facts: Facts) -> tuple[dict[str, PartialDate], bool | None]:
    """Return treatment → date of its documented failure, and whether the failures were denied later (None: this is open, e.g.
    both have the same date)."""
    listed, controlled = facts["symptoms_refractory_to"], facts["hormonal_symptoms_controlled"]
    failed: dict[str, PartialDate] = {}
    denials = [controlled.on] if controlled.equals(True) else []
    for reading in listed.seen if listed.known else ():
        if reading.on is None:
            continue
        if str(reading.value) in DENIALS:
            denials.append(reading.on)
        elif (old := failed.get(str(reading.value))) is None or is_newer(reading.on, old):
            failed[str(reading.value)] = reading.on
    denied, last = newest_date(denials), newest_date(failed.values())
    undated = any(reading.on is None and str(reading.value) in DENIALS for reading in listed.history)
    if undated or _may_deny(controlled, last):
        return failed, None
    if denied is None:
        return failed, False
    if last is None or is_newer(denied, last):
        return failed, True
    return failed, False if is_newer(last, denied) else None


def _may_deny(controlled: Fact, last: PartialDate | None) -> bool:
    """Return whether an answer on symptom control that was unreadable, in doubt or not asked for may be newer than the last
    failure."""
    if controlled.unknown and controlled.reason is Reason.NOT_CONSULTED:
        return True
    dates = [item.on for item in controlled.unread]
    dates += [reading.on for reading in controlled.seen if controlled.unknown and reading.value is True]
    return any(on is None or last is None or not is_newer(last, on) for on in dates)


def refractory_to_suppression(facts: Facts) -> Fact:
    """Return whether hormonal suppression is documented as failed, for debulking (S020). The card names what is untried."""
    parts = (facts["symptoms_refractory_to"], facts["hormonal_symptoms_controlled"])
    failed, denied = _failures(facts)
    if denied is None:
        return unknown_fact(Reason.CONTROL_OPEN, *parts)
    answer = False if denied else True if "hormonal-suppression" in failed else None
    return answer_fact(answer, Reason.NOT_DOCUMENTED, *(part for part in parts if part.known))


def arterial_therapy_failed(facts: Facts) -> Fact:
    """Return whether arterial therapy is documented as failed, even if that was denied later."""
    listed, (failed, _) = facts["symptoms_refractory_to"], _failures(facts)
    return answer_fact("arterial-therapy" in failed or None, Reason.NOT_DOCUMENTED, listed)


def refractory_for_transplantation(facts: Facts) -> Fact:
    """Return whether hormonal suppression failed and arterial therapy failed or is contraindicated, for T1 of 2010 (S069)."""
    suppression = facts["refractory_to_suppression"]
    if not suppression.equals(True):
        return suppression
    failed = facts["arterial_therapy_failed"].equals(True) or facts["portal_vein"].equals("occluded")
    failed = failed or any(
        facts[name].equals(True) for name in ("hepatic_failure_found", "coagulopathy_found", "renal_failure_found")
    )
    return suppression if failed else unknown_fact(Reason.NOT_DOCUMENTED, suppression)


def carcinoid_heart_open(facts: Facts) -> Fact:
    """Return whether there is carcinoid heart disease that was not later recorded as absent, mild or treated. An
    echocardiography alone does not clear it."""
    assessed, coded = facts["carcinoid_heart_disease"], facts["carcinoid_heart_coded"]
    if assessed.known and assessed.value in {"present", "severe-untreated"}:
        return known_fact(True, assessed)
    cleared = assessed.known and (not coded.known or denial_holds_against(assessed.on, reading_dates(coded)))
    if coded.known:
        return known_fact(not cleared, assessed if cleared else coded)
    return known_fact(False, assessed) if assessed.known else unknown_fact(assessed.why or Reason.NOT_DOCUMENTED, assessed)


def cardiac_assessment_current(facts: Facts) -> Fact:
    done = facts["cardiac_assessment"]
    return unknown_fact(done.why or Reason.NOT_DOCUMENTED, done) if done.unknown else known_fact(done.equals(True), done)
