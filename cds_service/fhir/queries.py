"""What the service asks of an EHR: one query for each key, in the portable subset (CH-36 to CH-41), derived from the facts."""

from __future__ import annotations

import re
from functools import cache
from urllib.parse import quote

from cds_service.knowledge.model import Knowledge

PATIENT = "patient={{context.patientId}}"
# _count is no more than Oracle serves (EHRs differ in their default; a first page alone would be half an answer)


@cache
def build_queries(knowledge: Knowledge) -> dict[str, str]:
    """Key → query template. Observations by the codes that are read, a site's own included; the other types whole."""
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
    """Every code of an Observation that states a fact or a histology, whatever its system."""
    observed = [d for d in knowledge.facts.values() if d.source == "Observation"]
    concepts = {"obs.histology", "obs.metastasis_site"} | {
        concept for d in observed for concept in d.concepts if not concept.startswith("cond.")
    }
    own = {code for d in knowledge.facts.values() for code in d.assessment}
    read = {meaning.code for _, meaning in knowledge.terminology.all_rows() if meaning.concept in concepts}
    local = knowledge.terminology.local_questions(concepts, ((knowledge.assessment_system, code) for code in own))
    return frozenset(read | own | local)


def _token(code: str) -> str:
    """Without its system, which the reader checks: with it the query would be longer than some servers take."""
    return quote(re.sub(r"([\\,$|])", r"\\\1", code), safe="")
