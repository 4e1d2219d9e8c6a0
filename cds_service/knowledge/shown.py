"""Which statements and stances appear on a card, where, and in which words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Face(StrEnum):
    """Where a statement appears on a card."""

    FOR = "for"
    DISSENT = "dissent"
    RISK = "risk"
    PAGE = "page"
    """Not on the card, only on the evidence page."""


class StanceWord(StrEnum):
    """The stance of the review of 2010 on a treatment."""

    FOR = "for"
    AGAINST = "against"
    DIVIDED = "divided"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class ShownStatement:
    """How and when one statement of a modality appears on a card."""

    statement: str
    """Id of the statement."""
    face: Face
    indications: tuple[str, ...] = ()
    """Ids of indications, one of which must be met; empty: no such condition."""
    unless: tuple[str, ...] = ()
    """Ids of indications, none of which may be met."""
    when: tuple[str, ...] = ()
    """Keys of criteria, all of which must be met."""
    technique: str = ""
    """Id of a technique that the card must name; empty: no such condition."""
    place: int = 0
    """Order among the risks."""
    says: str = ""
    """The sentence of the card, without its source and full stop; a figure in favour of the treatment has its limit with it.
    Empty: the sentence of the row before, which has the same source, says the same."""
    drug: str = ""
    """The drug that it is about, by its name on a card."""
    brief: str = ""
    """The sentence without its figures, for when space runs out; empty: the stance and the source are enough."""


@dataclass(frozen=True, slots=True)
class TreatmentLine:
    """A part of a modality with a line and a block of its own on a card."""

    id: str
    title: str
    name: str
    """Its name within a sentence."""
    indications: frozenset[str]
    """Ids of the indications that decide its verdict."""
    change: str
    """What would change its verdict."""
    when: tuple[str, ...] = ()
    """Keys of criteria, all of which must be met."""
    drug: str = ""
    """Id of the fact that its drug has been given; the line then has the name of the drug."""
    does: str = ""
    """What is done, if its title is not a treatment."""
    given: str = ""
    """Text if its drug is given already and suffices."""
    adjust: str = ""
    """Text if its drug is given already and does not suffice."""
    progressing: str = ""
    """Text if its drug is for symptoms and the tumour progresses on it."""
    adjusted: str = ""
    """What would change the verdict if the drug does not suffice; empty: `change`."""
    facts: tuple[str, ...] = ()
    """Facts that an overview names with it."""
    not_read: tuple[str, ...] = ()
    """What affects it but is in no fact of this service."""


@dataclass(frozen=True, slots=True)
class StanceRow:
    """A row of the table of stances of 2010. Of the rows of a modality, the first that applies counts."""

    modality: str
    """Id of the modality."""
    situation: str
    """The conditions in words."""
    stance: StanceWord
    by: tuple[str, ...]
    """Ids of the statements that say so."""
    all: tuple[str, ...] = ()
    """Keys of criteria, all of which must be met."""
    any: tuple[str, ...] = ()
    """Keys of criteria, one of which must be met; empty: no such condition."""
    none: tuple[str, ...] = ()
    """Keys of criteria, none of which may be met."""
    says: str = ""
    """The sentence of the card, without its source; empty only if the review is silent."""


def build_shown(tables: list[Mapping[str, Any]]) -> tuple[ShownStatement, ...]:
    """Build the [[shown]] rows of a modality."""
    return tuple(
        ShownStatement(
            t["statement"], Face(t["face"]), tuple(t.get("for", ())), tuple(t.get("unless", ())), tuple(t.get("when", ())),
            t.get("technique", ""), t.get("place", 0), t.get("says", ""), t.get("drug", ""), t.get("brief", ""),
        )
        for t in tables
    )  # fmt: skip


def build_lines(tables: list[Mapping[str, Any]]) -> tuple[TreatmentLine, ...]:
    """Build the [[line]] tables of a modality."""
    return tuple(
        TreatmentLine(
            t["id"], t["title"], t["name"], frozenset(t["for"]), t["change"], tuple(t.get("when", ())), t.get("drug", ""),
            t.get("does", ""), t.get("given", ""), t.get("adjust", ""), t.get("progressing", ""), t.get("adjusted", ""),
            tuple(t.get("facts", ())),
            tuple(t.get("not_read", ())),
        )
        for t in tables
    )  # fmt: skip


def build_stances(file: Mapping[str, Any]) -> tuple[StanceRow, ...]:
    """Build the rows of stances.toml."""
    return tuple(
        StanceRow(
            row["modality"], row["situation"], StanceWord(row["stance"]), tuple(row["by"]), tuple(row.get("all", ())),
            tuple(row.get("any", ())), tuple(row.get("none", ())), row.get("says", ""),
        )
        for row in file["stance"]
    )  # fmt: skip
