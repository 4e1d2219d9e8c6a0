"""Units by UCUM code, with exact factors from a closed table; never by guess, and never by a display that contradicts.

The units that a fact accepts and their factors stand in knowledge/facts.toml, spellings and traps in knowledge/units.toml.
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
    """The unit is none that the fact accepts. `unit`: as it was sent, for a card; no log holds it."""

    def __init__(self, why: Explanation, unit: str) -> None:
        super().__init__(why)
        self.unit = unit


@dataclass(frozen=True, slots=True)
class Scale:
    """What one fact accepts: the factor behind each unit, and its spellings."""

    units: Units
    factors: Mapping[str, Decimal]
    local: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def for_fact(cls, units: Units, definition: FactDefinition) -> Scale:
        return cls(units, definition.units, definition.local_units)

    def factor(self, unit: str) -> Decimal | None:
        """How many of `unit` make one of ours; None where it is none, or no unit of the fact. A site's spelling comes first."""
        spelt = spelling_of(unit)
        if not spelt:
            return None
        for name in (self.local.get(spelt, spelt), self.units.aliases.get(spelt, spelt)):
            if (factor := self.factors.get(name)) is not None:
                return factor
        return None

    @property
    def pure(self) -> bool:
        """Whether the fact is a mere number, which needs no unit: a count, a score, an INR."""
        return self.factors.get("1") == 1

    def resolve_unit(self, quantity: Quantity) -> Decimal:
        """The factor of a Quantity. Raises UnitError.

        A code of UCUM, or of no named system, comes first. The printed unit counts where there is no code, and must not
        contradict one. Beside a code of another system the printed unit alone counts, and the number is never a mere one.
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
        """Whether a printed unit that the fact does not accept is a known one, and not its code's beginning: laboratories
        print mL/min beside the code mL/min/{1.73_m2}. A text that is no known unit says nothing."""
        known = printed in self.units.aliases or printed in self.units.refused or printed in self.units.aliases.values()
        return known and not code.casefold().startswith(f"{printed.casefold()}/")

    def without_unit(self) -> Decimal:
        """A number without a unit is a mere number, unless the site says in which unit its laboratory leaves it out."""
        if (stated := self.local.get("")) is not None:
            return self.factors[stated]
        if self.pure:
            return Decimal(1)
        raise UnitError(Explanation(Reason.NO_UNIT), "")


def spelling_of(unit: str | None) -> str:
    """A unit as tables hold it: blanks around it, doubled or beside a slash say nothing."""
    return " ".join((unit or "").split()).replace(" /", "/").replace("/ ", "/")


def convert_value(value: Decimal, factor: Decimal) -> Decimal:
    """`value` in our unit, `factor` of which make one of ours.

    A converted value is rounded to the significant digits it was given with, at least two (CLINICAL section 5):
    51.3 umol/L of bilirubin are 3.00 mg/dL. A value in our own unit stays as it is.
    """
    if factor == 1:
        return value
    digits = max(len(value.as_tuple().digits), 2)
    return Context(prec=digits, rounding=ROUND_HALF_UP).create_decimal(_EXACT.divide(value, factor))
