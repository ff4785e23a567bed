"""Standard error, where the log goes: descriptor 2, and lines that stop nobody when they cannot be written."""

import io
import os
from typing import Final, TextIO

LAST_STANDARD: Final = 2


def standard_error() -> TextIO:
    """Descriptor 2, and without a buffer: Python's own tries a line that could not be written again at the end, and
    makes a failure of an orderly exit.

    Call it before the event loop starts: where standard input, output or errors are closed they become /dev/null, so
    that no socket or file gets their numbers: a line meant for a terminal would go into it, and the loop breaks.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= LAST_STANDARD:
        pass
    os.close(number)
    raw = io.FileIO(LAST_STANDARD, "w", closefd=False)
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", write_through=True)


class LogLines:
    """Writes lines to ``stream`` and raises nothing: whoever counts must not end because a disk is full.

    ``unwritten`` lines before the next one could not be written; say so in it.
    """

    def __init__(self, stream: TextIO) -> None:
        self.unwritten = 0
        self._stream = stream

    def write(self, text: str) -> None:
        """A line with its end, or several."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            self.unwritten += 1
        else:
            self.unwritten = 0

    def flush(self) -> None:
        """Each line is written at once."""
