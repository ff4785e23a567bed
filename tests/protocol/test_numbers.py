"""DECIMAL(20,4) as units: exact in, exact out, half even."""

import json
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.numbers import MAX_TEXT, MAX_UNITS, divide_half_even, to_units, units_to_text

UNITS = st.integers(-MAX_UNITS, MAX_UNITS)


@pytest.mark.parametrize(
    ("number", "units"),
    [
        (0, 0),
        (1, 10_000),
        (-7, -70_000),
        (9_999_999_999_999_999, 99_999_999_999_999_990_000),
        (Decimal(MAX_TEXT), MAX_UNITS),
        (Decimal("-" + MAX_TEXT), -MAX_UNITS),
        (Decimal("0.30000000000000004"), 3000),
        (Decimal("1.5e3"), 15_000_000),
        (Decimal("1E+15"), 10**19),
        (Decimal("0.00005"), 0),
        (Decimal("0.00015"), 2),
        (Decimal("0.000150000000000000000000000001"), 2),
        (Decimal("-0.00025"), -2),
        (Decimal("-0"), 0),
        (Decimal("0e999999"), 0),
        (Decimal("1e-999999"), 0),
    ],
)
def test_a_number_is_rounded_half_even_to_units(number: int | Decimal, units: int) -> None:
    assert to_units(number) == units


@pytest.mark.parametrize(
    "number",
    [
        10**16,
        -(10**16),
        Decimal("9999999999999999.99995"),
        Decimal("1e16"),
        Decimal("1e999999"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        Decimal("-Infinity"),
    ],
)
def test_a_number_out_of_range_is_refused_with_the_range(number: int | Decimal) -> None:
    with pytest.raises(ValueError, match=f"between -{MAX_TEXT} and {MAX_TEXT}"):
        to_units(number)


@pytest.mark.parametrize(
    ("units", "text"),
    [
        (0, "0"),
        (1, "0.0001"),
        (-1, "-0.0001"),
        (15_000_000, "1500"),
        (15_050, "1.505"),
        (MAX_UNITS, MAX_TEXT),
        (-MAX_UNITS, "-" + MAX_TEXT),
    ],
)
def test_text_is_exact_and_has_no_trailing_zeros(units: int, text: str) -> None:
    assert units_to_text(units) == text


@given(UNITS)
def test_units_survive_their_text_as_json(units: int) -> None:
    number = json.loads(units_to_text(units), parse_float=Decimal)
    assert to_units(number) == units


@given(UNITS, st.integers(1, 10**12))
def test_division_rounds_half_even(units: int, divisor: int) -> None:
    assert divide_half_even(units, divisor) == round(Fraction(units, divisor))


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15, places=8))
def test_any_decimal_in_range_is_rounded_half_even(number: Decimal) -> None:
    assert to_units(number) == round(Fraction(number) * 10_000)
