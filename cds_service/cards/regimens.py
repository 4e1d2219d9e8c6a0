"""The current regimen of a drug as text: "octreotide 30 mg every 4 weeks since Dec 2024"."""

from __future__ import annotations

from cds_service.clinical_picture import (
    Dose,
    DoseUnit,
    Frequency,
    Observed,
    PartialDate,
    PeriodUnit,
    Regimen,
    format_decimal,
)
from cds_service.reasoning.facts import Fact

UNITS = {
    DoseUnit.MICROGRAM: "µg",
    DoseUnit.MILLIGRAM_BY_SURFACE: "mg/m²",
    DoseUnit.INTERNATIONAL_UNIT: "IU",
    DoseUnit.MILLION_INTERNATIONAL_UNITS: "million IU",
}
"""Units that a card shows differently from UCUM."""
PERIODS = {
    PeriodUnit.HOUR: "hour",
    PeriodUnit.DAY: "day",
    PeriodUnit.WEEK: "week",
    PeriodUnit.MONTH: "month",
    PeriodUnit.YEAR: "year",
}
TIMES = {1: "once", 2: "twice"}
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def current_regimens(fact: Fact) -> tuple[Observed, ...]:
    """Return the newest entry of each active drug, newest first. Entries "as needed" come last, and count only for a drug
    without another entry."""
    active = [(reading, reading.regimen) for reading in fact.history if reading.regimen and reading.regimen.active]
    newest: dict[str, Observed] = {}
    for reading, regimen in sorted(active, key=lambda pair: pair[1].as_needed):
        newest.setdefault(regimen.drug, reading)
    return tuple(newest.values())


def format_regimen(observed: Observed) -> str:
    """Return the name of the drug in the knowledge, with dose, frequency and start if they are recorded in fields that are
    read.

    Raises ValueError for a reading without a regimen: it has no drug, or its entry names two.
    """
    regimen = observed.regimen
    if regimen is None:
        raise ValueError("not a reading of one drug")
    return " ".join(part for part in _parts(regimen) if part)


def _parts(regimen: Regimen) -> tuple[str, ...]:
    return (
        regimen.drug,
        _dose(regimen.dose) if regimen.dose else "",
        _frequency(regimen.frequency) if regimen.frequency else "",
        "as needed" if regimen.as_needed else "",
        f"since {format_month(regimen.since)}" if regimen.since else "",
    )


def _dose(dose: Dose) -> str:
    return f"{format_decimal(dose.amount)} {UNITS.get(dose.unit, dose.unit.value)}"


def _frequency(frequency: Frequency) -> str:
    """Return, for example, "twice a day", "every 4 weeks" or "twice every 3 weeks"."""
    unit, often = PERIODS[frequency.unit], TIMES.get(frequency.times, f"{frequency.times} times")
    if frequency.period != 1:
        every = f"every {format_decimal(frequency.period)} {unit}s"
        return every if frequency.times == 1 else f"{often} {every}"
    if frequency.times == 1 and frequency.unit is not PeriodUnit.DAY:
        return f"every {unit}"
    return f"{often} {'an' if frequency.unit is PeriodUnit.HOUR else 'a'} {unit}"


def format_month(on: PartialDate) -> str:
    """Return, for example, "Dec 2024", or the year if the month is not known."""
    year, month = on.earliest.year, on.earliest.month
    return f"{MONTHS[month - 1]} {year}" if (on.latest.year, on.latest.month) == (year, month) else str(year)
