"""The operations that a query may name, and what each needs of the store. Pure.

``sum``, ``count``, ``avg``, ``min``, ``max`` and ``rate`` come from the summaries that every window has. ``median`` and
``pN`` are percentiles: they need the histograms of a value metric, but for p0 and p100, which are min and max.
``fraction_below`` is a parameter of its own, and stands here as one more column of an answer.
"""

import re
from collections.abc import Sequence
from typing import Final

SUMMARIES: Final = ("sum", "count", "avg", "min", "max", "rate")
OPERATIONS: Final = (*SUMMARIES, "median")
OFFERED: Final = (*OPERATIONS, "p95", "p99")
"""What the page and a dashboard offer at once; any other pN may be typed."""
OPERATION_RULE: Final = (
    "sum, count, avg, min, max, rate, median or pN, where N is 0 to 100 with at most 3 decimals, such as p99.9; "
    "several are separated by commas"
)
FRACTION_BELOW: Final = "fraction_below"
WHOLE: Final = 100_000
"""100 percent in thousandths of a percent, in which percentiles are counted."""
_PERCENTILE: Final = re.compile(r"p(?:(\d{1,2})(?:\.(\d{1,3}))?|100(?:\.0{1,3})?)", re.ASCII)
_ONE: Final = rf"({'|'.join(OPERATIONS)}|p([0-9]{{1,2}}(\.[0-9]{{1,3}})?|100(\.0{{1,3}})?))"
OPERATIONS_PATTERN: Final = rf"^{_ONE}(,{_ONE})*$"


def parse_operations(text: str) -> tuple[str, ...]:
    """The operations of a list with commas between, in its order. Raises ValueError that says what would be right."""
    if not text:
        raise ValueError(f"is required: {OPERATION_RULE}")
    names = text.split(",")
    for place, name in enumerate(names):
        if name not in OPERATIONS and percent_of(name) is None:
            fault = f"{name[:40]!r} is not known" if name else "has an empty place between commas"
            raise ValueError(f"{fault}; give {OPERATION_RULE}")
        if name in names[:place]:
            raise ValueError(f"{name!r} was given twice; give each once")
    return tuple(names)


def percent_of(operation: str) -> int | None:
    """The percentile that an operation names, in thousandths of a percent; None for one that is no percentile."""
    if operation == "median":
        return WHOLE // 2
    found = _PERCENTILE.fullmatch(operation)
    if found is None:
        return None
    whole, part = found.groups()
    return WHOLE if whole is None else int(whole) * 1_000 + int((part or "").ljust(3, "0"))


def of_values_alone(operations: Sequence[str]) -> list[str]:
    """Those that a counter does not have: percentiles, and the fraction below a value."""
    return [name for name in operations if name == FRACTION_BELOW or percent_of(name) is not None]


def need_extremes(operations: Sequence[str]) -> bool:
    """Whether one of them needs the lowest or the highest value of a window, as percentiles do too."""
    return any(name in ("min", "max") or percent_of(name) is not None for name in operations)


def need_histograms(operations: Sequence[str]) -> bool:
    """Whether one of them needs more than the summaries."""
    return any(percent_of(name) not in (0, WHOLE) for name in of_values_alone(operations))
