"""Large tables are freed in steps."""

from typing import Any

import pytest

from agent.aggregate.freeing import FREED_AT_ONCE, freeing


@pytest.mark.parametrize(
    ("sizes", "steps"),
    [
        ([], 0),
        ([0, 0], 0),
        ([1], 1),
        ([FREED_AT_ONCE], 1),
        ([FREED_AT_ONCE + 1, 1], 3),
        ([0, 3 * FREED_AT_ONCE], 3),
    ],
)
@pytest.mark.parametrize("make", [lambda size: list(range(size)), lambda size: dict.fromkeys(range(size))])
def test_no_step_frees_more_than_its_share(make: Any, sizes: list[int], steps: int) -> None:
    tables = [make(size) for size in sizes]
    left, done = sum(sizes), 0
    for _ in freeing(*tables):
        now = sum(map(len, tables))
        assert 0 < left - now <= FREED_AT_ONCE
        left, done = now, done + 1
    assert (left, done) == (0, steps)
