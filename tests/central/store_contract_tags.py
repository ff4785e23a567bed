"""What base.Store promises of samples with tags; a part of store_contract.StoreContract."""

import os
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from central.store.base import IdGroup, Metric, Row, Store
from central.store.distribution import entries_of
from central.store.plan import WINDOWS, Level, Segment, plan
from central.store.series import NewSeries, SeriesCaps
from protocol.numbers import MAX_UNITS, UNIT
from tests.central.store_contract_histograms import Folds, spread_of, summary
from tests.central.store_help import (
    DAY,
    FAR,
    NOW,
    Bucket,
    Clock,
    OpenStore,
    as_rows,
    assert_the_same_without_extremes,
    brute_force,
    group,
    name,
    plain,
    whole,
)
from tests.examples import examples

LEVELS: tuple[Level, ...] = ("raw", "minute", "hour")
NO_CAPS = SeriesCaps(1_000_000, 1_000_000)


async def series(store: Store, metric: Metric, *tags: str) -> list[int]:
    """The ids of series of a name, made where they are missing."""
    wanted = [NewSeries(metric.id, text) for text in tags]
    found = await store.series.resolve(wanted, NO_CAPS, NOW)
    return [found[new].id for new in wanted]


def rows_of(groups: Iterable[IdGroup], rows: Iterable[Row]) -> list[Row]:
    """The rows that belong to groups, under their keys."""
    return [
        row._replace(metric_id=one.key)
        for one in groups
        for row in rows
        if row.metric_id == one.metric_id and (one.series_ids is None or row.series_id in one.series_ids)
    ]


async def assert_groups(store: Store, groups: Sequence[IdGroup], rows: Sequence[Row]) -> None:
    """Every level and every plan says of the groups what their rows say."""
    expected = rows_of(groups, rows)
    for level in LEVELS:
        found = as_rows(await store.aggregate(groups, DAY, [Segment(level, *FAR)]))
        assert found == brute_force(expected, *FAR, DAY), level
    for window in WINDOWS.values():
        start, end = NOW - 2 * DAY + 7, NOW + 3 * 3600 + 61
        found = as_rows(await store.aggregate(groups, window, plan(start, end, window)))
        assert found == brute_force(expected, start, end, window), window
        await assert_the_same_without_extremes(store, groups, window, plan(start, end, window))


async def assert_spread(store: Store, groups: Sequence[IdGroup], rows: Sequence[Row]) -> None:
    """The samples of the groups are in the buckets of their rows."""
    for level in LEVELS:
        found = entries_of(*(await store.distribute(groups, DAY, [Segment(level, *FAR)])).spread)
        entries = dict(zip(zip(*(column.tolist() for column in found[:3]), strict=True), found.weights, strict=True))
        assert entries == spread_of(rows_of(groups, rows), *FAR, DAY), level


def total(buckets: Iterable[Bucket]) -> list[tuple[int, int]]:
    """Weight and sum of all buckets of a start, in the order of starts."""
    sums: dict[int, tuple[int, int]] = {}
    for bucket in buckets:
        weight, units = sums.get(bucket.start, (0, 0))
        sums[bucket.start] = weight + bucket.weight, units + bucket.total
    return [sums[start] for start in sorted(sums)]


numbers = st.integers(-(10**6), 10**6) | st.integers(-MAX_UNITS, MAX_UNITS)
times = st.integers(NOW - 2 * DAY, NOW + 4 * 3600) | st.sampled_from([NOW + edge for edge in (-3600, -60, -1, 0, 60)])


@st.composite
def any_rows(draw: st.DrawFn) -> tuple[int, int, Row]:
    """The places of a metric and of its series (0: without tags), and a row."""
    row = plain(0, draw(numbers), draw(times))
    if draw(st.booleans()):
        low, high = sorted((draw(numbers), draw(numbers)))
        row = row._replace(weight=draw(st.integers(1, MAX_UNITS)), low=low, high=high)
    return draw(st.integers(0, 1)), draw(st.integers(0, 4)), row


class TagsContract:
    """Samples with tags, in their name and in their series."""

    @pytest.mark.parametrize("settled", [True, False])
    async def test_a_sample_counts_in_its_name_and_in_its_series(self, open_store: OpenStore, settled: bool) -> None:
        store = await open_store()
        one, two = await name(store, "a"), await name(store, "b")
        red, blue = await series(store, one, "c:red", "c:blue")
        (other,) = await series(store, two, "c:red")
        rows = [
            plain(one, 5 * UNIT)._replace(series_id=red),
            plain(one, 7 * UNIT, NOW + 60)._replace(series_id=blue),
            plain(one, 9 * UNIT, NOW + 61),
            plain(two, 11 * UNIT)._replace(series_id=other),
            summary(one.id, [1, 2, 3], NOW + 3)._replace(series_id=red),
        ]
        for part in (rows[:2], rows[2:]):
            await store.commit(group(part))
            if settled:
                await store.tidy(idle=True)
        groups = [
            IdGroup(7, one.id, (red,)),
            IdGroup(9, one.id, (blue, 0)),
            IdGroup(3, two.id, (other,)),
            IdGroup(two.id, two.id, None),
            IdGroup(10_001, one.id, None),
        ]
        for asked in (groups, groups[:1], groups[1:2], [IdGroup(red, one.id, (red,))], whole([one.id, two.id])):
            await assert_groups(store, asked, rows)
            await assert_spread(store, asked, rows)

    async def test_a_group_without_series_has_no_data(self, open_store: OpenStore) -> None:
        store = await open_store()
        metric = await name(store, "a")
        await store.commit(group([plain(metric, 5)]))
        await assert_groups(store, [IdGroup(1, metric.id, ())], [])
        await assert_spread(store, [IdGroup(1, metric.id, ())], [])
        await assert_groups(store, [], [])

    async def test_thousands_of_series_are_grouped(self, open_store: OpenStore) -> None:
        store = await open_store()
        metric = await name(store, "a")
        ids = await series(store, metric, *[f"n:{number}" for number in range(2_500)])
        rows = [plain(metric, place * UNIT, NOW + place % 7)._replace(series_id=key) for place, key in enumerate(ids)]
        for at in range(0, len(rows), 600):
            await store.commit(group(rows[at : at + 600]))
            await store.tidy(idle=True)
        groups = [IdGroup(place + 1, metric.id, tuple(ids[place::7])) for place in range(7)]
        await assert_groups(store, groups, rows)
        await assert_groups(store, [IdGroup(key, metric.id, (key,)) for key in ids], rows)

    @pytest.mark.parametrize("settled", [True, False])
    async def test_a_deleted_series_leaves_the_total_as_it_is(self, open_store: OpenStore, settled: bool) -> None:
        store = await open_store()
        metric = await name(store, "a")
        red, blue = await series(store, metric, "c:red", "c:blue")
        rows = [plain(metric, 5)._replace(series_id=red), plain(metric, 7)._replace(series_id=blue), plain(metric, 9)]
        await store.commit(group(rows))
        if settled:
            await store.tidy(idle=True)
        assert await store.series.delete(metric.id, "c:red")
        await store.names.purge()
        await store.tidy(idle=True)
        await assert_groups(store, [*whole([metric.id]), IdGroup(blue, metric.id, (blue,))], rows)
        await assert_groups(store, [IdGroup(1, metric.id, (0,))], rows)
        (back,) = await series(store, metric, "c:red")
        rows.append(plain(metric, 11)._replace(series_id=back))
        await store.commit(group(rows[-1:]))
        await assert_groups(store, [*whole([metric.id]), IdGroup(back, metric.id, (back,))], rows)

    async def test_a_deleted_name_takes_the_sums_of_its_series_along(self, open_store: OpenStore) -> None:
        store = await open_store()
        gone, kept = await name(store, "a"), await name(store, "b")
        (red,), (blue,) = await series(store, gone, "c:red"), await series(store, kept, "c:blue")
        rows = [plain(gone, 5)._replace(series_id=red), plain(kept, 7)._replace(series_id=blue)]
        await store.commit(group(rows))
        await store.tidy(idle=True)
        assert await store.names.delete("a")
        await store.names.purge()
        groups = [IdGroup(red, gone.id, (red,)), IdGroup(blue, kept.id, (blue,))]
        await assert_groups(store, groups, rows[1:])

    async def test_retention_drops_the_sums_of_series_too(self, open_store: OpenStore) -> None:
        store = await open_store()
        metric = await name(store, "a", "counter")
        (red,) = await series(store, metric, "c:red")
        rows = [plain(metric, 5, at)._replace(series_id=key) for at in (NOW - 3 * DAY, NOW) for key in (red, 0)]
        await store.commit(group(rows))
        await store.tidy(idle=True)
        while await store.retention.drop(NOW - DAY):
            pass
        await assert_groups(store, [IdGroup(1, metric.id, (red,)), IdGroup(2, metric.id, (0,))], rows[2:])

    async def test_a_group_sent_again_counts_once_in_its_series(self, open_store: OpenStore) -> None:
        store = await open_store()
        metric = await name(store, "a")
        (red,) = await series(store, metric, "c:red")
        wanted = group([plain(metric, 5)._replace(series_id=red)] * 3)
        for _ in range(2):
            await store.commit(wanted, again=True)
        await assert_groups(store, [*whole([metric.id]), IdGroup(red, metric.id, (red,))], wanted.rows)

    async def test_merged_histograms_of_series_say_what_raw_points_say(
        self, open_store: OpenStore, folds: Folds, clock: Clock
    ) -> None:
        store = await open_store()
        metrics = [await name(store, text) for text in "ab"]
        ids = [(metric.id, key) for metric in metrics for key in (0, *await series(store, metric, "n:1", "n:2"))]
        rows = [
            row._replace(series_id=key)
            for metric_id, key in ids
            for at in range(NOW - 7200, NOW, 599)
            for row in (summary(metric_id, [5 + at, 700, -9], at), plain(metric_id, 17 + at, at))
        ]
        groups = [IdGroup(place + 1, metric_id, (key,)) for place, (metric_id, key) in enumerate(ids)]
        groups.append(IdGroup(90, metrics[0].id, None))
        await store.commit(group(rows))
        await store.tidy(idle=True)
        clock.now = NOW + 3600
        assert await folds(store) > 0
        assert await folds(store) == 0, "nothing is left to do"
        await assert_spread(store, groups, rows)
        for back in (0, 3700):
            rows.append(summary(metrics[0].id, [back + 9, 4], NOW - back - 1)._replace(series_id=ids[1][1]))
            await store.commit(group(rows[-1:]))
            await assert_spread(store, groups, rows)
        await store.tidy(idle=True)
        await assert_spread(store, groups, rows)
        assert await folds(store) > 0
        await assert_spread(store, groups, rows)
        assert await store.series.delete(metrics[1].id, "n:1")
        assert await store.names.delete("a")
        await store.names.purge()
        await assert_spread(store, [*groups[:4], *groups[5:]], [row for row in rows if row.metric_id != ids[0][0]])
        merged = await store.distribute(groups[4:5], DAY, [Segment("hour", *FAR)])
        assert (len(merged.buckets.starts), len(entries_of(*merged.spread).starts)) == (0, 0)

    @settings(max_examples=examples(10), suppress_health_check=list(HealthCheck))
    @given(drawn=st.lists(any_rows(), min_size=1, max_size=30), settled=st.booleans())
    async def test_the_total_is_the_sum_over_series_in_every_window(
        self, store: Store, drawn: list[tuple[int, int, Row]], settled: bool
    ) -> None:
        metrics = [await name(store, os.urandom(8).hex()) for _ in range(2)]
        ids = {metric.id: [0, *await series(store, metric, *[f"n:{n}" for n in range(4)])] for metric in metrics}
        rows = [
            row._replace(metric_id=metrics[which].id, series_id=ids[metrics[which].id][place])
            for which, place, row in drawn
        ]
        for part in (rows[::2], rows[1::2]):  # those of the second part are late
            await store.commit(group(part))
            if settled:
                await store.tidy(idle=True)
        apart = [
            IdGroup(100 * at + place + 1, metric.id, (key,))
            for at, metric in enumerate(metrics)
            for place, key in enumerate(ids[metric.id])
        ]
        halves = [
            IdGroup(10 * at + half + 1, metric.id, tuple(ids[metric.id][half::2]))
            for at, metric in enumerate(metrics)
            for half in range(2)
        ]
        for groups in (apart, halves, apart[1:5], whole(ids)):
            await assert_groups(store, groups, rows)
        for window in WINDOWS.values():
            segments = plan(NOW - 2 * DAY + 7, NOW + 3 * 3600 + 61, window)
            for metric in metrics:
                of_series = [one for one in apart if one.metric_id == metric.id]
                found = [await store.aggregate(asked, window, segments) for asked in (of_series, whole([metric.id]))]
                assert total(as_rows(found[0])) == total(as_rows(found[1]))
