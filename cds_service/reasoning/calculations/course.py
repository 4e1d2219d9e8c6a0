"""The course of the disease: transplant, recurrence, stability, progression, dates (docs/knowledge.md, "Treatments")."""

from __future__ import annotations

from datetime import date, timedelta

from cds_service.clinical_picture import PartialDate
from cds_service.reasoning.calculations.dates import is_newer
from cds_service.reasoning.facts import SILENT_FACT, Fact, Facts, known_fact, unknown_fact
from cds_service.reasons import Reason


def transplanted(facts: Facts) -> Fact:
    """Return whether the liver was transplanted, as coded or assessed. It is silent if nothing is recorded. The gate counts
    unknown and silent as not met, and lists it as not checked."""
    parts = [facts[name] for name in ("liver_transplant", "liver_transplant_coded", "liver_transplant_status_coded")]
    found = [part for part in parts if part.equals(True)]
    if found:
        return known_fact(True, *found)
    doubtful = [part for part in parts if part.unknown]
    if doubtful:
        return unknown_fact(doubtful[0].why or Reason.IN_DOUBT, *doubtful)
    return known_fact(False, parts[0]) if parts[0].equals(False) else SILENT_FACT


def gallbladder_may_remain(facts: Facts) -> Fact:
    """Return whether the gallbladder may remain: no cholecystectomy is coded, so it was not done or is not recorded."""
    removed = facts["cholecystectomy"]
    return known_fact(not removed.known, removed)


def recurrence(facts: Facts) -> Fact:
    """Return whether the disease recurred after resection: as assessed, else by a new liver metastasis after a resection had
    cleared the earlier ones. It is denied only if a complete, readable list of procedures holds no liver resection."""
    assessed, resection = facts["recurrence_after_resection"], facts["liver_resection"]
    later = facts["new_liver_metastasis"]
    if not assessed.silent:
        return assessed
    if resection.known and later.known and any(is_newer(later.on, reading.on) for reading in resection.seen):
        return known_fact(True, resection, later, note=Reason.NEW_METASTASIS)
    if resection.known:
        return unknown_fact(Reason.RECURRENCE_OPEN, resection)
    return known_fact(False) if resection.silent else unknown_fact(resection.why or Reason.NOT_DOCUMENTED, resection)


def stable_six_months(facts: Facts) -> Fact:
    """Return whether the disease has been stable for the months of scores.toml, without a progression since."""
    status, months = facts["disease_status"], facts["months_since_status"]
    if status.equals("progression"):
        return known_fact(False, status)
    if not status.known:
        return unknown_fact(status.why or Reason.NOT_DOCUMENTED, status)
    if months.amount is None:
        return unknown_fact(months.why or Reason.DURATION_NOT_DOCUMENTED, status)
    if any(not is_newer(months.on, reading.on) for reading in status.history if reading.value == "progression"):
        return unknown_fact(Reason.DURATION_SINCE_PROGRESSION_OPEN, status)
    answer = months.amount.at_least(facts.knowledge.scores.stable_disease.months)
    return unknown_fact(Reason.DURATION_NOT_EXACT, status) if answer is None else known_fact(answer, status, months)


def progression_on_analogue(facts: Facts) -> Fact:
    """Return whether the disease progressed after a somatostatin analogue was started."""
    return _progression_on(facts, "somatostatin_analogue")


LIVER_AND_RADIONUCLIDES = (
    "radionuclide_therapy", "lu177_dotatate", "liver_embolization", "liver_radioembolization", "liver_ablation",
)  # fmt: skip
SYSTEMIC = ("somatostatin_analogue", "everolimus", "sunitinib", "chemotherapy", "interferon")


def earlier_treatment(facts: Facts) -> Fact:
    """Return whether there was a treatment that the trial of first-line radionuclide therapy excluded: radionuclides, treatment
    of the liver, or a drug with progression."""
    parts = [facts[name] for name in LIVER_AND_RADIONUCLIDES]
    parts += [_progression_on(facts, name) for name in SYSTEMIC]
    if found := [part for part in parts if part.equals(True)]:
        return known_fact(True, *found)
    if doubtful := [part for part in parts if part.unknown]:
        return unknown_fact(doubtful[0].why or Reason.NOT_DOCUMENTED, *doubtful)
    return known_fact(False)


def _progression_on(facts: Facts, drug: str) -> Fact:
    """Return whether the newest status is a progression dated after the start of the drug."""
    status, given = facts["disease_status"], facts[drug]
    if given.silent:
        return known_fact(False)
    if status.known and status.value != "progression":
        return known_fact(False, status)
    if not status.known:
        return unknown_fact(status.why or Reason.NOT_DOCUMENTED, status)
    if given.unknown:
        return unknown_fact(given.why or Reason.NOT_DOCUMENTED, given)
    started = min((r.on for r in given.history if r.on), key=lambda on: on.latest, default=None)
    if started is None or status.on is None:
        return unknown_fact(Reason.DRUG_NOT_DATED, given)
    if is_newer(status.on, started):
        return known_fact(True, status, given)
    if started.earliest < status.on.latest:
        return unknown_fact(Reason.PROGRESSION_NOT_DATED, status, given)
    return known_fact(False, status, given)


def newly_diagnosed(facts: Facts) -> Fact:
    """Return whether the neoplasm was diagnosed within the days of scores.toml."""
    first = facts["nen_diagnosis"]
    if not first.known or first.on is None:
        return unknown_fact(Reason.DIAGNOSIS_NOT_DATED, first)
    limit = facts.today - timedelta(days=facts.knowledge.scores.new_diagnosis.within_days)
    if first.on.latest < limit:
        return known_fact(False, first)
    if first.on.earliest < limit or any(reading.on is None for reading in first.history):
        return unknown_fact(Reason.DIAGNOSIS_DATE_NOT_EXACT, first)
    return known_fact(True, first)


def recent_liver_surgery(facts: Facts) -> Fact:
    """Return whether the liver was resected or ablated within the days of scores.toml."""
    parts = (facts["liver_resection"], facts["liver_ablation"])
    limit = facts.today - timedelta(days=facts.knowledge.scores.recent_liver_surgery.within_days)
    recent = [part for part in parts if part.known and part.on is not None and part.on.earliest >= limit]
    if recent:
        return known_fact(True, *recent)
    open_part = next((part for part in parts if part.unknown or any(_may_be_since(limit, r.on) for r in part.seen)), None)
    return unknown_fact(open_part.why or Reason.DATE_NOT_EXACT, open_part) if open_part else known_fact(False)


def _may_be_since(limit: date, on: PartialDate | None) -> bool:
    return on is None or on.latest >= limit
