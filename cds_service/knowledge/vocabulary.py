"""The closed words of the knowledge files, as types. Their spelling in a file is the value of the member."""

from __future__ import annotations

from enum import StrEnum


class Edition(StrEnum):
    """Whose criteria: those of the review of 2010 alone, or with the evidence that came after it."""

    REVIEW = "2010"
    UPDATE = "update"


class GradeLimit(StrEnum):
    """What a carcinoma, or a G3 tumour, leaves of a modality."""

    NOT_INDICATED = "not-indicated"
    """For a carcinoma also: undetermined while it is not excluded."""
    AT_MOST_CONSIDER = "at-most-consider"
    OPEN = "open"


class FactKind(StrEnum):
    QUANTITY = "quantity"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CODE = "code"
    CODES = "codes"
    """All codes count together."""
    PRESENCE = "presence"
    """A coded thing is there."""
    PERSON = "person"

    @property
    def numeric(self) -> bool:
        return self is FactKind.QUANTITY or self is FactKind.INTEGER


class Supplier(StrEnum):
    """Who can supply a fact."""

    LABORATORY = "laboratory"
    IMAGING = "imaging"
    PATHOLOGY = "pathology"
    BOARD = "board"
    NEVER = "never"
    """Nobody is asked for it."""


class Choice(StrEnum):
    """Which of several numbers counts."""

    LATEST = "latest"
    HIGHEST = "highest"
