"""What aggregation hands to batching: one closed window of the wall clock."""

from typing import NamedTuple

from protocol.batch import Item


class WindowItem(NamedTuple):
    """An item for the centre and how many samples (unweighted, as received) it stands for."""

    item: Item
    samples: int


class Window(NamedTuple):
    """A closed window: its start in whole seconds, aligned, and its items. May be empty."""

    start: int
    items: list[WindowItem]
