"""Are there neuroendocrine liver metastases in the chart? (CLINICAL section 2)

Both halves have to be there: a neuroendocrine neoplasm (NEN), by code or histology, resected or not; and liver
metastases that are current. A code never decides more than its `use` in terminology.toml says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from cds_service.clinical_picture import Gate, Interval, Nlm, Observed, PartialDate
from cds_service.fhir.chart import Chart, is_history, is_unconfirmed
from cds_service.fhir.concepts import codings, is_liver, text_of
from cds_service.fhir.concepts import meanings as meanings_of
from cds_service.fhir.dates import date_of_observation, first_date
from cds_service.fhir.resources import Component, Condition, Observation, UnreadCondition, UnreadObservation
from cds_service.fhir.values import value_of
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.terminology import PREFIX_SYSTEMS, Meaning, StandardCoding, Use
from cds_service.reasons import Explanation, Reason

NEN = frozenset(
    {
        "cond.net.malignant", "cond.net", "cond.net_metastatic", "cond.liver_mets.net", "cond.extrahepatic_mets.net",
        "morph.net", "morph.net_metastatic",
    }
)  # fmt: skip
METASTASIS = frozenset({"cond.net_metastatic", "morph.net_metastatic", "cond.liver_mets", "cond.liver_mets.net"})
LIVER_METASTASES = frozenset({"cond.liver_mets", "cond.liver_mets.net"})
PLAIN_METASTASIS = frozenset({"8000/6", "14799000", "128462008"})
"""Metastasis and no more, as morphology or disorder: neither a neuroendocrine tumour nor a mixed one."""
HISTOLOGY_EXTENSION = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-histology-morphology-behavior"
OTHER_MALIGNANCY = re.compile(r"malignant|cancer|carcinoma|sarcoma|melanoma|karzinom|krebs|b(?:ö|oe)sartig", re.IGNORECASE)
NO_OTHER_MALIGNANCY = re.compile(
    r"neuroendocrine|neuroendokrin|carcinoid|karzinoid|islet|metasta(?:s[ei]s|tic (?:malignant )?\w+ (?:to|in) )|"
    r"secondary|history|family|screening|suspected|risk of|benign|in situ|"
    r"basal cell|squamous cell carcinoma of skin|lymphoma|leuka?emia|myeloma",
    re.IGNORECASE,
)
NOT_A_SOURCE = re.compile(r"C(44|7[789]|80|8[1-9]|9[0-7]|7A|7B)")
"""ICD-10: skin, secondary and unspecified neoplasms, blood; none is the source of a liver metastasis coded C78.7."""


UNREAD = Explanation(Reason.RESOURCE_UNREADABLE)


class TumourCoding(NamedTuple):
    """A coding of a tumour, with the reference and date of its resource."""

    coding: StandardCoding
    reference: str
    on: PartialDate | None


class OtherMalignancy(NamedTuple):
    """A malignancy that could be the source of liver metastases, as long as no histology says that it is the NEN."""

    reading: Observed
    codings: Sequence[StandardCoding]


class Histology(NamedTuple):
    """A histology that says NEN; `conditions`: the diagnoses that it names as its tumour."""

    reading: Observed
    conditions: frozenset[str]
    codings: Sequence[StandardCoding]


@dataclass
class Neoplasms:
    """What the chart says of neoplasms, sorted by the two halves of the gate."""

    nen: list[Observed] = field(default_factory=list)
    primary: list[Observed] = field(default_factory=list)
    """Those of them that are no metastasis."""
    mixed: bool = False
    """A mixed tumour's histology that names no tumour of the chart."""
    nen_unconfirmed: list[Observed] = field(default_factory=list)
    nen_codings: list[TumourCoding] = field(default_factory=list)
    """Every coding of a tumour that is neuroendocrine."""
    liver: list[Observed] = field(default_factory=list)
    liver_unconfirmed: list[Observed] = field(default_factory=list)
    liver_before: list[Observed] = field(default_factory=list)
    """Liver metastases of the past: resolved, in remission, inactive."""
    both: list[Observed] = field(default_factory=list)
    """Codes that say neuroendocrine and liver metastasis at once."""
    weak: list[Observed] = field(default_factory=list)
    """A benign neuroendocrine tumour, or a history code: no NEN by itself."""
    others: list[Observed] = field(default_factory=list)
    others_unread: list[Observed] = field(default_factory=list)
    histologies_unread: list[Observed] = field(default_factory=list)
    lesions_unread: list[Observed] = field(default_factory=list)


def date_of_condition(condition: Condition) -> PartialDate | None:
    """Onset, else the day it was recorded."""
    period = condition.onset_period
    return first_date(condition.onset_date_time, period.start if period else None, condition.recorded_date)


def neoplasms(chart: Chart, knowledge: Knowledge, today: date) -> Neoplasms:
    found = Neoplasms()
    histologies, mixed = _histologies(chart, knowledge, today)
    found.mixed = "" in mixed
    linked = {reference for histology in histologies for reference in histology.conditions}
    others: list[OtherMalignancy] = []
    for where, condition in chart.conditions:
        everything = _codings(condition, knowledge)
        on = date_of_condition(condition)
        unread = isinstance(condition, UnreadCondition)
        seen = Observed(True, on, where, text_of(condition.code), UNREAD if unread else None)
        meanings = [m for coding in everything for m in knowledge.terminology.meanings(coding)]
        nen = (is_nen(meanings, lung=_is_lung(everything, knowledge)) or where in linked) and where not in mixed
        unconfirmed, history = is_unconfirmed(condition), is_history(condition, today)
        if nen:
            (found.nen_unconfirmed if unconfirmed else found.nen).append(seen)
            if not unconfirmed and not any(m.concept in METASTASIS or "mets" in m.concept for m in meanings):
                found.primary.append(seen)
            if not unconfirmed:
                found.nen_codings += [TumourCoding(coding, where, on) for coding in everything]
        elif any(m.use is Use.BENIGN or (m.use is Use.HISTORY and m.concept == "cond.net.history") for m in meanings):
            found.weak.append(seen)
        elif unread and _other_malignancy(everything, meanings, condition):
            found.others_unread.append(seen)
        elif not history and not unconfirmed and _other_malignancy(everything, meanings, condition):
            others.append(OtherMalignancy(seen, everything))
        if history and not unconfirmed and _liver_metastasis(meanings, condition, knowledge):
            found.liver_before.append(seen)
        if not history and _liver_metastasis(meanings, condition, knowledge):
            (found.liver_unconfirmed if unconfirmed else found.liver).append(seen)
            if nen and not unconfirmed and any(m.concept in METASTASIS - {"cond.liver_mets"} for m in meanings):
                found.both.append(seen)
    _add_histologies(found, histologies, others)
    found.others = [other.reading for other in others]
    for where, observation in chart.observations:
        seen = Observed(True, date_of_observation(observation), where, text_of(observation.code))
        if isinstance(observation, UnreadObservation):
            _add_unread(found, replace(seen, note=UNREAD), observation, knowledge)
        elif _liver_lesion(observation, knowledge):
            found.liver.append(seen)
    return found


def _add_unread(found: Neoplasms, seen: Observed, observation: Observation, knowledge: Knowledge) -> None:
    """What could not be read may be the half that is missing: a histology, or a finding in the liver."""
    for coding in codings(knowledge, observation.code):
        about = {m.concept for m in knowledge.terminology.meanings(coding)}
        if "obs.histology" in about:
            found.histologies_unread.append(seen)
        elif _is_count(coding, knowledge) or ("obs.tumor_size" in about and is_liver(knowledge, [observation.body_site])):
            found.lesions_unread.append(seen)


def _codings(condition: Condition, knowledge: Knowledge) -> list[StandardCoding]:
    everything = list(codings(knowledge, condition.code))
    for extension in condition.extension or []:
        if extension.url == HISTOLOGY_EXTENSION:
            everything += codings(knowledge, extension.value_codeable_concept)
    return everything


def is_nen(meanings: list[Meaning], lung: bool) -> bool:
    """Whether the codes of one tumour say neuroendocrine neoplasm; a mixed tumour's code denies it."""
    relevant = [m for m in meanings if m.concept in NEN or m.use is Use.EXCLUDE]
    if any(m.use is Use.EXCLUDE and m.code not in PLAIN_METASTASIS for m in relevant):
        return False
    return any(m.use.decides_nen(of_lung=lung) for m in relevant)


LUNG = re.compile(r"\b(lung|bronch|pulmon)", re.IGNORECASE)
TUMOUR = re.compile(r"malignant|cancer|carcino|sarcoma|tumou?r|neoplasm|karzinom|krebs", re.IGNORECASE)
SECONDARY = re.compile(r"secondary|metasta", re.IGNORECASE)


def _is_lung(everything: Sequence[StandardCoding], knowledge: Knowledge) -> bool:
    """A primary of the lung, by code, or by name where the code is not of ICD-10: small cell carcinoma of the lung must
    not pass for a NEN (`Use.DECIDES_IF_NOT_LUNG`). Neither pneumonia nor a metastasis in the lung makes one."""
    return any(
        knowledge.terminology.value("primary_site", coding) == "lung"
        or (coding.system not in PREFIX_SYSTEMS and _names_lung_tumour(coding.display))
        for coding in everything
    )


def _names_lung_tumour(display: str) -> bool:
    return bool(LUNG.search(display) and TUMOUR.search(display)) and not SECONDARY.search(display)


def _liver_metastasis(meanings: list[Meaning], condition: Condition, knowledge: Knowledge) -> bool:
    if any(m.concept in LIVER_METASTASES and m.use is Use.DECIDES for m in meanings):
        return True
    metastasis = any(
        (m.concept in METASTASIS and m.use.decides) or m.use is Use.QUESTION_SITE or m.code in PLAIN_METASTASIS
        for m in meanings
    )
    return metastasis and is_liver(knowledge, condition.body_site or [])


def _liver_lesion(observation: Observation, knowledge: Knowledge) -> bool:
    """A tumour size with a liver body site, or a count of liver metastases above none."""
    if is_liver(knowledge, [observation.body_site]):
        about = {m.concept for m in meanings_of(knowledge, observation.code)}
        if "obs.histology" in about:
            said = meanings_of(knowledge, observation.value_codeable_concept)
            if any(meaning.concept == "morph.net_metastatic" for meaning in said):
                return True
        if "obs.tumor_size" in about and measured_liver_lesion(observation, knowledge):
            return True
    counted = any(_is_count(coding, knowledge) for coding in codings(knowledge, observation.code))
    return counted and _above_none(observation, knowledge, "lesion_count")


def _is_count(coding: StandardCoding, knowledge: Knowledge) -> bool:
    counted = coding.system == knowledge.assessment_system and coding.code == "lesion-count"
    return counted or knowledge.terminology.fact(coding) == "lesion_count"


def measured_liver_lesion(observation: Observation, knowledge: Knowledge) -> bool:
    """Whether a size above nought stands in it, in whatever unit, or as text: an absent one is no lesion."""
    return any(
        part.value_quantity.value.is_finite() and part.value_quantity.value > 0
        if part.value_quantity is not None and part.value_quantity.value is not None
        else _above_none(part, knowledge, "largest_lesion")
        for part in (observation, *(observation.component or ()))
    )


def _above_none(part: Observation | Component, knowledge: Knowledge, fact: str) -> bool:
    """Whether a count or size is certainly above nought: "< 1" and "not counted" are not."""
    try:
        amount = value_of(knowledge, knowledge.facts[fact], part).value
    except ValueError:
        return False
    return isinstance(amount, Interval) and amount.above(Decimal(0)) is True


def _other_malignancy(everything: Sequence[StandardCoding], meanings: list[Meaning], condition: Condition) -> bool:
    """An active malignancy that could be the source of liver metastases. By ICD-10 code; where only SNOMED CT or text
    is sent, by name, which is enough to ask and never to decide."""
    if any(m.concept.startswith(("cond.liver_mets", "cond.extrahepatic_mets", "cond.net")) for m in meanings):
        pancreas = [m for m in meanings if m.concept == "cond.net.pancreas"]
        if not pancreas:
            return False
    icd = [c.code.upper() for c in everything if c.system in PREFIX_SYSTEMS]
    if icd:
        return any(re.match(r"C\d", code) and not NOT_A_SOURCE.match(code) for code in icd)
    names = " ".join([condition.code.text or "" if condition.code else "", *(c.display for c in everything)])
    return bool(OTHER_MALIGNANCY.search(names)) and not NO_OTHER_MALIGNANCY.search(names)


def _histologies(chart: Chart, knowledge: Knowledge, today: date) -> tuple[list[Histology], set[str]]:
    """Histology Observations that say NEN; and the Conditions whose histology is a mixed tumour ("" where none is named)."""
    found: list[Histology] = []
    mixed: set[str] = set()
    of_lung: set[str] | None = None  # once for all: a chart may hold thousands of both
    any_current_of_lung = False
    for where, observation in chart.observations:
        about = [m for c in codings(knowledge, observation.code) for m in knowledge.terminology.meanings(c)]
        if not any(m.concept == "obs.histology" for m in about):
            continue
        focus = {(f.reference or "").split("/_history/")[0] for f in observation.focus or []}
        names = frozenset("/".join(text.rstrip("/").split("/")[-2:]) for text in focus if "Condition/" in text)
        if of_lung is None:
            lung_tumours = [pair for pair in chart.conditions if _is_lung(_codings(pair[1], knowledge), knowledge)]
            of_lung = {name for name, _ in lung_tumours}
            any_current_of_lung = any(not is_history(condition, today) for _, condition in lung_tumours)
        concerns_lung = not of_lung.isdisjoint(names) if names else any_current_of_lung
        site = codings(knowledge, observation.body_site)
        lung = concerns_lung or any(LUNG.search(coding.display) for coding in site)
        values = codings(knowledge, observation.value_codeable_concept)
        meanings = [m for coding in values for m in knowledge.terminology.meanings(coding)]
        if is_nen(meanings, lung):
            on = date_of_observation(observation)
            said = Observed(True, on, where, text_of(observation.value_codeable_concept))
            found.append(Histology(said, names, values))
        elif any(m.use is Use.EXCLUDE and m.code not in PLAIN_METASTASIS for m in meanings):
            mixed |= names or {""}
    return found, mixed


def _add_histologies(found: Neoplasms, histologies: list[Histology], others: list[OtherMalignancy]) -> None:
    """A neuroendocrine histology is a NEN. Without a focus it belongs to the one site-coded malignancy of the chart,
    if no other tumour is known to be neuroendocrine: that site code *is* the NEN, not another malignancy."""
    for seen, focus, values in histologies:
        found.nen_codings += [TumourCoding(coding, seen.seen_in, seen.on) for coding in values]
        if not focus and not found.nen and len(others) == 1:
            tumour, everything = others.pop()
            found.nen.append(tumour)
            found.nen_codings += [TumourCoding(coding, tumour.seen_in, tumour.on) for coding in everything]
        found.nen.append(seen)


def judge_gate(found: Neoplasms, unreadable_conditions: int, chart: Chart) -> Gate:
    if found.mixed and found.nen and (found.liver or found.both):
        return Gate(Nlm.POSSIBLE, Explanation(Reason.MIXED_TUMOUR), (*found.nen[:1], *found.liver[:1]))
    if found.both:
        return Gate(Nlm.YES, seen=(*found.both[:1], *found.nen[:1]))
    if found.nen and found.liver:
        if found.others:
            because = Explanation(Reason.OTHER_MALIGNANCY)
            return Gate(Nlm.POSSIBLE, because, (*found.nen[:1], *found.liver[:1], *found.others))
        if found.others_unread:
            because = Explanation(Reason.UNREAD_MALIGNANCY, unread=_counted(len(found.others_unread)))
            return Gate(Nlm.POSSIBLE, because, (*found.nen[:1], *found.liver[:1], *found.others_unread))
        return Gate(Nlm.YES, seen=(*found.nen[:1], *found.liver[:1]))
    any_nen, any_liver = [*found.nen, *found.nen_unconfirmed], [*found.liver, *found.liver_unconfirmed]
    if any_nen and any_liver:
        open_halves = [*([] if found.nen else any_nen), *([] if found.liver else any_liver)]
        unread = list(dict.fromkeys(reading for reading in open_halves if reading.reason is Reason.RESOURCE_UNREADABLE))
        because = Explanation(Reason.CONFIRM_PROVISIONAL)
        if unread:
            because = Explanation(Reason.CONFIRM_UNREADABLE, unread=_counted(len(unread)))
        return Gate(Nlm.POSSIBLE, because, tuple(dict.fromkeys((*any_nen[:1], *any_liver[:1], *unread))))
    if found.weak and any_liver and not found.others:
        return Gate(Nlm.POSSIBLE, Explanation(Reason.BENIGN_OR_FORMER_TUMOUR), (*found.weak[:1], *any_liver[:1]))
    if unreadable_conditions and (any_nen or any_liver or not chart.conditions):
        return Gate(Nlm.CANNOT_TELL, _counted(unreadable_conditions), (*any_nen, *any_liver))
    missed = [*(found.histologies_unread if any_liver else ()), *(found.lesions_unread if any_nen else ())]
    if missed:
        because = Explanation(Reason.DECIDING_RESULT_UNREADABLE)
        return Gate(Nlm.CANNOT_TELL, because, (*any_nen[:1], *any_liver[:1], *missed))
    if found.liver and _histology_open(found, chart):
        return Gate(Nlm.CANNOT_TELL, Explanation(Reason.HISTOLOGY_NOT_CONSULTED), tuple(found.liver[:1]))
    return Gate(Nlm.NO)


def _counted(unread: int) -> Explanation:
    if unread == 1:
        return Explanation(Reason.ONE_DIAGNOSIS_UNREADABLE)
    return Explanation(Reason.DIAGNOSES_UNREADABLE, count=unread)


def _histology_open(found: Neoplasms, chart: Chart) -> bool:
    """Whether a neuroendocrine histology may be where nobody could look: the search for Observations failed, or there
    was none and no other malignancy explains the metastases."""
    return "Observation" in chart.availability.failed or ("Observation" not in chart.availability.complete and not found.others)
