"""Nonstandard content of sites: own codes without a URI, and how the coverage report lists irregular content."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from cds_service.clinical_picture import Nlm
from cds_service.coverage import survey
from cds_service.coverage.advice import snippet
from cds_service.fhir.reader import ChartReader
from cds_service.reasons import Reason
from cds_service.sites.loader import read_site
from tests.support.sent_charts import (
    FOCUS,
    GM,
    IN_LIVER,
    KNOWLEDGE,
    LOINC,
    MII,
    NEN,
    NET,
    OURS,
    SITE_OF_TUMOUR,
    TODAY,
    UCUM,
    UCUM_OID,
    Resource,
    chart,
    coding,
    condition,
    fact,
    gate,
    inside,
    lab,
    observation,
    report,
    size,
)


# ── a site's own codes ────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("system", ["", "2.999.4711.1"])
def test_a_site_maps_a_code_that_charts_send_without_a_uri(system: str, tmp_path: Path) -> None:
    def table(code: str, says: str) -> str:
        return f'[[code]]\nsystem = "{system}"\ncode = "{code}"\n{says}\n'

    path = tmp_path / "north.toml"
    path.write_text(
        '[site]\nid = "north"\ntitle = "North"\nauthenticated_by_proxy = true\n'
        + table("NETIL", 'means = "icd-10-cm|C7A.012"')
        + table("FILHEP", 'means = "icd-10-cm|C78.7"')
        + table("THRO", 'fact = "platelets"'),
        "utf-8",
    )
    reader = ChartReader(read_site(path).knowledge)
    count = {**lab("o", "x", 31, "10*9/L", effectiveDateTime="2026-10-20"), "code": coding("THRO", system)}
    sent = chart(condition("a", coding("NETIL", system)), condition("b", coding("FILHEP", system)), count)
    found = reader.read(sent, TODAY)
    assert found.gate.answer is Nlm.YES
    assert [str(reading.value) for reading in found.readings_of("platelets").valid] == ["31"]


# ── the coverage report ───────────────────────────────────────────────────────────────────────────────────────────
def test_the_coverage_report_lists_what_is_written_otherwise(tmp_path: Path) -> None:
    extension = {"url": MII, "valueCodeableConcept": NET}
    sent = [
        condition("a", coding("C7B.02", "http://hospital.example/codes")),
        {**SITE_OF_TUMOUR, "extension": [extension], "code": coding("C17.2G", GM)},
        condition("x", coding("K72.9A", GM)),
        report(inside(), result=[{"reference": "#r1"}, {"reference": "Observation/7"}]),
        lab("u", "777-3", 31, "10*9/L", issued="2026-11-01T08:00:00Z"),
    ]
    patient = {"resourceType": "Patient", "id": "p", "birthDate": "1964-03"}
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": part} for part in (patient, *sent)]}
    (tmp_path / "chart.json").write_text(json.dumps(bundle), "utf-8")
    rows = survey([tmp_path], KNOWLEDGE, TODAY, io.StringIO()).written_otherwise
    assert {(row.what.split(":")[0], row.about, row.code, row.system, row.times) for row in rows} == {
        ("a known code under another system or none", "Condition", "C7B.02", "http://hospital.example/codes", 1),
        ("a morphology in an extension", "Condition", "8240/3", MII, 1),
        ("a certainty of a diagnosis", "Condition", "confirmed", "", 1),
        ("a certainty of a diagnosis", "Condition", "refuted", "", 1),
        ("a result contained in another resource", "DiagnosticReport", "", "", 1),
        ("an undated number beside a dated one", "Platelets", "", "", 1),
        ("a report whose results were not sent", "DiagnosticReport", "", "", 1),
        ("without a date, or with one that is not valid", "Observation", "", "", 1),
    }


def test_the_coverage_report_never_says_that_an_accepted_unit_was_refused(tmp_path: Path) -> None:
    def bilirubin(name: str, **quantity: Any) -> Resource:
        return observation(
            name, coding("1975-2", LOINC), effectiveDateTime="2026-10-20", valueQuantity={"value": 1, **quantity}
        )

    sent = [
        bilirubin("a", code="mg/dL", system="urn:oid:2.999.1"),
        bilirubin("b", code="mg/dL", unit="umol/L", system=UCUM),
        bilirubin("c", code="mg/dL", system=UCUM_OID),
        bilirubin("d", unit="furlong"),
    ]
    patient = {"resourceType": "Patient", "id": "p", "birthDate": "1964-03"}
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": part} for part in (patient, *sent)]}
    (tmp_path / "chart.json").write_text(json.dumps(bundle), "utf-8")
    report_ = survey([tmp_path], KNOWLEDGE, TODAY, io.StringIO())
    refused = [row.unit for row in report_.units_refused]
    assert refused == [
        "furlong",
        "mg/dL (code of a system other than UCUM)",
        "mg/dL, umol/L (code and text contradict each other)",
    ]
    assert not {*refused} & {unit for row in report_.units_refused for unit in row.accepted}
    assert '"furlong" = ""' in snippet(report_)
    assert "mg/dL (" not in snippet(report_)


@pytest.mark.parametrize("site", [{"text": "Leber"}, coding("10200004", "2.16.840.1.113883.6.96"), coding("10200004")])
def test_a_size_with_its_organ_in_text_raises_a_question_and_is_listed_as_unread(site: Resource) -> None:
    assert gate(NEN, size(bodySite=site)) is Nlm.POSSIBLE
    assert gate(NEN, size(**FOCUS), {**IN_LIVER, "location": site}) is Nlm.POSSIBLE
    assert fact("largest_lesion", *OURS, size(bodySite=site)).reason is Reason.UNREADABLE
    assert gate(NEN, size(bodySite={"text": "Pankreas"})) is Nlm.NO
