"""A site: one hospital's knowledge, its FHIR servers, its callers. Without a site file it is this machine alone."""

from __future__ import annotations

from dataclasses import dataclass

from cds_service import knowledge
from cds_service.auth.client import Client
from cds_service.knowledge.model import Knowledge
from cds_service.outbound.policy import OutboundPolicy


@dataclass(frozen=True, eq=False)
class Site:
    """What a site file says, read once at the start and passed down with every request. Compared by identity.

    `clients`: who may call; without any, only a proxy in front can tell (`authenticated_by_proxy`).
    `banner`: a sentence that stands first on every card.
    """

    id: str
    title: str
    knowledge: Knowledge
    policy: OutboundPolicy
    clients: tuple[Client, ...] = ()
    authenticated_by_proxy: bool = False
    banner: str = ""


def development_site() -> Site:
    """No site file: the knowledge as it ships, and FHIR servers on this machine only. Raises KnowledgeError."""
    return Site("development", "No site file: this machine only", knowledge.load(), OutboundPolicy(loopback=True, open=True))
