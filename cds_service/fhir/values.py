"""The value of an Observation or component, in the terms of a fact; a value that cannot be read is an error, never a guess."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

from cds_service.fhir import units
from cds_service.fhir.gate import codings, text_of
from cds_service.fhir.resources import Component, Observation, Quantity
from cds_service.knowledge.model import FactDefinition, Knowledge
from cds_service.picture import Amount, Observed, Value


def coded(knowledge: Knowledge, definition: FactDefinition, part: Observation | Component) -> str | None:
    for coding in codings(knowledge, part.value_codeable_concept):
        own = coding.system == knowledge.assessment_system and coding.code in definition.options
        if value := coding.code if own else knowledge.terminology.value(definition.id, coding):
            return value
    return None


def value_of(knowledge: Knowledge, definition: FactDefinition, part: Observation | Component) -> tuple[Value, str]:
    """The value in the fact's terms, and as recorded. Raises ValueError with the reason, never with the value."""
    if definition.kind in {"quantity", "integer"}:
        return _number(definition, part)
    boolean = part.value_boolean
    if boolean is not None and (definition.kind == "boolean" or definition.id == "hormonal_syndrome"):
        if definition.kind == "boolean":
            return boolean, "yes" if boolean else "no"
        return ("unspecified", "yes") if boolean else ("none", "no")
    if definition.kind in {"code", "codes"}:
        value = coded(knowledge, definition, part)
        if value is not None:
            return value, text_of(part.value_codeable_concept) or value
    raise ValueError(_no_value(part, definition.kind))


def _number(definition: FactDefinition, part: Observation | Component) -> tuple[Value, str]:
    quantity = part.value_quantity
    if quantity is not None and quantity.value is not None:
        _plausible(quantity.value)
        value = units.convert(quantity.value, _unit(quantity), definition.units)
        amount = Amount.compared((quantity.comparator or "").strip(), value)
        text = f"{quantity.comparator or ''}{quantity.value} {quantity.unit or quantity.code or ''}".strip()
    elif part.value_integer is not None and "1" in definition.units:
        value = Decimal(part.value_integer)
        amount, text = Amount.exactly(value), str(part.value_integer)
    elif part.value_string is not None and definition.units.get("1") == 1:
        try:
            value = _plausible(Decimal(part.value_string.strip()))
        except InvalidOperation:
            raise ValueError("valueString is not a number") from None
        amount, text = Amount.exactly(value), part.value_string.strip()
    else:
        raise ValueError(_no_value(part, "a number"))
    if not value.is_finite() or (definition.range and not definition.range[0] <= value <= definition.range[1]):
        raise ValueError("number outside what the fact can be")
    return amount, text


LARGEST_EXPONENT = 15


def _plausible(value: Decimal) -> Decimal:
    """Raises ValueError on a number no laboratory sends: its exponent alone could keep a worker busy for minutes."""
    if not value.is_finite() or abs(value.adjusted()) > LARGEST_EXPONENT or len(value.as_tuple().digits) > 2 * LARGEST_EXPONENT:
        raise ValueError("number outside what the fact can be")
    return value


def _unit(quantity: Quantity) -> str | None:
    """The UCUM code; the printed unit only where no code is sent."""
    return quantity.code if quantity.code else quantity.unit


def has_value(part: Observation | Component) -> bool:
    values = (part.value_quantity, part.value_codeable_concept, part.value_string, part.value_boolean, part.value_integer)
    return any(value is not None for value in values)


def _no_value(part: Observation | Component, wanted: str) -> str:
    if part.data_absent_reason is not None:
        return "the value is absent, with a reason"
    return f"no value that can be read as {wanted}" if has_value(part) else "no value"


def largest_of_each_day(readings: Iterable[Observed]) -> list[Observed]:
    """Tumour sizes of one study date: the largest counts."""
    best: dict[str, Observed] = {}
    for reading in readings:
        assert isinstance(reading.value, Amount)
        day = str(reading.on)
        held = best.get(day)
        if held is None or _low(reading) > _low(held):
            best[day] = reading
    return list(best.values())


def _low(reading: Observed) -> Decimal:
    value = reading.value
    return value.low if isinstance(value, Amount) and value.low is not None else Decimal(-1)
