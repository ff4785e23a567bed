"""What aggregation hands to batching: one closed window of the wall clock."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

from protocol.batch import Item


class WindowItem(NamedTuple):
    """An item for the centre and how many samples (unweighted, as received) it stands for."""

    item: Item
    samples: int


class Window(NamedTuple):
    """A closed window: its start in whole seconds, aligned, and its items, which may be made as they are asked for.

    ``gauges`` are the last values of all gauges at its end, those untouched for longest first.
    """

    start: int
    items: Iterable[WindowItem]
    gauges: Mapping[str, Decimal] = MappingProxyType({})
