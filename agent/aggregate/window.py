"""Windows of the wall clock: where one starts, how long it stays open, and what a closed one holds."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

from protocol.item import Item
from protocol.statsd import MetricType


class WindowItem(NamedTuple):
    """An item for central, how many received samples (not weighted) it stands for, and their StatsD type."""

    item: Item
    samples: int
    sent_as: MetricType


class Window(NamedTuple):
    """A closed window: its start in whole seconds, a multiple of the interval, and its items.

    Items may be made one by one while the caller iterates. ``gauges`` has the last values of all gauges at the end of
    the window, longest untouched first. ``earlier`` are the windows of values that came with a time of their own.
    """

    start: int
    items: Iterable[WindowItem]
    gauges: Mapping[str, Decimal] = MappingProxyType({})
    earlier: Sequence["Window"] = ()


def window_start(now: float, interval: int) -> int:
    """The start, in whole seconds, of the window that ``now`` is in: a multiple of ``interval``."""
    return int(now // interval) * interval


def seconds_left(start: int, interval: int, now: float) -> float:
    """Seconds until the window that was opened at ``start`` closes; 0 when it is over.

    A clock set back to before the window's start ends it too: what follows belongs to another window.
    A clock set back inside the window makes it longer, so that no window is opened twice.
    """
    return max(0.0, start + interval - now) if now >= start else 0.0
