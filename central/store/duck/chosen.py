"""Remembers which series met filters, so that a query that comes again searches only the series made since. Pure.

To search a million series takes 18 ms, which was a third of a query by tags, and dashboards ask the same again and
again. Series are made in the order of their ids, so what is remembered stays right until one is deleted.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, NamedTuple

from central.store.series import Series, TagFilter

MOST_SERIES: Final = 20_000
"""How many series may be remembered in all, some 200 bytes each. What was not asked for the longest goes first."""


class Filters(NamedTuple):
    """What series are chosen by: their metric, and filters that all must hold."""

    metric_id: int
    filters: tuple[TagFilter, ...]


class Chosen(NamedTuple):
    """All series that meet some filters, in the order of ids, among those with ids up to ``up_to``."""

    series: Sequence[Series] = ()
    up_to: int = 0


NOTHING: Final = Chosen()


class ChosenSeries:
    """The choices that were asked for last. Owned by the event loop."""

    def __init__(self, most_series: int = MOST_SERIES) -> None:
        self.deletions = 0
        """How often ``forget_all`` was called."""
        self._most_series = most_series
        self._chosen: OrderedDict[Filters, Chosen] = OrderedDict()
        self._held = 0

    def find(self, filters: Filters) -> Chosen:
        """What is remembered of these filters, NOTHING if nothing is."""
        if filters not in self._chosen:
            return NOTHING
        self._chosen.move_to_end(filters)
        return self._chosen[filters]

    def remember(self, filters: Filters, chosen: Chosen, deletions: int) -> None:
        """Keep a choice that was read after so many deletions. If there were more since, drop it: one may be gone."""
        if deletions != self.deletions:
            return
        self._forget(filters)
        self._chosen[filters] = chosen
        self._held += _room(chosen)
        while self._held > self._most_series:
            self._forget(next(iter(self._chosen)))

    def forget_all(self) -> None:
        """Call this when a series has been deleted."""
        self.deletions += 1
        self._chosen.clear()
        self._held = 0

    def _forget(self, filters: Filters) -> None:
        if filters in self._chosen:
            self._held -= _room(self._chosen.pop(filters))


def _room(chosen: Chosen) -> int:
    """A choice of no series takes room too: as much as one series."""
    return len(chosen.series) + 1
