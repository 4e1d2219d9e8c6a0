"""The deviating ways in which charts write codes (knowledge/terminology.toml)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WrittenOtherwise:
    """Deviating ways in which charts write codes."""

    editions: Mapping[str, str]
    """URI of national editions without the two letters of the country at its end → system that they are read as."""
    alone_in: Mapping[str, tuple[str, ...]]
    """System → beginnings of codes that only this edition has; under any other URI they are read as its codes."""
    certainty: Mapping[str, str]
    """Letter of the certainty of a diagnosis → confirmed, unconfirmed, refuted or history."""
    certainty_extensions: frozenset[str]
    certainty_systems: frozenset[str]
    letters_under: frozenset[str]
    """URIs of systems in which a letter after the code of a diagnosis is its certainty."""
    other_classifications: frozenset[str]
    """URIs of systems whose codes look like codes of terminology.toml and mean something else."""
    organ_words: tuple[str, ...]
    metastasis_words: tuple[str, ...]
    secondary_words: tuple[str, ...]
    tumour_words: tuple[str, ...]
    """Parts of words. A text with an organ, and with a metastasis or a secondary tumour, names liver metastases."""

    def names_liver(self, text: str) -> bool:
        """Return whether a text names the liver."""
        return _holds(text.casefold(), self.organ_words)

    def names_liver_metastases(self, text: str) -> bool:
        """Return whether a text names liver metastases."""
        said = text.casefold()
        secondary = _holds(said, self.secondary_words) and _holds(said, self.tumour_words)
        return (secondary or _holds(said, self.metastasis_words)) and self.names_liver(said)


def _holds(text: str, words: Iterable[str]) -> bool:
    return any(word in text for word in words)
