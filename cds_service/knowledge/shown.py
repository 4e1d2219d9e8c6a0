"""What a statement is on the face of a card, and what the review of 2010 says of a situation: data for the cards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Face(StrEnum):
    FOR = "for"
    DISSENT = "dissent"
    RISK = "risk"
    PAGE = "page"
    """On the evidence page only."""


class StanceWord(StrEnum):
    FOR = "for"
    AGAINST = "against"
    DIVIDED = "divided"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class ShownStatement:
    """One statement of a modality. `indications`: only where one of them is met; `unless`: none of these; `when`: keys of
    criteria that are all met; `technique`: only where that way of doing it is named; `place`: among the risks."""

    statement: str
    face: Face
    indications: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    when: tuple[str, ...] = ()
    technique: str = ""
    place: int = 0
    says: str = ""
    """On the face, without its source and without a full stop; a figure for the treatment stands with its limit. Empty: the
    sentence of the row before it, of the same source, says the same."""
    drug: str = ""
    """The drug that it speaks of, by the name that a card gives it."""
    brief: str = ""
    """The same without its figures, where space runs out; empty: the stance and the source are enough."""


@dataclass(frozen=True, slots=True)
class TreatmentLine:
    """A part of a modality that has a line and a block of its own on a card, judged by the indications it is for."""

    id: str
    title: str
    name: str
    """Within a sentence."""
    indications: frozenset[str]
    change: str
    """What would change its verdict."""
    when: tuple[str, ...] = ()
    """Keys of criteria that are all met."""
    drug: str = ""
    """The fact that says that its drug has been given; the line is then called by the drug's name."""
    does: str = ""
    """What is done, where its title is not a treatment."""
    given: str = ""
    adjust: str = ""
    """What is said where its drug is given already: while that suffices, and where it does not."""
    progressing: str = ""
    """The same of a drug for symptoms where the tumour progresses on it."""
    adjusted: str = ""
    """What would change it where the drug does not suffice; empty: `change`."""
    facts: tuple[str, ...] = ()
    """What an overview names beside it."""
    not_read: tuple[str, ...] = ()
    """What bears on it and no fact of this service holds."""


@dataclass(frozen=True, slots=True)
class StanceRow:
    """A row of the table of stances of 2010, read from top to bottom: holds where `all` are met and `none` are not, and,
    if there are any, one of `any`."""

    modality: str
    situation: str
    stance: StanceWord
    by: tuple[str, ...]
    all: tuple[str, ...] = ()
    any: tuple[str, ...] = ()
    none: tuple[str, ...] = ()
    says: str = ""
    """On the face, without its source; empty only where the review is silent."""


def build_shown(tables: list[Mapping[str, Any]]) -> tuple[ShownStatement, ...]:
    return tuple(
        ShownStatement(
            t["statement"], Face(t["face"]), tuple(t.get("for", ())), tuple(t.get("unless", ())), tuple(t.get("when", ())),
            t.get("technique", ""), t.get("place", 0), t.get("says", ""), t.get("drug", ""), t.get("brief", ""),
        )
        for t in tables
    )  # fmt: skip


def build_lines(tables: list[Mapping[str, Any]]) -> tuple[TreatmentLine, ...]:
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
    return tuple(
        StanceRow(
            row["modality"], row["situation"], StanceWord(row["stance"]), tuple(row["by"]), tuple(row.get("all", ())),
            tuple(row.get("any", ())), tuple(row.get("none", ())), row.get("says", ""),
        )
        for row in file["stance"]
    )  # fmt: skip
