"""What base.Store promises about groups and numbers; a part of store_contract.StoreContract."""

import os
import random
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from central.store.base import (
    NewName,
    RejectedPoint,
    Remembered,
    RequestId,
    Row,
    Store,
    StoreError,
)
from central.store.plan import WINDOWS, plan
from protocol.numbers import MAX_UNITS, UNIT
from tests.central.store_help import (
    CAPS,
    DAY,
    FAR,
    NOW,
    TODAY,
    Bucket,
    Clock,
    OpenStore,
    ask,
    assert_levels_agree,
    assert_the_same_without_extremes,
    brute_force,
    group,
    name,
    plain,
    request,
    whole,
)
from tests.examples import examples


async def ids_of_days(store: Store, days: Iterable[int]) -> dict[int, RequestId]:
    """An id stored under each of these days, counted from today."""
    entries = {day: request() for day in days}
    for day, entry in entries.items():
        await store.commit(group(ids=[entry], day=TODAY + day))
    return entries


async def days_found(store: Store, entries: dict[int, RequestId]) -> set[int]:
    """Those of the entries that the store knows."""
    found = await store.find_requests([entry.id for entry in entries.values()])
    return {day for day, entry in entries.items() if entry.id in found}


EDGES = [1, UNIT, 10**14 - 1, 10**14, 2**62 - 1, 2**62, 2**63 - 1, 2**63, 10**19, MAX_UNITS]
"""Where numbers cross from one way of carrying them into a store to another."""

numbers = st.one_of(st.integers(-(10**6), 10**6), st.integers(-MAX_UNITS, MAX_UNITS))
times = st.one_of(
    st.integers(NOW - 4 * DAY, NOW + 4 * DAY),
    st.sampled_from(
        [NOW + unit * step + edge for unit in (60, 3600, DAY) for step in (-2, 0, 3) for edge in (-1, 0, 1)]
    ),
)


@st.composite
def any_rows(draw: st.DrawFn) -> Row:
    """A row of metric 0: a sample or a summary."""
    at, value = draw(times), draw(numbers)
    if draw(st.booleans()):
        return plain(0, value, at)
    low, high = sorted((draw(numbers), draw(numbers)))
    return Row(0, at, value, draw(st.integers(1, MAX_UNITS)), low, high)


def random_row(dice: random.Random, metric_id: int, *, wide: bool) -> Row:
    """A row within some days of NOW; a wide one needs all of DECIMAL(20,4)."""
    bound = MAX_UNITS if wide else 10**9
    at, value = NOW - dice.randrange(3 * DAY), dice.randint(-bound, bound)
    if not wide or dice.random() < 0.5:
        return plain(metric_id, value, at)
    low, high = sorted((dice.randint(-bound, bound), dice.randint(-bound, bound)))
    return Row(metric_id, at, value, dice.randint(1, bound), low, high)


class NumbersContract:
    """Exactness, and answers that equal a brute force over the raw points."""

    async def test_a_number_comes_back_with_all_its_digits(self, open_store: OpenStore) -> None:
        store = await open_store()
        for units in (0, *(sign * edge for edge in EDGES for sign in (1, -1))):
            metric = await name(store, f"a{units}")
            await store.commit(group([plain(metric, units)]))
            assert await ask(store, [metric.id]) == [Bucket(metric.id, NOW, UNIT, units, units, units)]

    async def test_a_summary_comes_back_with_all_its_digits(self, open_store: OpenStore) -> None:
        store = await open_store()
        for units in EDGES:
            metrics = [await name(store, f"{text}{units}") for text in "abc"]
            rows = [
                Row(metrics[0].id, NOW, units, 1, 0, 0),
                Row(metrics[1].id, NOW, 0, units, -1, 1),
                Row(metrics[2].id, NOW, 0, 1, -units, units),
            ]
            for row in rows:
                await store.commit(group([row]))
            await store.commit(group(rows))
            assert await ask(store, [metric.id for metric in metrics]) == brute_force(rows * 2, *FAR, DAY)

    async def test_ten_times_a_tenth_is_exactly_one(self, open_store: OpenStore) -> None:
        store = await open_store()
        metric = await name(store, "a")
        for _ in range(10):
            await store.commit(group([plain(metric, UNIT // 10)]))
        assert await ask(store, [metric.id]) == [Bucket(metric.id, NOW, 10 * UNIT, UNIT, UNIT // 10, UNIT // 10)]

    @pytest.mark.parametrize("sign", [1, -1])
    async def test_sums_go_beyond_64_bits(self, open_store: OpenStore, sign: int) -> None:
        store = await open_store()
        metric = await name(store, "a")
        rows = [plain(metric, sign * MAX_UNITS, NOW + second) for second in range(1000)]
        for _ in range(3):
            await store.commit(group(rows))
        assert await ask(store, [metric.id]) == brute_force(rows * 3, *FAR, DAY)
        assert (await ask(store, [metric.id]))[0].total == sign * 3000 * MAX_UNITS
        await assert_the_same_without_extremes(store, whole([metric.id]), DAY, plan(*FAR, DAY))

    async def test_fractional_weights_are_summed_exactly(self, open_store: OpenStore) -> None:
        store = await open_store()
        metric = await name(store, "a")
        await store.commit(group([Row(metric.id, NOW, 5, 33_333, 1, 4), Row(metric.id, NOW, 7, 1, 7, 7)]))
        await store.commit(group([Row(metric.id, NOW + 1, 9, MAX_UNITS, -9, 9)]))
        assert await ask(store, [metric.id]) == [Bucket(metric.id, NOW, 33_334 + MAX_UNITS, 21, -9, 9)]

    async def test_plain_and_summary_rows_mix(self, open_store: OpenStore) -> None:
        store = await open_store()
        metric = await name(store, "a")
        rows = [
            plain(metric, 7 * UNIT),
            Row(metric.id, NOW, 30 * UNIT, 3 * UNIT, -2 * UNIT, 40 * UNIT),
            plain(metric, 0),
        ]
        await store.commit(group(rows))
        expected = Bucket(metric.id, NOW, 5 * UNIT, 37 * UNIT, -2 * UNIT, 40 * UNIT)
        assert await ask(store, [metric.id]) == [expected]
        await store.tidy(idle=True)
        assert await ask(store, [metric.id]) == [expected]

    async def test_answers_come_by_id_and_start_and_only_where_data_is(self, open_store: OpenStore) -> None:
        store = await open_store()
        ids = [(await name(store, text)).id for text in "abc"]
        rows = [plain(metric_id, metric_id, NOW + at) for at in (7200, 0, 3599) for metric_id in reversed(ids[:2])]
        await store.commit(group(rows))
        found = await ask(store, [*reversed(ids), 999_999], window=3600)
        assert [(bucket.metric_id, bucket.start - NOW) for bucket in found] == [
            (ids[0], 0),
            (ids[0], 7200),
            (ids[1], 0),
            (ids[1], 7200),
        ]

    @settings(max_examples=examples(40), suppress_health_check=list(HealthCheck))
    @given(rows=st.lists(any_rows(), min_size=1, max_size=30), edges=st.tuples(times, times), settled=st.booleans())
    async def test_an_answer_equals_brute_force_over_the_raw_points(
        self, store: Store, rows: list[Row], edges: tuple[int, int], settled: bool
    ) -> None:
        metric = await name(store, os.urandom(8).hex())
        rows = [row._replace(metric_id=metric.id) for row in rows]
        await store.commit(group(rows[::2]))
        if settled:
            await store.tidy(idle=True)
        await store.commit(group(rows[1::2]))
        start, end = min(edges), max(edges) + 1
        for window in WINDOWS.values():
            assert await ask(store, [metric.id], start, end, window) == brute_force(rows, start, end, window)
            await assert_the_same_without_extremes(store, whole([metric.id]), window, plan(start, end, window))

    async def test_a_hundred_random_groups_sum_as_in_python(self, open_store: OpenStore) -> None:
        dice = random.Random(1)
        store = await open_store()
        wanted = [NewName(f"n{number}", "value", 1) for number in range(1000)]
        ids = [metric.id for metric in (await store.names.resolve(wanted, CAPS, NOW)).values()]
        rows: list[Row] = []
        for turn in range(150):
            among = dice.sample(ids, dice.choice((1, 2, 10, 100, 1000)))
            wide = dice.random() < 0.3
            size = dice.choice((1, 1, 2, 10, 100, 1000))
            fresh = [random_row(dice, dice.choice(among), wide=wide) for _ in range(size)]
            await store.commit(group(fresh, day=TODAY - (turn < 40)))
            rows += fresh
            await store.tidy(idle=turn % 25 == 24)
            if turn == 110:
                await store.close()
                store = await open_store()
        await assert_levels_agree(store, ids, rows)
        await store.tidy(idle=True)
        await assert_levels_agree(store, ids, rows)


class GroupsContract:
    """Whole groups, once each, and the ids that say so."""

    async def test_a_group_is_stored_whole_or_not_at_all(self, open_store: OpenStore) -> None:
        store = await open_store()
        metric = await name(store, "a")
        first, entry = plain(metric, 5), request()
        with pytest.raises(StoreError):
            await store.commit(group([first, plain(metric, MAX_UNITS + 1)], [entry]))
        assert await ask(store, [metric.id]) == []
        assert await store.find_requests([entry.id]) == {}
        await store.commit(group([first], [entry]))
        assert await ask(store, [metric.id]) == brute_force([first], *FAR, DAY)
        assert await store.find_requests([entry.id]) == {entry.id: Remembered(entry.fingerprint, None)}

    @pytest.mark.parametrize("with_ids", [True, False])
    @pytest.mark.parametrize("is_in", [True, False])
    async def test_again_stores_once_whether_or_not_it_was_in(
        self, open_store: OpenStore, is_in: bool, with_ids: bool
    ) -> None:
        store = await open_store()
        metric = await name(store, "a")
        rows = [plain(metric, 5), plain(metric, 7)]
        wanted = group(rows, [request(), request(b"partly")] if with_ids else [])
        if is_in:
            await store.commit(wanted)
        for _ in range(2):
            await store.commit(wanted, again=True)
        await store.close()
        store = await open_store()
        await store.commit(wanted, again=True)
        assert await ask(store, [metric.id]) == brute_force(rows, *FAR, DAY)
        assert set(await store.find_requests([entry.id for entry in wanted.ids])) == {entry.id for entry in wanted.ids}

    async def test_a_group_of_ids_alone_is_remembered(self, open_store: OpenStore) -> None:
        store = await open_store()
        entry = request(b'{"all": "rejected"}')
        await store.commit(group(ids=[entry]))
        assert await store.find_requests([entry.id]) == {entry.id: Remembered(entry.fingerprint, entry.answer)}

    async def test_rejected_points_are_kept_aside_once_with_their_group(self, open_store: OpenStore) -> None:
        store = await open_store()
        metric = await name(store, "a")
        wanted = group([plain(metric, 5)])
        wanted.rejected = [
            RejectedPoint("b", "counter", NOW, -MAX_UNITS, None, None, None, "METRIC_TYPE_CONFLICT"),
            RejectedPoint("c", "value", NOW, 5, UNIT, 1, MAX_UNITS, "TOO_MANY_METRICS", "city:Zürich", b"\x01\x00"),
        ]
        await store.commit(wanted)
        await store.commit(wanted, again=True)
        await store.close()
        store = await open_store()
        assert await store.count_rejected() == 2
        await assert_levels_agree(store, [metric.id], wanted.rows)

    async def test_ids_come_back_with_fingerprint_and_answer_over_restarts(self, open_store: OpenStore) -> None:
        store = await open_store()
        entries = [request(os.urandom(number) if number % 5 == 1 else None) for number in range(256)]
        await store.commit(group(ids=entries[:1]))
        await store.commit(group(ids=entries[1:]))
        unknown = os.urandom(16)
        expected = {entry.id: Remembered(entry.fingerprint, entry.answer) for entry in entries}
        assert await store.find_requests([*expected, unknown]) == expected
        await store.close()
        store = await open_store()
        assert await store.find_requests([*expected, unknown]) == expected
        assert await store.find_requests([unknown]) == {}
        assert await store.find_requests([]) == {}

    async def test_an_id_is_found_after_tens_of_thousands_of_others(self, open_store: OpenStore) -> None:
        store = await open_store()
        entry = request(b"answer")
        await store.commit(group(ids=[entry]))
        for _ in range(20):
            await store.commit(group(ids=[request() for _ in range(1000)]))
        assert await store.find_requests([entry.id]) == {entry.id: Remembered(entry.fingerprint, b"answer")}

    async def test_ids_that_share_their_first_half_are_told_apart(self, open_store: OpenStore) -> None:
        store = await open_store()
        half = os.urandom(8)
        one, other = (RequestId(half + os.urandom(8), os.urandom(16), None) for _ in range(2))
        await store.commit(group(ids=[one]))
        await store.close()
        store = await open_store()
        assert set(await store.find_requests([one.id, other.id])) == {one.id}

    @pytest.mark.parametrize("reopened", [True, False])
    async def test_ids_are_found_from_8_days_back_and_not_from_10(
        self, open_store: OpenStore, clock: Clock, reopened: bool
    ) -> None:
        clock.now = NOW - 10 * DAY
        store = await open_store()
        entries = await ids_of_days(store, range(-10, 1))
        clock.now = NOW
        if reopened:
            await store.close()
            store = await open_store()
        await store.tidy(idle=False)
        assert await days_found(store, entries) == set(range(-8, 1))

    async def test_ids_of_days_that_few_others_followed_are_kept(self, open_store: OpenStore, clock: Clock) -> None:
        clock.now = NOW - 30 * DAY
        store = await open_store()
        entries = await ids_of_days(store, (-30, -20, -10, 0))
        clock.now = NOW
        await store.tidy(idle=False)
        assert await days_found(store, entries) == {-30, -20, -10, 0}

    @pytest.mark.parametrize("reopened", [True, False])
    @pytest.mark.parametrize("ahead", [10, 400, -10, -31])
    async def test_a_clock_that_is_wrong_for_good_drops_no_id_of_seven_days(
        self, open_store: OpenStore, clock: Clock, ahead: int, reopened: bool
    ) -> None:
        clock.now = NOW - 8 * DAY
        store = await open_store()
        entries = await ids_of_days(store, range(-8, 1))
        for wrong in (True, False):
            clock.now = NOW + ahead * DAY if wrong else NOW + 3600
            if reopened:
                await store.close()
                store = await open_store()
            await store.tidy(idle=False)
            assert await days_found(store, entries) >= set(range(-7, 1))
            entries[100 + wrong] = request()
            await store.commit(group(ids=[entries[100 + wrong]], day=int(clock.now // DAY)))
            await store.tidy(idle=False)
        assert await days_found(store, entries) >= {*range(-7, 1), 100, 101}
