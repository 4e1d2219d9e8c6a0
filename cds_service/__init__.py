"""A CDS Hooks service for neuroendocrine liver metastases (NLM).

A hook request becomes cards: `app` → `hooks` → `fhir` → `reasoning` → `cards`.

app, gunicorn_server, capacity   HTTP: routes, errors, limits
hooks                            the services: request envelope, prefetch and retrieval, patient-view
fhir                             the chart as sent → typed resources → ClinicalPicture
reasoning                        ClinicalPicture on one day → facts, stage, verdicts and what would change them (Evaluation)
cards                            Evaluation → cards
knowledge                        every number, code, citation and sentence, in TOML
sites, auth, outbound, ledger    one hospital: its knowledge, its callers, allowed FHIR servers, seen tokens, fetched keys
cli, pages, rulebook, coverage   commands, the try-it page, the knowledge as a document, which data of a site's charts is read
"""

from typing import Any

__all__ = ["create_app"]


def __getattr__(name: str) -> Any:
    """Import `create_app` on first use only, as this loads the knowledge files and may raise KnowledgeError."""
    if name == "create_app":
        from cds_service.app import create_app

        return create_app
    raise AttributeError(name)
