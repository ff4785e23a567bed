"""A log that may be full or gone without anybody's work ending with it."""

from typing import TextIO


class Lines:
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
