"""What is recorded about one patient, before anybody asks how old it is.

A `ClinicalPicture` keeps, for every fact of `knowledge/facts.toml`, all readings that count, each with its date,
its reference and the text it was recorded as. `determine_facts` (in `reasoning/current_facts.py`) turns it, for one day, into
facts that are known, silent or unknown. Nothing here does any input or output.
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
    """A number as an interval, so that a comparator ("< 5") says no more than it knows.

    Bounds of None are open ends.
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
        """From FHIR `Quantity.comparator`. Raises ValueNotReadable on a comparator FHIR does not have."""
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
    """The largest of several numbers, no surer than they are: the largest of 2 and "< 25" is anything from 2 to 25."""
    found = list(amounts)
    low = max(found, key=lambda a: (a.low is not None, a.low or 0, not a.low_included))
    high = max(found, key=lambda a: (a.high is None, a.high or 0, a.high_included))
    return Interval(low.low, high.high, low.low_included, high.high_included)


Value = Interval | bool | str | frozenset[str]


def format_decimal(number: Decimal) -> str:
    """A decimal without exponent and without needless zeros: 3.00 -> 3, 1E+2 -> 100."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def number_key(number: Decimal | float | int) -> str:
    """One text for equal numbers, to look them up by: 1.0 as 1.00, 1e3 as 1000, -0 as 0. Python hashes numbers without a
    seed, so that a chart could give thousands of them one hash."""
    if not number:
        return "0"
    digits, _, exponent = format(Decimal(number), "E").partition("E")
    return f"{digits.rstrip('0').rstrip('.')}E{exponent}" if "." in digits else f"{digits}E{exponent}"


@dataclass(frozen=True, slots=True)
class PartialDate:
    """A FHIR date or dateTime: a whole day, month or year, or an instant. Earliest and latest day it can mean."""

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
    """The units of a dose that are read, as UCUM writes them."""

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
    """The units of an interval between doses that are read, as UCUM writes them."""

    HOUR = "h"
    DAY = "d"
    WEEK = "wk"
    MONTH = "mo"
    YEAR = "a"


class Dose(NamedTuple):
    amount: Decimal
    unit: DoseUnit


class Frequency(NamedTuple):
    """So many times in each period: once every 4 weeks, twice a day."""

    times: int
    period: Decimal
    unit: PeriodUnit


@dataclass(frozen=True, slots=True)
class Regimen:
    """How one entry of a chart says that a drug is given. None: not recorded, or not in fields that are read.

    `drug` is its name in our own vocabulary; `since` the day from which the entry counts; `active`: the entry counts on the
    day the chart was read.
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

    `value` is in the fact's unit; `recorded` is the original value and unit; `seen_in` the FHIR reference
    ("Observation/inr-1"); `on` the clinically relevant date, None if the resource carries none;
    `note` says how the value came about where it was not simply read ("from tumour sizes, at least");
    `ageless`: an active coded diagnosis, which says "still so" and never goes out of date.
    """

    value: Value
    on: PartialDate | None
    seen_in: str
    recorded: str
    note: Explanation | None = field(default=None, compare=False)
    ageless: bool = False
    fact: str = ""
    """The fact it is a reading of; filled in when the facts are determined."""
    issued: PartialDate | None = None
    """Of one without a date: it is no newer than this. Shown, and enough to tell that it is older than another; no date."""
    regimen: Regimen | None = field(default=None, compare=False)
    """Of a drug: how it is given."""

    @property
    def reason(self) -> Reason | None:
        """The code of its note."""
        return reason_of(self.note)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A resource that speaks of the fact but could not be understood. `why` names fault and path, never a value;
    `unit` is the unit that was refused, as sent, for a card."""

    on: PartialDate | None
    seen_in: str
    why: Explanation = field(compare=False)
    unit: str = ""


class Omission(StrEnum):
    """Why a resource of a chart does not count. The words for it are in cards/wording.py."""

    SENT_TWICE = "sent-twice"
    OLDER_VERSION = "older-version"
    VERSION_IN_ERROR = "version-in-error"
    TYPE_NOT_READ = "type-not-read"
    NO_RESOURCE_TYPE = "no-resource-type"
    NO_SUBJECT = "no-subject"
    MERGED_PATIENT = "merged-patient"
    """Of a record that is linked to this patient's as that of the same person."""
    OTHER_PATIENT = "other-patient"
    NOT_WANTED = "not-wanted"
    """A request that is a proposal or a plan, or asks not to do it."""
    NOT_COUNTING = "not-counting"
    """FHIR defines its status as one that does not count."""
    REFUTED = "refuted"
    """A diagnosis that was refuted, or entered in error."""
    NOT_FINAL = "not-final"
    NOT_AVAILABLE = "not-available"


class LeftOut(NamedTuple):
    """A kind of resource that does not count. `resource_type` and `status` only where the reason is one of theirs."""

    reason: Omission
    resource_type: str = ""
    status: str = ""


@dataclass(frozen=True, slots=True)
class NotConsulted:
    """A prefetch key that was not answered completely, and why."""

    key: str
    why: Explanation = field(compare=False)


@dataclass(frozen=True, slots=True)
class Readings:
    """All that the chart holds about one fact. `complete`: everything that could hold it was asked and arrived."""

    valid: tuple[Observed, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    complete: bool = False
    open_question: tuple[Observed, ...] = ()
    """Codes that ask without answering (portal vein thrombosis without its extent, nodal metastases)."""


NO_READINGS = Readings()


class Nlm(StrEnum):
    """Does the chart hold neuroendocrine liver metastases? (CLINICAL section 2)"""

    YES = "yes"
    POSSIBLE = "possible"
    CANNOT_TELL = "cannot-tell"
    NO = "no"


@dataclass(frozen=True, slots=True)
class Gate:
    answer: Nlm
    because: Explanation | None = field(default=None, compare=False)
    seen: tuple[Observed, ...] = ()


@dataclass(frozen=True, slots=True)
class Deceased:
    """The chart says that the patient has died; `on` is None where it does not say when."""

    on: PartialDate | None


@dataclass(frozen=True, slots=True)
class ClinicalPicture:
    readings: Mapping[str, Readings]
    gate: Gate = field(default_factory=lambda: Gate(Nlm.YES))
    unreadable: tuple[Unreadable, ...] = ()
    """Resources that could not be read at all."""
    unread_drugs: int = 0
    """Entries of drugs that do not say which drug they are: any drug may be one of them."""
    left_out: Mapping[LeftOut, int] = field(default_factory=dict)
    """Which resources were left out, and why → how many."""
    orders: Mapping[str, Observed] = field(default_factory=dict)
    """Modality, or the concept by which a technique is ordered → the active order or scheduled procedure."""
    ordered_tests: frozenset[str] = frozenset()
    """LOINC codes of tests with an active order."""
    patient_id: str = ""
    sources: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Reference → the resource as sent."""
    not_consulted: tuple[NotConsulted, ...] = ()
    deceased: Deceased | None = None

    def readings_of(self, fact: str) -> Readings:
        return self.readings.get(fact, NO_READINGS)
