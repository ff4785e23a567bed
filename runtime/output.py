"""Standard output that cannot be written, or not in the terminal's characters: one line, never a traceback."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

_UNWRITTEN: Final = frozenset({errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG})


@contextmanager
def careful_output() -> Iterator[None]:
    """Run a program's command line inside the block.

    Characters that the terminal does not have are written as escapes. If standard output is full, the program says so
    on stderr and exits with code 1. If nobody reads it any more (``| head``), it exits with code 1 and says nothing.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:  # it is None if the program was started without one
                sys.stdout.flush()
    except OSError as error:
        if error.filename is not None or error.errno not in _UNWRITTEN | {errno.EPIPE}:
            raise
        _write_no_more()
        if error.errno != errno.EPIPE:
            with suppress(OSError):
                sys.stderr.write(f"Error: the output cannot be written: {error.strerror}\n")
        raise SystemExit(1) from None


def _write_no_more() -> None:
    """What is still buffered goes nowhere. Python would try it again at its exit, and fail."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
