"""Statements as types: what a source says, how other sentences quote it, which patients it is about, what it may decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from cds_service.knowledge.vocabulary import Edition

Tables = Mapping[str, Any]

DECIDING_KINDS = frozenset({"RULE", "LIMIT", "LATER"})
"""Kinds of statements that may decide; a RESULT may only make a caution (docs/knowledge.md, "Ground rules")."""
RULES_OUT = frozenset({"contraindication", "exclusion"})
"""Roles of criteria that rule a treatment out."""


class Regulatory(NamedTuple):
    """What a label or a public body says about a treatment."""

    jurisdiction: str
    on: str
    """A day, month or year, or "undated"."""
    says: str


@dataclass(frozen=True, slots=True)
class Population:
    """The patients that a statement is about; an empty field does not restrict them."""

    primary: frozenset[str] = frozenset()
    """Primary sites."""
    grade: frozenset[str] = frozenset()
    ki67: Mapping[str, Decimal] = field(default_factory=dict)
    """at_most, at_least, below, above → its limit in per cent."""
    functioning: bool | None = None
    line: str = ""
    """first | after-progression | pretreated"""
    any: str = ""
    """Why it is about everyone."""
    says: str = ""
    """The patients in words within a sentence ("in midgut tumours"), for when a part is not known; empty with `any`."""


def build_population(table: Tables | None) -> Population | None:
    """Build a population from its table; None without one."""
    if table is None:
        return None
    return Population(
        frozenset(table.get("primary", ())),
        frozenset(table.get("grade", ())),
        {how: Decimal(limit) for how, limit in table.get("ki67", {}).items()},
        table.get("functioning"),
        table.get("line", ""),
        table.get("any", ""),
        table.get("says", ""),
    )


@dataclass(frozen=True, slots=True)
class Statement:
    """One table of statements.toml; texts are empty where the file has none."""

    id: str
    """S001 to S103 for the review, M001 and up for later evidence."""
    edition: Edition
    kind: str
    """RULE | LIMIT | RESULT | EVIDENCE | BACKGROUND for the review, LATER for the update."""
    says: str
    """The fact in the project's own words."""
    publications: tuple[str, ...]
    """Keys of its publications; for the review itself first."""
    confidence: str
    """high | moderate | low"""
    numbers: str = ""
    """Its figures as text."""
    caution: str = ""
    """What a reader must also know."""
    unsourced: str = ""
    """Why there is no publication."""
    from_memory: tuple[str, ...] = ()
    """Parts that were not seen in a source."""
    display: bool = True
    """False: never shown as a fact."""
    not_used: str = ""
    """Why nothing uses it."""
    checked: str = ""
    """Day it was last compared with its source (YYYY-MM-DD), if later than `ReviewPlan.drawn_up`."""
    verified: str = ""
    """Who signed it."""
    figures: Mapping[str, str] = field(default_factory=dict)
    """Name → figure in the words in which other sentences quote it."""
    regulatory: tuple[Regulatory, ...] = ()
    population: Population | None = None
    """The patients that it is about; None only if no card can show it."""

    def may_decide(self, role: str) -> bool:
        """Return whether a criterion of that role may rest on it (docs/knowledge.md, "Ground rules").

        A RESULT and a statement of low confidence decide nothing; a statement from memory rules nothing out.
        """
        if self.kind not in DECIDING_KINDS or self.confidence == "low":
            return False
        return not self.from_memory if role in RULES_OUT else role in {"gate", "requirement", "indication", "calculation"}
