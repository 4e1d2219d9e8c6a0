"""The closed vocabularies of the knowledge files as enums. The value of a member is its spelling in the files."""

from __future__ import annotations

from enum import StrEnum


class Edition(StrEnum):
    """Which criteria apply: those of the review of 2010 alone, or also those of later evidence."""

    REVIEW = "2010"
    UPDATE = "update"


class GradeLimit(StrEnum):
    """What remains possible of a modality with a carcinoma, or with a G3 tumour."""

    NOT_INDICATED = "not-indicated"
    """For a carcinoma also: the modality is undetermined while a carcinoma is not excluded."""
    AT_MOST_CONSIDER = "at-most-consider"
    OPEN = "open"


class FactKind(StrEnum):
    """The type of a fact's value."""

    QUANTITY = "quantity"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CODE = "code"
    CODES = "codes"
    """A set of codes: the union of all readings."""
    PRESENCE = "presence"
    """Whether a coded diagnosis, procedure or drug is on record."""
    PERSON = "person"
    """Age, sex, or the date or state of a diagnosis of the patient."""

    @property
    def numeric(self) -> bool:
        """Return whether the values are numbers with a unit or counts."""
        return self is FactKind.QUANTITY or self is FactKind.INTEGER


class Supplier(StrEnum):
    """Who can supply a fact."""

    LABORATORY = "laboratory"
    IMAGING = "imaging"
    PATHOLOGY = "pathology"
    BOARD = "board"
    NEVER = "never"
    """The fact is never asked for."""


class Choice(StrEnum):
    """Which of several numbers of a fact counts."""

    LATEST = "latest"
    HIGHEST = "highest"
