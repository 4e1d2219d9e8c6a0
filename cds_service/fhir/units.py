"""Converts units by UCUM code with exact factors from a closed table. Nothing is guessed, and a display that contradicts the
code is rejected.

Accepted units and factors are in knowledge/facts.toml, spellings and ambiguous units in knowledge/units.toml.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Context, Decimal

from cds_service.fhir.resources import Quantity
from cds_service.knowledge.model import FactDefinition, Units
from cds_service.reasons import Explanation, Reason, ValueNotReadable

UCUM = "http://unitsofmeasure.org"
_EXACT = Context(prec=50)


class UnitError(ValueNotReadable):
    """The fact does not accept the unit. `unit`: the unit as sent, for cards only; it is never logged."""

    def __init__(self, why: Explanation, unit: str) -> None:
        super().__init__(why)
        self.unit = unit


@dataclass(frozen=True, slots=True)
class Scale:
    """The units that one fact accepts, with their factors and spellings."""

    units: Units
    factors: Mapping[str, Decimal]
    local: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def for_fact(cls, units: Units, definition: FactDefinition) -> Scale:
        """Return the scale of one fact."""
        return cls(units, definition.units, definition.local_units)

    def factor(self, unit: str) -> Decimal | None:
        """Return how many of `unit` make one of the fact's own unit, or None if the fact does not accept it. A site's spelling
        takes precedence."""
        spelt = spelling_of(unit)
        if not spelt:
            return None
        for name in (self.local.get(spelt, spelt), self.units.aliases.get(spelt, spelt)):
            if (factor := self.factors.get(name)) is not None:
                return factor
        return None

    @property
    def pure(self) -> bool:
        """Return True if the fact is a plain number without a unit: a count, a score, an INR."""
        return self.factors.get("1") == 1

    def resolve_unit(self, quantity: Quantity) -> Decimal:
        """Return the factor of a Quantity. Raises UnitError.

        A code of UCUM, or of no named system, takes precedence. Without a code the printed unit counts; with one it must not
        contradict it. If the code is of another system, the printed unit alone counts, and a code without one is rejected.
        """
        code, printed = spelling_of(quantity.code), spelling_of(quantity.unit)
        system = (quantity.system or "").strip()
        if system and not self.units.is_ucum(system):
            if code in self.local:
                return self.factors[self.local[code]]
            if code and not printed:
                raise UnitError(Explanation(Reason.UNIT_OF_ANOTHER_SYSTEM), code)
            if code and (said := self.factor(code)) is not None and said != self.factor(printed):
                raise UnitError(Explanation(Reason.UNIT_CONTRADICTS_CODE), f"{code}, {printed}")
            code = ""
        if not code and not printed:
            return self.without_unit()
        found = self.factor(code)
        if found is None and (not code or not system):
            found = self.factor(printed)
        if found is None:
            sent = code or printed
            because = self.units.refused.get(sent) or self.units.refused.get(printed)
            if because:
                raise UnitError(Explanation(Reason.UNIT_AMBIGUOUS, because=because), sent)
            raise UnitError(Explanation(Reason.UNIT_NOT_ACCEPTED), sent)
        shown = self.factor(printed)
        if shown != found if shown is not None else self._names_another(printed, code):
            raise UnitError(Explanation(Reason.UNIT_CONTRADICTS_CODE), f"{code}, {printed}")
        return found

    def _names_another(self, printed: str, code: str) -> bool:
        """Return True if a printed unit that the fact does not accept is in units.toml, so that it contradicts the code. It
        does not contradict a code that is the printed unit, a slash and more: laboratories print mL/min with the code
        mL/min/{1.73_m2}. Unknown text is ignored."""
        known = printed in self.units.aliases or printed in self.units.refused or printed in self.units.aliases.values()
        return known and not code.casefold().startswith(f"{printed.casefold()}/")

    def without_unit(self) -> Decimal:
        """Return the factor of a number without a unit: 1 for a plain number, or that of the unit a site states for its
        laboratory. Raises UnitError."""
        if (stated := self.local.get("")) is not None:
            return self.factors[stated]
        if self.pure:
            return Decimal(1)
        raise UnitError(Explanation(Reason.NO_UNIT), "")


def spelling_of(unit: str | None) -> str:
    """Return a unit in the spelling of the tables: outer, repeated and slash-adjacent spaces are removed."""
    return " ".join((unit or "").split()).replace(" /", "/").replace("/ ", "/")


def convert_value(value: Decimal, factor: Decimal) -> Decimal:
    """Return `value` in the fact's own unit, `factor` of which make one.

    A converted value is rounded to the significant digits it was given with, at least two (docs/knowledge.md, "Facts"): 51.3
    umol/L of bilirubin are 3.00 mg/dL. A value in the fact's own unit is unchanged.
    """
    if factor == 1:
        return value
    digits = max(len(value.as_tuple().digits), 2)
    return Context(prec=digits, rounding=ROUND_HALF_UP).create_decimal(_EXACT.divide(value, factor))
