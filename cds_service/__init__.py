"""A CDS Hooks service for neuroendocrine liver metastases (NLM).

A hook request becomes cards: `app` → `hooks` → `fhir` → `reasoning` → `cards`.

app, gunicorn_server, capacity   HTTP: routes, errors, limits
hooks                            the services: request envelope, prefetch and retrieval, patient-view
fhir                             the chart as sent → typed resources → ClinicalPicture
reasoning                        the picture on one day → facts, stage, verdicts and what would change them (Evaluation)
cards                            Evaluation → cards
knowledge                        every number, code, citation and sentence, in TOML
sites, auth, outbound, ledger    one hospital: its own knowledge, who may call, whom we may call, tokens seen, key sets
cli, pages, rulebook, coverage   commands, the try-it page, the knowledge as a document, what is read of a site's charts
"""

from typing import Any

__all__ = ["create_app"]


def __getattr__(name: str) -> Any:
    """`create_app`, read when somebody asks: the knowledge files are loaded with it, and may have faults to tell."""
    if name == "create_app":
        from cds_service.app import create_app

        return create_app
    raise AttributeError(name)
