"""Shapes of public examples and bug reports, each beside a readable chart: shape only, values and ids are ours.

`lost`: what was lost of it before this table was written, measured at b5be2fd: the finding without a word ("silent"), or told
by `coverage` alone ("coverage"); the newer value, so that an older one decided ("wrong"); the number, though a card said so
("number"); or nothing that no card said ("").
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.support.sent_charts import LOINC, ME, SNOMED, UCUM, coding, condition, observation

Resource = dict[str, Any]
RECENT = {"effectiveDateTime": "2026-10-28"}
OLDER = {"effectiveDateTime": "2026-09-01"}


class Foreign(NamedTuple):
    shape: str
    source: str
    fact: str
    resources: list[Resource]
    lost: str
    now: str
    """"read", "card" or "coverage"."""


def lab(name: str, code: Resource, **more: Any) -> Resource:
    return observation(name, code, **{**RECENT, **more})


def number(value: float, unit: str) -> Resource:
    return {"valueQuantity": {"value": value, "unit": unit, "code": unit, "system": UCUM}}


OLD_BILIRUBIN = lab("old", coding("1975-2", LOINC), **OLDER, **number(0.9, "mg/dL"))
OLD_PLATELETS = lab("old", coding("777-3", LOINC), **OLDER, **number(210, "10*9/L"))
JLAC, ATHENA, CKEY = "urn:oid:1.2.392.200119.4.504", "https://athena.ohdsi.org/", "https://example.org/ckey"


def drug(**more: Any) -> Resource:
    return {"resourceType": "MedicationRequest", "id": "x", "status": "active", "intent": "order", "subject": ME,
            "authoredOn": "2026-10-20", **more}  # fmt: skip


FOREIGN = [
    Foreign("a result as words of a coded value, with GT for >", "drajer-health/eCRNow #625 (athenahealth)", "total_bilirubin",
            [OLD_BILIRUBIN, lab("x", coding("1975-2", LOINC), valueCodeableConcept={"text": "GT 4.5"})], "", "card"),
    Foreign("a comparator of HL7 v2", "microsoft/FHIR-Converter #504", "platelets",
            [OLD_PLATELETS, lab("x", coding("777-3", LOINC), valueQuantity={"value": 40, "unit": "10*9/L",
                                                              "comparator": "<>"})],
            "", "card"),
    Foreign("a unit as text alone, a limit without number", "LinuxForHealth/hl7v2-fhir-converter #60", "platelets",
            [lab("x", {**coding("777-3", LOINC), "text": "PLATELETS"}, valueQuantity={"value": 40, "unit": "10*3/uL"},
                 referenceRange=[{"low": {"unit": "10*3/uL"}}])], "", "read"),
    Foreign("a grade as a number of OHDSI", "hl7-eu/idea4rc", "who_grade",
            [lab("x", coding("33732-9", LOINC), valueCodeableConcept=coding("4101337", ATHENA, display="Grade 3"))],
            "", "card"),
    Foreign("a checklist key with the name of the item", "HL7/cancer-reporting (CAP)", "ki67_index",
            [lab("x", coding("52752.100004300", CKEY, display="Ki-67 Index"), valueString="35 %")], "coverage", "card"),
    Foreign("a checklist key with the question as its name", "HL7/cancer-reporting (CAP)", "mitotic_count",
            [lab("x", coding("50236.100004300", CKEY, display="Mitotic Rate per 2 mm2"), valueString="25")],
            "coverage", "coverage"),
    Foreign("a national laboratory code with a name in its own script", "jami-fhir-jp-wg/jp-core", "total_bilirubin",
            [lab("x", coding("3J010000002327101", JLAC, display="総ビリルビン"), **number(4.2, "mg/dL"))],
            "silent", "coverage"),
    Foreign("a code of the vendor with the short name of the test", "EHR.md: local codes of Epic", "inr",
            [lab("old", coding("6301-6", LOINC), **OLDER, **number(1.1, "{INR}")),
             lab("x", {**coding("1558", "urn:oid:1.2.840.114350.1.13.0.1.7.5.737384.0", display="INR"), "text": "INR "},
                 valueString="2.4")], "wrong", "card"),
    Foreign("a number in words, with a decimal comma", "texts of Belgian and French laboratories", "total_bilirubin",
            [OLD_BILIRUBIN, lab("x", coding("1975-2", LOINC), valueString="4,2 mg/dL")], "number", "card"),
    Foreign("the name of the test before its number", "EHR.md: results as valueString", "ki67_index",
            [lab("x", coding("29593-1", LOINC), valueString="Ki-67: ca. 20 %")], "number", "read"),
    Foreign("a drug as R5 sends it", "FHIR R5 MedicationRequest.medication", "capecitabine",
            [drug(medication={"concept": {"text": "Xeloda"}})], "", "card"),
    Foreign("a product number alone", "hl7.de PZN", "capecitabine",
            [drug(medicationCodeableConcept=coding("00000000", "http://fhir.de/CodeSystem/ifa/pzn"))], "", "card"),
    Foreign("no known medication, with an absent period", "hl7-eu/eps", "capecitabine",
            [{"resourceType": "MedicationStatement", "id": "x", "status": "active", "subject": ME,
              "medicationCodeableConcept": coding("787481004", SNOMED, display="No known medications (situation)"),
              "effectivePeriod": {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
                                                 "valueCode": "unknown"}]}}], "", "card"),
    Foreign("a tumour size whose organ is told in words", "mcode-stu4, bodySite as text", "largest_lesion",
            [lab("x", coding("21889-1", LOINC), bodySite={"text": "segment VII, see image"}, **number(6.2, "cm"))],
            "silent", "card"),
    Foreign("the type of a resource in lower case", "exports through column stores", "total_bilirubin",
            [OLD_BILIRUBIN, {**lab("x", coding("1975-2", LOINC), **number(4.2, "mg/dL")), "resourceType": "observation"}],
            "wrong", "card"),
    Foreign("LOINC by the name that HL7 v2 gives it", "LinuxForHealth/hl7v2-fhir-converter", "total_bilirubin",
            [OLD_BILIRUBIN, lab("x", coding("1975-2", "urn:id:LN"), **number(4.2, "mg/dL"))], "wrong", "card"),
    Foreign("a code of the project under the URI of a hospital", "EHR.md: forms built by hand", "portal_vein",
            [lab("x", coding("portal-vein", "https://hospital.example/forms"), valueString="occluded")], "silent", "card"),
    Foreign("the name of the test as text alone", "smart-on-fhir/cumulus-etl (EHR.md)", "platelets",
            [OLD_PLATELETS, lab("x", {"text": "Platelets "}, **number(31, "10*9/L"))], "wrong", "card"),
    Foreign("a suspected second cancer", "mcode-stu4, verificationStatus", "gate",
            [condition("x", coding("363346000", SNOMED, display="Malignant neoplasm of colon"),
                       verificationStatus=coding("provisional"))], "wrong", "card"),
]  # fmt: skip
