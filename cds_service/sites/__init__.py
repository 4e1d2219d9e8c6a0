"""A site: one hospital's knowledge, FHIR servers and callers. Without a site file only this machine is served."""

from __future__ import annotations

from dataclasses import dataclass, field

from cds_service import knowledge
from cds_service.auth.client import Client
from cds_service.knowledge.model import Knowledge
from cds_service.knowledge.orders import SuggestionShape
from cds_service.outbound.policy import OutboundPolicy


@dataclass(frozen=True, eq=False)
class Site:
    """The content of a site file, read at the start and passed on with every request. Compared by identity.

    `clients`: who may call. A site without clients needs a proxy in front (`authenticated_by_proxy`).
    `banner`: a sentence that begins every card. `evidence_pages`: whether the rule book is shown at `evidence_folder`, below
    /evidence/. `evidence_url`: that folder as cards link it; "" if they do not.
    """

    id: str
    title: str
    knowledge: Knowledge
    policy: OutboundPolicy
    clients: tuple[Client, ...] = ()
    authenticated_by_proxy: bool = False
    banner: str = ""
    suggestions: SuggestionShape = field(default_factory=SuggestionShape)
    evidence_pages: bool = True
    evidence_folder: str = ""
    evidence_url: str = ""


def development_site() -> Site:
    """Return the site without a site file: the shipped knowledge, FHIR servers on this machine only. Raises KnowledgeError."""
    return Site("development", "No site file: this machine only", knowledge.load(), OutboundPolicy(loopback=True, open=True))
