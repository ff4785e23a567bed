"""What a store promises of series. A series is a name and its tags, whose canonical text protocol.tags makes."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from protocol.tags import OVERFLOW

ANYTHING: Final = "*"
"""In the pattern of a filter, this stands for any text, also an empty one."""


class NewSeries(NamedTuple):
    """The tags of a sample and the id of its metric."""

    metric_id: int
    tags: str

    @property
    def overflow(self) -> "NewSeries":
        """The series of the same metric that takes samples for which a cap allows no new series."""
        return NewSeries(self.metric_id, OVERFLOW)


class Series(NamedTuple):
    """A series that exists: its id and its tags. No metric and no other series ever has the same id."""

    id: int
    tags: str


class FoundSeries(NamedTuple):
    """A series and the name that it belongs to."""

    name: str
    series: Series


class SeriesCaps(NamedTuple):
    """How many series there may be: in all, and per metric. The overflow series of a metric does not count."""

    series: int
    series_per_metric: int


class TagFilter(NamedTuple):
    """A condition on a tag. ``pattern`` may hold ANYTHING. ``negated``: series without the key meet it too."""

    key: str
    pattern: str
    negated: bool = False


class TagKey(NamedTuple):
    """A key that series of a metric have, and how many different values it has."""

    key: str
    values: int


class TagValue(NamedTuple):
    """A value of a key, and how many series of the metric have it."""

    value: str
    series: int


class SeriesStore(Protocol):
    """The series of metrics. Every method may raise StoreUnavailable."""

    async def resolve(self, wanted: Sequence[NewSeries], caps: SeriesCaps, now: int) -> dict[NewSeries, Series]:
        """The series of these tags, created where missing, durably.

        If a cap allows no new series, the answer is the overflow series of the metric. Series of a metric that does not
        exist any more are left out.
        """

    async def find(self, wanted: Sequence[NewSeries]) -> dict[NewSeries, Series]:
        """Those of these series that exist."""

    async def select(self, metric_id: int, filters: Sequence[TagFilter], after: int, limit: int) -> list[Series]:
        """Series of a metric that meet all filters, with ids after ``after``, in the order of ids."""

    async def search(
        self, metric_ids: Sequence[int] | None, filters: Sequence[TagFilter], limit: int
    ) -> list[FoundSeries]:
        """At most ``limit`` series that meet all filters, in no order: of these metrics, or with None of all.

        No filter is negated.
        """

    async def all_keys(self, prefix: str, limit: int) -> list[str]:
        """The keys of all metrics' tags that begin with ``prefix``, in order."""

    async def all_values(self, key: str, prefix: str, limit: int) -> list[str]:
        """The values of a key of all metrics' tags that begin with ``prefix``, in byte order."""

    async def keys(self, metric_id: int) -> list[TagKey]:
        """The keys of a metric's tags, in order."""

    async def values(self, metric_id: int, tag: TagFilter, after: str, limit: int) -> list[TagValue]:
        """The values of a key that meet the filter and come after ``after``, in byte order."""

    async def count(self) -> int:
        """How many series there are, not counting overflow series."""

    async def delete(self, metric_id: int, tags: str) -> bool:
        """Remove a series, so that queries no longer find it; its metric's totals stay. False if there is none.

        A process calls it between its commits.
        """


def admit(
    missing: Iterable[NewSeries], counts: Counter[int], total: int, caps: SeriesCaps
) -> tuple[list[NewSeries], list[NewSeries]]:
    """Which of these series may be created, and which are beyond a cap. ``counts`` are the series of each metric."""
    made: list[NewSeries] = []
    over: list[NewSeries] = []
    counts = counts.copy()
    for new in missing:
        if new.tags == OVERFLOW:
            made.append(new)
        elif total < caps.series and counts[new.metric_id] < caps.series_per_metric:
            total += 1
            counts[new.metric_id] += 1
            made.append(new)
        else:
            over.append(new)
    return made, over


def count_by_metric(made: Iterable[NewSeries]) -> Counter[int]:
    """How many of these series each metric has, not counting its overflow series."""
    return Counter(new.metric_id for new in made if new.tags != OVERFLOW)


def to_like(pattern: str) -> str:
    """The pattern for LIKE ... ESCAPE '!'."""
    for special in "!%_":
        pattern = pattern.replace(special, "!" + special)
    return pattern.replace(ANYTHING, "%")
