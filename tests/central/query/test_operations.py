"""central/query/operations.py: which words are operations, and what they need."""

import re

import pytest

from central.query.operations import (
    OFFERED,
    OPERATIONS_PATTERN,
    WHOLE,
    need_extremes,
    need_histograms,
    of_values_alone,
    parse_operations,
    percent_of,
)

GOOD = ["sum", "p0", "p5", "p05", "p50", "p99", "p99.9", "p99.99", "p99.999", "p0.001", "p100", "p100.0", "median"]
BAD = ["", "p", "p101", "p100.1", "p99.9999", "p99.", "p.9", "p-1", "p1e1", "P9", "p٣", "p 9", "mean", "95", "95p"]


@pytest.mark.parametrize(
    ("operation", "percent"),
    [
        ("p0", 0),
        ("p0.001", 1),
        ("p05", 5_000),
        ("p50", 50_000),
        ("median", 50_000),
        ("p99.9", 99_900),
        ("p99.90", 99_900),
        ("p99.999", 99_999),
        ("p100", WHOLE),
        ("p100.000", WHOLE),
        ("sum", None),
        *((text, None) for text in BAD),
    ],
)
def test_the_percentile_of_an_operation(operation: str, percent: int | None) -> None:
    assert percent_of(operation) == percent


@pytest.mark.parametrize("text", [*GOOD, *OFFERED, "p50,p95,sum", ",".join(GOOD)])
def test_a_list_keeps_its_order_and_is_described(text: str) -> None:
    assert parse_operations(text) == tuple(text.split(","))
    assert re.fullmatch(OPERATIONS_PATTERN, text)


@pytest.mark.parametrize("text", [*BAD, *(f"sum,{text}" for text in BAD), ",sum", "sum;avg"])
def test_a_word_that_is_no_operation_is_refused_and_not_described(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as p99\.9; several are separated by commas"):
        parse_operations(text)
    assert not re.fullmatch(OPERATIONS_PATTERN, text)


def test_an_operation_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="'p95' was given twice; give each once"):
        parse_operations("p95,avg,p95")


@pytest.mark.parametrize(
    ("operations", "of_values", "extremes", "histograms"),
    [
        (["sum", "avg", "rate", "count"], [], False, False),
        (["sum", "min"], [], True, False),
        (["p0"], ["p0"], True, False),
        (["p0", "max", "p100"], ["p0", "p100"], True, False),
        (["sum", "median"], ["median"], True, True),
        (["p0.001"], ["p0.001"], True, True),
        (["count", "fraction_below"], ["fraction_below"], False, True),
    ],
)
def test_what_operations_need(operations: list[str], of_values: list[str], extremes: bool, histograms: bool) -> None:
    assert of_values_alone(operations) == of_values
    assert need_extremes(operations) == extremes
    assert need_histograms(operations) == histograms
