"""Which series exist: a cache in front of the store, and a part of the cache of names (central/ingest/names.py).

Beyond a cap the store creates no series. Those samples go to the overflow series of their name, so its total stays
exact. A name that is full is remembered here: from then on, new tags cost a look-up and no transaction.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from sys import getsizeof
from typing import Final

from central.store.base import Row, StaleNames
from central.store.series import NewSeries, Series, SeriesCaps, SeriesStore

MAX_CACHED_BYTES: Final = 512 << 20
"""The cache begins anew when it is larger. A million series with 100 characters of tags have room."""
AT_ONCE: Final = 1_000
"""The most series that one transaction creates, so that it takes a small part of the time that a store may take."""
_ENTRY_BYTES: Final = 240
"""What an entry of the cache takes beside the text of its tags."""
_SERIES_ID: Final = Row._fields.index("series_id")


@dataclass(slots=True)
class KnownSeries:
    """Ids of series, by the id of their metric and their tags. It holds only series that are durable in the store."""

    ids: dict[tuple[int, str], int] = field(default_factory=dict)
    overflows: dict[int, int] = field(default_factory=dict)
    """The overflow series of the metrics that are full, by the id of the metric."""
    overflow_ids: set[int] = field(default_factory=set)
    bytes: int = 0

    def id_of(self, metric_id: int, tags: str) -> int:
        """The series of a tagged item that the last ``settle`` accepted."""
        found = self.ids.get((metric_id, tags))
        return self.overflows[metric_id] if found is None else found

    def add(self, found: Mapping[NewSeries, Series]) -> None:
        """Add series. For one that a cap kept out, remember that its metric is full."""
        for new, series in found.items():
            if series.tags != new.tags:
                self.overflows[new.metric_id] = series.id
                self.overflow_ids.add(series.id)
            elif new not in self.ids:
                self.ids[new] = series.id
                self.bytes += _ENTRY_BYTES + getsizeof(new.tags)

    def only(self, needed: Iterable[tuple[int, str]]) -> "KnownSeries":
        """A copy with no other series than these. The full metrics are all in it."""
        made = KnownSeries(overflows=self.overflows, overflow_ids=self.overflow_ids)
        made.add({NewSeries(*key): Series(self.ids[key], key[1]) for key in needed if key in self.ids})
        return made

    def overflowing(self, rows: Iterable[Row]) -> int:
        """How many of these rows are in an overflow series because their metric is full."""
        ids = self.overflow_ids
        return sum([row[_SERIES_ID] in ids for row in rows]) if ids else 0


class SeriesLookup:
    """Finds series in the store, creates the missing ones, and knows how many there are."""

    def __init__(self, store: SeriesStore, caps: SeriesCaps) -> None:
        self._store = store
        self.caps = caps
        self.stored = 0
        """Series in the store, without overflow series, when this process last counted them."""

    async def count(self) -> None:
        """Count the series in the store."""
        self.stored = await self._store.count()

    async def learn(self, known: KnownSeries, missing: Iterable[tuple[int, str]], now: int) -> set[int]:
        """Find or create the series that ``known`` does not have. Returns the metrics that have become full.

        Afterwards each of them is in ``known``, or its metric is full. Raises StaleNames if a metric is gone.
        """
        full = known.overflows
        wanted = [NewSeries(*key) for key in missing]
        # Nothing may be created for a full metric, but the tags may be those of a series that it has.
        if old := [new for new in wanted if new.metric_id in full]:
            known.add(await self._store.find(old))
        if new := [new for new in wanted if new.metric_id not in full]:
            for at in range(0, len(new), AT_ONCE):
                known.add(await self._resolve(new[at : at + AT_ONCE], now))
            await self.count()
        return {one.metric_id for one in new if one.metric_id in full}

    async def _resolve(self, wanted: Sequence[NewSeries], now: int) -> dict[NewSeries, Series]:
        found = await self._store.resolve(wanted, self.caps, now)
        if not found.keys() >= set(wanted):
            raise StaleNames("a name was deleted while its series were looked up")
        return {new: found[new] for new in wanted}
