"""Reads dose, frequency and start of a drug from the structured fields of a dosage. Its text is never read.

Whatever is not one dose and one frequency is left out: several instructions, a range, days of the week, a course of some days.
A regimen is shown and decides nothing.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from cds_service.clinical_picture import Dose, DoseUnit, Frequency, PartialDate, PeriodUnit, Regimen
from cds_service.fhir.dates import first_date, is_future
from cds_service.fhir.medication import Drug
from cds_service.fhir.resources import Period, Quantity, Struct
from cds_service.fhir.units import UCUM

MAX_NUMBER, MAX_DIGITS = Decimal(1_000_000), 12
"""Larger doses and intervals, and numbers with more digits, are errors."""


class Repeat(Struct):
    """FHIR's Timing.repeat. A missing `frequency` means 1 (FHIR R4, Timing)."""

    bounds_period: Period | None = None
    frequency: int = 1
    period: Decimal | None = None
    period_unit: str | None = None
    bounds_duration: Any = None
    bounds_range: Any = None
    count: Any = None
    frequency_max: Any = None
    period_max: Any = None
    day_of_week: Any = None
    time_of_day: Any = None
    when: Any = None

    @property
    def more_than_a_frequency(self) -> bool:
        """Return True if any field other than frequency, period, periodUnit and boundsPeriod is set."""
        return any(
            (self.bounds_duration, self.bounds_range, self.count, self.frequency_max, self.period_max,
             self.day_of_week, self.time_of_day, self.when)
        )  # fmt: skip


class Timing(Struct):
    repeat: Repeat | None = None
    event: Any = None
    modifier_extension: Any = None


class DoseAndRate(Struct):
    dose_quantity: Quantity | None = None


class Dosage(Struct):
    timing: Timing | None = None
    as_needed_boolean: bool | None = None
    as_needed_codeable_concept: Any = None
    dose_and_rate: list[DoseAndRate] | None = None
    modifier_extension: Any = None


DECODER = msgspec.json.Decoder(list[Dosage] | None)
UNSTATED = Dosage()


def read_regimen(drug: Drug, concepts: frozenset[str], today: date) -> Regimen | None:
    """Return the regimen of a drug entry. Return None if the entry is untrusted or its codes do not decide exactly one concept,
    since with two drugs the dose is ambiguous."""
    if len(concepts) != 1 or drug.doubt:
        return None
    name = next(iter(concepts)).removeprefix("med.").replace("_", " ")
    dosage = _only_dosage(drug.dosage)
    repeat = dosage.timing.repeat if dosage.timing else None
    bounds = repeat.bounds_period if repeat else None
    begun = first_date(bounds.start if bounds else None) or drug.begun
    ends = (first_date(bounds.end if bounds else None), drug.ended)
    return Regimen(
        drug=name,
        active=drug.active and not is_future(begun, today) and not any(_is_over(end, today) for end in ends),
        dose=_dose(dosage),
        frequency=_frequency(dosage),
        as_needed=bool(dosage.as_needed_boolean or dosage.as_needed_codeable_concept),
        since=None if is_future(begun, today) else begun,
    )


def _is_over(end: PartialDate | None, today: date) -> bool:
    return end is not None and end.latest < today


def _only_dosage(sent: msgspec.Raw) -> Dosage:
    """Return the only dosage instruction. An unreadable one does not affect the drug: it is given, with an unknown regimen."""
    try:
        found = DECODER.decode(sent) or []
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return UNSTATED
    if len(found) != 1 or found[0].modifier_extension or (found[0].timing and found[0].timing.modifier_extension):
        return UNSTATED
    return found[0]


def _dose(dosage: Dosage) -> Dose | None:
    quantity = dosage.dose_and_rate[0].dose_quantity if dosage.dose_and_rate and len(dosage.dose_and_rate) == 1 else None
    if quantity is None or quantity.comparator or quantity.system != UCUM or not _is_possible(quantity.value):
        return None
    unit = next((unit for unit in DoseUnit if unit.value == quantity.code), None)
    return Dose(quantity.value, unit) if unit and quantity.value is not None else None


def _frequency(dosage: Dosage) -> Frequency | None:
    repeat = dosage.timing.repeat if dosage.timing and not dosage.timing.event else None
    if repeat is None or repeat.more_than_a_frequency or repeat.period is None:
        return None
    unit = next((unit for unit in PeriodUnit if unit.value == repeat.period_unit), None)
    if unit is None or not _is_possible(repeat.period) or not _is_possible(Decimal(repeat.frequency)):
        return None
    return Frequency(repeat.frequency, repeat.period, unit)


def _is_possible(number: Decimal | None) -> bool:
    if number is None or not number.is_finite() or len(number.as_tuple().digits) > MAX_DIGITS:
        return False
    return 0 < number <= MAX_NUMBER and number.adjusted() >= -MAX_DIGITS
