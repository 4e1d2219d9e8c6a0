"""Which texts of the knowledge files are sentences bound to its numbers: refused with a number of their own (sentences.py), and
filled with the numbers whose places they name (numbers.py).

Statements, publications and terminology are data; of a statement only whom it speaks of is bound.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

BOUND: Mapping[str, frozenset[str]] = {
    "board.toml": frozenset({"says", "short", "then"}),
    "conflicts.toml": frozenset({"topic", "service"}),
    "criteria.toml": frozenset({"says", "then", "face", "faces", "lift", "worse", "before_procedure"}),
    "derived.toml": frozenset({"says", "how"}),
    "facts.toml": frozenset({"says", "short", "face"}),
    "local.toml": frozenset({"reason"}),
    "modalities": frozenset(
        {
            "title",
            "short",
            "says",
            "contraindications_say",
            "excluded_say",
            "also",
            "brief",
            "face",
            "face_title",
            "face_name",
            "nec_says",
            "name",
            "does",
            "given",
            "adjust",
            "progressing",
            "adjusted",
            "change",
            "not_read",
        }
    ),
    "outcomes.toml": frozenset(
        {"title", "design", "groups", "treated", "survival", "course", "patients", "symptoms", "note", "defect"}
    ),
    "review.toml": frozenset({"says"}),
    "staging.toml": frozenset({"title"}),
    "stances.toml": frozenset({"situation", "says"}),
}
"""File → the keys whose texts are bound: a text, or a list of them."""
WORDS = {
    "derived.toml": re.compile(r"[a-z0-9_]+\.words"),
    "facts.toml": re.compile(r"fact\.[a-z0-9_]+\.words"),
    "staging.toml": re.compile(r"words"),
}
"""File → the tables all of whose texts are bound, by path."""
POPULATION = re.compile(r"[SM]\d{3}\.population\.says")
"""The one text of a statement that is bound; its own `says` is data."""
