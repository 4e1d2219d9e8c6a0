"""Determines the stage of the disease, each part known or unknown for a reason (docs/knowledge.md, "Staging"). Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cds_service.clinical_picture import Interval, Observed
from cds_service.knowledge.model import StagePart
from cds_service.reasoning.facts import Fact, Facts
from cds_service.reasons import Explanation, Reason

UNKNOWN_STAGE = "unknown"


@dataclass(frozen=True, slots=True)
class StageValue:
    """One part of the stage. `value` is a code; `because` says why it is unknown, or what it rests on."""

    id: str
    value: str
    seen: tuple[Observed, ...] = ()
    because: tuple[Explanation, ...] = ()


def determine_stage(facts: Facts) -> dict[str, StageValue]:
    """Return part id → value for every part, in the order of `PARTS`."""
    return {name: make(facts) for name, make in PARTS.items()}


def _from(name: str, fact: Fact, value: str | None = None) -> StageValue:
    if not fact.known:
        return StageValue(name, UNKNOWN_STAGE, fact.seen, (fact.why or Explanation(Reason.NOT_DOCUMENTED),))
    return StageValue(name, value or str(fact.value), fact.seen, (fact.note,) if fact.note is not None else ())


def _grade(facts: Facts) -> StageValue:
    return _from("who_grade", facts["grade"])


def _m_category(facts: Facts) -> StageValue:
    """Return M1a (liver only) or M1c (liver and elsewhere), for well-differentiated gastroenteropancreatic tumours (M004)."""
    outside, site, recorded = facts["extrahepatic_disease"], facts["primary_site"], facts["m_category"]
    sites = facts.knowledge.staging["m_category"].sites
    if not outside.known and recorded.known and recorded.value in {"M1a", "M1c"}:
        return StageValue("m_category", str(recorded.value), recorded.seen, (Explanation(Reason.AS_RECORDED),))
    if not outside.known:
        because = outside.why or Explanation(Reason.NOT_DOCUMENTED)
        return StageValue("m_category", UNKNOWN_STAGE, outside.seen, (Explanation(Reason.OUTSIDE_OPEN, because=because),))
    liver_only = outside.value == "none"
    reasons: list[Explanation] = []
    if liver_only and facts["extent"].equals("widespread"):
        reasons.append(Explanation(Reason.WIDESPREAD_BUT_LIVER_ONLY))
    seen = (*outside.seen, *facts["extent"].seen) if reasons else outside.seen
    if not (site.known and site.value in sites) or facts["nec"].equals(True):
        extent = Explanation(Reason.LIVER_ONLY if liver_only else Reason.LIVER_AND_ELSEWHERE)
        return StageValue("m_category", UNKNOWN_STAGE, seen, (extent, *reasons, Explanation(Reason.NO_M_CATEGORY_FOR_TUMOUR)))
    value = "M1a" if liver_only else "M1c"
    if recorded.known and recorded.value in {"M1a", "M1c"}:  # the recorded category counts
        if recorded.value != value:
            as_recorded = str(recorded.value)
            reasons.append(Explanation(Reason.RECORDED_AGAINST_DOCUMENTED, recorded=as_recorded, derived=value))
        value = str(recorded.value)
    elif recorded.known and recorded.value in {"M1b", "M0"}:
        reasons.append(Explanation(Reason.RECORDED_OTHERWISE, recorded=str(recorded.value)))
    elif facts["liver_only_unconfirmed"].equals(True):
        reasons.append(Explanation(Reason.LIVER_ONLY_NOT_CONFIRMED))
    return StageValue("m_category", value, seen, tuple(reasons))


def _pattern(facts: Facts) -> StageValue:
    """Return the recorded type, else type I if complete imaging counted a single lesion. II and III are never derived."""
    recorded, count = facts["frilling_type"], facts["lesion_count"]
    if not recorded.known and count.amount is not None and count.amount.exact == 1:
        return StageValue("hepatic_pattern", "I", count.seen, (Explanation(Reason.SINGLE_LESION),))
    return _from("hepatic_pattern", recorded)


def _banded(name: str) -> Callable[[Facts], StageValue]:
    def make(facts: Facts) -> StageValue:
        part = facts.knowledge.staging[name]
        fact = facts[part.fact]
        value = _band(part, fact.amount) if fact.amount else None
        if fact.known and value is None:
            return StageValue(name, UNKNOWN_STAGE, fact.seen, (Explanation(Reason.NUMBER_NOT_EXACT),))
        return _from(name, fact, value)

    return make


def _band(part: StagePart, amount: Interval) -> str | None:
    """Return the band that certainly holds a number, or None: a lower bound ("at least 3") may lie in several."""
    for band in part.bands:
        inside = amount.at_most(band.up_to) if band.up_to is not None else True
        if band.below is not None:
            inside = amount.below(band.below)
        if inside is None:
            return None
        if inside:
            return band.name
    return None


def _lobes(facts: Facts) -> StageValue:
    fact = facts["lobes_involved"]
    return _from("lobes", fact, "bilobar" if fact.equals("bilobar") else "unilobar")


def _timing(facts: Facts) -> StageValue:
    """Return the assessed timing, else that by the dates of both diagnoses: synchronous within 6 months, inclusive (local
    convention)."""
    assessed = facts["timing"]
    first, later = facts["primary_diagnosis"], facts["liver_metastases_diagnosis"]
    if assessed.known or first.on is None or later.on is None:
        return _from("timing", assessed)
    if first.on.earliest != first.on.latest or later.on.earliest != later.on.latest:
        return _from("timing", assessed)
    early, late = sorted((first.on.earliest, later.on.earliest))
    months = (late.year - early.year) * 12 + late.month - early.month
    within = facts.knowledge.scores.timing.synchronous_within_months
    together = months < within or (months == within and late.day <= early.day)
    seen = (*first.seen, *later.seen)
    return StageValue("timing", "synchronous" if together else "metachronous", seen, (Explanation(Reason.BY_DATES),))


def _hormonal(facts: Facts) -> StageValue:
    functioning = facts["functioning"]
    if not functioning.known:
        return _from("hormonal", functioning)
    if functioning.equals(False):
        return StageValue("hormonal", "non-functioning", functioning.seen)
    for name, value in (("refractory_to_suppression", "refractory"), ("hormonal_symptoms_extreme", "extreme")):
        if facts[name].equals(True):
            return StageValue("hormonal", value, facts[name].seen)
    controlled = facts["hormonal_symptoms_controlled"].equals(True)
    return StageValue("hormonal", "functioning-controlled" if controlled else "functioning", functioning.seen)


def _treatment_group(facts: Facts) -> StageValue:
    """Return the first group that applies."""
    curative, resectability = facts["curative_resection"], facts["resectability"]
    operable = (
        resectability.equals("complete") and facts["remnant"].equals("sufficient") and facts["drainage_intact"].equals(True)
    )
    groups = (
        ("after-transplant", facts["transplanted"].equals(True), facts["transplanted"]),
        ("nec", facts["nec"].equals(True), facts["nec"]),
        ("widespread", facts["extent"].equals("widespread"), facts["extent"]),
        ("resectable", curative.equals("possible"), curative),
        (
            "liver-resectable-extrahepatic-not",
            operable and facts["extrahepatic_disease"].equals("unresectable"),
            facts["extrahepatic_disease"],
        ),
        ("debulkable", resectability.equals("debulkable"), resectability),
        (
            "unresectable-liver-dominant",
            facts["liver_prevents_resection"].equals(True),
            facts["liver_prevents_resection"],
        ),
    )
    for name, holds, fact in groups:
        if holds:
            return StageValue("treatment_group", name, fact.seen)
    because = curative.why or Explanation(Reason.NO_TREATMENT_GROUP)
    return StageValue("treatment_group", "undetermined", curative.seen, (because,))


PARTS: Mapping[str, Callable[[Facts], StageValue]] = {
    "who_grade": _grade,
    "m_category": _m_category,
    "hepatic_pattern": _pattern,
    "lesion_number": _banded("lesion_number"),
    "lesion_size": _banded("lesion_size"),
    "liver_involvement": _banded("liver_involvement"),
    "lobes": _lobes,
    "timing": _timing,
    "hormonal": _hormonal,
    "treatment_group": _treatment_group,
}
