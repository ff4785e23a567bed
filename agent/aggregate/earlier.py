"""Windows of values that came with a time of their own (``|T`` of DogStatsD), beside the open one.

Such values were aggregated before they were sent. Each goes into the window of its time. All these windows close
together with the open one and become batches of their own.
"""

from collections.abc import Iterable
from typing import Final

from agent.aggregate.histograms import Histograms
from agent.aggregate.open_window import OpenWindow
from agent.aggregate.room import Room
from agent.aggregate.window import Window, WindowItem, window_start
from agent.ledger import Ledger
from protocol.limits import MAX_AGE_SECONDS, MAX_CLOCK_SKEW_SECONDS

MAX_WINDOWS: Final = 100
"""Windows beside the open one; more times at once are those of a program gone wrong."""


class EarlierWindows:
    """At most MAX_WINDOWS windows. Their names, and their histograms, share the room of one.

    The caller works inside localcontext(EXACT).
    """

    def __init__(self, max_names: int, max_members: int, interval: int, ledger: Ledger, histograms: Histograms) -> None:
        self._room = Room(max_names)
        self._max_members = max_members
        self._interval = interval
        self._ledger = ledger
        self._histograms = histograms
        self._windows: dict[int, OpenWindow] = {}

    def bound(self, max_names: int) -> None:
        """Have room for so many names from now on."""
        self._room.capacity = max_names

    def at(self, timestamp: int) -> OpenWindow | None:
        """The window of a time in Unix seconds. None when there are too many windows."""
        start = window_start(timestamp, self._interval)
        window = self._windows.get(start)
        if window is None and len(self._windows) < MAX_WINDOWS:
            # A value with a time is never a delta, and the last value of a gauge is that of the open window.
            members = self._max_members // MAX_WINDOWS
            window = self._windows[start] = OpenWindow(self._room, members, False, self._ledger, self._histograms)
        return window

    def close(self, start: int) -> list[Window]:
        """The windows at the end of the one that began at ``start``, in order; then there are none.

        Central takes no time that is too old or in the future, so what has one is dropped here, where it is counted.
        """
        windows, self._windows = self._windows, {}
        self._room.clear()
        end = start + self._interval
        closed = []
        for earlier in sorted(windows):
            window = windows[earlier].close(earlier)
            if earlier < end - MAX_AGE_SECONDS:
                self._drop("timestamp_too_old", window.items)
            elif earlier > end + MAX_CLOCK_SKEW_SECONDS:
                self._drop("timestamp_in_future", window.items)
            else:
                closed.append(window._replace(gauges={}))
        return closed

    def _drop(self, reason: str, items: Iterable[WindowItem]) -> None:
        for item in items:
            self._ledger.drop(reason, item.samples)
