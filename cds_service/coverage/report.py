"""The coverage report: rows of counts, and nothing of a patient in them."""

from __future__ import annotations

from datetime import date

import msgspec

from cds_service.clinical_picture import Nlm


class CodeRow(msgspec.Struct, frozen=True):
    system: str
    code: str
    display: str
    charts: int
    times: int


class FactRow(msgspec.Struct, frozen=True):
    fact: str
    says: str
    charts: int
    readings: int
    usable_charts: int
    codes: list[CodeRow]


class UnmappedRow(msgspec.Struct, frozen=True):
    source: str
    system: str
    code: str
    display: str
    charts: int
    times: int
    words: list[str]
    looks_like: list[str]
    """Facts for an Observation, concepts of the terminology for any other type."""
    code_shown: bool
    own_system: bool
    """Of a code system that the service reads: it holds other codes of it, not this one."""
    system_known: bool
    """Whether `system` is the URI that was sent; else it says why there is none."""


class AnswerRow(msgspec.Struct, frozen=True):
    """A coded answer that is none of those its fact can have."""

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
    """As of an UnmappedRow."""


class UnitRow(msgspec.Struct, frozen=True):
    fact: str
    says: str
    unit: str | None
    """None where none was sent."""
    unit_shown: bool
    is_spelling: bool
    """Whether a site can say what it means: it is refused for how it is spelt, or because none was sent."""
    accepted: list[str]
    charts: int
    times: int


class WrittenRow(msgspec.Struct, frozen=True):
    """What is written otherwise than its system wants, and what becomes of it."""

    what: str
    about: str
    """A type of resource, or a fact."""
    code: str
    system: str
    """For a morphology in an extension the URL of the extension."""
    charts: int
    times: int


class WindowRow(msgspec.Struct, frozen=True):
    fact: str
    says: str
    days: int
    charts: int


class ReasonRow(msgspec.Struct, frozen=True):
    """What, why, how many; `what` is a fact or a type of resource."""

    what: str
    why: str
    count: int


class DrugRow(msgspec.Struct, frozen=True):
    """Drug entries of which it was read in one way which drug they are; `read_by`: product, code, name or nothing."""

    read_by: str
    charts: int
    times: int


class Report(msgspec.Struct, frozen=True):
    knowledge: str
    as_of: date
    files: int
    resources: int
    charts: int
    charts_without_patient: int
    """Charts whose Patient is not among the files: nobody knows their age and sex."""
    nlm: dict[str, int]
    facts: list[FactRow]
    never_found: list[str]
    unmapped: list[UnmappedRow]
    unmapped_not_listed: int
    text_only: list[ReasonRow]
    drugs: list[DrugRow]
    answers_not_read: list[AnswerRow]
    units_refused: list[UnitRow]
    written_otherwise: list[WrittenRow]
    out_of_window: list[WindowRow]
    not_usable: list[ReasonRow]
    values_unreadable: list[ReasonRow]
    resources_unreadable: list[ReasonRow]
    files_unreadable: list[ReasonRow]
    """`what`: where the first is, by number and never by name."""
    left_out: dict[str, int]
    types_not_read: dict[str, int]
    files_not_opened: dict[str, int]

    @property
    def local(self) -> list[UnmappedRow]:
        """Codes of systems the service does not read: a site's own, for the most part."""
        return [row for row in self.unmapped if not row.own_system]

    @property
    def standard(self) -> list[UnmappedRow]:
        return [row for row in self.unmapped if row.own_system]

    @property
    def to_map(self) -> list[UnmappedRow]:
        """Codes worth a line in the site file. Another LOINC code is another test, and not offered: whoever knows better
        writes it by hand. Of drug products and procedures the knowledge holds but a part."""
        fit = [row for row in self.unmapped if row.code_shown and row.system_known]
        return [row for row in fit if not row.own_system or row.source in {"Medication", "Procedure"}]

    @property
    def possible(self) -> int:
        return self.nlm[Nlm.POSSIBLE] + self.nlm[Nlm.CANNOT_TELL]

    @property
    def without(self) -> int:
        return self.nlm[Nlm.NO]


def as_json(report: Report) -> bytes:
    return msgspec.json.format(msgspec.json.encode(report), indent=1)
