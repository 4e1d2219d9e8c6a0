"""Statements as types: what a source says, in which words others quote it, of whom it speaks, and what it may decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from cds_service.knowledge.vocabulary import Edition

Tables = Mapping[str, Any]

DECIDING_KINDS = frozenset({"RULE", "LIMIT", "LATER"})
"""What may carry an exclusion or a contraindication (CLINICAL rule 4): a RESULT may only caution."""
RULES_OUT = frozenset({"contraindication", "exclusion"})


class Regulatory(NamedTuple):
    """What a label or a public body says of a treatment: where, since when ("undated"), what."""

    jurisdiction: str
    on: str
    says: str


@dataclass(frozen=True, slots=True)
class Population:
    """Whom a statement speaks of; an empty part: anyone. `any`: why it speaks of everyone."""

    primary: frozenset[str] = frozenset()
    grade: frozenset[str] = frozenset()
    ki67: Mapping[str, Decimal] = field(default_factory=dict)
    """at_most, at_least, below, above → its limit in per cent."""
    functioning: bool | None = None
    line: str = ""
    """first | after-progression | pretreated"""
    any: str = ""
    says: str = ""
    """The same in words, within a sentence ("in midgut tumours"), for where a part is not known; empty with `any`."""


def build_population(table: Tables | None) -> Population | None:
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
    id: str
    edition: Edition
    kind: str
    says: str
    publications: tuple[str, ...]
    confidence: str
    numbers: str = ""
    caution: str = ""
    unsourced: str = ""
    from_memory: tuple[str, ...] = ()
    display: bool = True
    not_used: str = ""
    checked: str = ""
    verified: str = ""
    figures: Mapping[str, str] = field(default_factory=dict)
    """Its figures in the words in which other sentences quote them."""
    regulatory: tuple[Regulatory, ...] = ()
    population: Population | None = None
    """Whom it speaks of; None only where no card can show it."""

    def may_decide(self, role: str) -> bool:
        """Whether it can carry a criterion of that role (CLINICAL rules 3 and 4): a RESULT and what is of low confidence
        decide nothing, and what is from memory rules nothing out."""
        if self.kind not in DECIDING_KINDS or self.confidence == "low":
            return False
        return not self.from_memory if role in RULES_OUT else role in {"gate", "requirement", "indication", "calculation"}
