"""What base.Store promises of histograms; a part of store_contract.StoreContract."""

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from central.store.base import Row, Store
from central.store.distribution import entries_of
from central.store.duck.store import DuckStore
from central.store.folding import HistogramFold
from central.store.mysql.store import MySQLStore
from central.store.plan import WINDOWS, Level, Segment, plan
from protocol.histogram import bucket_of, decode, encode
from protocol.numbers import MAX_UNITS, UNIT
from tests.central.store_help import (
    DAY,
    FAR,
    NOW,
    Clock,
    OpenStore,
    as_rows,
    ask_segments,
    brute_force,
    group,
    name,
    plain,
    whole,
)
from tests.examples import examples

Folds = Callable[[Store], Awaitable[int]]
"""Folds the histograms of all hours that are over now. Gives the number of steps."""
Spread = dict[tuple[int, int, int], int]
"""Weights by id, window's start and bucket."""


def spread_of(rows: Iterable[Row], start: int, end: int, window: int) -> Spread:
    """What distribute must say of these rows."""
    found: Counter[tuple[int, int, int]] = Counter()
    for row in rows:
        if start <= row.recorded_at < end:
            if row.weight is None:
                histogram = {bucket_of(row.value): UNIT}
            else:
                histogram = {} if row.histogram is None else decode(row.histogram)
            for bucket, weight in histogram.items():
                found[row.metric_id, row.recorded_at // window * window, bucket] += weight
    return dict(sorted(found.items()))


def summary(metric_id: int, values: Sequence[int], at: int = NOW, weight: int = UNIT) -> Row:
    """A summary of samples with its histogram; ``weight`` of each."""
    histogram = Counter[int]()
    for value in values:
        histogram[bucket_of(value)] += weight
    return Row(metric_id, at, sum(values), weight * len(values), min(values), max(values), encode(histogram))


async def spread(
    store: Store, ids: Iterable[int], segments: Sequence[Segment] = (Segment("raw", *FAR),), window: int = DAY
) -> Spread:
    """What distribute says; its summaries are what aggregate says."""
    found = await store.distribute(whole(ids), window, segments)
    assert as_rows(found.buckets) == as_rows(await store.aggregate(whole(ids), window, segments))
    ids_found, starts, buckets, weights = (column.tolist() for column in entries_of(*found.spread))
    made = dict(zip(zip(ids_found, starts, buckets, strict=True), weights, strict=True))
    assert len(made) == len(ids_found), "an entry is there twice"
    assert list(made) == sorted(made), "the entries are not in order"
    return made


async def assert_spread(store: Store, ids: Sequence[int], rows: Sequence[Row]) -> None:
    """Every level says what the rows say, and so do planned queries that cut hours and minutes."""
    levels: tuple[Level, ...] = ("raw", "minute", "hour")
    for level in levels:
        assert await spread(store, ids, [Segment(level, *FAR)]) == spread_of(rows, *FAR, DAY), level
    for window in WINDOWS.values():
        start, end = NOW - 2 * DAY + 7, NOW + 3 * 3600 + 61
        assert await spread(store, ids, plan(start, end, window), window) == spread_of(rows, start, end, window), window


async def at_once() -> None:
    """No pause between two steps."""


values = st.one_of(st.integers(-(10**6), 10**6), st.integers(-MAX_UNITS, MAX_UNITS))
times = st.integers(NOW - 2 * DAY, NOW + 4 * 3600)


@st.composite
def any_rows(draw: st.DrawFn) -> Row:
    """A row of metric 0: a sample, or a summary with a histogram or without."""
    at, kind = draw(times), draw(st.sampled_from(["sample", "summary", "histogram"]))
    if kind == "sample":
        return plain(0, draw(values), at)
    made = summary(0, draw(st.lists(values, min_size=1, max_size=5)), at, draw(st.sampled_from([UNIT, 1, 33_333])))
    made = made._replace(value=0)  # a sum may be too large for a point; here nobody asks for it
    return made if kind == "histogram" else made._replace(histogram=None)


class HistogramsContract:
    """Histograms beside summaries, exact at every moment."""

    @pytest.fixture
    def folds(self, clock: Clock) -> Folds:
        async def fold(store: Store) -> int:
            assert isinstance(store, DuckStore | MySQLStore)
            return await HistogramFold(store.folding, clock, pause=at_once).round()

        return fold

    async def test_plain_samples_and_histograms_fill_the_same_buckets(self, open_store: OpenStore) -> None:
        store = await open_store()
        metric = await name(store, "a")
        rows = [plain(metric, 300 * UNIT), summary(metric.id, [300 * UNIT, 301 * UNIT, -5]), plain(metric, -5)]
        await store.commit(group(rows))
        bucket = bucket_of(300 * UNIT)
        expected = {-5: 2 * UNIT, bucket: 2 * UNIT}
        if bucket_of(301 * UNIT) == bucket:
            expected[bucket] += UNIT
        else:
            expected[bucket_of(301 * UNIT)] = UNIT
        assert await spread(store, [metric.id]) == {(metric.id, NOW, at): weight for at, weight in expected.items()}
        await store.tidy(idle=True)
        await store.close()
        store = await open_store()
        assert await spread(store, [metric.id]) == spread_of(rows, *FAR, DAY)

    async def test_a_summary_without_a_histogram_is_in_no_bucket(self, open_store: OpenStore) -> None:
        store = await open_store()
        metric = await name(store, "a")
        await store.commit(group([Row(metric.id, NOW, 9, 3 * UNIT, 1, 5), plain(metric, 7)]))
        found = await store.distribute(whole([metric.id]), DAY, [Segment("raw", *FAR)])
        assert (found.buckets.weights.tolist(), entries_of(*found.spread).weights.tolist()) == ([4 * UNIT], [UNIT])

    async def test_a_range_without_points_has_no_entries(self, open_store: OpenStore) -> None:
        store = await open_store()
        metric = await name(store, "a")
        assert await spread(store, [metric.id, 999_999]) == {}

    async def test_weights_of_any_size_add_up(self, open_store: OpenStore) -> None:
        store = await open_store()
        metric = await name(store, "a")
        heavy = Row(metric.id, NOW, 5, MAX_UNITS, 5, 5, encode({5: MAX_UNITS}))
        rows = [heavy, heavy._replace(recorded_at=NOW + 1), plain(metric, 5), plain(metric, MAX_UNITS)]
        await store.commit(group(rows))
        assert await spread(store, [metric.id]) == spread_of(rows, *FAR, DAY)

    async def test_a_large_histogram_comes_back_as_it_was(self, open_store: OpenStore) -> None:
        store = await open_store()
        metric = await name(store, "a")
        row = summary(
            metric.id, [sign * (1 << bit) + step for bit in range(66) for step in range(60) for sign in (1, -1)]
        )
        await store.commit(group([row._replace(value=0)] * 600))
        assert await spread(store, [metric.id]) == spread_of([row] * 600, *FAR, DAY)

    async def test_a_group_sent_again_counts_once(self, open_store: OpenStore) -> None:
        store = await open_store()
        metric = await name(store, "a")
        wanted = group([summary(metric.id, [5, 700])] * 3)
        for _ in range(2):
            await store.commit(wanted, again=True)
        assert await spread(store, [metric.id]) == spread_of(wanted.rows, *FAR, DAY)

    async def test_a_deleted_name_takes_its_histograms_along(self, open_store: OpenStore) -> None:
        store = await open_store()
        gone, kept = await name(store, "a"), await name(store, "b")
        rows = [summary(metric.id, [5, 700]) for metric in (gone, kept)]
        await store.commit(group(rows))
        assert await store.names.delete("a")
        await store.names.purge()
        assert await spread(store, [gone.id, kept.id]) == spread_of(rows[1:], *FAR, DAY)

    async def test_summaries_and_buckets_are_of_one_moment(self, open_store: OpenStore) -> None:
        store = await open_store()
        metric = await name(store, "a")
        asked = asyncio.Event()

        async def write() -> None:
            while not asked.is_set():
                await store.commit(group([summary(metric.id, [5, 700])] * 10))

        writing = asyncio.create_task(write())
        for _ in range(20):
            found = await store.distribute(whole([metric.id]), DAY, [Segment("hour", *FAR)])
            assert sum(found.buckets.weights) == sum(entries_of(*found.spread).weights)
        asked.set()
        await writing

    @pytest.mark.parametrize("late", [[], [0], [0, 3700, 7300]], ids=["in time", "one late", "some late"])
    async def test_folded_hours_say_what_raw_points_say(
        self, open_store: OpenStore, folds: Folds, clock: Clock, late: list[int]
    ) -> None:
        store = await open_store()
        metrics = [await name(store, text) for text in "abc"]
        at = [NOW - 7200 + second for second in range(0, 7200, 599)]
        rows = [summary(metric.id, [5 + second, 700, -9], second) for metric in metrics for second in at]
        rows += [plain(metrics[0], 17 + second, second) for second in at]
        rows += [summary(metrics[2].id, [5], NOW - 5000)._replace(histogram=None)]
        await store.commit(group(rows))
        await store.tidy(idle=True)
        clock.now = NOW + 3600
        await folds(store)
        assert await folds(store) == 0, "nothing is left to do"
        ids = [metric.id for metric in metrics]
        await assert_spread(store, ids, rows)
        for back in late:
            rows.append(summary(ids[0], [back + 9, 4], NOW - back - 1))
            await store.commit(group(rows[-1:]))
            await assert_spread(store, ids, rows)
        await store.tidy(idle=True)
        await assert_spread(store, ids, rows)
        await folds(store)
        await assert_spread(store, ids, rows)

    async def test_a_deleted_name_takes_its_folded_histograms_along(
        self, open_store: OpenStore, folds: Folds, clock: Clock
    ) -> None:
        store = await open_store()
        gone, kept = await name(store, "a"), await name(store, "b")
        rows = [summary(metric.id, [5, 700], NOW - 3600) for metric in (gone, kept)]
        await store.commit(group(rows))
        await store.tidy(idle=True)
        clock.now = NOW + 3600
        await folds(store)
        assert await store.names.delete("a")
        await store.names.purge()
        await assert_spread(store, [gone.id, kept.id], rows[1:])

    async def test_an_hour_may_weigh_more_than_one_summary_can(
        self, open_store: OpenStore, folds: Folds, clock: Clock
    ) -> None:
        store = await open_store()
        metric = await name(store, "a")
        heavy = Row(metric.id, NOW - 3600, 5, MAX_UNITS, 5, 900, encode({5: MAX_UNITS - UNIT, bucket_of(900): UNIT}))
        rows = [heavy._replace(recorded_at=NOW - 3600 + second) for second in (0, 1, 61, 3599)]
        await store.commit(group(rows))
        await store.tidy(idle=True)
        clock.now = NOW + 3600
        await folds(store)
        assert await folds(store) == 0, "nothing is left to do"
        await assert_spread(store, [metric.id], rows)

    async def test_counters_are_not_folded(self, open_store: OpenStore, folds: Folds, clock: Clock) -> None:
        store = await open_store()
        metric = await name(store, "a", "counter")
        await store.commit(group([plain(metric, 5, NOW - 3600)]))
        await store.tidy(idle=True)
        clock.now = NOW + 3600
        assert await folds(store) == 0

    @settings(max_examples=examples(5), suppress_health_check=list(HealthCheck))
    @given(parts=st.lists(st.lists(any_rows(), min_size=1, max_size=10), min_size=1, max_size=4))
    async def test_a_fold_at_any_moment_changes_no_answer(
        self, store: Store, folds: Folds, clock: Clock, parts: list[list[Row]]
    ) -> None:
        metric = await name(store, os.urandom(8).hex())
        clock.now = NOW + 6 * 3600
        rows: list[Row] = []
        for part in parts:
            rows += [row._replace(metric_id=metric.id) for row in part]
            await store.commit(group(rows[-len(part) :]))
            await folds(store)
            await assert_spread(store, [metric.id], rows)
            await store.tidy(idle=True)

    @settings(max_examples=examples(10), suppress_health_check=list(HealthCheck))
    @given(rows=st.lists(any_rows(), min_size=1, max_size=30), settled=st.booleans())
    async def test_the_spread_equals_brute_force_over_the_raw_points(
        self, store: Store, rows: list[Row], settled: bool
    ) -> None:
        metric = await name(store, os.urandom(8).hex())
        rows = [row._replace(metric_id=metric.id) for row in rows]
        await store.commit(group(rows[::2]))
        if settled:
            await store.tidy(idle=True)
        await store.commit(group(rows[1::2]))
        await assert_spread(store, [metric.id], rows)
        assert await ask_segments(store, [metric.id], DAY, [Segment("raw", *FAR)]) == brute_force(rows, *FAR, DAY)
