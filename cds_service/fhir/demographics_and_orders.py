"""Reads the person, their death and the active orders of a chart."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from cds_service.clinical_picture import Deceased, Interval, Observed, PartialDate, Unreadable
from cds_service.fhir.chart import Chart
from cds_service.fhir.concepts import codings, meanings, text_of
from cds_service.fhir.dates import first_date, is_future
from cds_service.fhir.resources import CodeableConcept
from cds_service.knowledge.model import Knowledge
from cds_service.reasons import Explanation, Reason


def read_demographics(chart: Chart, today: date) -> Iterator[tuple[str, Observed]]:
    """Yield age on the day and sex as (fact id, reading)."""
    patient = chart.patient
    if patient is None:
        return
    where = f"Patient/{patient.id}"
    born = first_date(patient.birth_date)
    if born and born.latest <= today:
        oldest, youngest = _years(born.earliest, today), _years(born.latest, today)
        value = Interval(Decimal(youngest), Decimal(oldest))
        yield "age", Observed(value, PartialDate.from_day(today), where, f"born {born}")
    if patient.gender in {"female", "male"}:
        yield "sex", Observed(patient.gender, PartialDate.from_day(today), where, patient.gender)


def read_death(chart: Chart, today: date) -> Deceased | Unreadable | None:
    """Return the death of the patient, None if nothing states it, or Unreadable if it cannot be determined.

    FHIR allows a boolean or a date. A value of another type, `false` with a date, and a future date cannot be read.
    """
    patient = chart.patient
    if patient is None or (patient.deceased_date_time is None and patient.deceased_boolean in (None, False)):
        return None
    said, when = patient.deceased_boolean, patient.deceased_date_time
    if said is True and when is None:
        return Deceased(None)
    on = first_date(when) if isinstance(when, str) else None
    if on is None or is_future(on, today) or said not in (None, True):
        return Unreadable(None, f"Patient/{patient.id}", Explanation(Reason.DEATH_NOT_READABLE))
    return Deceased(on)


def _years(born: date, today: date) -> int:
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


class ActiveOrders(NamedTuple):
    """The treatments and tests of a chart's active orders and scheduled procedures."""

    treatments: dict[str, Observed]
    """Modality id, or concept by which a technique is ordered → its order."""
    tests: frozenset[str]
    """Codes of tests already ordered (`ordered_tests`)."""


def read_orders(chart: Chart, knowledge: Knowledge) -> ActiveOrders:
    """Return the active orders and scheduled procedures of a chart.

    An untrusted order counts as a treatment order if there is no other, so that it still warns. It never counts as an ordered
    test.
    """
    ordered: dict[str, Observed] = {}
    tests: set[str] = set()
    techniques = {name for modality in knowledge.modalities for t in modality.techniques for name in t.ordered_by}
    doubted = {part.reference for part in chart.untrusted}
    for where, concept, on in sorted(chart.orders, key=lambda order: order.reference in doubted):
        if where not in doubted:
            tests |= ordered_tests(knowledge, concept)
        concepts = {meaning.concept for meaning in meanings(knowledge, concept)}
        for modality in knowledge.modalities:
            if concepts & modality.orders:
                ordered.setdefault(modality.id, Observed(True, on, where, text_of(concept)))
        for name in concepts & techniques:
            ordered.setdefault(name, Observed(True, on, where, text_of(concept)))
    return ActiveOrders(ordered, frozenset(tests))


def ordered_tests(knowledge: Knowledge, concept: CodeableConcept | None) -> set[str]:
    """Return the codes of the tests that an order with this concept asks for: its LOINC codes, and those of the tests of
    orders.toml that it is another order of."""
    sent = codings(knowledge, concept)
    held, codes = {meaning.concept for meaning in meanings(knowledge, concept)}, {(c.system, c.code) for c in sent}
    same = {test.code for test in knowledge.orders.tests if held & test.concepts or codes & test.codes}
    own = {test.code for test in knowledge.orders.tests if (test.system, test.code) in codes}
    return same | own | {coding.code for coding in sent if coding.system == "loinc"}
