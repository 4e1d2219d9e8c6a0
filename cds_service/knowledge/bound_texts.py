"""List the texts of the knowledge files that must take their numbers from the data.

sentences.py rejects a number of their own, and numbers.py fills their placeholders. Statements, publications and terminology
are data and not listed, except for the `says` of a statement's population.
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
    "orders.toml": frozenset({"title", "not_read"}),
    "outcomes.toml": frozenset(
        {"title", "design", "groups", "treated", "survival", "course", "patients", "symptoms", "note", "defect"}
    ),
    "review.toml": frozenset({"says"}),
    "staging.toml": frozenset({"title"}),
    "stances.toml": frozenset({"situation", "says"}),
}
"""File → the keys of such texts, or of lists of them."""
WORDS = {
    "derived.toml": re.compile(r"[a-z0-9_]+\.words"),
    "facts.toml": re.compile(r"fact\.[a-z0-9_]+\.words"),
    "staging.toml": re.compile(r"words"),
}
"""File → the paths of tables that have only such texts."""
POPULATION = re.compile(r"[SM]\d{3}\.population\.says")
"""Path of the only such text of a statement; its own `says` is data."""
