"""Which names exist: a cache before the store. A name keeps its type for ever."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import structlog

from central.ingest.submission import Submission
from central.store.base import Caps, Metric, NameStore, NewName
from protocol.item import Fault

MAX_CACHED: Final = 1_000_000
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Known:
    """Metrics by name, all of them resolved under one ``version`` of the store's names or a later one."""

    version: int | None = None
    metrics: dict[str, Metric] = field(default_factory=dict)


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
        faults = [self._faults(submission, known.metrics, missing) for submission in todo]
        if known.version is not None and any(faults) and await self._store.version() != known.version:
            # What the cache holds against them may be a name that is gone.
            self.forget_all()
            known, missing = await self._resolve(todo, now)
            faults = [self._faults(submission, known.metrics, missing) for submission in todo]
        if missing:
            _log.warning("names_over_cap", refused=len(missing), example=min(missing), caps=self._caps._asdict())
        for submission, found in zip(todo, faults, strict=True):
            if found:
                submission.reject(found)
        return known

    def settle_known(self, submissions: Iterable[Submission]) -> None:
        """Reject what is known to have the wrong type; a name that is not known is taken as declared.

        For when the store cannot be asked: what it thinks otherwise comes out when it can.
        """
        metrics = (self._known or Known()).metrics
        for submission in submissions:
            faults = self._faults(submission, metrics, frozenset())
            if faults:
                submission.reject(faults)

    def of(self, name: str) -> Metric:
        """The metric of a name that ``settle`` let pass last."""
        return (self._known or Known()).metrics[name]

    async def find(self, names: Iterable[str]) -> dict[str, Metric]:
        """Those of these names that exist. Where other processes may delete names, the store is asked each time."""
        wanted = list(names)
        found: dict[str, Metric] = {}
        if self._known is not None and self._known.version is None:
            metrics = self._known.metrics
            found = {name: metrics[name] for name in wanted if name in metrics}
        missing = [name for name in wanted if name not in found]
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
        wanted = [
            NewName(item.name, item.kind, submission.key_id)
            for submission in todo
            for item in submission.items
            if item.name not in known.metrics
        ]
        if not wanted:
            return known, frozenset()
        found = await self._store.resolve(wanted, self._caps, now)
        if len(known.metrics) + len(found) > MAX_CACHED:
            needed = {item.name for submission in todo for item in submission.items}
            kept = {name: metric for name, metric in known.metrics.items() if name in needed}
            known = self._known = Known(known.version, kept)
        known.metrics.update(found)
        return known, frozenset(new.name for new in wanted if new.name not in found)

    def _faults(self, submission: Submission, known: dict[str, Metric], missing: frozenset[str]) -> dict[int, Fault]:
        faults: dict[int, Fault] = {}
        for position, item in enumerate(submission.items):
            metric = known.get(item.name)
            if item.name in missing:
                faults[position] = Fault(
                    "TOO_MANY_METRICS",
                    "name",
                    f"the name {item.name!r} is new and the number of names is capped at {self._caps.names},"
                    f" {self._caps.names_per_key} a key; use fewer names or ask an operator",
                )
            elif metric is not None and metric.kind != item.kind:
                faults[position] = Fault(
                    "METRIC_TYPE_CONFLICT",
                    "name",
                    f"{item.name!r} is a {metric.kind} and cannot take a {item.kind}; use another name",
                )
        return faults
