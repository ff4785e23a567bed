"""Log lines go to standard error. A line that cannot be written stops no program, and floods are limited."""

import io
import os
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Final, TextIO

LAST_STANDARD: Final = 2


def standard_error() -> TextIO:
    """Descriptor 2 without a buffer. Python's own stream would write a failed line again at the exit and fail it.

    Call it before the event loop starts. If standard input, output or error is closed, it becomes /dev/null. Otherwise
    a socket or file would get its number, and log lines would go into that.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= LAST_STANDARD:
        pass
    os.close(number)
    raw = io.FileIO(LAST_STANDARD, "w", closefd=False)
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", write_through=True)


class LogLines:
    """Writes lines to ``stream`` and raises nothing, because a full disk must not end a program that counts samples.

    ``unwritten`` is how many lines could not be written. Say so in the next line.
    """

    def __init__(self, stream: TextIO) -> None:
        self.unwritten = 0
        self._stream = stream

    def write(self, text: str) -> None:
        """Write one or more lines, each with its newline."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            self.unwritten += 1
        else:
            self.unwritten = 0

    def flush(self) -> None:
        """Does nothing, because each line is written at once."""


class BurstLimit:
    """Lets ``lines`` lines of one event pass per ``seconds`` seconds, and counts the lines that it stops.

    It keeps ``lines`` times per event, so the caller's events must be few. ``clock`` gives monotonic seconds.
    """

    def __init__(self, lines: int, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._passed: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=lines))
        self._left_out: defaultdict[str, int] = defaultdict(int)

    def try_pass(self, event: str) -> int | None:
        """None if this line must be left out, else how many lines of the event were left out before it."""
        now, passed = self._clock(), self._passed[event]
        if len(passed) == passed.maxlen and now - passed[0] < self._seconds:
            self._left_out[event] += 1
            return None
        passed.append(now)
        return self._left_out.pop(event, 0)
