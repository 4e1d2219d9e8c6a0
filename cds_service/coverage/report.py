"""The coverage report: rows of counts without patient data."""

from __future__ import annotations

from datetime import date

import msgspec

from cds_service.clinical_picture import Nlm

NO_SYSTEM = "no system"
"""Shown in place of the URI of a code system that was not sent."""


class CodeRow(msgspec.Struct, frozen=True):
    """A code that gave readings of a fact."""

    system: str
    code: str
    display: str
    charts: int
    times: int


class FactRow(msgspec.Struct, frozen=True):
    """A fact that was found, with the codes that gave its readings."""

    fact: str
    says: str
    charts: int
    readings: int
    usable_charts: int
    codes: list[CodeRow]


class UnmappedRow(msgspec.Struct, frozen=True):
    """A code that is not read and looks relevant."""

    source: str
    system: str
    code: str
    display: str
    charts: int
    times: int
    words: list[str]
    looks_like: list[str]
    """Facts for an Observation, concepts of the terminology for other types."""
    code_shown: bool
    own_system: bool
    """True if the service reads this code system, though not this code."""
    system_known: bool
    """True if `system` is the URI as sent; otherwise `system` says why it is not shown."""


class AnswerRow(msgspec.Struct, frozen=True):
    """A coded answer that is not an option of its fact."""

    fact: str
    says: str
    system: str
    code: str
    display: str
    charts: int
    times: int
    allowed: list[str]
    code_shown: bool
    system_known: bool
    """As in UnmappedRow."""


class UnitRow(msgspec.Struct, frozen=True):
    """A unit that was rejected."""

    fact: str
    says: str
    unit: str | None
    """None if no unit was sent."""
    unit_shown: bool
    has_table: bool
    """True if the site file has a table for the units of this fact already."""
    is_spelling: bool
    """True if a site file can define the unit, because it was rejected for its spelling or not sent."""
    accepted: list[str]
    charts: int
    times: int


class WrittenRow(msgspec.Struct, frozen=True):
    """Content that is coded or sent irregularly, and how the service treats it."""

    what: str
    about: str
    """A resource type, or a fact."""
    code: str
    system: str
    """For a morphology in an extension: the URL of the extension."""
    means: str
    """For an equal code: the one standard code, as a site file names it; empty if there are several, or if it cannot be
    mapped."""
    charts: int
    times: int


class WindowRow(msgspec.Struct, frozen=True):
    """A fact with values outside its window of `days`."""

    fact: str
    says: str
    days: int
    charts: int


class ReasonRow(msgspec.Struct, frozen=True):
    """`what` is a fact or a resource type; `why` is the reason."""

    what: str
    why: str
    count: int


class NamedDrugRow(msgspec.Struct, frozen=True):
    """A drug that was found by name alone. `concept`: as in terminology.toml."""

    concept: str
    charts: int
    times: int


class DrugRow(msgspec.Struct, frozen=True):
    """The drug entries identified in one way; `read_by`: product, code, name or nothing."""

    read_by: str
    charts: int
    times: int


class Report(msgspec.Struct, frozen=True):
    """The whole report. Its fields are the keys of the JSON file."""

    knowledge: str
    as_of: date
    files: int
    resources: int
    charts: int
    charts_without_patient: int
    """Charts whose Patient is not in the files, so that age and sex are unknown."""
    nlm: dict[str, int]
    facts: list[FactRow]
    never_found: list[str]
    unmapped: list[UnmappedRow]
    unmapped_not_listed: int
    text_only: list[ReasonRow]
    other_words: dict[str, int]
    """Type → entries that are not read, and whose words name nothing that is read."""
    drugs: list[DrugRow]
    drugs_by_name: list[NamedDrugRow]
    answers_not_read: list[AnswerRow]
    units_refused: list[UnitRow]
    written_otherwise: list[WrittenRow]
    out_of_window: list[WindowRow]
    not_usable: list[ReasonRow]
    values_unreadable: list[ReasonRow]
    resources_unreadable: list[ReasonRow]
    files_unreadable: list[ReasonRow]
    """`what`: the place of the first one, by number and never by file name."""
    left_out: dict[str, int]
    types_not_read: dict[str, int]
    files_not_opened: dict[str, int]
    answers_skipped: int
    """Answers of a CDS service, which hold cards and no resources."""

    @property
    def local(self) -> list[UnmappedRow]:
        """Codes of systems that the service does not read, mostly a site's own."""
        return [row for row in self.unmapped if row.words and not row.own_system]

    @property
    def standard(self) -> list[UnmappedRow]:
        """Unknown codes of systems that the service reads."""
        return [row for row in self.unmapped if row.words and row.own_system]

    @property
    def wordless(self) -> list[UnmappedRow]:
        """Unknown codes that came without a display or text in Latin letters, so that they may mean anything."""
        return [row for row in self.unmapped if not row.words]

    @property
    def to_map(self) -> list[UnmappedRow]:
        """Codes worth a line in the site file. Other LOINC codes are other tests and not offered; they can be added by hand.
        Drug products and procedures are offered, because the knowledge has only some of them."""
        fit = [row for row in (*self.local, *self.standard, *self.wordless) if row.code_shown and row.system_known]
        return [row for row in fit if not row.own_system or (row.words and row.source in {"Medication", "Procedure"})]

    @property
    def possible(self) -> int:
        """Charts in which the disease is possible or cannot be ruled out."""
        return self.nlm[Nlm.POSSIBLE] + self.nlm[Nlm.CANNOT_TELL]

    @property
    def without(self) -> int:
        """Charts without the disease."""
        return self.nlm[Nlm.NO]


def as_json(report: Report) -> bytes:
    """Return the report as JSON in UTF-8."""
    return msgspec.json.format(msgspec.json.encode(report), indent=1)
