"""Ways in which a resource is lost that decided something: each makes of it what a hospital sends in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any, NamedTuple

from cds_service.knowledge.terminology import plain_uri
from tests.support.sent_charts import KNOWLEDGE

Resource = dict[str, Any]
Replacement = list[Resource] | None
"""What takes the place of a resource; None if the hiding cannot occur with it."""
CODED = (
    "Condition",
    "Observation",
    "Procedure",
    "MedicationRequest",
    "MedicationStatement",
    "ServiceRequest",
    "DiagnosticReport",
)
DATES = {
    "Condition": ("onsetDateTime", "onsetPeriod", "recordedDate"),
    "Observation": ("effectiveDateTime", "effectivePeriod", "effectiveInstant"),
    "Procedure": ("performedDateTime", "performedPeriod"),
    "MedicationRequest": ("authoredOn",),
    "MedicationStatement": ("effectiveDateTime", "effectivePeriod", "dateAsserted"),
    "ServiceRequest": ("authoredOn",),
    "DiagnosticReport": ("effectiveDateTime", "effectivePeriod", "issued"),
}
VALUES = ("valueQuantity", "valueCodeableConcept", "valueString", "valueBoolean", "valueInteger", "valueRange", "valueRatio")
LOCAL = "urn:oid:2.999.16.1"
EDITIONS = {
    "http://hl7.org/fhir/sid/icd-10-cm": "http://fhir.de/CodeSystem/bfarm/icd-10-gm",
    "http://hl7.org/fhir/sid/icd-10": "http://fhir.ch/CodeSystem/icd-10-gm",
    "http://snomed.info/sct": "http://snomed.info/sct/900000000000207008/version/20260101",
    "http://loinc.org": "urn:oid:2.16.840.1.113883.6.1",
    "http://www.nlm.nih.gov/research/umls/rxnorm": "urn:oid:2.16.840.1.113883.6.88",
    "http://www.whocc.no/atc": "http://fhir.de/CodeSystem/bfarm/atc",
}
"""System → an edition, or another URI, under which the same codes are sent."""


class Hiding(NamedTuple):
    """A way of hiding. `types`: the resource types with which it can occur."""

    name: str
    types: tuple[str, ...]
    hide: Callable[[Resource], Replacement]
    speechless: bool = False
    """It leaves no readable code and no word: only `coverage` can tell."""


def _concept(resource: Resource) -> Resource | None:
    found = resource.get("medicationCodeableConcept" if resource["resourceType"].startswith("Medication") else "code")
    return found if isinstance(found, dict) and found.get("coding") else None


def _parts(resource: Resource) -> list[Resource]:
    return [resource, *resource.get("component", ())]


def _concepts(resource: Resource) -> list[Resource]:
    """Return the concepts that say what a resource and its components are about."""
    if _concept(resource) is None:
        return []
    if resource["resourceType"] != "Observation":
        return [found for found in (_concept(resource),) if found is not None]
    return [part["code"] for part in _parts(resource) if part.get("code", {}).get("coding")]


def _words(concept: Resource) -> str:
    """Return the words of a concept; where the chart sends none, those that the knowledge has for its code."""
    for coding in concept["coding"]:
        terms = KNOWLEDGE.terminology
        known = terms.meanings(terms.coding(coding.get("system"), coding.get("code"), None))
        if said := concept.get("text") or coding.get("display") or (known[0].display if known else ""):
            return str(said)
    assessed = [d.says for d in KNOWLEDGE.facts.values() for coding in concept["coding"] if coding["code"] in d.assessment]
    return assessed[0] if assessed else ""


def coded(change: Callable[[Resource], Resource | None]) -> Callable[[Resource], Replacement]:
    """Return a hiding that replaces each concept by `change` of it; None leaves a concept that the hiding cannot concern."""

    def hide(resource: Resource) -> Replacement:
        twin, changed = deepcopy(resource), False
        for concept in _concepts(twin):
            made = change(deepcopy(concept))
            if made is not None and made != concept:
                concept.clear()
                concept.update(made)
                changed = True
        return [twin] if changed else None

    return hide


def _each(**fields: Any) -> Callable[[Resource], Resource | None]:
    """Return a change of the system and code of each coding; the words are kept as display."""

    def change(concept: Resource) -> Resource:
        said = _words(concept)
        made = []
        for place, coding in enumerate(concept["coding"]):
            new = {**coding, "display": coding.get("display") or said, **fields}
            if fields.get("code") == "?":
                new["code"] = f"{4711 + place}{sum(map(ord, coding.get('code', ''))):05}"
            made.append({key: value for key, value in new.items() if value})
        return {**concept, "coding": made}

    return change


def _mute(concept: Resource) -> Resource:
    """Return a code of the site's own without any word."""
    return {"coding": [{"system": LOCAL, "code": f"L{sum(map(ord, coding['code']))}"} for coding in concept["coding"]]}


def _edition(concept: Resource) -> Resource | None:
    codings = [
        {**coding, "system": EDITIONS[system]} if (system := plain_uri(coding.get("system"))) in EDITIONS else coding
        for coding in concept["coding"]
    ]
    return {**concept, "coding": codings}


def _in_extension(concept: Resource) -> Resource:
    return {"text": _words(concept), "extension": [{"url": "http://hospital.example/code", "valueCodeableConcept": concept}]}


def _as_text(concept: Resource) -> Resource:
    return {"text": _words(concept)}


def _code_as_text(concept: Resource) -> Resource:
    return {"text": f"{_words(concept)} ({concept['coding'][0]['code']})"}


def _with_tail(concept: Resource) -> Resource:
    return {**concept, "coding": [{**coding, "code": f"{coding['code']}?"} for coding in concept["coding"]]}


def valued(change: Callable[[Resource], bool]) -> Callable[[Resource], Replacement]:
    """Return a hiding that changes the parts of an Observation in place; `change` says whether it did."""

    def hide(resource: Resource) -> Replacement:
        twin = deepcopy(resource)
        changes = [change(part) for part in _parts(twin)]
        return [twin] if any(changes) else None

    return hide


def _without_unit(part: Resource) -> bool:
    quantity = part.get("valueQuantity", {})
    removed = [quantity.pop(key, None) for key in ("unit", "code", "system")]
    return any(removed)


def _odd_unit(part: Resource) -> bool:
    if "valueQuantity" not in part:
        return False
    part["valueQuantity"] = {"value": part["valueQuantity"]["value"], "unit": "per lot"}
    return True


def _foreign_unit(part: Resource) -> bool:
    quantity = part.get("valueQuantity", {})
    if not quantity.get("code"):
        return False
    part["valueQuantity"] = {**quantity, "system": "urn:oid:2.999.16.2"}
    del part["valueQuantity"]["unit"]
    return True


def _number_in_words(part: Resource) -> bool:
    if "valueQuantity" not in part:
        return False
    part["valueString"] = f"about {part.pop('valueQuantity')['value']}, see the report"
    return True


def _with_comma(part: Resource) -> bool:
    quantity = part.get("valueQuantity")
    if quantity is None or quantity.get("comparator"):
        return False
    number = f"{float(quantity['value']):.2f}".replace(".", ",")
    part["valueString"] = f"{number} {part.pop('valueQuantity').get('unit', '')}"
    return True


def _answer_in_words(part: Resource) -> bool:
    concept = part.get("valueCodeableConcept", {})
    if not concept.get("coding"):
        return False
    part["valueCodeableConcept"] = {"text": f"{_words(concept) or concept['coding'][0]['code']}, probably"}
    return True


def _answer_elsewhere(part: Resource) -> bool:
    concept = part.get("valueCodeableConcept", {})
    for coding in concept.get("coding", ()):
        coding.update(system=LOCAL, code=f"A{sum(map(ord, coding['code']))}")
    return bool(concept.get("coding"))


def _answer_in_extension(part: Resource) -> bool:
    concept = part.pop("valueCodeableConcept", None)
    if concept is not None:
        part["extension"] = [{"url": "http://hospital.example/answer", "valueCodeableConcept": concept}]
    return concept is not None


def _without_value(part: Resource) -> bool:
    removed = [part.pop(key, None) for key in VALUES]
    return any(value is not None for value in removed)


def _value_absent(part: Resource) -> bool:
    if not _without_value(part):
        return False
    part["dataAbsentReason"] = {"coding": [{"code": "unknown"}]}
    return True


def _unknown_comparator(part: Resource) -> bool:
    if "valueQuantity" not in part:
        return False
    part["valueQuantity"]["comparator"] = "~"
    return True


def _value_as_list(part: Resource) -> bool:
    found = next((key for key in VALUES if key in part), None)
    if found is not None:
        part[found] = [part[found]]
    return found is not None


def _value_in_other_type(part: Resource) -> bool:
    """A type of value that R4 allows and the service does not read."""
    if not _without_value(part):
        return False
    part["valueSampledData"] = {"origin": {"value": 1}, "period": 1, "dimensions": 1, "data": "1"}
    return True


def changed(**fields: Any) -> Callable[[Resource], Replacement]:
    """Return a hiding that sets or, with None, removes fields."""

    def hide(resource: Resource) -> Replacement:
        twin = {key: value for key, value in {**deepcopy(resource), **fields}.items() if value is not None}
        return [twin] if twin != resource else None

    return hide


def dated(text: str | None) -> Callable[[Resource], Replacement]:
    """Return a hiding that gives each date another text, or removes all."""

    def hide(resource: Resource) -> Replacement:
        names = [name for name in DATES[resource["resourceType"]] if name in resource]
        twin = {key: deepcopy(value) for key, value in resource.items() if key not in names}
        if text is not None:
            twin |= {name: {"start": text} if name.endswith("Period") else text for name in names}
        return [twin] if names else None

    return hide


def _issued_only(resource: Resource) -> Replacement:
    undated = dated(None)(resource)
    return [undated[0] | {"issued": "2026-11-01T08:00:00Z"}] if undated else None


def _of_status(resource: Resource, status: str) -> Replacement:
    if resource["resourceType"] == "Condition":
        return [{**deepcopy(resource), "verificationStatus": {"coding": [{"code": status}]}}]
    return [{**deepcopy(resource), "status": status}]


def _status(observation: str, condition: str, other: str) -> Callable[[Resource], Replacement]:
    def hide(resource: Resource) -> Replacement:
        said = {"Observation": observation, "DiagnosticReport": observation, "Condition": condition}
        return _of_status(resource, said.get(resource["resourceType"], other))

    return hide


def _two_versions(resource: Resource) -> Replacement:
    other = {**deepcopy(resource), "note": [{"text": "corrected"}], "language": "de"}
    for part in _parts(other):
        if "valueQuantity" in part:
            part["valueQuantity"]["value"] = 1
    if resource["resourceType"] == "Observation":
        other["bodySite"] = {"text": "see report"}
    else:
        other["subject"] = {**resource["subject"], "display": "the same"}
        other["code" if "code" in resource else "dosage"] = {"text": "another"} if "code" in resource else []
    twins = [{key: value for key, value in twin.items() if key != "meta"} for twin in (resource, other)]
    return twins if "medicationCodeableConcept" not in resource else None


def _in_a_report(resource: Resource) -> Replacement:
    """The result is contained in a report of another patient's."""
    return [_report({key: value for key, value in resource.items() if key != "subject"}, "contained")]


def _not_sent(resource: Resource) -> Replacement:
    return [_report(resource, "result")]


def _report(resource: Resource, how: str) -> Resource:
    inside = {"contained": [{**deepcopy(resource), "id": "r"}]} if how == "contained" else {}
    reference = "#r" if how == "contained" else f"Observation/{resource['id']}-elsewhere"
    return {
        "resourceType": "DiagnosticReport", "id": resource["id"], "status": "final" if how == "result" else "partial",
        "subject": {"reference": "Patient/p"}, "code": {"text": "Laboratory report"},
        "effectiveDateTime": resource.get("effectiveDateTime", "2026-10-30"), "result": [{"reference": reference}], **inside,
    }  # fmt: skip


def _site_not_sent(resource: Resource) -> Replacement:
    if "bodySite" not in resource:
        return None
    twin = {key: deepcopy(value) for key, value in resource.items() if key != "bodySite"}
    return [twin | {"focus": [{"reference": f"BodyStructure/{resource['id']}"}]}]


def _site_in_words(resource: Resource) -> Replacement:
    return [{**deepcopy(resource), "bodySite": {"text": "organ: see the request"}}] if "bodySite" in resource else None


def _medication_not_sent(resource: Resource) -> Replacement:
    twin = {key: deepcopy(value) for key, value in resource.items() if key != "medicationCodeableConcept"}
    return (
        [twin | {"medicationReference": {"reference": "Medication/elsewhere"}}] if "medicationReference" not in twin else None
    )


def _drug_of_r5(resource: Resource) -> Replacement:
    twin = deepcopy(resource)
    concept = twin.pop("medicationCodeableConcept", None)
    return [twin | {"medication": {"concept": concept}}] if concept else None


def _done_of_r5(resource: Resource) -> Replacement:
    found = resource.get("performedDateTime")
    undated = dated(None)(resource)
    return [undated[0] | {"occurrenceDateTime": found}] if undated and found else None


def _of_misspelt_type(resource: Resource) -> Replacement:
    return [{**deepcopy(resource), "resourceType": resource["resourceType"].lower()}]


OBSERVED, DRUGS = ("Observation",), ("MedicationRequest", "MedicationStatement")
TREATED = ("Procedure", *DRUGS, "ServiceRequest")
IDENTIFIER = {"identifier": {"system": "http://hospital.example/mrn", "value": "4711"}}
HIDINGS = (
    # its code
    Hiding("code of another system, with display", CODED, coded(_each(system=LOCAL, code="?"))),
    Hiding("its own code under another system", CODED, coded(_each(system=LOCAL))),
    Hiding("its own code without a system", CODED, coded(_each(system=None))),
    Hiding("a product number without a system", CODED, coded(_each(system=None, code="?"))),
    Hiding("national edition or OID of the system", CODED, coded(_edition)),
    Hiding("code in an extension, text kept", CODED, coded(_in_extension)),
    Hiding("text without a code", CODED, coded(_as_text)),
    Hiding("code within the text", CODED, coded(_code_as_text)),
    Hiding("code with a mark behind it", CODED, coded(_with_tail)),
    Hiding("code of the site without a word", CODED, coded(_mute), speechless=True),
    Hiding("no code and no text", CODED, coded(lambda _: {"coding": []}), speechless=True),
    # its value and unit
    Hiding("no unit", OBSERVED, valued(_without_unit)),
    Hiding("unknown unit", OBSERVED, valued(_odd_unit)),
    Hiding("unit's code of another system", OBSERVED, valued(_foreign_unit)),
    Hiding("number within words", OBSERVED, valued(_number_in_words)),
    Hiding("number with a decimal comma", OBSERVED, valued(_with_comma)),
    Hiding("unknown comparator", OBSERVED, valued(_unknown_comparator)),
    Hiding("answer in words", OBSERVED, valued(_answer_in_words)),
    Hiding("answer of another system", OBSERVED, valued(_answer_elsewhere)),
    Hiding("answer in an extension", OBSERVED, valued(_answer_in_extension)),
    Hiding("no value", OBSERVED, valued(_without_value)),
    Hiding("value absent for a reason", OBSERVED, valued(_value_absent)),
    Hiding("value of a wrong JSON type", OBSERVED, valued(_value_as_list)),
    Hiding("value of a type that is not read", OBSERVED, valued(_value_in_other_type)),
    # its date
    Hiding("no date", CODED, dated(None)),
    Hiding("date of issue only", OBSERVED, _issued_only),
    Hiding("date that is none of FHIR", CODED, dated("20.10.2026")),
    Hiding("date in the future", CODED, dated("2062-10-20")),
    Hiding("date of R5", ("Procedure",), _done_of_r5),
    # whose it is
    Hiding("subject by identifier", CODED, changed(subject=IDENTIFIER)),
    Hiding("no subject", CODED, changed(subject=None)),
    Hiding("subject of a merged record", CODED, changed(subject={"reference": "Patient/merged"})),
    # what it refers to
    Hiding("contained in a preliminary report", OBSERVED, _in_a_report),
    Hiding("a result that a report names and that was not sent", OBSERVED, _not_sent),
    Hiding("body site by a BodyStructure that was not sent", OBSERVED, _site_not_sent),
    Hiding("body site in words", OBSERVED, _site_in_words),
    Hiding("Medication that was not sent", DRUGS, _medication_not_sent),
    Hiding("drug as R5 has it", DRUGS, _drug_of_r5),
    # its status, versions and type
    Hiding("status unknown", CODED, _status("unknown", "unconfirmed", "unknown")),
    Hiding("status preliminary or provisional", ("Condition", "Observation", "DiagnosticReport"),
           _status("preliminary", "provisional", "")),
    Hiding("status that FHIR does not have", CODED, _status("done", "sure", "done")),
    Hiding("no status", TREATED + OBSERVED, changed(status=None)),
    Hiding("two versions", ("Condition", "Observation", "Procedure", "ServiceRequest"), _two_versions),
    Hiding("changed by an extension", CODED, changed(modifierExtension=[{"url": "urn:x", "valueBoolean": True}])),
    Hiding("a type in lower case", CODED, _of_misspelt_type),
)  # fmt: skip


def hidden(resource: Resource) -> Iterator[tuple[Hiding, list[Resource]]]:
    """Yield each hiding that can occur with a resource, and what takes its place."""
    for hiding in HIDINGS:
        if resource["resourceType"] in hiding.types and (found := hiding.hide(resource)) is not None:
            yield hiding, found
