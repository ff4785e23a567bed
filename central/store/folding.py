"""Merges the histograms of hours that are over, in the background, so that queries need not read raw points.

A unit of work is a name's hour: its histograms per minute and per hour are made anew from its raw points, and each is
stored with the samples that it stands for. A query uses one only if the rollup has the same samples in the same
snapshot. Points are only ever added, and each weighs more than nothing, so equal samples mean the same points. So
nothing has to be done in time, in order or only once. After a kill, after late points, or with two processes at once, a
histogram may not match its rollup. Then queries read the raw points, and a later round makes the histogram anew.
docs/decisions/0019-histograms-are-folded-later.md
"""

import asyncio
import contextlib
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import accumulate
from types import ModuleType
from typing import Final, NamedTuple, Protocol

import numpy as np
import structlog

from central.compiled import CORE
from central.store.buckets import Column
from central.store.distribution import Histograms, Samples, entries_of
from protocol.histogram import decode, encode, merge, middle_of

SLICE_NAMES: Final = 50
"""How many names a step handles at least: as many as have SLICE_MINUTES if each has all minutes of the hour."""
MOST_NAMES: Final = 400
"""How many names a step handles at most: if all turn out to be full, it keeps the writer for some 0.3 s, once."""
SLICE_MINUTES: Final = 3_000
"""How many minutes of names a step should have. Each step costs as much as some 2,000 of them, however few it has."""
PAUSE_SECONDS: Final = 0.5
"""Between two steps, so that commits and queries are hardly delayed."""
HOUR: Final = 3_600
MINUTE: Final = 60
DELAY_SECONDS: Final = 600
"""How long after its end an hour is folded: nearly all of its points have come by then."""
SPAN: Final = 7 * 86_400 + 2 * HOUR
"""How far back late points can come, and a little more. What is older stays as it is."""
_ALL_PERCENT: Final = 100_000
_ONE: Final = np.array([1], dtype=np.int64).tobytes()
PERCENTS: Final = {"p50": 50_000, "p75": 75_000, "p90": 90_000, "p95": 95_000, "p99": 99_000}
"""The percentiles of an hour that are stored for SQL: the column of each, and its percent in thousandths."""
_log = structlog.get_logger(__name__)


class FoldedRow(NamedTuple):
    """What is stored of a name's minute or hour.

    ``samples`` is the text of the rollup's DECIMAL at that moment. ``histogram`` is empty if nothing is in a bucket.
    ``percentiles`` are those of an hour, in the order of PERCENTS and in units. They are left out for a minute, and if
    a sample of the hour is in no histogram.
    """

    metric_id: int
    bucket: int
    samples: str
    histogram: bytes
    percentiles: tuple[int, ...] = ()


class HourSums(NamedTuple):
    """What the rollup has of a name's hour, as texts of DECIMALs with four decimals, so their digits are units."""

    metric_id: int
    samples: str
    low: str
    high: str


class FoldStep(NamedTuple):
    """What a step has folded: the last of its names' ids, and how many minutes of names had data."""

    last_id: int
    minutes: int


class FoldingStore(Protocol):
    """What the fold asks of a store. Every method may raise StoreError."""

    async def stale_hours(self, start: int, end: int) -> Sequence[int]:
        """The starts of the hours in [start, end) in which a value lacks a histogram of the same samples."""

    async def fold_names(self, hour: int, after: int, most: int) -> FoldStep | None:
        """Fold that hour for at most so many names, the next ones with ids above ``after``. None if no name is left."""


class HistogramFold:
    """Folds in rounds: one per hour, over all hours to which points can still have come. Owns its task."""

    def __init__(
        self,
        store: FoldingStore,
        clock: Callable[[], float],
        pause: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(PAUSE_SECONDS),
    ) -> None:
        self._store = store
        self._clock = clock
        self._pause = pause
        self._done = 0
        """The end of the last round's range."""
        self._task: asyncio.Task[None] | None = None

    def start_if_due(self) -> None:
        """Begin a round if an hour has ended since the last one. Never raises."""
        if self._end() != self._done and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._try_round(), name="histogram-fold")

    async def round(self) -> int:
        """Fold all that is stale now. Returns the number of steps. Raises StoreError."""
        end, steps = self._end(), 0
        for hour in await self._store.stale_hours(end - SPAN, end):
            after, most = 0, SLICE_NAMES
            while step := await self._store.fold_names(hour, after, most):
                after, most = step.last_id, names_of_next(most, step.minutes)
                steps += 1
                await self._pause()
        self._done = end
        return steps

    async def close(self) -> None:
        """End the round. What it has not done, the next one does."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _end(self) -> int:
        return int(self._clock() - DELAY_SECONDS) // HOUR * HOUR

    async def _try_round(self) -> None:
        end = self._end()
        try:
            await self.round()
        except Exception as error:  # whatever it is: queries read raw points meanwhile, and the next hour tries again
            self._done = end
            _log.warning("histogram_fold_failed", error=str(error))


def names_of_next(names: int, minutes: int) -> int:
    """How many names the next step handles, if one with so many names had so many minutes: at most twice as many."""
    return min(MOST_NAMES, 2 * names, max(SLICE_NAMES, names * SLICE_MINUTES // max(1, minutes)))


def folded_minutes(
    samples: Samples, histograms: Histograms, core: ModuleType | None = CORE
) -> dict[tuple[int, int], bytes]:
    """One histogram of all points per name and start of a minute. The starts in the arguments are those of minutes."""
    parts: dict[tuple[int, int], list[bytes]] = {}
    for metric_id, start, content in zip(
        histograms.metric_ids.tolist(), histograms.starts.tolist(), histograms.encoded, strict=True
    ):
        parts.setdefault((metric_id, start), []).append(content)
    for key, content in _encoded_samples(samples, core):
        parts.setdefault(key, []).append(content)
    return {key: merged(contents, core) for key, contents in parts.items()}


def merged(contents: list[bytes], core: ModuleType | None = CORE) -> bytes:
    """The sum of histograms; no bytes for none."""
    if len(contents) < 2:
        return contents[0] if contents else b""
    made: bytes = merge(contents) if core is None else core.merge_histograms(contents)
    return made


def folded_hours(hours: Sequence[HourSums], hour: int, found: Mapping[tuple[int, int], bytes]) -> list[FoldedRow]:
    """The rows to store for an hour. ``found`` has the histograms of its minutes, from ``folded_minutes``."""
    contents: dict[int, list[bytes]] = {}
    for (metric_id, _), histogram in found.items():
        contents.setdefault(metric_id, []).append(histogram)
    made = []
    for sums in hours:
        histogram = merged(contents.get(sums.metric_id, []))
        made.append(FoldedRow(sums.metric_id, hour, sums.samples, histogram, percentiles_of(sums, histogram)))
    return made


def percentiles_of(sums: HourSums, histogram: bytes, core: ModuleType | None = CORE) -> tuple[int, ...]:
    """PERCENTS of an hour in units, by the rule of central.query.percentiles; empty if a sample is in no histogram."""
    samples, low, high = (int(text.replace(".", "")) for text in sums[1:])
    found = []
    for percent in PERCENTS.values() if histogram else ():
        weight, bucket = _rank(histogram, percent, core)
        if weight != samples:
            return ()
        found.append(min(max(middle_of(bucket), low), high))
    return tuple(found)


def _rank(histogram: bytes, percent: int, core: ModuleType | None) -> tuple[int, int]:
    """The weight of a histogram, and the bucket that holds its sample of a rank."""
    if core is not None:
        with contextlib.suppress(OverflowError):  # a weight of more than 63 bits, which is rare
            weights, buckets = (
                np.frombuffer(column, dtype=np.int64) for column in core.rank_histograms([histogram], _ONE, percent)
            )
            return int(weights[0]), int(buckets[0])
    weights_of = decode(histogram)
    running = list(accumulate(weights_of.values()))
    needed = -(-running[-1] * percent // _ALL_PERCENT)
    return running[-1], list(weights_of)[bisect_left(running, needed)]


def _encoded_samples(samples: Samples, core: ModuleType | None) -> list[tuple[tuple[int, int], bytes]]:
    """A histogram of the plain samples of each name and minute."""
    empty: Column = samples.metric_ids[:0]
    entries = entries_of(samples, Histograms(empty, empty, []), core)
    found: dict[tuple[int, int], dict[int, int]] = {}
    for metric_id, start, bucket, weight in zip(*(column.tolist() for column in entries), strict=True):
        found.setdefault((metric_id, start), {})[bucket] = weight
    return [(key, encode(histogram)) for key, histogram in found.items()]
