"""The queries to an EHR, one for each prefetch key, in the portable subset of FHIR search (CH-36 to CH-41), derived from the
facts."""

from __future__ import annotations

import re
from functools import cache
from urllib.parse import quote

from cds_service.knowledge.model import Knowledge

PATIENT = "patient={{context.patientId}}"
# _count is at most what Oracle allows. It is stated because EHRs differ in their default.


@cache
def build_queries(knowledge: Knowledge) -> dict[str, str]:
    """Return prefetch key → query template. Observations are queried by the codes that are read, including a site's own; other
    types are queried whole."""
    codes = sorted(observation_codes(knowledge))
    return {
        "patient": "Patient/{{context.patientId}}",
        "conditions": f"Condition?{PATIENT}",
        "observations": f"Observation?{PATIENT}&code={','.join(map(_token, codes))}&_count=200",
        "procedures": f"Procedure?{PATIENT}&_count=100",
        "medicationRequests": f"MedicationRequest?{PATIENT}&_count=100",
        "medicationStatements": f"MedicationStatement?{PATIENT}&_count=100",
        "serviceRequests": f"ServiceRequest?{PATIENT}&status=active&_count=100",
        "diagnosticReports": f"DiagnosticReport?{PATIENT}&_count=100",
    }


@cache
def observation_codes(knowledge: Knowledge) -> frozenset[str]:
    """Return every Observation code that states a fact or a histology, in any system."""
    observed = [d for d in knowledge.facts.values() if d.source == "Observation"]
    concepts = {"obs.histology", "obs.metastasis_site"} | {
        concept for d in observed for concept in d.concepts if not concept.startswith("cond.")
    }
    own = {code for d in knowledge.facts.values() for code in d.assessment}
    read = {meaning.code for _, meaning in knowledge.terminology.all_rows() if meaning.concept in concepts}
    local = knowledge.terminology.local_questions(concepts, ((knowledge.assessment_system, code) for code in own))
    return frozenset(read | own | local)


def _token(code: str) -> str:
    """Return the escaped code without its system, because with it the query would be too long for some servers. The reader
    checks the system."""
    return quote(re.sub(r"([\\,$|])", r"\\\1", code), safe="")
