"""What the service asks of an EHR: one query for each key, in the portable subset (CH-36 to CH-41), derived from the facts."""

from __future__ import annotations

from functools import cache

from cds_service.knowledge.model import Knowledge

PATIENT = "patient={{context.patientId}}"
# _count is no more than Oracle serves (EHRs differ in their default; a first page alone would be half an answer)


@cache
def queries(knowledge: Knowledge) -> dict[str, str]:
    """Key → query template. Observations by the codes that are read, a site's own included; the other types whole."""
    terms = knowledge.terminology
    concepts = {c for d in knowledge.facts.values() if d.source == "Observation" for c in d.concepts} | {"obs.histology"}
    loinc = sorted(set(terms.codes((c for c in concepts if not c.startswith("cond.")), "loinc")))
    own = sorted(code for d in knowledge.facts.values() for code in d.assessment)
    codes = [*(f"{terms.uris['loinc']}|{code}" for code in loinc), *(f"{knowledge.assessment_system}|{code}" for code in own)]
    return {
        "patient": "Patient/{{context.patientId}}",
        "conditions": f"Condition?{PATIENT}",
        "observations": f"Observation?{PATIENT}&code={','.join(codes)}&_count=200",
        "procedures": f"Procedure?{PATIENT}&_count=100",
        "medicationRequests": f"MedicationRequest?{PATIENT}&_count=100",
        "medicationStatements": f"MedicationStatement?{PATIENT}&_count=100",
        "serviceRequests": f"ServiceRequest?{PATIENT}&status=active&_count=100",
        "diagnosticReports": f"DiagnosticReport?{PATIENT}&_count=100",
    }
