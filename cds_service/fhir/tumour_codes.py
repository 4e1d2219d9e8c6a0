"""The tumour meaning of the codes of one diagnosis or histology, and what they would mean if coded correctly."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cds_service.fhir.concepts import codings, is_liver, meanings_elsewhere
from cds_service.fhir.resources import CodeableConcept, Coding, Condition, Extension, parts_of
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
METASTASIS_SITE = "obs.metastasis_site"
"""The Observation concept for the site of a distant metastasis."""
LIVER_METASTASES = frozenset({"cond.liver_mets", "cond.liver_mets.net"})
PLAIN_METASTASIS = frozenset({"8000/6", "14799000", "128462008"})
"""Codes (morphology or disorder) for metastasis only; neither a neuroendocrine nor a mixed tumour."""
LUNG = re.compile(r"\b(lung|bronch|pulmon)", re.IGNORECASE)
TUMOUR = re.compile(r"malignant|cancer|carcino|sarcoma|tumou?r|neoplasm|karzinom|krebs", re.IGNORECASE)
SECONDARY = re.compile(r"secondary|metasta", re.IGNORECASE)
NOT_OF_ITS_SYSTEM = Explanation(Reason.CODE_OF_ANOTHER_SYSTEM)
OUT_OF_USE = Explanation(Reason.CLASSIFICATION_OUT_OF_USE)
TEXT_ALONE = Explanation(Reason.TEXT_ALONE)


def extensions_of(condition: Condition) -> Iterator[Extension]:
    """Yield the extensions of a diagnosis, and those nested in them."""
    for extension in condition.extension or ():
        yield extension
        yield from parts_of(Extension, extension.extension)


def codings_of_extension(extension: Extension, knowledge: Knowledge) -> list[StandardCoding]:
    """Return the codings of an extension's value, which may be a concept or a coding."""
    plain = parts_of(Coding, extension.value_coding)
    return [
        *codings(knowledge, extension.value_codeable_concept),
        *(knowledge.terminology.coding(sent.system, sent.code, sent.display) for sent in plain),
    ]


def texts_of_extension(extension: Extension) -> list[str]:
    """Return the texts of an extension's value."""
    sent = (extension.value_string, extension.value_code)
    return [*(text for text in sent if isinstance(text, str) and text), *_texts(extension.value_codeable_concept)]


def _extended_codings(condition: Condition, knowledge: Knowledge) -> Iterator[StandardCoding]:
    for extension in extensions_of(condition):
        yield from codings_of_extension(extension, knowledge)


def is_morphology(meanings: Sequence[Meaning]) -> bool:
    """Return True if any meaning is a tumour morphology."""
    return any(meaning.concept.startswith("morph.") for meaning in meanings)


def codings_of_condition(condition: Condition, knowledge: Knowledge) -> list[StandardCoding]:
    """Return the codings of a diagnosis and the morphologies in any of its extensions. Registries use different extensions but
    the same codes."""
    terms = knowledge.terminology
    more = (coding for coding in _extended_codings(condition, knowledge) if is_morphology(terms.meanings(coding)))
    return [*codings(knowledge, condition.code), *more]


def is_nen(meanings: Sequence[Meaning], lung: bool) -> bool:
    """Return True if the codes of one tumour are a neuroendocrine neoplasm. A mixed tumour's code excludes it."""
    relevant = [m for m in meanings if m.concept in NEN or m.use is Use.EXCLUDE]
    if any(m.use is Use.EXCLUDE and m.code not in PLAIN_METASTASIS for m in relevant):
        return False
    return any(m.use.decides_nen(of_lung=lung) for m in relevant)


def is_lung(everything: Sequence[StandardCoding], knowledge: Knowledge) -> bool:
    """Return True for a primary lung tumour: by code, or by name if the code is not ICD-10. Small cell carcinoma of the lung
    must not count as a NEN (`Use.DECIDES_IF_NOT_LUNG`). Pneumonia and lung metastases are not lung tumours here."""
    return any(
        knowledge.terminology.value("primary_site", coding) == "lung"
        or (coding.system not in PREFIX_SYSTEMS and _names_lung_tumour(coding.display))
        for coding in everything
    )


def _names_lung_tumour(display: str) -> bool:
    return bool(LUNG.search(display) and TUMOUR.search(display)) and not SECONDARY.search(display)


def says_liver_metastasis(meanings: Sequence[Meaning], condition: Condition, knowledge: Knowledge) -> bool:
    """Return True if a diagnosis is liver metastases, by code or as a metastasis with a liver body site."""
    if any(m.concept in LIVER_METASTASES and m.use is Use.DECIDES for m in meanings):
        return True
    return _is_metastasis(meanings) and is_liver(knowledge, condition.body_site or [])


def _is_metastasis(meanings: Sequence[Meaning]) -> bool:
    return any(
        (m.concept in METASTASIS and m.use.decides) or m.use is Use.QUESTION_SITE or m.code in PLAIN_METASTASIS
        for m in meanings
    )


# ── not correctly coded: raises a question ────────────────────────────────────────────────────────────────────────
class PossibleMeanings(NamedTuple):
    """What codes would mean whose system is missing, unknown or without such a code; and what ICD-O codes in text would
    mean."""

    by_code: tuple[Meaning, ...]
    by_text: tuple[Meaning, ...]


def meant_by_condition(condition: Condition, knowledge: Knowledge) -> PossibleMeanings:
    """Return what the codes and texts of a diagnosis and its extensions would mean."""
    terms = knowledge.terminology
    by_code: list[Meaning] = list(meanings_elsewhere(knowledge, condition.code))
    for coding in _extended_codings(condition, knowledge):
        by_code += [m for m in terms.meanings_elsewhere(coding) if m.concept.startswith("morph.")]
    texts: list[str | None] = [*_texts(condition.code)]
    for extension in extensions_of(condition):
        texts += texts_of_extension(extension)
    return _meant(by_code, texts, knowledge)


def meant_by_value(concept: CodeableConcept | None, text: str | None, knowledge: Knowledge) -> PossibleMeanings:
    """Return what the coded or text value of a histology would mean."""
    return _meant(meanings_elsewhere(knowledge, concept), [text, *_texts(concept)], knowledge)


def _meant(by_code: Sequence[Meaning], texts: Sequence[str | None], knowledge: Knowledge) -> PossibleMeanings:
    by_text = (meaning for text in texts for meaning in knowledge.terminology.morphologies_in(text))
    return PossibleMeanings(tuple(dict.fromkeys(by_code)), tuple(dict.fromkeys(by_text)))


def why_nen_is_open(known: Sequence[Meaning], meant: PossibleMeanings, lung: bool) -> Explanation | None:
    """Return why a diagnosis or histology that is not coded as a NEN may be one, or None."""
    if any(m.use is Use.EXCLUDE and m.code not in PLAIN_METASTASIS for m in known):
        return None
    if any(m.concept in NEN and m.use.asks for m in (*known, *meant.by_code)):
        return OUT_OF_USE
    if is_nen(meant.by_code, lung):
        return NOT_OF_ITS_SYSTEM
    return TEXT_ALONE if is_nen(meant.by_text, lung) else None


def why_liver_is_open(
    known: Sequence[Meaning], meant: PossibleMeanings, condition: Condition, knowledge: Knowledge
) -> Explanation | None:
    """Return why a diagnosis that is not coded as liver metastases may be one, or None."""
    if any(m.concept in LIVER_METASTASES and m.use.asks for m in (*known, *meant.by_code)):
        return OUT_OF_USE
    if any(m.concept in LIVER_METASTASES for m in known):
        return None  # already coded as current or past
    if says_liver_metastasis(meant.by_code, condition, knowledge):
        return NOT_OF_ITS_SYSTEM
    words = knowledge.terminology.written
    if any(words.names_liver_metastases(text) for text in _texts(condition.code)):
        return TEXT_ALONE
    sites = condition.body_site or []
    in_liver = is_liver(knowledge, sites) or any(site_is_open(site, knowledge) for site in sites)
    return TEXT_ALONE if in_liver and _is_metastasis((*known, *meant.by_code, *meant.by_text)) else None


def site_is_open(site: CodeableConcept | None, knowledge: Knowledge) -> bool:
    """Return True if a body site not known to be the liver may be it, by its text or by a code of another system."""
    if site is None or is_liver(knowledge, [site]):
        return False
    meant = meanings_elsewhere(knowledge, site)
    return any(m.concept.startswith("site.liver") for m in meant) or any(
        knowledge.terminology.written.names_liver(text) for text in _texts(site)
    )


def _texts(concept: CodeableConcept | None) -> list[str]:
    """Return every text of a concept, including codes, since some systems send text as the code."""
    if concept is None:
        return []
    sent = concept.coding or ()
    return [text for text in (concept.text, *(c.display for c in sent), *(c.code for c in sent)) if text]
