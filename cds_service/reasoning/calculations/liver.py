"""What surgery can achieve: remnant, resectability, and "curative resection possible" (docs/knowledge.md, "Staging")."""

from __future__ import annotations

from cds_service.reasoning.facts import SILENT_FACT, Fact, Facts, Why, known_fact, unknown_fact
from cds_service.reasons import Reason


def remnant(facts: Facts) -> Fact:
    """Return `sufficient` or `insufficient`: as documented, else by volume and background liver (M015)."""
    documented, volume = facts["remnant_sufficient"], facts["future_liver_remnant"]
    by_volume = _sufficient_by_volume(facts)
    if documented.unknown:
        return unknown_fact(documented.why or Reason.NOT_DOCUMENTED, documented)
    if documented.known:
        if facts["remnant_volume_awaited"].equals(True):  # the volume may disagree
            return unknown_fact(volume.why or Reason.NOT_DOCUMENTED, documented, volume)
        if by_volume is not None and by_volume != documented.value:
            return unknown_fact(Reason.REMNANT_DISAGREES, documented, volume)
        return known_fact("sufficient" if documented.value else "insufficient", documented)
    if by_volume is None:
        return unknown_fact(volume.why or Reason.REMNANT_UNKNOWN, volume)
    return known_fact("sufficient" if by_volume else "insufficient", volume)


def remnant_volume_awaited(facts: Facts) -> Fact:
    """Return whether a volume may still be reported: it is unknown, but not because it is out of date."""
    volume = facts["future_liver_remnant"]
    return known_fact(volume.unknown and volume.reason is not Reason.OUT_OF_DATE)


def _sufficient_by_volume(facts: Facts) -> bool | None:
    limits, amount = facts.knowledge.scores.remnant, facts["future_liver_remnant"].amount
    if amount is None:
        return None
    background = facts["background_liver"]
    if facts["cirrhosis_coded"].known or background.equals("cirrhosis"):
        return amount.at_least(limits.cirrhosis)
    if background.known:
        return amount.at_least(getattr(limits, str(background.value)))
    if amount.at_least(limits.cirrhosis):
        return True
    return False if amount.below(limits.normal) else None


def liver_prevents_resection(facts: Facts) -> Fact:
    """Return whether the liver prevents resection: the disease is not completely resectable, the remnant is too small, or its
    drainage is not intact. It is denied only if all three are known."""
    resectability, left, drainage = facts["resectability"], facts["remnant"], facts["drainage_intact"]
    against = [
        fact
        for fact, stops in (
            (resectability, resectability.known and resectability.value != "complete"),
            (left, left.equals("insufficient")),
            (drainage, drainage.equals(False)),
        )
        if stops
    ]
    if against:
        return known_fact(True, *against)
    if resectability.known and left.known and drainage.known:
        return known_fact(False, resectability, left, drainage)
    return unknown_fact(_first_open(resectability, left, drainage), resectability, left, drainage)


def curative_resection(facts: Facts) -> Fact:
    """Return `possible`, `not-possible` or unknown. NEC and G3 are no part of it; an unknown ECOG does not leave it open."""
    liver, outside, failure = facts["liver_prevents_resection"], facts["extrahepatic_disease"], facts["hepatic_failure_found"]
    ecog, heart = facts["ecog"], facts["carcinoid_heart_disease"]
    against = [
        fact
        for fact, stops in (
            (liver, liver.equals(True)),
            (outside, outside.equals("unresectable")),
            (failure, failure.equals(True)),
            (ecog, ecog.amount is not None and ecog.amount.at_least(facts.knowledge.ecog_limit) is True),
            (heart, heart.equals("severe-untreated")),
        )
        if stops
    ]
    if against:
        return known_fact("not-possible", *against)
    needed = (liver, outside, failure)
    if all(fact.known for fact in needed) and not outside.options and not heart.unknown:
        return known_fact("possible", *needed)
    if outside.options:
        return unknown_fact(Reason.OUTSIDE_RESECTABLE, outside)
    return unknown_fact(_first_open(*needed, heart), *needed)


def _first_open(*parts: Fact) -> Why:
    return next((part.why for part in parts if not part.known and part.why is not None), Reason.NOT_DOCUMENTED)


def extent(facts: Facts) -> Fact:
    """Return the assessed extent of disease; without one, liver-only if a positive PET shows nothing outside the liver.
    Widespread is never derived, and counts even if "nothing outside" is recorded too."""
    judged = facts["disease_extent"]
    if not judged.silent:
        return judged
    confirmed = facts["liver_only_confirmed"]
    return known_fact("liver-only", confirmed, note=Reason.NOTHING_OUTSIDE_ON_PET) if confirmed.equals(True) else judged


def removable(facts: Facts) -> Fact:
    """Return the share that can be removed, as recorded. If none is recorded, return unknown; but return silent if the disease
    is known to be unresectable, as nothing can be removed then."""
    share = facts["removable_fraction"]
    if share.silent:
        return SILENT_FACT if facts["resectability"].equals("unresectable") else unknown_fact(Reason.NOT_DOCUMENTED, share)
    return share


def liver_only_confirmed(facts: Facts) -> Fact:
    """Return whether a positive SSTR-PET confirms that disease is in the liver only. A negative PET confirms nothing, because
    the tumour may not show on it (M069)."""
    outside, pet = facts["extrahepatic_disease"], facts["sstr_positive"]
    if outside.known and outside.value != "none":
        return known_fact(False, outside)
    if outside.equals("none") and pet.equals(True):
        return known_fact(True, outside, pet)
    return unknown_fact(Reason.NO_PET_BACKING if outside.known else outside.why or Reason.NOT_DOCUMENTED, outside, pet)


def liver_only_unconfirmed(facts: Facts) -> Fact:
    """Return whether disease in the liver only is recorded without a positive SSTR-PET."""
    outside, pet = facts["extrahepatic_disease"], facts["sstr_positive"]
    return known_fact(outside.equals("none") and not pet.equals(True), outside)


def portal_drained(facts: Facts) -> Fact:
    """Return whether the portal vein drains the primary site; unknown if the site is not precise enough."""
    site = facts["primary_site"]
    answer = facts.knowledge.portal_drained.get(str(site.value)) if site.known else None
    return unknown_fact(Reason.SITE_NOT_PRECISE, site) if answer is None else known_fact(answer, site)


def biliary_access(facts: Facts) -> Fact:
    """Return whether there is bilioenteric access. A known pancreatoduodenectomy means that there is."""
    assessed, whipple = facts["bilioenteric_access"], facts["pancreatoduodenectomy"]
    found = [fact for fact in (assessed, whipple) if fact.equals(True)]
    found += [facts["biliary_procedure_coded"]] if facts["biliary_procedure_coded"].known else []
    if found:
        return known_fact(True, *found)
    return known_fact(False, assessed) if assessed.equals(False) else unknown_fact(Reason.NOT_DOCUMENTED)
