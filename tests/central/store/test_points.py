"""central/store/points.py: how a span is cut into pieces, whatever the store."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from central.store.points import Points, Span, TooDense, no_points, pieces, tags_to_find
from tests.examples import examples


def points_at(rows: list[tuple[int, int]]) -> Points:
    """Points of a metric and a time each."""
    ids, times = (np.array([row[at] for row in rows], dtype=np.int64) for at in (0, 1))
    return Points(ids, np.zeros_like(ids), times, *[np.ones_like(ids)] * 4)


async def read_all(rows: list[tuple[int, int]], whole: Span, limit: int) -> tuple[list[list[tuple[int, int]]], int]:
    """The pieces as rows, and how often the store was asked."""
    asked = 0

    async def read(span: Span) -> Points | None:
        nonlocal asked
        asked += 1
        found = [row for row in rows if row[0] in span.metric_ids and span.start <= row[1] < span.end]
        return None if len(found) > limit else points_at(found)

    found = [one async for one in pieces(read, whole)]
    return [list(zip(one.metric_ids.tolist(), one.times.tolist(), strict=True)) for one in found], asked


@settings(max_examples=examples(100))
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 99)), max_size=60, unique=True), st.integers(1, 9))
async def test_each_point_is_in_one_piece(rows: list[tuple[int, int]], limit: int) -> None:
    found, asked = await read_all(rows, Span((1, 2, 3, 4), 0, 100), limit)
    assert sorted(row for piece in found for row in piece) == sorted(rows)
    assert all(len(piece) <= limit for piece in found)
    assert [max(at for _, at in piece) for piece in found] == sorted(max(at for _, at in piece) for piece in found)
    assert asked <= 1 + 20 * len(rows)


async def test_a_second_that_cannot_be_halved_is_named() -> None:
    with pytest.raises(TooDense) as caught:
        await read_all([(1, 7), (2, 7), (2, 7)], Span((1, 2), 0, 100), 1)
    assert caught.value.span == Span((2,), 7, 8)


@pytest.mark.parametrize("whole", [Span((), 0, 9), Span((1,), 9, 9), Span((1,), 9, 8)])
async def test_nothing_is_read_of_nothing(whole: Span) -> None:
    assert await read_all([(1, 5)], whole, 9) == ([], 0)


def test_each_series_is_looked_up_once() -> None:
    found = no_points()._replace(series_ids=np.array([0, 3, 5, 3, 4]))
    assert tags_to_find(found, {4: "a:b", 5: None}) == [3]
