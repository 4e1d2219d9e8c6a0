"""Collects the readings of one fact while a chart is read."""

from __future__ import annotations

from dataclasses import dataclass, field

from cds_service.clinical_picture import Observed, Unreadable


@dataclass
class FactReadings:
    """The readings of one fact, its unreadable values and its questions."""

    valid: list[Observed] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    questions: list[Observed] = field(default_factory=list)
    """Findings that make the fact unknown without giving a value."""
