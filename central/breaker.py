"""When to stop asking a dependency that fails, and when to try again. Pure: the clock is an argument."""

import time
from collections.abc import Callable


class Breaker:
    """Closed while all is well; open after a failure, then one call every ``pause`` seconds may try."""

    def __init__(self, pause: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._pause = pause
        self._clock = clock
        self._next_try: float | None = None
        self.opened = 0
        """How often it opened."""

    @property
    def open(self) -> bool:
        """Whether the dependency is held to be down."""
        return self._next_try is not None

    def try_pass(self) -> bool:
        """Whether this call may go; of those that come while it is open, one a pause."""
        if self._next_try is None:
            return True
        now = self._clock()
        if now < self._next_try:
            return False
        self._next_try = now + self._pause
        return True

    def good(self) -> bool:
        """A call did well; returns whether the breaker was open."""
        was_open, self._next_try = self.open, None
        return was_open

    def bad(self) -> bool:
        """A call failed; returns whether the breaker was closed."""
        was_closed = not self.open
        self.opened += was_closed
        self._next_try = self._clock() + self._pause
        return was_closed
