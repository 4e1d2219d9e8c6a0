"""A CDS Hooks service for neuroendocrine liver metastases (NLM).

app         Flask: routes, CORS, errors → OperationOutcome
hooks       the services: request envelope, prefetch, patient-view
fhir        chart as sent → typed resources → ClinicalPicture (picture)
facts       picture on one day → known, silent or unknown; derived: calculated facts
staging     facts → stage · assessment (judgement, missing): facts → verdicts and what would change them
cards       assessment → cards
knowledge   every number, code, citation and sentence, in TOML
"""

from typing import Any

__all__ = ["create_app"]


def __getattr__(name: str) -> Any:
    """`create_app`, read when somebody asks: the knowledge files are loaded with it, and may have faults to tell."""
    if name == "create_app":
        from cds_service.app import create_app

        return create_app
    raise AttributeError(name)
