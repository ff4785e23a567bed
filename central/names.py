"""Which names exist: a cache before the store. A name keeps its type for ever."""

from collections.abc import Iterable
from typing import Final

import structlog

from central.ingest import Submission
from central.store.base import Caps, Metric, NewName, Store
from protocol.batch import Fault

MAX_CACHED: Final = 1_000_000
_log = structlog.get_logger(__name__)


class Names:
    """Ids and types by name. Entries come only from what the store has made durable."""

    def __init__(self, store: Store, caps: Caps) -> None:
        self._store = store
        self._caps = caps
        self._known: dict[str, Metric] = {}

    async def settle(self, submissions: Iterable[Submission], now: int) -> None:
        """Create the names that are missing and reject what cannot be: wrong type, or over a cap.

        Afterwards every item left in the submissions has a metric in ``of``.
        """
        todo = list(submissions)
        known = self._known
        wanted = [
            NewName(item.name, item.kind, submission.key_id)
            for submission in todo
            for item in submission.items
            if item.name not in known
        ]
        missing: frozenset[str] = frozenset()
        if wanted:
            found = await self._store.resolve(wanted, self._caps, now)
            missing = frozenset(new.name for new in wanted if new.name not in found)
            if len(known) + len(found) > MAX_CACHED:
                needed = {item.name for submission in todo for item in submission.items}
                self._known = known = {name: metric for name, metric in known.items() if name in needed}
            known.update(found)
        if missing:
            _log.warning("names_over_cap", refused=len(missing), example=min(missing), caps=self._caps._asdict())
        for submission in todo:
            faults = self._faults(submission, missing)
            if faults:
                submission.reject(faults)

    def of(self, name: str) -> Metric:
        """The metric of a name that ``settle`` let pass."""
        return self._known[name]

    async def find(self, names: Iterable[str]) -> dict[str, Metric]:
        """Those of these names that exist."""
        wanted = list(names)
        found = {name: self._known[name] for name in wanted if name in self._known}
        missing = [name for name in wanted if name not in found]
        if missing:
            found |= await self._store.find(missing)
        return found

    def forget(self, name: str) -> None:
        """A name was deleted."""
        self._known.pop(name, None)

    def _faults(self, submission: Submission, missing: frozenset[str]) -> dict[int, Fault]:
        faults: dict[int, Fault] = {}
        known = self._known
        for position, item in enumerate(submission.items):
            if item.name in missing:
                faults[position] = Fault(
                    "TOO_MANY_METRICS",
                    "name",
                    f"the name {item.name!r} is new and the number of names is capped at {self._caps.names},"
                    f" {self._caps.names_per_key} a key; use fewer names or ask an operator",
                )
            elif known[item.name].kind != item.kind:
                faults[position] = Fault(
                    "METRIC_TYPE_CONFLICT",
                    "name",
                    f"{item.name!r} is a {known[item.name].kind} and cannot take a {item.kind}; use another name",
                )
        return faults
