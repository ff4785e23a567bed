"""central/store/folding.py: rounds, and the arithmetic of merging."""

import asyncio
from types import ModuleType

import numpy as np
import pytest

from central.store.base import StoreError
from central.store.distribution import Histograms, Samples
from central.store.folding import (
    DELAY_SECONDS,
    HOUR,
    SPAN,
    FoldedRow,
    FoldStep,
    HistogramFold,
    HourSums,
    folded_hours,
    folded_minutes,
    names_of_next,
    percentiles_of,
)
from protocol.histogram import bucket_of, encode
from protocol.numbers import MAX_UNITS, UNIT
from tests.central.cores import each_core
from tests.central.store_help import NOW, Clock


class Hours:
    """Stale names by hour, folded two at a time; ``fails`` answers the next question with an error."""

    def __init__(self, stale: dict[int, list[int]]) -> None:
        self.stale = stale
        self.asked: list[tuple[int, int]] = []
        self.fails = False
        self.round_over = asyncio.Event()

    async def stale_hours(self, start: int, end: int) -> list[int]:
        self.asked.append((start, end))
        if self.fails:
            self.round_over.set()
            raise StoreError("the disk is on fire")
        return sorted(hour for hour, names in self.stale.items() if names and start <= hour < end)

    async def fold_names(self, hour: int, after: int, most: int) -> FoldStep | None:
        todo = [name for name in self.stale[hour] if name > after][:2]
        self.stale[hour] = [name for name in self.stale[hour] if name not in todo]
        if not todo:
            self.round_over.set()
        return FoldStep(todo[-1], 2) if todo else None


async def at_once() -> None:
    """No pause between two steps."""


async def test_a_round_folds_every_stale_hour_that_is_over() -> None:
    hours = Hours({NOW - 2 * HOUR: [1, 2, 3], NOW - HOUR: [7], NOW: [8], NOW - SPAN - HOUR: [9]})
    fold = HistogramFold(hours, Clock(NOW + DELAY_SECONDS), at_once)
    assert await fold.round() == 3
    assert hours.stale == {NOW - 2 * HOUR: [], NOW - HOUR: [], NOW: [8], NOW - SPAN - HOUR: [9]}
    assert await fold.round() == 0


@pytest.mark.parametrize(
    ("names", "minutes", "of_next"),
    [
        (50, 3_000, 50),
        (50, 6_000, 50),
        (50, 1_500, 100),
        (100, 6_000, 50),
        (50, 100, 100),
        (200, 100, 400),
        (300, 300, 400),
        (400, 1, 400),
        (50, 0, 100),
        (400, 24_000, 50),
    ],
)
def test_a_step_has_more_names_where_each_has_few_minutes(names: int, minutes: int, of_next: int) -> None:
    assert names_of_next(names, minutes) == of_next


async def test_a_round_begins_once_per_hour_and_after_its_delay() -> None:
    hours, clock = Hours({NOW - HOUR: [1]}), Clock(NOW + DELAY_SECONDS - 1)
    fold = HistogramFold(hours, clock, at_once)
    for _ in range(2):
        await fold.round()
        fold.start_if_due()
        await fold.close()
    assert hours.asked == [(NOW - HOUR - SPAN, NOW - HOUR)] * 2, "only the rounds that the test asked for"
    clock.now += 1
    fold.start_if_due()
    await hours.round_over.wait()
    await fold.close()
    assert hours.stale == {NOW - HOUR: []}


async def test_a_round_that_fails_is_tried_again_in_the_next_hour() -> None:
    hours, clock = Hours({NOW - HOUR: [1]}), Clock(NOW + DELAY_SECONDS)
    fold = HistogramFold(hours, clock, at_once)
    hours.fails = True
    fold.start_if_due()
    await hours.round_over.wait()
    hours.fails = False
    hours.round_over.clear()
    await fold.close()
    clock.now += HOUR
    fold.start_if_due()
    await hours.round_over.wait()
    await fold.close()
    assert hours.stale == {NOW - HOUR: []}


def column(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(numbers, dtype=np.int64)


@each_core
def test_samples_and_histograms_of_a_minute_become_one(core: ModuleType | None) -> None:
    samples = Samples(column(1, 1, 2), column(60, 120, 60), column(5, 7, 9))
    histograms = Histograms(column(1, 1), column(60, 60), [encode({5: 1, 8: UNIT}), encode({-3: UNIT})])
    assert folded_minutes(samples, histograms, core) == {
        (1, 60): encode({-3: UNIT, 5: UNIT + 1, 8: UNIT}),
        (1, 120): encode({7: UNIT}),
        (2, 60): encode({9: UNIT}),
    }


def test_an_hour_is_the_sum_of_its_minutes_and_may_have_nothing() -> None:
    found = {(1, 60): encode({5: UNIT}), (1, 120): encode({7: UNIT})}
    sums = [HourSums(1, "2.0000", "0.0005", "0.0007"), HourSums(2, "3.0000", "1.0000", "1.0000")]
    whole = encode({5: UNIT, 7: UNIT})
    assert folded_hours(sums, 0, found) == [
        FoldedRow(1, 0, "2.0000", whole, (5, 7, 7, 7, 7)),
        FoldedRow(2, 0, "3.0000", b""),
    ]


@each_core
@pytest.mark.parametrize(
    ("histogram", "sums", "percentiles"),
    [
        (dict.fromkeys(range(1, 101), UNIT), HourSums(1, "100.0000", "0.0001", "0.0100"), (50, 75, 90, 95, 99)),
        (dict.fromkeys(range(1, 101), UNIT), HourSums(1, "100.0001", "0.0001", "0.0100"), ()),
        ({bucket_of(10_000): 33_333}, HourSums(1, "3.3333", "0.9990", "0.9995"), (9_995,) * 5),
        ({-5: 3 * UNIT, 0: UNIT}, HourSums(1, "4.0000", "-0.0005", "0.0000"), (-5, -5, 0, 0, 0)),
        ({7: MAX_UNITS}, HourSums(1, "9999999999999999.9999", "0.0007", "0.0007"), (7,) * 5),
        ({7: 10 * MAX_UNITS}, HourSums(1, "99999999999999999.9990", "0.0007", "0.0007"), (7,) * 5),
    ],
    ids=["whole", "a part", "held by max", "negative", "large", "larger than a summary"],
)
def test_the_percentiles_of_an_hour_are_of_all_its_samples(
    core: ModuleType | None, histogram: dict[int, int], sums: HourSums, percentiles: tuple[int, ...]
) -> None:
    assert percentiles_of(sums, encode(histogram), core) == percentiles
