"""No event floods a log: each has so many lines in so many seconds. The next line says how many were left out."""

from collections import defaultdict, deque
from collections.abc import Callable


class BurstLimit:
    """Lets ``lines`` lines of one event pass in ``seconds`` seconds, and counts those that it stops.

    It keeps ``lines`` times per event, so the caller's events must be few. ``clock`` gives monotonic seconds.
    """

    def __init__(self, lines: int, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._passed: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=lines))
        self._left_out: defaultdict[str, int] = defaultdict(int)

    def try_pass(self, event: str) -> int | None:
        """None when this line is one too many, else how many lines of the event were left out before it."""
        now, passed = self._clock(), self._passed[event]
        if len(passed) == passed.maxlen and now - passed[0] < self._seconds:
            self._left_out[event] += 1
            return None
        passed.append(now)
        return self._left_out.pop(event, 0)
