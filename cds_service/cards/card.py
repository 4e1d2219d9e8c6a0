"""CDS Hooks 2.0.1 card shapes, and the invariants that every card of ours keeps."""

from __future__ import annotations

import re
import uuid
from typing import Any

import msgspec

EXTENSION = "example.nlm-cds.assessment"
TOPICS = "https://nlm-cds.example/fhir/CodeSystem/card-topic"
NAMESPACE = uuid.UUID("6f0a3f3e-5a0c-5d53-9c5e-0d6f1a3f7b11")
INDICATORS = ("info", "warning", "critical")
MAX_SUMMARY_CHARS_EXCLUSIVE = 140
"""CDS Hooks asks for fewer than 140 characters (CH-76)."""


class Topic(msgspec.Struct):
    code: str
    display: str
    system: str = TOPICS


class Source(msgspec.Struct, omit_defaults=True):
    label: str
    topic: Topic
    url: str = ""


class Link(msgspec.Struct):
    label: str
    url: str
    type: str = "absolute"


class Action(msgspec.Struct):
    type: str
    description: str
    resource: dict[str, Any]


class Suggestion(msgspec.Struct, omit_defaults=True):
    label: str
    actions: list[Action]
    uuid: str = ""


class Card(msgspec.Struct, omit_defaults=True, rename={"selection_behavior": "selectionBehavior"}):
    """Empty strings and lists are left out of the JSON (CH-02 to CH-04)."""

    summary: str
    indicator: str
    source: Source
    detail: str
    extension: dict[str, Any]
    links: list[Link] = []
    suggestions: list[Suggestion] = []
    selection_behavior: str = ""
    """"any" when there are suggestions: the only value every client of ours takes (CH-81, Epic)."""
    uuid: str = ""

    @property
    def kind(self) -> str:
        kind: str = self.extension[EXTENSION]["kind"]
        return kind


class CardFault(AssertionError):
    """A card of ours breaks an invariant: a fault of the program, never of a request."""


def add_banner(cards: list[Card], banner: str) -> list[Card]:
    """A site's own warning, such as that of the public sandbox, stands first on every card."""
    return [msgspec.structs.replace(card, detail=f"**{banner}**\n\n{card.detail}") for card in cards] if banner else cards


def assign_uuids(cards: list[Card], *about: str) -> list[Card]:
    """Gives each card a uuid that is the same for the same request and content, and no other.

    `about`: site, service, hook instance, patient. The content is hashed in:
    two patients never share a uuid.
    """
    for card in cards:
        content = msgspec.json.encode(msgspec.structs.replace(card, uuid=""), order="deterministic").decode()
        card.uuid = str(uuid.uuid5(NAMESPACE, "|".join([*about, card.kind, content])))
        for suggestion in card.suggestions:
            suggestion.uuid = str(uuid.uuid5(NAMESPACE, f"{card.uuid}|{suggestion.label}"))
    return cards


def check_cards(cards: list[Card]) -> list[Card]:
    """Raises CardFault. What is not said here is checked against openapi.yaml by the tests."""
    for card in cards:
        faults = []
        if not 0 < len(card.summary) < MAX_SUMMARY_CHARS_EXCLUSIVE:
            faults.append(f"summary has {len(card.summary)} characters, allowed: 1 to {MAX_SUMMARY_CHARS_EXCLUSIVE - 1}")
        if card.indicator not in INDICATORS:
            faults.append(f"indicator {card.indicator}")
        if re.search(r"<[a-zA-Z/!]", card.detail):
            faults.append("HTML in detail")
        if not card.source.label or not card.uuid:
            faults.append("no source or no uuid")
        if bool(card.suggestions) != bool(card.selection_behavior):
            faults.append("suggestions and selectionBehavior go together")
        faults += [f"link {link.url}" for link in card.links if not link.url.startswith("https://")]
        if faults:
            raise CardFault(f"{card.kind}: {'; '.join(faults)}")
    if len({card.uuid for card in cards}) != len(cards):
        raise CardFault("two cards with one uuid")
    return cards
