"""Which names exist: a cache in front of the store. A name keeps its type (counter or value) for ever.

An item from an agent also says which StatsD type it had on its line (counter, timing, gauge or set). The first such
item to arrive makes its StatsD type the owner of the name. Items of other StatsD types are stored under a longer name
(see protocol.statsd_types). The store decides which type was first, so that all agents, all processes and the drain
agree.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import repeat
from operator import itemgetter
from types import ModuleType
from typing import Final

import structlog

from central.compiled import CORE
from central.ingest.series import MAX_CACHED_BYTES, KnownSeries, SeriesLookup
from central.ingest.submission import Submission
from central.store.base import Caps, Metric, NewName, Store
from central.store.owners import must_resolve
from central.store.series import SeriesCaps
from protocol.item import Fault, Item
from protocol.statsd import MetricType
from protocol.statsd_types import name_of_clash

MAX_CACHED: Final = 1_000_000
_TAGS: Final = itemgetter(Item._fields.index("tags"))
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Known:
    """Metrics by name, and their series. All were resolved at ``version`` of the store's names, or later."""

    version: int | None = None
    metrics: dict[str, Metric] = field(default_factory=dict)
    series: KnownSeries = field(default_factory=KnownSeries)

    def fits(self, submission: Submission) -> bool:
        """Whether every item certainly belongs under its own name. True for most submissions, and quick to check."""
        metrics, items = self.metrics, submission.items
        try:
            if submission.sent_as is None and len(items) == 1:
                return metrics[items[0][0]].kind == items[0][1]
            if submission.sent_as is None:
                return [metrics[item[0]].kind for item in items] == [item[1] for item in items]
            # If an item's StatsD type owns the name, its type fits too. An item without a StatsD type needs ``place``.
            return None not in submission.sent_as and [metrics[item[0]].owner for item in items] == submission.sent_as
        except KeyError:
            return False

    def place(self, item: Item, sent_as: MetricType | None) -> tuple[str, Metric] | None:
        """The name and metric under which to store an item: its own, or the longer name. None if neither takes it."""
        metric = self.metrics.get(item.name)
        if metric is not None and metric.takes(item.kind, sent_as):
            return item.name, metric
        if metric is None or sent_as is None or (longer := name_of_clash(item.name, sent_as)) is None:
            return None
        metric = self.metrics.get(longer)
        return (longer, metric) if metric is not None and metric.takes(item.kind, sent_as) else None

    def missing_series(self, submission: Submission, core: ModuleType | None = CORE) -> list[tuple[int, str]]:
        """Of each tagged item whose series is not known: the metric under which it is stored, and its tags."""
        items, ids = submission.items, self.series.ids
        if core is None or not any(map(_TAGS, items)) or not (submission.sent_as is None or self.fits(submission)):
            return [key for key in self.series_keys(submission) if key not in ids]
        missing: list[tuple[int, str]] = core.missing_series(items, self.metrics, ids)
        return missing

    def series_keys(self, submission: Submission) -> list[tuple[int, str]]:
        """The metric under which each tagged item is stored, and its tags."""
        items = submission.items
        if not any(map(_TAGS, items)):
            return []
        if submission.sent_as is None or self.fits(submission):
            metrics = self.metrics
            return [(metrics[item[0]].id, item[8]) for item in items if item[8] is not None]
        places = [(self.place(item, sent_as), item.tags) for item, sent_as in _with_types(submission)]
        return [(place[1].id, tags) for place, tags in places if place is not None and tags is not None]


class Names:
    """The cache: ids and types by name. It holds only names and series that are durable in the store."""

    def __init__(self, store: Store, caps: Caps, series_caps: SeriesCaps) -> None:
        self._store = store.names
        self._caps = caps
        self.series = SeriesLookup(store.series, series_caps)
        self._known: Known | None = None

    async def settle(self, submissions: Iterable[Submission], now: int) -> Known:
        """Create the missing names, and reject items that cannot be stored: of the wrong type, or over a cap.

        Every item that stays in the submissions has a metric in the returned ``Known``, and a series if it has tags.
        The caller may use it until its group is committed: later changes of the cache remove nothing from it. Raises
        StaleNames if a name is deleted meanwhile.
        """
        todo = list(submissions)
        known, missing, odd = await self._resolve(todo, now)
        faults = [self._faults(submission, known, missing) for submission in odd]
        if known.version is not None and any(faults) and await self._store.version() != known.version:
            # The cache may be stale: the name that these items conflict with may have been deleted.
            self.forget_all()
            known, missing, odd = await self._resolve(todo, now)
            faults = [self._faults(submission, known, missing) for submission in odd]
        if missing:
            _log.warning("names_over_cap", refused=len(missing), example=min(missing), caps=self._caps._asdict())
        for submission, found in zip(odd, faults, strict=True):
            submission.reject(found)
        return await self._with_series(known, todo, now)

    def settle_known(self, submissions: Iterable[Submission]) -> None:
        """Reject items whose cached name has another type. Accept all others as declared.

        This is for times when the store cannot be asked; the drain asks it later. Every item with a StatsD type is
        accepted, because the store may have a longer name for it.
        """
        metrics = (self._known or Known()).metrics
        for submission in submissions:
            faults = {}
            for position, (item, sent_as) in enumerate(_with_types(submission)):
                metric = metrics.get(item.name)
                if sent_as is None and metric is not None and metric.kind != item.kind:
                    faults[position] = _conflict(item, None, metrics)
            submission.reject(faults)

    def of(self, name: str) -> Metric:
        """The metric of a name that the last ``settle`` accepted."""
        return (self._known or Known()).metrics[name]

    async def find(self, names: Iterable[str]) -> dict[str, Metric]:
        """The metrics of those names that exist. If other processes can delete names, this asks the store each time."""
        asked = list(names)
        found: dict[str, Metric] = {}
        if self._known is not None and self._known.version is None:
            metrics = self._known.metrics
            found = {name: metrics[name] for name in asked if name in metrics}
        missing = [name for name in asked if name not in found]
        if missing:
            found |= await self._store.find(missing)
        return found

    def forget(self, name: str) -> None:
        """Remove a deleted name, or the name of a deleted series, from the cache. Call this while no group is open.

        There is room for new series now, also of other names. So all series are looked up again.
        """
        if self._known is not None:
            self._known.metrics.pop(name, None)
            self._known.series = KnownSeries()

    def forget_all(self) -> None:
        """Empty the cache, because another process has deleted a name. The next group resolves its names again."""
        self._known = None

    async def _resolve(self, todo: list[Submission], now: int) -> tuple[Known, frozenset[str], list[Submission]]:
        """The metrics that the submissions need, the names that a cap kept out, and who did not fit before.

        Only those may have items that cannot be stored: a name keeps its type and its owner.
        """
        if self._known is None:
            self._known = Known(await self._store.version())
        known = self._known
        odd = [submission for submission in todo if not known.fits(submission)]
        missing = await self._learn(known, list(_own_names(odd, known)), now)
        # Only now are the owners of these names known, and so which items need a longer name.
        longer = list(_names_of_clashes(odd, known))
        missing |= await self._learn(known, longer, now)
        for new in longer:
            if new.name in known.metrics:
                _log.warning("name_clash", name=new.clash_of, sent_as=new.owner, stored_as=new.name)
        if len(known.metrics) > MAX_CACHED:
            needed = {
                name for submission in todo for pair in _with_types(submission) for name in _possible_names(*pair)
            }
            kept = {name: metric for name, metric in known.metrics.items() if name in needed}
            known = self._known = Known(known.version, kept, known.series)
        return known, missing, odd

    async def _with_series(self, known: Known, todo: list[Submission], now: int) -> Known:
        """``known`` with the series of all tagged items."""
        tagged = [submission for submission in todo if any(map(_TAGS, submission.items))]
        missing = dict.fromkeys(key for submission in tagged for key in known.missing_series(submission))
        if missing and (full := await self.series.learn(known.series, missing, now)):
            self._warn_of(full, todo, known)
        if known.series.bytes > MAX_CACHED_BYTES:
            # Other groups may use the old cache until they are committed.
            needed = (key for submission in todo for key in known.series_keys(submission))
            known = self._known = Known(known.version, known.metrics, known.series.only(needed))
        return known

    def _warn_of(self, full: set[int], todo: list[Submission], known: Known) -> None:
        """Log the names that have become full. Each is logged once, until the cache is emptied."""
        places = (known.place(*pair) for submission in todo for pair in _with_types(submission))
        names = sorted({place[0] for place in places if place is not None and place[1].id in full})
        _log.warning("series_over_cap", names=len(names), examples=names[:10], caps=self.series.caps._asdict())

    async def _learn(self, known: Known, new_names: list[NewName], now: int) -> frozenset[str]:
        """Resolve these names in the store, which creates the missing ones. Returns the names that a cap kept out."""
        if not new_names:
            return frozenset()
        found = await self._store.resolve(new_names, self._caps, now)
        known.metrics.update(found)
        return frozenset(new.name for new in new_names if new.name not in found)

    def _faults(self, submission: Submission, known: Known, missing: frozenset[str]) -> dict[int, Fault]:
        faults: dict[int, Fault] = {}
        if known.fits(submission):
            return faults
        for position, (item, sent_as) in enumerate(_with_types(submission)):
            if known.place(item, sent_as) is not None:
                continue
            new = [name for name in _possible_names(item, sent_as) if name in missing]
            faults[position] = self._over_cap(new[0]) if new else _conflict(item, sent_as, known.metrics)
        return faults

    def _over_cap(self, name: str) -> Fault:
        return Fault(
            "TOO_MANY_METRICS",
            "name",
            f"the name {name!r} is new, and there may be at most {self._caps.names} names,"
            f" {self._caps.names_per_key} per key; use fewer names or ask an operator",
        )


def _with_types(submission: Submission) -> Iterator[tuple[Item, MetricType | None]]:
    """The items, each with its StatsD type, or None if it has none."""
    return zip(submission.items, submission.sent_as or repeat(None), strict=False)


def _possible_names(item: Item, sent_as: MetricType | None) -> Iterator[str]:
    """The names under which an item may be stored."""
    yield item.name
    if sent_as is not None and (longer := name_of_clash(item.name, sent_as)) is not None:
        yield longer


def _own_names(todo: Iterable[Submission], known: Known) -> Iterator[NewName]:
    """The items' own names that the store must resolve: unknown ones, and those that now get an owner."""
    metrics = known.metrics
    for submission in todo:
        key_id = submission.key_id
        if submission.sent_as is None:
            yield from [NewName(item.name, item.kind, key_id) for item in submission.items if item.name not in metrics]
            continue
        for item, sent_as in _with_types(submission):
            new = NewName(item.name, item.kind, key_id, sent_as)
            if must_resolve(new, metrics.get(item.name)):
                yield new


def _names_of_clashes(todo: Iterable[Submission], known: Known) -> Iterator[NewName]:
    """The longer names that items need because another StatsD type owns their own, if the store must resolve them."""
    for submission in todo:
        if submission.sent_as is None:
            continue
        for item, sent_as in _with_types(submission):
            metric = known.metrics.get(item.name)
            if sent_as is None or metric is None or metric.takes(item.kind, sent_as):
                continue
            longer = name_of_clash(item.name, sent_as)
            if longer is not None:
                new = NewName(longer, item.kind, submission.key_id, sent_as, item.name)
                if must_resolve(new, known.metrics.get(longer)):
                    yield new


def _conflict(item: Item, sent_as: MetricType | None, metrics: Mapping[str, Metric]) -> Fault:
    """The fault of an item that neither its own name nor the longer name can take."""
    metric = metrics[item.name]
    if sent_as is None:
        message = f"{item.name!r} is a {metric.kind} and cannot take a {item.kind}; use another name"
    else:
        longer = name_of_clash(item.name, sent_as)
        why = "the name has no room for a suffix" if longer is None else f"{longer!r} belongs to another type too"
        message = f"{item.name!r} is a {metric.owner or metric.kind}, and {why}; send the {sent_as} under another name"
    return Fault("METRIC_TYPE_CONFLICT", "name", message)
