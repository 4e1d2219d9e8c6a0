"""Units by UCUM code, with exact factors; never by the display text alone, never by guess."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Context, Decimal

UCUM = "http://unitsofmeasure.org"

ALIASES: Mapping[str, str] = {
    "10*3/mm3": "10*3/uL",
    "10^9/L": "10*9/L",
    "10^3/uL": "10*3/uL",
    "x10E9/L": "10*9/L",
    "10*3/\u03bcL": "10*3/uL",
    "10*3/\u00b5L": "10*3/uL",
    "K/uL": "10*3/uL",  # in UCUM a kelvin per microlitre; laboratories mean thousands
    "10*6/mL": "10*9/L",
    "\u00b5mol/L": "umol/L",
    "\u03bcmol/L": "umol/L",
    "mg/dl": "mg/dL",
    "g/dl": "g/dL",
    "g/l": "g/L",
    "umol/l": "umol/L",
    "mL/min/1.73m2": "mL/min/{1.73_m2}",
    "mL/min/1.73 m2": "mL/min/{1.73_m2}",
    "mL/min/1.73m^2": "mL/min/{1.73_m2}",
    "mL/min/1.73_m2": "mL/min/{1.73_m2}",
    "mL/min/{1.73m2}": "mL/min/{1.73_m2}",
    "INR": "{INR}",
    "ratio": "{ratio}",
    "{score}": "{score}",
    "{ratio}": "{ratio}",
}
"""Spellings that real systems send for one unambiguous unit."""

_EXACT = Context(prec=50)


class UnitError(ValueError):
    """The unit is none that the fact accepts."""


def convert(value: Decimal, unit: str | None, accepted: Mapping[str, Decimal]) -> Decimal:
    """`value` in our unit. `accepted`: UCUM code -> how many of it make one of ours (knowledge/facts.toml).

    A converted value is rounded to the significant digits it was given with, at least two (CLINICAL section 5):
    51.3 umol/L of bilirubin are 3.00 mg/dL. A value in our own unit stays as it is. Raises UnitError.
    """
    name = (unit or "").strip()
    factor = accepted.get(name)
    if factor is None:
        factor = accepted.get(ALIASES.get(name, ""))
    if factor is None and not name:
        factor = accepted.get("1")  # a bare number is the unit 1, where the fact has no other
    if factor is None:
        raise UnitError("unit not accepted")
    if factor == 1:
        return value
    digits = max(len(value.as_tuple().digits), 2)
    return Context(prec=digits, rounding=ROUND_HALF_UP).create_decimal(_EXACT.divide(value, factor))
