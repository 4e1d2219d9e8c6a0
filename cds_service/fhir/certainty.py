"""Applies the diagnostic certainty of ICD-10-GM in FHIR's terms, and detects text that follows a code.

An excluded diagnosis does not count, a suspected one is unconfirmed, and a "state after" is history. If the status of the
resource contradicts its certainty, the diagnosis only raises a question.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import msgspec

from cds_service.clinical_picture import LeftOut, Omission, Unreadable
from cds_service.fhir.chart import Chart
from cds_service.fhir.chart_lists import UnreadableResource
from cds_service.fhir.concepts import codings, meanings
from cds_service.fhir.credibility import VERIFICATION_STATUSES
from cds_service.fhir.resources import (
    CodeableConcept,
    Coding,
    Condition,
    Extension,
    UnreadCondition,
    as_unread,
    codes,
    parts_of,
)
from cds_service.fhir.tumour_codes import extensions_of
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.terminology import ICD_10_CODE, ICD_10_SYSTEMS, ICD_10_WITH_LETTER, plain_uri, without_dots
from cds_service.reasons import Explanation, Reason

SAME_AS = {"confirmed": "confirmed", "refuted": "refuted"} | dict.fromkeys(
    ("unconfirmed", "provisional", "differential"), "unconfirmed"
)
"""FHIR's verificationStatus as a certainty."""
STILL_THERE = frozenset({"active", "recurrence", "relapse"})
UNKNOWN = "?"


def with_certainty(chart: Chart, knowledge: Knowledge) -> Chart:
    """Return the chart with the certainty of each diagnosis applied. Excluded diagnoses are left out and counted; contradictory
    ones become UnreadConditions."""
    conditions: list[tuple[str, Condition]] = []
    doubted: list[UnreadableResource] = []
    left_out = Counter(chart.left_out)
    for place, (where, condition) in enumerate((*chart.conditions, *chart.refuted)):
        fault, judged = _judge(condition, knowledge)
        if fault is not None:
            judged = as_unread(condition, fault)
            if meanings(knowledge, condition.code):
                doubted.append(UnreadableResource("Condition", Unreadable(None, where, fault)))
        if judged is not None:
            conditions.append((where, judged))
        elif place < len(chart.conditions):  # those refuted by status are already counted
            left_out[LeftOut(Omission.REFUTED, "Condition")] += 1
    return replace(chart, conditions=tuple(conditions), refuted=(), doubted=tuple(doubted), left_out=left_out)


def _judge(condition: Condition, knowledge: Knowledge) -> tuple[Explanation | None, Condition | None]:
    """Return why a diagnosis is contradictory, or None; and the diagnosis as it counts, or None if it does not."""
    refuted = "refuted" in codes(condition.verification_status)
    if isinstance(condition, UnreadCondition):
        return None, condition
    said = set(certainties_of(condition, knowledge))
    if not said:
        fault = None if refuted else _text_behind(condition, knowledge)
        return fault, None if refuted else condition
    if UNKNOWN in said:
        return Explanation(Reason.CERTAINTY_NOT_READ), None
    if len(said) > 1:
        return Explanation(Reason.CERTAINTIES_DISAGREE), None
    (certainty,) = said
    status = next(iter(sorted(codes(condition.verification_status) & VERIFICATION_STATUSES)), "")
    if status and SAME_AS.get(status) != ("confirmed" if certainty == "history" else certainty):
        return Explanation(Reason.CERTAINTY_AGAINST_STATUS, certainty=certainty, status=status), None
    if certainty == "history" and (active := codes(condition.clinical_status) & STILL_THERE):
        return Explanation(Reason.CERTAINTY_AGAINST_STATUS, certainty=certainty, status=min(active)), None
    match certainty:
        case "refuted":
            return None, None
        case "unconfirmed":
            return None, msgspec.structs.replace(condition, verification_status=_of_fhir("unconfirmed"))
        case "history":
            return None, msgspec.structs.replace(condition, clinical_status=_of_fhir("inactive"))
    return _text_behind(condition, knowledge), condition


def _of_fhir(status: str) -> CodeableConcept:
    return CodeableConcept(coding=[Coding(code=status)])


def certainties_of(condition: Condition, knowledge: Knowledge) -> Iterator[str]:
    """Yield the certainty of each mark on a diagnosis; "?" for an unknown mark."""
    concept, letters = condition.code, knowledge.terminology.written.certainty
    for extension in extensions_of(condition):
        yield from _by_extension(extension, knowledge)
    if concept is None:
        return
    for mark in parts_of(Extension, concept.extension):
        yield from _by_extension(mark, knowledge)
    for coding in concept.coding or ():
        for mark in parts_of(Extension, coding.extension) if coding.extension else ():
            yield from _by_extension(mark, knowledge)
    for coding in _of_icd_10(concept, knowledge):
        system, code = _as_sent(coding, knowledge)
        found = ICD_10_WITH_LETTER.fullmatch(code) if system == "icd-10" and _has_letters(coding, knowledge) else None
        if found and found["letter"]:
            yield letters.get(found["letter"].upper(), UNKNOWN)


def _of_icd_10(concept: CodeableConcept | None, knowledge: Knowledge) -> Sequence[Coding]:
    """Return the codings of a concept if any of them is of ICD-10; otherwise none of them has a certainty or a text behind."""
    if concept is None or not any(coding.system in ICD_10_SYSTEMS for coding in codings(knowledge, concept)):
        return ()
    return concept.coding or ()


def _has_letters(coding: Coding, knowledge: Knowledge) -> bool:
    """Return True if a letter after this code is a certainty: in ICD-10-GM, under any of its URIs, or where a site file maps
    its own code to one with such a letter."""
    terms = knowledge.terminology
    of_the_site = (terms.system_name(coding.system), (coding.code or "").strip()) in terms.local.means
    return of_the_site or plain_uri(coding.system) in terms.written.letters_under


def _as_sent(coding: Coding, knowledge: Knowledge) -> tuple[str, str]:
    """Return the system and code as sent, or as a site file maps them. An American code under the URI of another edition counts
    as a code of that edition."""
    key = knowledge.terminology.system_name(coding.system), (coding.code or "").strip()
    return knowledge.terminology.local.means.get(key, key)


def _by_extension(extension: Extension, knowledge: Knowledge) -> Iterator[str]:
    written, concept = knowledge.terminology.written, extension.value_codeable_concept
    sent = [*parts_of(Coding, extension.value_coding), *((concept.coding or ()) if concept else ())]
    named = plain_uri(extension.url) in written.certainty_extensions
    of_system = [coding for coding in sent if plain_uri(coding.system) in written.certainty_systems]
    if not named and not of_system:
        return
    texts = [coding.code for coding in (sent if named else of_system)]
    texts += [extension.value_code, extension.value_string, concept.text if concept else None] if named else []
    said = [text.strip().upper() for text in texts if isinstance(text, str) and text.strip()]
    yield from (written.certainty.get(letter, UNKNOWN) for letter in said or [UNKNOWN])


def _text_behind(condition: Condition, knowledge: Knowledge) -> Explanation | None:
    """Return the reason if text follows a known code and may negate it: "C78.7 RULED OUT", "C78.7RO". Otherwise return None."""
    terms = knowledge.terminology
    for sent in _of_icd_10(condition.code, knowledge):
        system, code = _as_sent(sent, knowledge)
        if system not in ICD_10_SYSTEMS:
            continue
        rows = terms.meanings(terms.coding(terms.uris[system], code, None))
        held = max((without_dots(system, row.code) for row in rows), key=len, default="")
        if not held:
            continue
        tail = without_dots(system, code).removeprefix(held)
        lettered = system == "icd-10" and _has_letters(sent, knowledge)
        shape = ICD_10_WITH_LETTER if lettered else ICD_10_CODE
        if shape.fullmatch(code) is None or (not lettered and tail.isalpha() and held[-1].isdigit()):
            return Explanation(Reason.TEXT_BEHIND_CODE)
    return None
