"""What a statement is on the face of a card, and what the review of 2010 says of a situation: data for the cards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Face(StrEnum):
    """A statement for a treatment, or context, is listed nowhere here."""

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


def build_shown(tables: list[Mapping[str, Any]]) -> tuple[ShownStatement, ...]:
    return tuple(
        ShownStatement(
            t["statement"], Face(t["face"]), tuple(t.get("for", ())), tuple(t.get("unless", ())), tuple(t.get("when", ())),
            t.get("technique", ""), t.get("place", 0),
        )
        for t in tables
    )  # fmt: skip


def build_stances(file: Mapping[str, Any]) -> tuple[StanceRow, ...]:
    return tuple(
        StanceRow(
            row["modality"], row["situation"], StanceWord(row["stance"]), tuple(row["by"]), tuple(row.get("all", ())),
            tuple(row.get("any", ())), tuple(row.get("none", ())),
        )
        for row in file["stance"]
    )  # fmt: skip
