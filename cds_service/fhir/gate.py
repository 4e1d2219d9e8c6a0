"""Finds neuroendocrine neoplasms and liver metastases in a chart (docs/knowledge.md, "Who gets a card").

Both are needed: a neuroendocrine neoplasm (NEN), by code or histology, resected or not; and current liver metastases. A code
never decides more than its `use` in terminology.toml allows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from cds_service.clinical_picture import Interval, Observed, PartialDate
from cds_service.fhir.asked_concepts import asked_of, is_count
from cds_service.fhir.chart import Chart, is_history, is_unconfirmed
from cds_service.fhir.concepts import codings, is_liver, text_of
from cds_service.fhir.concepts import meanings as meanings_of
from cds_service.fhir.dates import date_of_observation, first_date
from cds_service.fhir.resources import Component, Condition, Observation, UnreadCondition, UnreadObservation
from cds_service.fhir.tumour_codes import (
    LUNG,
    METASTASIS,
    METASTASIS_SITE,
    NOT_OF_ITS_SYSTEM,
    PLAIN_METASTASIS,
    TEXT_ALONE,
    codings_of_condition,
    is_lung,
    is_nen,
    meant_by_condition,
    meant_by_value,
    says_liver_metastasis,
    site_is_open,
    why_liver_is_open,
    why_nen_is_open,
)
from cds_service.fhir.values import value_of
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.terminology import ICD_10_SYSTEMS, Meaning, StandardCoding, Use
from cds_service.reasons import WHOSE_IT_IS, WRITTEN_OTHERWISE, Explanation, Reason

OTHER_MALIGNANCY = re.compile(r"malignant|cancer|carcinoma|sarcoma|melanoma|karzinom|krebs|b(?:ö|oe)sartig", re.IGNORECASE)
NO_OTHER_MALIGNANCY = re.compile(
    r"neuroendocrine|neuroendokrin|carcinoid|karzinoid|islet|metasta(?:s[ei]s|tic (?:malignant )?\w+ (?:to|in) )|"
    r"secondary|history|family|screening|suspected|risk of|benign|in situ|"
    r"basal cell|squamous cell carcinoma of skin|lymphoma|leuka?emia|myeloma",
    re.IGNORECASE,
)
NOT_A_SOURCE = re.compile(r"C(44|7[789]|80|8[1-9]|9[0-7]|7A|7B)")
"""ICD-10 codes of skin, secondary, unspecified and blood neoplasms; none is the source of a liver metastasis coded C78.7."""


UNREAD = Explanation(Reason.RESOURCE_UNREADABLE)


def why_unread(condition: Condition) -> Explanation | None:
    """Return why an unread diagnosis only raises a question; None if it was read. Reasons that are not reported elsewhere are
    kept; all others become "could not be read"."""
    if not isinstance(condition, UnreadCondition):
        return None
    return condition.why if condition.why.reason in WRITTEN_OTHERWISE | WHOSE_IT_IS else UNREAD


class TumourCoding(NamedTuple):
    """A coding of a tumour, with the reference and date of its resource."""

    coding: StandardCoding
    reference: str
    on: PartialDate | None


class OtherMalignancy(NamedTuple):
    """A malignancy that could be the source of liver metastases, unless a histology shows that it is the NEN."""

    reading: Observed
    codings: Sequence[StandardCoding]


class Histology(NamedTuple):
    """A histology that is a NEN; `conditions`: the diagnoses that its focus names."""

    reading: Observed
    conditions: frozenset[str]
    codings: Sequence[StandardCoding]


@dataclass
class Neoplasms:
    """The neoplasms of a chart, sorted by the two halves of the gate."""

    nen: list[Observed] = field(default_factory=list)
    primary: list[Observed] = field(default_factory=list)
    """The diagnoses of `nen` that are not metastases."""
    mixed: bool = False
    """True if the histology of a mixed tumour names no tumour of the chart."""
    mixed_histologies: list[Observed] = field(default_factory=list)
    """The histologies of mixed tumours, whatever tumour they name."""
    nen_unconfirmed: list[Observed] = field(default_factory=list)
    nen_codings: list[TumourCoding] = field(default_factory=list)
    """Every coding of a neuroendocrine tumour."""
    liver: list[Observed] = field(default_factory=list)
    liver_unconfirmed: list[Observed] = field(default_factory=list)
    liver_before: list[Observed] = field(default_factory=list)
    """Past liver metastases: resolved, in remission or inactive."""
    both: list[Observed] = field(default_factory=list)
    """Diagnoses whose codes state both NEN and liver metastasis."""
    weak: list[Observed] = field(default_factory=list)
    """A benign neuroendocrine tumour or a history code, which is not a NEN by itself."""
    others: list[Observed] = field(default_factory=list)
    others_unread: list[Observed] = field(default_factory=list)
    histologies_unread: list[Observed] = field(default_factory=list)
    lesions_unread: list[Observed] = field(default_factory=list)


def date_of_condition(condition: Condition) -> PartialDate | None:
    """Return the onset date, else the date recorded, else None."""
    period = condition.onset_period
    return first_date(condition.onset_date_time, period.start if period else None, condition.recorded_date)


def neoplasms(chart: Chart, knowledge: Knowledge, today: date) -> Neoplasms:
    """Return the neoplasms of a chart on a day."""
    found = Neoplasms()
    histologies, mixed = _histologies(chart, knowledge, today, found)
    found.mixed = "" in mixed
    linked = {reference for histology in histologies for reference in histology.conditions}
    others: list[OtherMalignancy] = []
    suspected: list[OtherMalignancy] = []
    """Unconfirmed ones, which are never the tumour of a histology."""
    for where, condition in chart.conditions:
        everything = codings_of_condition(condition, knowledge)
        on = date_of_condition(condition)
        unread = isinstance(condition, UnreadCondition)
        seen = Observed(True, on, where, text_of(condition.code), why_unread(condition))
        meanings = [m for coding in everything for m in knowledge.terminology.meanings(coding)]
        meant, lung = meant_by_condition(condition, knowledge), is_lung(everything, knowledge)
        nen = (is_nen(meanings, lung) or where in linked) and where not in mixed
        nen_open = None if nen or where in mixed else why_nen_is_open(meanings, meant, lung)
        unconfirmed, history = is_unconfirmed(condition), is_history(condition, today)
        if nen:
            (found.nen_unconfirmed if unconfirmed else found.nen).append(seen)
            if not unconfirmed and not any(m.concept in METASTASIS or "mets" in m.concept for m in meanings):
                found.primary.append(seen)
            if not unconfirmed:
                found.nen_codings += [TumourCoding(coding, where, on) for coding in everything]
        elif nen_open:
            found.nen_unconfirmed.append(seen if unread else replace(seen, note=nen_open))
        elif any(
            m.use is Use.BENIGN or (m.use is Use.HISTORY and m.concept == "cond.net.history")
            for m in (*meanings, *meant.by_code)
        ):
            found.weak.append(seen)
        elif unread and _other_malignancy(everything, meanings, condition):
            found.others_unread.append(seen)
        elif not history and _other_malignancy(everything, meanings, condition):
            (suspected if unconfirmed else others).append(OtherMalignancy(seen, everything))
        if history and not unconfirmed and says_liver_metastasis(meanings, condition, knowledge):
            found.liver_before.append(seen)
        liver_open = None if history else why_liver_is_open(meanings, meant, condition, knowledge)
        if liver_open and not says_liver_metastasis(meanings, condition, knowledge):
            found.liver_unconfirmed.append(seen if unread else replace(seen, note=liver_open))
        if not history and says_liver_metastasis(meanings, condition, knowledge):
            (found.liver_unconfirmed if unconfirmed else found.liver).append(seen)
            if nen and not unconfirmed and any(m.concept in METASTASIS - {"cond.liver_mets"} for m in meanings):
                found.both.append(seen)
    _add_histologies(found, histologies, others)
    found.others = [other.reading for other in (*others, *suspected)]
    for where, observation in chart.observations:
        seen = Observed(True, date_of_observation(observation), where, text_of(observation.code))
        if isinstance(observation, UnreadObservation):
            _add_unread(found, replace(seen, note=UNREAD), observation, knowledge)
        elif _liver_lesion(observation, knowledge):
            found.liver.append(seen)
        elif note := _liver_site_open(observation, knowledge):
            found.liver_unconfirmed.append(replace(seen, note=note))
    return found


def _add_unread(found: Neoplasms, seen: Observed, observation: Observation, knowledge: Knowledge) -> None:
    """Record an unreadable Observation that may be the missing half: a histology, or a finding in the liver."""
    asked = asked_of(observation, knowledge).concepts
    if "obs.histology" in asked:
        found.histologies_unread.append(seen)
    counts = any(is_count(coding, knowledge) for coding in codings(knowledge, observation.code))
    if counts or ("obs.tumor_size" in asked and is_liver(knowledge, [observation.body_site])):
        found.lesions_unread.append(seen)


def _liver_site_open(observation: Observation, knowledge: Knowledge) -> Explanation | None:
    """Return why a measured tumour or distant metastasis may be in the liver, or None: its site is only text or a code of
    another system, or the Observation's own code is of another system."""
    asked, site = asked_of(observation, knowledge), observation.body_site
    if "obs.tumor_size" in asked.concepts and measured_liver_lesion(observation, knowledge):
        if is_liver(knowledge, [site]):
            return NOT_OF_ITS_SYSTEM
        return TEXT_ALONE if site_is_open(site, knowledge) else None
    if METASTASIS_SITE in asked.concepts:
        sites = (observation.value_codeable_concept, site)
        if is_liver(knowledge, sites) or any(site_is_open(each, knowledge) for each in sites):
            return NOT_OF_ITS_SYSTEM
        named = observation.value_string and knowledge.terminology.written.names_liver(observation.value_string)
        return TEXT_ALONE if named else None
    return NOT_OF_ITS_SYSTEM if _metastasis_in_liver(observation, asked.concepts, knowledge) else None


def _liver_lesion(observation: Observation, knowledge: Knowledge) -> bool:
    """Return True for a tumour size or histology of metastasis in the liver, a distant metastasis sited in the liver, or a
    lesion count above zero."""
    asked = asked_of(observation, knowledge)
    if asked.sure and METASTASIS_SITE in asked.concepts:
        return is_liver(knowledge, [observation.value_codeable_concept, observation.body_site])
    if asked.sure and is_liver(knowledge, [observation.body_site]):
        if _metastasis_in_liver(observation, asked.concepts, knowledge):
            return True
        if "obs.tumor_size" in asked.concepts and measured_liver_lesion(observation, knowledge):
            return True
    counted = any(is_count(coding, knowledge) for coding in codings(knowledge, observation.code))
    return counted and _above_none(observation, knowledge, "lesion_count")


def _metastasis_in_liver(observation: Observation, asked: frozenset[str], knowledge: Knowledge) -> bool:
    """Return True if a histology of the liver is a metastasis of a neuroendocrine tumour."""
    if "obs.histology" not in asked or not is_liver(knowledge, [observation.body_site]):
        return False
    said = meanings_of(knowledge, observation.value_codeable_concept)
    return any(meaning.concept == "morph.net_metastatic" for meaning in said)


def measured_liver_lesion(observation: Observation, knowledge: Knowledge) -> bool:
    """Return True if the Observation or a component has a size above zero, in any unit or as text. A missing size is not a
    lesion."""
    return any(
        part.value_quantity.value.is_finite() and part.value_quantity.value > 0
        if part.value_quantity is not None and part.value_quantity.value is not None
        else _above_none(part, knowledge, "largest_lesion")
        for part in (observation, *(observation.component or ()))
    )


def _above_none(part: Observation | Component, knowledge: Knowledge, fact: str) -> bool:
    """Return True if a count or size is certainly above zero. "< 1" and "not counted" are not."""
    try:
        amount = value_of(knowledge, knowledge.facts[fact], part).value
    except ValueError:
        return False
    return isinstance(amount, Interval) and amount.above(Decimal(0)) is True


def _other_malignancy(everything: Sequence[StandardCoding], meanings: list[Meaning], condition: Condition) -> bool:
    """Return True for a malignancy that could be the source of liver metastases: by ICD-10 code, else by name. A name only
    raises a question and never decides."""
    if any(m.concept.startswith(("cond.liver_mets", "cond.extrahepatic_mets", "cond.net")) for m in meanings):
        pancreas = [m for m in meanings if m.concept == "cond.net.pancreas"]
        if not pancreas:
            return False
    icd = [c.code.upper() for c in everything if c.system in ICD_10_SYSTEMS]
    if icd:
        return any(re.match(r"C\d", code) and not NOT_A_SOURCE.match(code) for code in icd)
    names = " ".join([condition.code.text or "" if condition.code else "", *(c.display for c in everything)])
    return bool(OTHER_MALIGNANCY.search(names)) and not NO_OTHER_MALIGNANCY.search(names)


def _histologies(chart: Chart, knowledge: Knowledge, today: date, doubts: Neoplasms) -> tuple[list[Histology], set[str]]:
    """Return the histologies of NENs, and the references of Conditions with a mixed histology ("" if it names none). A
    histology that may be a NEN but is not correctly coded is added to `doubts`."""
    found: list[Histology] = []
    mixed: set[str] = set()
    of_lung: set[str] | None = None  # computed once, since a chart may hold thousands of conditions and histologies
    any_current_of_lung = False
    for where, observation in chart.observations:
        asking = [
            (part, asked.sure)
            for part in (observation, *(observation.component or ()))
            if "obs.histology" in (asked := asked_of(part, knowledge)).concepts
        ]
        if not asking:
            continue
        focus = {(f.reference or "").split("/_history/")[0] for f in observation.focus or []}
        names = frozenset("/".join(text.rstrip("/").split("/")[-2:]) for text in focus if "Condition/" in text)
        if of_lung is None:
            lung_tumours = [pair for pair in chart.conditions if is_lung(codings_of_condition(pair[1], knowledge), knowledge)]
            of_lung = {name for name, _ in lung_tumours}
            any_current_of_lung = any(not is_history(condition, today) for _, condition in lung_tumours)
        concerns_lung = not of_lung.isdisjoint(names) if names else any_current_of_lung
        site = codings(knowledge, observation.body_site)
        lung = concerns_lung or any(LUNG.search(coding.display) for coding in site)
        on = date_of_observation(observation)
        for part, sure in asking:
            if part is not observation and not (part.value_codeable_concept or part.value_string):
                continue
            values = codings(knowledge, part.value_codeable_concept)
            meanings = [m for coding in values for m in knowledge.terminology.meanings(coding)]
            said = Observed(True, on, where, text_of(part.value_codeable_concept) or (part.value_string or "").strip())
            if is_nen(meanings, lung) and not sure:
                doubts.nen_unconfirmed.append(replace(said, note=NOT_OF_ITS_SYSTEM))
            elif is_nen(meanings, lung):
                found.append(Histology(said, names, values))
            elif sure and any(m.use is Use.EXCLUDE and m.code not in PLAIN_METASTASIS for m in meanings):
                mixed |= names or {""}
                doubts.mixed_histologies.append(said)
            elif isinstance(observation, UnreadObservation):
                continue
            elif note := why_nen_is_open(
                meanings, meant_by_value(part.value_codeable_concept, part.value_string, knowledge), lung
            ):
                doubts.nen_unconfirmed.append(replace(said, note=note))
    return found, mixed


def _add_histologies(found: Neoplasms, histologies: list[Histology], others: list[OtherMalignancy]) -> None:
    """Add NEN histologies to `found.nen`. A histology may have no focus while no other NEN is known. Then the only site-coded
    malignancy of the chart is taken to be the tumour of that histology: it counts as the NEN, not as another malignancy."""
    for seen, focus, values in histologies:
        found.nen_codings += [TumourCoding(coding, seen.seen_in, seen.on) for coding in values]
        if not focus and not found.nen and len(others) == 1:
            tumour, everything = others.pop()
            found.nen.append(tumour)
            found.nen_codings += [TumourCoding(coding, tumour.seen_in, tumour.on) for coding in everything]
        found.nen.append(seen)
