"""Which names exist: a cache before the store. A name keeps its type for ever.

Of items that say what they were on a StatsD line, the first to come owns its name too, and those of the other types
are stored under a longer one (protocol.statsd_types). The store decides which type was first, so that all agents, all
processes and the drain of the spill agree.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import repeat
from typing import Final

import structlog

from central.ingest.submission import Submission
from central.store.base import Caps, Metric, NameStore, NewName
from central.store.owners import must_resolve
from protocol.item import Fault, Item
from protocol.statsd import MetricType
from protocol.statsd_types import name_of_clash

MAX_CACHED: Final = 1_000_000
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Known:
    """Metrics by name, all of them resolved under one ``version`` of the store's names or a later one."""

    version: int | None = None
    metrics: dict[str, Metric] = field(default_factory=dict)

    def fits(self, submission: Submission) -> bool:
        """Whether every item certainly belongs under its own name. This quick check is true for most submissions."""
        metrics, items = self.metrics, submission.items
        try:
            if submission.sent_as is None:
                return [metrics[item[0]].kind for item in items] == [item[1] for item in items]
            # Who owns a name has its type; where nothing is said of an item a closer look is needed.
            return None not in submission.sent_as and [metrics[item[0]].owner for item in items] == submission.sent_as
        except KeyError:
            return False

    def place(self, item: Item, sent_as: MetricType | None) -> tuple[str, Metric] | None:
        """The name under which an item belongs, its own or that of a clash; None when it can be stored nowhere."""
        metric = self.metrics.get(item.name)
        if metric is not None and metric.takes(item.kind, sent_as):
            return item.name, metric
        if metric is None or sent_as is None or (longer := name_of_clash(item.name, sent_as)) is None:
            return None
        metric = self.metrics.get(longer)
        return (longer, metric) if metric is not None and metric.takes(item.kind, sent_as) else None


class Names:
    """Ids and types by name. Entries come only from what the store has made durable."""

    def __init__(self, store: NameStore, caps: Caps) -> None:
        self._store = store
        self._caps = caps
        self._known: Known | None = None

    async def settle(self, submissions: Iterable[Submission], now: int) -> Known:
        """Create the names that are missing and reject what cannot be: wrong type, or over a cap.

        Afterwards every item left in the submissions has a metric in what is returned, which is the caller's for as
        long as its group takes: later changes of the cache take nothing out of it.
        """
        todo = list(submissions)
        known, missing = await self._resolve(todo, now)
        faults = [self._faults(submission, known, missing) for submission in todo]
        if known.version is not None and any(faults) and await self._store.version() != known.version:
            # What the cache holds against them may be a name that is gone.
            self.forget_all()
            known, missing = await self._resolve(todo, now)
            faults = [self._faults(submission, known, missing) for submission in todo]
        if missing:
            _log.warning("names_over_cap", refused=len(missing), example=min(missing), caps=self._caps._asdict())
        for submission, found in zip(todo, faults, strict=True):
            submission.reject(found)
        return known

    def settle_known(self, submissions: Iterable[Submission]) -> None:
        """Reject what is known to have the wrong type; a name that is not known is taken as declared.

        For when the store cannot be asked: what it thinks otherwise comes out when it can. So everything that says what
        it was on a StatsD line is taken: the store may find a place for it.
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
        """The metric of a name that ``settle`` let pass last."""
        return (self._known or Known()).metrics[name]

    async def find(self, names: Iterable[str]) -> dict[str, Metric]:
        """Those of these names that exist. Where other processes may delete names, the store is asked each time."""
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
        """A name was deleted, while no group was open."""
        if self._known is not None:
            self._known.metrics.pop(name, None)

    def forget_all(self) -> None:
        """Some name was deleted elsewhere: the next group resolves its names anew."""
        self._known = None

    async def _resolve(self, todo: list[Submission], now: int) -> tuple[Known, frozenset[str]]:
        """What is known of the names of these submissions, and those of them that are over a cap."""
        if self._known is None:
            self._known = Known(await self._store.version())
        known = self._known
        odd = [submission for submission in todo if not known.fits(submission)]
        missing = await self._learn(known, list(_own_names(odd, known)), now)
        # Only now is it known who owns these names, and so which items need another one.
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
            known = self._known = Known(known.version, kept)
        return known, missing

    async def _learn(self, known: Known, new_names: list[NewName], now: int) -> frozenset[str]:
        """Make these names known, created where they are missing; those that are over a cap are returned."""
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
            f"the name {name!r} is new and the number of names is capped at {self._caps.names},"
            f" {self._caps.names_per_key} a key; use fewer names or ask an operator",
        )


def _with_types(submission: Submission) -> Iterator[tuple[Item, MetricType | None]]:
    """The items, each with what it was on its StatsD line."""
    return zip(submission.items, submission.sent_as or repeat(None), strict=False)


def _possible_names(item: Item, sent_as: MetricType | None) -> Iterator[str]:
    """The names under which an item may be stored."""
    yield item.name
    if sent_as is not None and (longer := name_of_clash(item.name, sent_as)) is not None:
        yield longer


def _own_names(todo: Iterable[Submission], known: Known) -> Iterator[NewName]:
    """The names of items that are not known, and those that have no owner and would get one."""
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
    """The names for a clash, of items that need one, as far as they are not known or not owned yet."""
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
    """An item that has no place: its name is of the other type, and where it could go instead there is none either."""
    metric = metrics[item.name]
    if sent_as is None:
        message = f"{item.name!r} is a {metric.kind} and cannot take a {item.kind}; use another name"
    else:
        longer = name_of_clash(item.name, sent_as)
        why = "there is no room for a suffix" if longer is None else f"{longer!r} belongs to another type too"
        message = f"{item.name!r} is a {metric.owner or metric.kind}, and {why}; send the {sent_as} under another name"
    return Fault("METRIC_TYPE_CONFLICT", "name", message)
