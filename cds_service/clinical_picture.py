"""All readings recorded about one patient, whatever their age.

A `ClinicalPicture` keeps, for every fact of `knowledge/facts.toml`, all readings that count, each with its date, its FHIR
reference and its recorded text. `determine_facts` (in `reasoning/current_facts.py`) turns it, for one day, into facts that
are known, silent or unknown. This module does no input or output.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from cds_service.reasons import Explanation, Reason, ValueNotReadable, reason_of


@dataclass(frozen=True, slots=True)
class Interval:
    """A number as an interval, so that a comparator ("< 5") claims no more than was recorded.

    A bound of None means unbounded. Comparisons with a limit return None if the interval lies on both sides of it.
    """

    low: Decimal | None
    high: Decimal | None
    low_included: bool = True
    high_included: bool = True

    @classmethod
    def from_number(cls, value: Decimal | int | str) -> Interval:
        number = Decimal(value)
        return cls(number, number)

    @classmethod
    def from_comparator(cls, comparator: str | None, value: Decimal) -> Interval:
        """Return the interval that FHIR `Quantity.comparator` makes of `value`.

        Raises ValueNotReadable if FHIR has no such comparator.
        """
        match comparator:
            case None | "":
                return cls(value, value)
            case "<":
                return cls(None, value, high_included=False)
            case "<=":
                return cls(None, value)
            case ">":
                return cls(value, None, low_included=False)
            case ">=":
                return cls(value, None)
        raise ValueNotReadable(Explanation(Reason.COMPARATOR_NOT_OF_FHIR))

    @property
    def exact(self) -> Decimal | None:
        """The number if it is exact, else None."""
        return self.low if self.low == self.high else None

    def above(self, limit: Decimal) -> bool | None:
        if self.low is not None and (self.low > limit or (self.low == limit and not self.low_included)):
            return True
        return False if self.high is not None and self.high <= limit else None

    def at_least(self, limit: Decimal) -> bool | None:
        if self.low is not None and self.low >= limit:
            return True
        below = self.high is not None and (self.high < limit or (self.high == limit and not self.high_included))
        return False if below else None

    def below(self, limit: Decimal) -> bool | None:
        answer = self.at_least(limit)
        return None if answer is None else not answer

    def at_most(self, limit: Decimal) -> bool | None:
        answer = self.above(limit)
        return None if answer is None else not answer

    def __hash__(self) -> int:
        low = None if self.low is None else number_key(self.low)
        high = low if self.high is self.low else None if self.high is None else number_key(self.high)
        return hash((low, high, self.low_included, self.high_included))

    def __str__(self) -> str:
        if self.exact is not None:
            return format_decimal(self.exact)
        if self.low is None and self.high is not None:
            return f"{'≤' if self.high_included else '<'} {format_decimal(self.high)}"
        if self.low is not None:
            return f"{'≥' if self.low_included else '>'} {format_decimal(self.low)}"
        return "?"


def largest_interval(amounts: Iterable[Interval]) -> Interval:
    """Return the interval that holds the largest of several numbers: for 2 and "< 25" it is 2 to 25, without 25."""
    found = list(amounts)
    low = max(found, key=lambda a: (a.low is not None, a.low or 0, not a.low_included))
    high = max(found, key=lambda a: (a.high is None, a.high or 0, a.high_included))
    return Interval(low.low, high.high, low.low_included, high.high_included)


Value = Interval | bool | str | frozenset[str]


def format_decimal(number: Decimal) -> str:
    """Return a decimal without exponent and trailing zeros: 3.00 -> 3, 1E+2 -> 100."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def number_key(number: Decimal | float | int) -> str:
    """Return the same text for equal numbers, as a key: 1.0 and 1.00, 1e3 and 1000, -0 and 0.

    Python hashes numbers without a seed, so a chart could contain thousands of numbers with one hash.
    """
    if not number:
        return "0"
    digits, _, exponent = format(Decimal(number), "E").partition("E")
    return f"{digits.rstrip('0').rstrip('.')}E{exponent}" if "." in digits else f"{digits}E{exponent}"


@dataclass(frozen=True, slots=True)
class PartialDate:
    """A FHIR date or dateTime (a day, month, year or instant) as the earliest and latest day that it can mean."""

    earliest: date
    latest: date
    instant: datetime | None = None

    def __str__(self) -> str:
        if self.earliest == self.latest:
            return self.earliest.isoformat()
        if self.earliest.month == self.latest.month:
            return self.earliest.isoformat()[:7]
        return str(self.earliest.year)

    @classmethod
    def from_day(cls, day: date) -> PartialDate:
        return cls(day, day)


class DoseUnit(StrEnum):
    """The accepted units of a dose, as UCUM codes."""

    GRAM = "g"
    MILLIGRAM = "mg"
    MICROGRAM = "ug"
    MILLIGRAM_BY_SURFACE = "mg/m2"
    MILLIGRAM_BY_WEIGHT = "mg/kg"
    INTERNATIONAL_UNIT = "[IU]"
    MILLION_INTERNATIONAL_UNITS = "10*6.[IU]"
    MEGABECQUEREL = "MBq"
    GIGABECQUEREL = "GBq"


class PeriodUnit(StrEnum):
    """The accepted units of an interval between doses, as UCUM codes."""

    HOUR = "h"
    DAY = "d"
    WEEK = "wk"
    MONTH = "mo"
    YEAR = "a"


class Dose(NamedTuple):
    amount: Decimal
    unit: DoseUnit


class Frequency(NamedTuple):
    """`times` doses in each period: once every 4 weeks, twice a day."""

    times: int
    period: Decimal
    unit: PeriodUnit


@dataclass(frozen=True, slots=True)
class Regimen:
    """The regimen of a drug in one entry of a chart. A field is None if it was not recorded in a field that is read.

    `drug` is its name in `knowledge/drugs.toml`; `since` is the day from which the entry counts; `active` says that the
    entry counts on the day when the chart was read.
    """

    drug: str
    active: bool
    dose: Dose | None = None
    frequency: Frequency | None = None
    as_needed: bool = False
    since: PartialDate | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """One reading of one fact.

    `value` is in the unit of the fact; `recorded` is the original value and unit; `seen_in` is the FHIR reference
    ("Observation/inr-1"); `on` is the clinically relevant date, None if the resource has none; `note` explains a value that
    was derived ("from tumour sizes, at least"); `ageless` marks an active coded diagnosis, which never goes out of date.
    """

    value: Value
    on: PartialDate | None
    seen_in: str
    recorded: str
    note: Explanation | None = field(default=None, compare=False)
    ageless: bool = False
    fact: str = ""
    """The id of its fact; set when the facts are determined."""
    issued: PartialDate | None = None
    """The date of issue of an undated reading, which cannot be newer. It is shown, and orders two readings by age, but is not
    used as the date of the reading."""
    regimen: Regimen | None = field(default=None, compare=False)
    """The regimen, if the fact is a drug."""

    @property
    def reason(self) -> Reason | None:
        """The reason code of `note`, or None."""
        return reason_of(self.note)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A resource about the fact that could not be read. `why` names the error and path, never a value; `unit` is a rejected
    unit, as sent, to be shown on a card."""

    on: PartialDate | None
    seen_in: str
    why: Explanation = field(compare=False)
    unit: str = ""


class Omission(StrEnum):
    """Why a resource of a chart does not count. cards/wording.py holds the text for each."""

    SENT_TWICE = "sent-twice"
    OLDER_VERSION = "older-version"
    VERSION_IN_ERROR = "version-in-error"
    TYPE_NOT_READ = "type-not-read"
    NO_RESOURCE_TYPE = "no-resource-type"
    NO_SUBJECT = "no-subject"
    MERGED_PATIENT = "merged-patient"
    """It belongs to a patient record that is linked to this one as the same person."""
    OTHER_PATIENT = "other-patient"
    NOT_WANTED = "not-wanted"
    """A request that is a proposal or a plan, or that has `doNotPerform`."""
    NOT_COUNTING = "not-counting"
    """By its FHIR status it does not count."""
    REFUTED = "refuted"
    """A diagnosis that was refuted, or entered in error."""
    NOT_FINAL = "not-final"
    NOT_AVAILABLE = "not-available"


class LeftOut(NamedTuple):
    """A group of resources that do not count. `resource_type` and `status` are set only where the reason depends on them."""

    reason: Omission
    resource_type: str = ""
    status: str = ""


@dataclass(frozen=True, slots=True)
class NotConsulted:
    """A prefetch key without a complete answer, and the reason."""

    key: str
    why: Explanation = field(compare=False)


@dataclass(frozen=True, slots=True)
class Readings:
    """All readings of one fact in the chart. `complete` says that every query that could return it was answered completely."""

    valid: tuple[Observed, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    complete: bool = False
    open_question: tuple[Observed, ...] = ()
    """Readings that raise a question without answering it (portal vein thrombosis without its extent, nodal metastases)."""


NO_READINGS = Readings()


class Nlm(StrEnum):
    """Whether the chart shows neuroendocrine liver metastases (docs/knowledge.md, "Who gets a card")."""

    YES = "yes"
    POSSIBLE = "possible"
    CANNOT_TELL = "cannot-tell"
    NO = "no"


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether the patient gets a card, with the reason and the readings that decided it."""

    answer: Nlm
    because: Explanation | None = field(default=None, compare=False)
    seen: tuple[Observed, ...] = ()


@dataclass(frozen=True, slots=True)
class Deceased:
    """The patient is recorded as deceased; `on` is None if no date is recorded."""

    on: PartialDate | None


class DraftOrder(NamedTuple):
    """An order that is being written, of a kind of orders.toml. `by_name`: recognised by a name only, without a known code."""

    kind: str
    reference: str
    by_name: bool = False
    judged: bool = True
    """False for an order that is only beside those that are judged."""


@dataclass(frozen=True, slots=True)
class ClinicalPicture:
    """The readings of one patient by fact id, and what of the chart could not be used."""

    readings: Mapping[str, Readings]
    gate: Gate = field(default_factory=lambda: Gate(Nlm.YES))
    unreadable: tuple[Unreadable, ...] = ()
    """Resources that could not be read at all."""
    unread_drugs: int = 0
    """The number of drug entries that do not say which drug they are. Each may be any drug."""
    left_out: Mapping[LeftOut, int] = field(default_factory=dict)
    """Reason for leaving resources out → how many there were."""
    orders: Mapping[str, Observed] = field(default_factory=dict)
    """Modality id, or the concept of an ordered technique → the active order or scheduled procedure."""
    ordered_tests: frozenset[str] = frozenset()
    """Codes of tests with an order, as `order` of facts.toml and `test` of orders.toml have them."""
    drafts: tuple[DraftOrder, ...] = ()
    patient_id: str = ""
    sources: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Reference → the resource as sent."""
    not_consulted: tuple[NotConsulted, ...] = ()
    deceased: Deceased | None = None

    def readings_of(self, fact: str) -> Readings:
        """Return the readings of a fact; none, and incomplete, if the picture has no entry for it."""
        return self.readings.get(fact, NO_READINGS)
