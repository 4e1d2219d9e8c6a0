"""The types of a CDS Hooks 2.0.1 card, and the invariants of every card."""

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
"""CDS Hooks requires fewer than 140 characters (CH-76)."""


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


class Coding(msgspec.Struct):
    """A Coding as CDS Hooks has it: with a display, and nothing more."""

    code: str
    system: str
    display: str


class Action(msgspec.Struct, omit_defaults=True, rename="camel"):
    """`resource` for a create, `resource_id` for a delete."""

    type: str
    description: str
    resource: dict[str, Any] = {}
    resource_id: str = ""


class Suggestion(msgspec.Struct, omit_defaults=True):
    label: str
    actions: list[Action]
    uuid: str = ""


class Card(msgspec.Struct, omit_defaults=True, rename="camel"):
    """A card. Empty strings and lists are left out of the JSON (CH-02 to CH-04)."""

    summary: str
    indicator: str
    source: Source
    detail: str
    extension: dict[str, Any]
    links: list[Link] = []
    override_reasons: list[Coding] = []
    suggestions: list[Suggestion] = []
    selection_behavior: str = ""
    """"any" if there are suggestions: the only value that all known clients accept (CH-81, Epic)."""
    uuid: str = ""

    @property
    def kind(self) -> str:
        """The kind of card, as in its extension."""
        kind: str = self.extension[EXTENSION]["kind"]
        return kind


class CardFault(AssertionError):
    """Raised for a card that breaks an invariant: an error of the program, not of a request."""


def add_banner(cards: list[Card], banner: str) -> list[Card]:
    """Return the cards with the warning of a site (such as the public sandbox) before every detail."""
    return [msgspec.structs.replace(card, detail=f"**{banner}**\n\n{card.detail}") for card in cards] if banner else cards


def assign_uuids(cards: list[Card], *about: str) -> list[Card]:
    """Give each card and suggestion a uuid that depends on request and content only. Return the same cards.

    `about`: site, service, hook instance, patient. Two patients never share a uuid.
    """
    for card in cards:
        content = msgspec.json.encode(msgspec.structs.replace(card, uuid=""), order="deterministic").decode()
        card.uuid = str(uuid.uuid5(NAMESPACE, "|".join([*about, card.kind, content])))
        for suggestion in card.suggestions:
            withdrawn = [action.resource_id for action in suggestion.actions if action.resource_id]
            suggestion.uuid = str(uuid.uuid5(NAMESPACE, "|".join([card.uuid, suggestion.label, *withdrawn])))
    return cards


def check_cards(cards: list[Card], evidence_url: str = "") -> list[Card]:
    """Return the cards. Raises CardFault if one breaks an invariant. The tests check everything else against openapi.yaml.
    `evidence_url`: how links to the evidence pages begin, which are plain http on this machine."""
    prefixes = ("https://", evidence_url) if evidence_url else ("https://",)
    for card in cards:
        faults = []
        if not 0 < len(card.summary) < MAX_SUMMARY_CHARS_EXCLUSIVE:
            faults.append(f"the summary must have 1 to {MAX_SUMMARY_CHARS_EXCLUSIVE - 1} characters, not {len(card.summary)}")
        if card.indicator not in INDICATORS:
            faults.append(f"the indicator must be one of {', '.join(INDICATORS)}, not {card.indicator}")
        if re.search(r"<[a-zA-Z/!]", card.detail):
            faults.append("the detail contains HTML")
        if not card.source.label or not card.uuid:
            faults.append("the label of the source or the uuid is missing")
        if len({suggestion.uuid for suggestion in card.suggestions}) != len(card.suggestions):
            faults.append("two suggestions have the same uuid")
        if bool(card.suggestions) != bool(card.selection_behavior):
            faults.append("suggestions and selectionBehavior must be sent together")
        faults += [f"the link {link.url} must start with https://" for link in card.links if not link.url.startswith(prefixes)]
        if faults:
            raise CardFault(f"{card.kind}: {'; '.join(faults)}")
    if len({card.uuid for card in cards}) != len(cards):
        raise CardFault("two cards have the same uuid")
    return cards
