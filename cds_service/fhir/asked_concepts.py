"""What the code of an Observation asks, of that on which the gate depends: a histology, a metastasis or a lesion."""

from __future__ import annotations

from typing import NamedTuple

from cds_service.fhir.concepts import meanings, meanings_elsewhere
from cds_service.fhir.queries import observation_codes
from cds_service.fhir.resources import Component, Observation
from cds_service.fhir.tumour_codes import METASTASIS_SITE
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.terminology import StandardCoding

ASKED_BY_GATE = frozenset({"obs.histology", "obs.tumor_size", METASTASIS_SITE})
"""Concepts of Observations that may be a half of the gate. Lesion counts are another."""


class AskedConcepts(NamedTuple):
    """The concepts that the code of an Observation or component asks for."""

    concepts: frozenset[str]
    sure: bool
    """True if the code's own system says so. False if only another system has the code, which raises a question."""


NOTHING_ASKED = AskedConcepts(frozenset(), sure=False)


def asked_of(part: Observation | Component, knowledge: Knowledge) -> AskedConcepts:
    """Return what the codes of an Observation or component ask for; nothing if no fact and no half of the gate has one of
    them."""
    codes = observation_codes(knowledge)
    sent = [(coding.code or "").strip() for coding in (part.code.coding or ())] if part.code else []
    if not any(code in codes or code.upper() in codes for code in sent):
        return NOTHING_ASKED
    known = meanings(knowledge, part.code)
    meant = known or meanings_elsewhere(knowledge, part.code)
    return AskedConcepts(frozenset(meaning.concept for meaning in meant), bool(known))


def is_asked_by_gate(coding: StandardCoding, knowledge: Knowledge) -> bool:
    """Return True if the gate may depend on an Observation with this code: on a histology, a metastasis, or a lesion."""
    terms = knowledge.terminology
    meant = (*terms.meanings(coding), *terms.meanings_elsewhere(coding))
    return is_count(coding, knowledge) or any(meaning.concept in ASKED_BY_GATE for meaning in meant)


def is_count(coding: StandardCoding, knowledge: Knowledge) -> bool:
    """Return True if the code asks for the number of lesions: the service's own code, or one that a site maps to it."""
    counted = coding.system == knowledge.assessment_system and coding.code == "lesion-count"
    return counted or knowledge.terminology.fact(coding) == "lesion_count"
