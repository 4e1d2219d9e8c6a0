"""Reads the value of an Observation or component for a fact. A value that cannot be read raises; nothing is guessed."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import NamedTuple

from cds_service.clinical_picture import Interval, Observed, Value, format_decimal
from cds_service.fhir.concepts import codings, names_of, text_of
from cds_service.fhir.number_texts import NumberText, read_number_text
from cds_service.fhir.resources import Component, Observation, Quantity, Ratio, ReferenceRange, codes
from cds_service.fhir.units import UCUM, Scale, convert_value
from cds_service.knowledge.model import FactDefinition, Knowledge
from cds_service.knowledge.terminology import TEXT, StandardCoding
from cds_service.knowledge.vocabulary import FactKind
from cds_service.reasons import Explanation, Reason, ValueNotReadable

Part = Observation | Component
READ_AS = (
    "value_quantity",
    "value_range",
    "value_ratio",
    "value_codeable_concept",
    "value_string",
    "value_boolean",
    "value_integer",
)
COMPARATORS = {"≤": "<=", "≥": ">="}
LARGEST_EXPONENT = 15
_EXACT = Context(prec=30)


class RecordedValue(NamedTuple):
    """A value in the unit or options of its fact, with the text as recorded."""

    value: Value
    recorded: str


def value_of(knowledge: Knowledge, definition: FactDefinition, part: Part) -> RecordedValue:
    """Return the value of an Observation or component. Raises ValueNotReadable with the reason, which never contains the
    value."""
    given = [name for name in READ_AS if getattr(part, name) is not None]
    if not given:
        raise ValueNotReadable(_absence(part))
    if part.data_absent_reason is not None or len(given) > 1:
        one = len(given) == 1
        raise ValueNotReadable(Explanation(Reason.VALUE_BESIDE_ABSENCE) if one else Explanation(Reason.SEVERAL_VALUES))
    if definition.kind.numeric:
        return _number(knowledge, definition, part)
    boolean = part.value_boolean
    if boolean is not None and definition.kind is FactKind.BOOLEAN:
        return RecordedValue(boolean, "yes" if boolean else "no")
    if boolean is not None and definition.id == "hormonal_syndrome":
        return RecordedValue("unspecified", "yes") if boolean else RecordedValue("none", "no")
    said = read_answer(knowledge, definition, part)
    if said is None:
        raise ValueNotReadable(Explanation(Reason.VALUE_OF_ANOTHER_KIND, kind=definition.kind))
    text = text_of(part.value_codeable_concept) or (part.value_string or "").strip() or said
    return RecordedValue(said == "true" if definition.kind is FactKind.BOOLEAN else said, text)


def read_answer(knowledge: Knowledge, definition: FactDefinition, part: Part) -> str | None:
    """Return a coded answer, or a text that is exactly one option; None if neither. Answers of the project's own CodeSystem
    take precedence.

    Raises ValueNotReadable if the codings of one answer contradict each other.
    """
    concept, text = part.value_codeable_concept, part.value_string
    spoken = codings(knowledge, concept)
    if text is None and concept is not None and not spoken:
        text = concept.text
        literal = False  # concept.text is free text; only a site file may give it a meaning
    else:
        literal = True
    if text is not None:
        said = StandardCoding(TEXT, text)
        known = {option for option in definition.options if literal and option.casefold() == text.strip().casefold()}
        return next(iter(known), None) or _meant(knowledge, definition, said)
    own = {c.code for c in spoken if c.system == knowledge.assessment_system and c.code in definition.options}
    found = own or {value for c in spoken if (value := _meant(knowledge, definition, c)) is not None}
    if len(found) > 1:
        raise ValueNotReadable(Explanation(Reason.CODES_CONTRADICT))
    return next(iter(found), None)


def _meant(knowledge: Knowledge, definition: FactDefinition, coding: StandardCoding) -> str | None:
    said = knowledge.terminology.value(definition.id, coding)
    if definition.kind is not FactKind.BOOLEAN:
        return said
    return said if said in {"true", "false"} else knowledge.terminology.value("yes_no", coding)


def _number(knowledge: Knowledge, definition: FactDefinition, part: Part) -> RecordedValue:
    scale = Scale.for_fact(knowledge.units, definition)
    if (quantity := part.value_quantity) is not None:
        amount, text = _compared(scale, quantity, (quantity.comparator or "").strip()), _written(quantity)
    elif (between := part.value_range) is not None:
        ends = [quantity for quantity in (between.low, between.high) if quantity is not None]
        if not ends or any(quantity.comparator for quantity in ends):
            raise ValueNotReadable(Explanation(Reason.RANGE_WITHOUT_ENDS))
        low, high = (_converted(scale, quantity) if quantity else None for quantity in (between.low, between.high))
        amount, text = Interval(low, high), " to ".join(_written(quantity) for quantity in ends)
    elif (ratio := part.value_ratio) is not None:
        amount, text = _share(knowledge, scale, ratio)
    elif part.value_integer is not None:
        amount, text = (
            Interval.from_number(convert_value(Decimal(part.value_integer), scale.without_unit())),
            str(part.value_integer),
        )
    elif part.value_string is not None and (found := _number_text(knowledge, definition, part, part.value_string)):
        amount, text = _from_text(scale, found), part.value_string.strip()
        if found.inexact:
            _possible(definition, amount)
            amount = _widened(definition, amount, knowledge.number_writing.inexact_share)
    elif (said := read_answer(knowledge, definition, part)) is not None:
        amount, text = Interval.from_number(said), text_of(part.value_codeable_concept) or (part.value_string or said).strip()
    else:
        raise ValueNotReadable(Explanation(Reason.NOT_A_NUMBER))
    _possible(definition, amount)
    return RecordedValue(amount, text)


def exact_number(knowledge: Knowledge, definition: FactDefinition, text: str) -> str | None:
    """Return the digits of the number that a text states, in the unit of the fact; None if it is not exact, or if the fact
    cannot have it."""
    found = read_number_text(text, knowledge.number_writing)
    if found is None or found.inexact:
        return None
    try:
        amount = _from_text(Scale.for_fact(knowledge.units, definition), found)
        _possible(definition, amount)
    except ValueNotReadable:
        return None
    return None if amount.exact is None else format_decimal(amount.exact)


def upper_limits_of(knowledge: Knowledge, part: Part) -> Interval:
    """Return the value as a multiple of its own upper reference limit. Raises ValueNotReadable if there is no limit, more than
    one, or a limit in another unit."""
    value, ranges = part.value_quantity, part.reference_range or []
    high = ranges[0].high if len(ranges) == 1 and _is_of_everybody(ranges[0]) else None
    if value is None or value.value is None or high is None or high.value is None or high.comparator:
        raise ValueNotReadable(Explanation(Reason.NO_UPPER_LIMIT))
    if not _of_one_unit(knowledge, value, high) or _plausible(high.value) <= 0:
        raise ValueNotReadable(Explanation(Reason.NO_UPPER_LIMIT))
    comparator = (value.comparator or "").strip()
    times = _EXACT.divide(_plausible(value.value), high.value)
    return Interval.from_comparator(COMPARATORS.get(comparator, comparator), times)


def _is_of_everybody(limits: ReferenceRange) -> bool:
    """Return True for the normal range of no particular group: not a critical, therapeutic or recommended range."""
    said = codes(limits.type) - {""}
    return not (limits.applies_to or limits.age) and (limits.type is None or said == {"normal"})


def _written(quantity: Quantity) -> str:
    return f"{quantity.comparator or ''}{quantity.value} {quantity.unit or quantity.code or ''}".strip()


def _converted(scale: Scale, quantity: Quantity) -> Decimal:
    if quantity.value is None:
        raise ValueNotReadable(Explanation(Reason.UNIT_WITHOUT_NUMBER))
    return convert_value(_plausible(quantity.value), scale.resolve_unit(quantity))


def _compared(scale: Scale, quantity: Quantity, comparator: str) -> Interval:
    return Interval.from_comparator(COMPARATORS.get(comparator, comparator), _converted(scale, quantity))


def _number_text(knowledge: Knowledge, definition: FactDefinition, part: Part, text: str) -> NumberText | None:
    called = names_of(part.code, part.code.coding or ()) if part.code else ()
    return read_number_text(text, knowledge.number_writing, (*definition.names, *called))


def _from_text(scale: Scale, found: NumberText) -> Interval:
    if found.high is None:
        return _compared(scale, Quantity(found.low, unit=found.unit), found.comparator)
    if found.comparator:
        raise ValueNotReadable(Explanation(Reason.COMPARATOR_BESIDE_RANGE))
    low, high = (_converted(scale, Quantity(end, unit=found.unit)) for end in (found.low, found.high))
    return Interval(low, high)


def _widened(definition: FactDefinition, amount: Interval, share: Decimal) -> Interval:
    """Return an approximate number as the interval in which it may lie, within the range of its fact."""
    low, high = (Decimal(0) if end is None else end for end in (amount.low, amount.high))
    low, high = low - abs(low) * share, high + abs(high) * share
    if definition.kind is FactKind.INTEGER:
        low, high = low.to_integral_value(ROUND_FLOOR), high.to_integral_value(ROUND_CEILING)
    if definition.range:
        low, high = max(low, definition.range[0]), min(high, definition.range[1])
    return Interval(low, high)


def _of_one_unit(knowledge: Knowledge, one: Quantity, other: Quantity) -> bool:
    """Return True if two quantities have the same unit of the same system. All spellings of the UCUM URI are equal."""

    def unit(quantity: Quantity) -> tuple[str, str | None]:
        return quantity.code or quantity.unit or "", UCUM if knowledge.units.is_ucum(quantity.system) else quantity.system

    return unit(one) == unit(other)


def _share(knowledge: Knowledge, scale: Scale, ratio: Ratio) -> tuple[Interval, str]:
    """Return the ratio of two quantities of one unit, such as 150 of 1,000 cells. Raises ValueNotReadable for any other ratio,
    such as 5 mg per day."""
    of, whole = ratio.numerator, ratio.denominator
    if of is None or whole is None or of.value is None or whole.value is None or of.comparator or whole.comparator:
        raise ValueNotReadable(Explanation(Reason.RATIO_WITHOUT_NUMBERS))
    if (
        not _of_one_unit(knowledge, of, whole)
        or _plausible(of.value) < 0
        or _plausible(whole.value) <= 0
        or "1" not in scale.factors
    ):
        raise ValueNotReadable(Explanation(Reason.RATIO_OF_TWO_UNITS))
    share = _EXACT.divide(of.value, whole.value)
    return Interval.from_number(_EXACT.divide(share, scale.factors["1"])), f"{_written(of)} of {_written(whole)}"


def _possible(definition: FactDefinition, amount: Interval) -> None:
    """Raises ValueNotReadable if the fact cannot have this value: out of range, lower end above the upper, or a fraction for an
    integer."""
    ends = [end for end in (amount.low, amount.high) if end is not None]
    if len(ends) == 2 and ends[0] > ends[1]:
        raise ValueNotReadable(Explanation(Reason.RANGE_UPSIDE_DOWN))
    if definition.range:
        smallest, largest = definition.range
        beyond = (amount.high == smallest and not amount.high_included) or (amount.low == largest and not amount.low_included)
        if beyond or not all(smallest <= end <= largest for end in ends):
            raise ValueNotReadable(Explanation(Reason.NUMBER_NOT_POSSIBLE))
    if definition.kind is FactKind.INTEGER and any(end != end.to_integral_value() for end in ends):
        raise ValueNotReadable(Explanation(Reason.NOT_A_WHOLE_NUMBER))


def _plausible(value: Decimal) -> Decimal:
    """Return the number. Raises ValueNotReadable if it is implausibly long, since a huge exponent could take minutes of
    processor time."""
    if not value.is_finite() or abs(value.adjusted()) > LARGEST_EXPONENT or len(value.as_tuple().digits) > 2 * LARGEST_EXPONENT:
        raise ValueNotReadable(Explanation(Reason.NUMBER_NOT_POSSIBLE))
    return value


def has_value(part: Part) -> bool:
    """Return True if the Observation or component has a value of a type that is read."""
    return any(getattr(part, name) is not None for name in READ_AS)


ABSENT = frozenset(
    ["unknown", "asked-unknown", "temp-unknown", "not-asked", "asked-declined", "masked", "not-applicable", "unsupported",
     "as-text", "error", "not-a-number", "negative-infinity", "positive-infinity", "not-performed", "not-permitted"]
)  # fmt: skip
"""The codes of FHIR's data-absent-reason. Any other code is not repeated."""


def _absence(part: Part) -> Explanation:
    if part.data_absent_reason is None:
        return Explanation(Reason.NO_VALUE)
    said = {(c.code or "").strip() for c in (part.data_absent_reason.coding or ())} & ABSENT
    return Explanation(Reason.VALUE_ABSENT_BECAUSE, codes=", ".join(sorted(said))) if said else Explanation(Reason.VALUE_ABSENT)


def largest_of_each_day(readings: Iterable[Observed]) -> list[Observed]:
    """Return the largest tumour size of each study date. Undated sizes are all kept, since each may be from a different
    study."""
    best: dict[str, Observed] = {}
    undated: list[Observed] = []
    for reading in readings:
        if reading.on is None:
            undated.append(reading)
            continue
        day = str(reading.on)
        held = best.get(day)
        if held is None or (_low(reading), held.seen_in) > (_low(held), reading.seen_in):
            best[day] = reading
    return [*best.values(), *undated]


def _low(reading: Observed) -> Decimal:
    value = reading.value
    return value.low if isinstance(value, Interval) and value.low is not None else Decimal(-1)
