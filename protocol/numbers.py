"""Exact numbers: DECIMAL(20,4) as whole *units* of a ten-thousandth (PRD 4.3.2).

Inside both programs a number is a plain ``int`` of units, so sums are exact and cheap. Text is made and read only at
the edges.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

DECIMALS: Final = 4
UNIT: Final = 10**DECIMALS
MAX_UNITS: Final = 10**20 - 1
MAX_TEXT: Final = "9999999999999999.9999"

_STEP: Final = Decimal(1).scaleb(-DECIMALS)
_CONTEXT: Final = Context(prec=40, rounding=ROUND_HALF_EVEN)


def to_units(number: int | Decimal) -> int:
    """Units of a JSON number, rounded half even to four decimals.

    Raises ValueError for NaN, infinity and anything outside +-9999999999999999.9999.
    """
    if isinstance(number, int):
        units = number * UNIT
    else:
        # adjusted() comes first, because 1e999999 must not be written out digit by digit.
        if not number.is_finite() or (number and number.adjusted() > 15):
            raise ValueError(f"must be between -{MAX_TEXT} and {MAX_TEXT}")
        units = int(_CONTEXT.quantize(number, _STEP) * UNIT)  # at most 21 digits: exact in any context
    if -MAX_UNITS <= units <= MAX_UNITS:
        return units
    raise ValueError(f"must be between -{MAX_TEXT} and {MAX_TEXT}")


def units_to_text(units: int) -> str:
    """A plain JSON number, exact and without trailing zeros: 15000000 is ``1500``, 1 is ``0.0001``."""
    whole, part = divmod(units, UNIT)
    if not part:
        return str(whole)
    if units < 0:
        return "-" + units_to_text(-units)
    return f"{whole}.{part:04d}".rstrip("0")


def divide_half_even(units: int, divisor: int) -> int:
    """``units / divisor``, rounded to the nearest whole unit, ties to even. ``divisor`` must be positive."""
    quotient, rest = divmod(units, divisor)
    twice = rest * 2
    if twice > divisor or (twice == divisor and quotient & 1):
        quotient += 1
    return quotient
