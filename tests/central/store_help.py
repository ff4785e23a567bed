"""Rows, groups and answers for the tests of stores."""

import asyncio
import functools
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from central.store.base import (
    Caps,
    Group,
    IdGroup,
    Metric,
    NewName,
    RequestId,
    Row,
    Store,
)
from central.store.buckets import Buckets, wide_column
from central.store.duck.store import FILE_NAME, DuckStore
from central.store.plan import Level, Segment, plan
from central.store.series import SeriesCaps
from protocol.item import Kind
from protocol.numbers import UNIT

DAY = 86_400
NOW = 20_499 * DAY
TODAY = NOW // DAY
CAPS = Caps(100_000, 100_000)
SERIES_CAPS = SeriesCaps(100_000, 100_000)
FAR = (NOW - 30 * DAY, NOW + 30 * DAY)


OpenStore = Callable[[], Awaitable[Store]]
"""Opens the store, the same one each time, with the test's clock. The fixture closes what is left open."""
OpenCopy = Callable[[Path], Awaitable[Store]]
"""Opens a backup."""


def migrate_quickly(folder: Path) -> None:
    """Put an embedded store without data into a folder without one: two thirds of the CPU of a first open are
    migrations. Services that are processes of their own make their store themselves."""
    if folder.exists() and (not folder.is_dir() or any(folder.glob(f"{FILE_NAME}*"))):
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / FILE_NAME).write_bytes(_migrated())


@functools.cache
def _migrated() -> bytes:
    """The file, made in a loop of its own: the caller's may run."""

    async def make(folder: Path) -> None:
        store = DuckStore(folder)
        await store.open()
        await store.close()

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, make(Path(folder))).result()
        return (Path(folder) / FILE_NAME).read_bytes()


class Bucket(NamedTuple):
    """The summary of one name over one window, as plain numbers in units."""

    metric_id: int
    start: int
    weight: int
    total: int
    low: int
    high: int


@dataclass
class Clock:
    """The time, which the test sets."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


def plain(metric: Metric | int, value: int, at: int = NOW) -> Row:
    """A sample of ``value`` units."""
    return Row(metric if isinstance(metric, int) else metric.id, at, value, None, None, None)


def group(rows: Iterable[Row] = (), ids: Iterable[RequestId] = (), day: int = TODAY) -> Group:
    """A group under a new id."""
    return Group(os.urandom(16), day, list(ids), list(rows))


def request(answer: bytes | None = None) -> RequestId:
    """A new request id."""
    return RequestId(os.urandom(16), os.urandom(16), answer)


async def name(store: Store, text: str, kind: Kind = "value") -> Metric:
    """The metric of a name, made where it is missing."""
    return (await store.names.resolve([NewName(text, kind, 1)], CAPS, NOW))[text]


def brute_force(rows: Iterable[Row], start: int, end: int, window: int) -> list[Bucket]:
    """What aggregate must answer, from the rows themselves."""
    found: dict[tuple[int, int], Bucket] = {}
    for row in rows:
        if not start <= row.recorded_at < end:
            continue
        key = row.metric_id, row.recorded_at // window * window
        low = row.value if row.low is None else row.low
        high = row.value if row.high is None else row.high
        weight = UNIT if row.weight is None else row.weight
        one = Bucket(*key, weight, row.value, low, high)
        old = found.get(key)
        found[key] = (
            one
            if old is None
            else Bucket(*key, old.weight + weight, old.total + row.value, min(old.low, low), max(old.high, high))
        )
    return [found[key] for key in sorted(found)]


async def ask(
    store: Store, ids: Iterable[int], start: int = FAR[0], end: int = FAR[1], window: int = DAY
) -> list[Bucket]:
    """The planned answer of the store."""
    return await ask_segments(store, list(ids), window, plan(start, end, window))


async def ask_segments(store: Store, ids: Sequence[int], window: int, segments: Sequence[Segment]) -> list[Bucket]:
    """What the store answers, a row at a time."""
    return as_rows(await store.aggregate(whole(ids), window, segments))


async def assert_the_same_without_extremes(
    store: Store, groups: Sequence[IdGroup], window: int, segments: Sequence[Segment]
) -> None:
    """A query that needs no lowest and highest values gets the other columns as they are."""
    every = [column.tolist() for column in await store.aggregate(groups, window, segments)]
    some = [column.tolist() for column in await store.aggregate(groups, window, segments, extremes=False)]
    assert some == [*every[:4], [], []]


def whole(ids: Iterable[int]) -> list[IdGroup]:
    """A group for each of these names, under its id."""
    return [IdGroup(key, key, None) for key in ids]


def as_rows(buckets: Buckets) -> list[Bucket]:
    """A row a window."""
    return list(map(Bucket._make, zip(*(column.tolist() for column in buckets), strict=True)))


def columns(buckets: Sequence[Bucket], *, wide: bool = False) -> Buckets:
    """The same as columns; ``wide``: of numbers of any size."""
    ids, starts, *numbers = zip(*buckets, strict=True) if buckets else ((),) * 6
    make = wide_column if wide else functools.partial(np.array, dtype=np.int64)
    return Buckets(np.array(ids, np.int64), np.array(starts, np.int64), *(make(column) for column in numbers))


async def assert_levels_agree(store: Store, ids: Sequence[int], rows: Sequence[Row]) -> None:
    """Raw points and both rollups say, each for itself, what the rows say."""
    levels: tuple[Level, ...] = ("raw", "minute", "hour")
    for level in levels:
        assert await ask_segments(store, ids, DAY, [Segment(level, *FAR)]) == brute_force(rows, *FAR, DAY), level
