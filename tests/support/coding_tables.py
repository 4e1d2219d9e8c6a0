"""The table of charts (tests/codings/*.toml): one coding in a chart → the facts it states, the questions it asks, or nothing.

Closed list of keys of a [[row]]; every code of `codes`, with every value of `read`, is a chart of its own:
  story      a sentence: its name
  as         the resource that carries the coding, see RESOURCES
  codes      system, by its name in terminology.toml or its URI, = [codes]; "assessment" is the project's own CodeSystem;
             "text" = words without any code;
             "code|words" for a code with its display
  with       other codings in the same chart: "Condition icd-10-cm C78.7"
  and        more codings of the same thing: "icd-10-cm C7A.8"
  site       body site of the resource
  read       for Observations: value → what the fact says, or "unreadable"
  fact       the fact that `read` is about
  states     fact → value; all that the chart states, but for dates of diagnosis
  asks       facts that are asked about; all of them
  orders     modalities and techniques that are ordered; tests by their LOINC code
  without    resource types that could not be had
  unasked    facts that are then not known to be absent; all of them
  gate       neuroendocrine liver metastases: yes, possible, no
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from cds_service import knowledge
from cds_service.clinical_picture import ClinicalPicture, Interval, Value, format_decimal
from cds_service.fhir.chart import Availability
from cds_service.fhir.chart_builder import ChartEntry, read_chart
from cds_service.fhir.reader import ChartReader
from cds_service.fhir.resources import READ_TYPES
from cds_service.fhir.units import UCUM
from cds_service.knowledge.model import Knowledge
from tests.conftest import ROOT

FOLDER = ROOT / "tests/codings"
TODAY, RECENTLY = date(2026, 11, 1), "2026-10-20"
WORD = re.compile(r"[a-z0-9_./-]+", re.IGNORECASE)
KEYS = frozenset({"story", "as", "codes", "with", "and", "site", "read", "fact", "states", "asks", "orders", "gate",
                  "without", "unasked"})  # fmt: skip
OWN = "https://nlm-cds.example/fhir/CodeSystem/nlm-assessment"
SYSTEMS = {
    "icd-10-cm": "http://hl7.org/fhir/sid/icd-10-cm",
    "icd-10": "http://hl7.org/fhir/sid/icd-10",
    "icd-9-cm": "http://hl7.org/fhir/sid/icd-9-cm",
    "snomed-ct": "http://snomed.info/sct",
    "icd-o-3": "http://terminology.hl7.org/CodeSystem/icd-o-3",
    "loinc": "http://loinc.org",
    "hcpcs": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
    "atc": "http://www.whocc.no/atc",
    "icd-10-pcs": "http://www.cms.gov/Medicare/Coding/ICD10",
    "rxnorm": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "assessment": OWN,
}
DIGITS = re.compile(r'"#(-?[0-9.]+)#"')
"""A JSON number that keeps its digits: 5.0 differs from 5."""
HISTOLOGY = {"coding": [{"system": SYSTEMS["loinc"], "code": "59847-4"}]}
SIZE = {"coding": [{"system": SYSTEMS["loinc"], "code": "21889-1"}]}
DISTANT = {"coding": [{"system": SYSTEMS["snomed-ct"], "code": "385421009"}]}
CERTAINTY = "http://fhir.de/StructureDefinition/icd-10-gm-diagnosesicherheit"
KBV = "https://fhir.kbv.de/CodeSystem/KBV_CS_SFHIR_ICD_DIAGNOSESICHERHEIT"
CENTIMETRES = {"value": 2, "unit": "cm", "system": UCUM, "code": "cm"}

RESOURCES: Mapping[str, dict[str, Any]] = {
    "Condition": {"resourceType": "Condition", "code": "?", "recordedDate": RECENTLY},
    "past Condition": {"resourceType": "Condition", "code": "?", "recordedDate": RECENTLY,
                       "clinicalStatus": {"coding": [{"code": "resolved"}]}},
    "provisional Condition": {"resourceType": "Condition", "code": "?", "recordedDate": RECENTLY,
                              "verificationStatus": {"coding": [{"code": "provisional"}]}},
    "suspected Condition": {"resourceType": "Condition", "code": "?", "recordedDate": RECENTLY,
                            "extension": [{"url": CERTAINTY, "valueCoding": {"code": "V"}}]},
    "Condition suspected by its system": {"resourceType": "Condition", "code": "?", "recordedDate": RECENTLY,
                                          "extension": [{"url": "urn:x", "valueCoding": {"system": KBV, "code": "V"}}]},
    "distant metastasis in": {"resourceType": "Observation", "code": DISTANT, "valueCodeableConcept": "?", "status": "final",
                              "effectiveDateTime": RECENTLY},
    "Observation": {"resourceType": "Observation", "code": "?", "status": "final", "effectiveDateTime": RECENTLY},
    "histology": {"resourceType": "Observation", "code": HISTOLOGY, "valueCodeableConcept": "?", "status": "final"},
    "tumour in": {"resourceType": "Observation", "code": SIZE, "bodySite": "?", "valueQuantity": CENTIMETRES,
                  "status": "final", "effectiveDateTime": RECENTLY},
    "Procedure": {"resourceType": "Procedure", "code": "?", "status": "completed", "performedDateTime": RECENTLY},
    "Medication": {"resourceType": "MedicationRequest", "medicationCodeableConcept": "?", "status": "active",
                   "intent": "order", "authoredOn": RECENTLY},
    "past Medication": {"resourceType": "MedicationRequest", "medicationCodeableConcept": "?", "status": "completed",
                        "intent": "order", "authoredOn": RECENTLY},
    "order": {"resourceType": "ServiceRequest", "code": "?", "status": "active", "intent": "order", "authoredOn": RECENTLY},
    "report": {"resourceType": "DiagnosticReport", "code": "?", "status": "final", "effectiveDateTime": RECENTLY},
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One chart of the table."""

    story: str
    name: str
    resources: tuple[bytes, ...]
    expected: Mapping[str, Any]
    words: frozenset[str]
    without: frozenset[str]

    def disagreement(self, reader: ChartReader) -> str:
        """Return what the reading of the chart states differently; empty if it agrees."""
        chart = read_chart([ChartEntry(raw) for raw in self.resources], "p", Availability(frozenset(READ_TYPES) - self.without))
        found = said(reader.knowledge, reader.read(chart, TODAY))
        wrong = {key: found[key] for key, wanted in self.expected.items() if found[key] != wanted}
        return f"{wrong}, expected { ({key: self.expected[key] for key in wrong}) }" if wrong else ""


def said(knowledge: Knowledge, picture: ClinicalPicture) -> dict[str, Any]:
    facts = {name: readings for name, readings in picture.readings.items() if knowledge.facts[name].kind != "person"}
    return {
        "states": {
            name: ", ".join(sorted({_text(reading.value, knowledge.facts[name].unit) for reading in readings.valid}))
            for name, readings in facts.items()
            if readings.valid
        },
        "unreadable": {name for name, readings in facts.items() if readings.unreadable},
        "asks": {name for name, readings in facts.items() if readings.open_question},
        "orders": set(picture.orders) | set(picture.ordered_tests),
        "unasked": {name for name, readings in facts.items() if not readings.complete},
        "gate": picture.gate.answer.value,
    }


def _text(value: Value, unit: str) -> str:
    if isinstance(value, Interval):
        return f"{value} {unit}".strip()
    return str(value).lower() if isinstance(value, bool) else str(value)


def lines() -> Iterator[Line]:
    for path in sorted(FOLDER.glob("*.toml")):
        for row in tomllib.loads(path.read_text("utf-8"))["row"]:
            assert set(row) <= KEYS, f"{path.name}: {row['story']}: {set(row) - KEYS} not allowed"
            for system, codes in row["codes"].items():
                for code in codes:
                    yield from _lines(f"{path.stem}: {row['story']}", row, system, code)
    for row in derived_rows():
        for system, codes in row["codes"].items():
            for code in codes:
                yield from _lines(f"derived: {row['story']}", row, system, code)


def derived_rows() -> Iterator[dict[str, Any]]:
    """Yield a row for every laboratory value without a row of its own: each code, each unit with its factor, both ends of its
    range and just beyond them. The rows are made from the shipped files, so that they notice a change of a copy."""
    known = knowledge.load()
    written = {
        row["fact"] for path in FOLDER.glob("*.toml") for row in tomllib.loads(path.read_text("utf-8"))["row"] if "fact" in row
    }
    for name, fact in known.facts.items():
        if fact.ask != "laboratory" or name in written or not fact.range:
            continue
        low, high = fact.range
        read = {f"{format_decimal(factor)} {unit}": f"1 {fact.unit}" for unit, factor in fact.units.items()}
        read |= {f"{end} {fact.unit}": f"{end} {fact.unit}" for end in (low, high)}
        read |= {f"{end} {fact.unit}": "unreadable" for end in (low - 1, high + 1)}
        codes = [m.code for system, m in known.terminology.all_rows() if system == "loinc" and m.concept in fact.concepts]
        yield {"story": fact.says, "as": "Observation", "fact": name, "codes": {"loinc": codes}, "read": read}


def _lines(name: str, row: dict[str, Any], system: str, code: str) -> Iterator[Line]:
    patient = {"resourceType": "Patient", "id": "p", "birthDate": "1970-06-01", "gender": "female"}
    concept = _concept(system, code)
    for more in row.get("and", ()):
        concept["coding"] += _concept(*more.split(" "))["coding"]
    resource = _filled(RESOURCES[row["as"]], concept)
    if "site" in row:
        site = _concept(*row["site"].split(" "))
        resource["bodySite"] = [site] if resource["resourceType"] in {"Condition", "Procedure"} else site
    others = [_filled(RESOURCES[kind], _concept(other, known)) for kind, other, known in map(_three, row.get("with", ()))]
    expected = {
        "states": dict(row.get("states", {})),
        "unreadable": set(),
        "asks": set(row.get("asks", ())),
        "orders": set(row.get("orders", ())),
        "unasked": set(row.get("unasked", ())),
    } | ({"gate": row["gate"]} if "gate" in row else {})
    about = {key: part for key, part in row.items() if key not in {"codes", "read"}}
    words = frozenset(WORD.findall(str((system, code, about))))
    for value, wanted in row.get("read", {"": ""}).items():
        own, told = dict(expected), f"{name} ({system} {code}{f' = {value}' if value else ''})"
        if value:
            resource = {key: part for key, part in resource.items() if not key.startswith("value")} | _value(value)
        if wanted == "unreadable":
            own["unreadable"] = {row["fact"]}
        elif wanted:
            own["states"] = {**expected["states"], row["fact"]: wanted}
        chart = [patient, *({**r, "id": f"r{place}", "subject": {"reference": "Patient/p"}}
                            for place, r in enumerate((resource, *others)))]  # fmt: skip
        raw = tuple(DIGITS.sub(r"\1", json.dumps(part)).encode() for part in chart)
        yield Line(name, told, raw, own, words | frozenset(WORD.findall(value)), frozenset(row.get("without", ())))


def _three(text: str) -> tuple[str, str, str]:
    kind, system, code = text.rsplit(" ", 2)
    return kind, system, code


def _concept(system: str, code: str) -> dict[str, Any]:
    if system == "text":
        return {"text": code}
    code, _, display = code.partition("|")
    return {"coding": [{"system": SYSTEMS.get(system, system), "code": code} | ({"display": display} if display else {})]}


def _filled(resource: dict[str, Any], concept: dict[str, Any]) -> dict[str, Any]:
    return {key: concept if part == "?" else part for key, part in resource.items()}


def _value(text: str) -> dict[str, Any]:
    """ "1.2 mg/dL", "1.2 mg/dL of urn:oid:2.999" (its unit by another system), "< 5 %", "true", "bare 3" (an integer),
    "string yes", "snomed-ct 271299001", or an answer of the project's own."""
    first, *rest = text.split(" ")
    if text in {"true", "false"}:
        return {"valueBoolean": text == "true"}
    if first == "bare":
        return {"valueInteger": int(rest[0])}
    if first == "string":
        return {"valueString": rest[0]}
    if first in SYSTEMS:
        return {"valueCodeableConcept": _concept(first, rest[0])}
    if number := re.fullmatch(r"([<>]=? )?(-?\d+(?:\.\d+)?)(?: (.+?)(?: of (\S+))?)?", text):
        comparator, digits, unit, system = number.groups()
        quantity = {"value": f"#{digits}#", "unit": unit or "", "system": UCUM, "code": unit or ""}
        if system:
            quantity = {"value": f"#{digits}#", "system": system, "code": unit}
        return {"valueQuantity": quantity | ({"comparator": comparator.strip()} if comparator else {})}
    return {"valueCodeableConcept": _concept("assessment", text)}
