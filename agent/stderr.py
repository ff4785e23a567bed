"""Descriptor 2, the end of the log; what to do where it cannot be written is in protocol.logstream."""

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
