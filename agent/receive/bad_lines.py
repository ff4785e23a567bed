"""Some of the lines that are not counted, shown in the log with who sent them.

Lines are looked at one by one only while we are *armed*: for a few at the beginning of a window, which on a quiet
host is all of them, and for more of them when lines were rejected since. All else is counted in bulk, unseen.
"""

from collections.abc import Callable, Mapping
from typing import Final

from agent.attempts import Tell
from agent.ledger import BAD_LINES
from protocol.statsd import parse_line

SHOWN_BYTES: Final = 80
A_FEW: Final = 200
MORE: Final = 2_000
"""Lines looked at in a window: about 1 ms, and 10 ms, of work."""
SECONDS_A_REASON: Final = 60.0


def shown(line: bytes) -> str:
    """A line as it can be put into any log: shortened, and with everything that is not plain ASCII escaped."""
    text = repr(line[:SHOWN_BYTES])[1:]
    return text if len(line) <= SHOWN_BYTES else f"{text}... ({len(line):,} bytes)"


class BadLines:
    """Tells of at most one line a reason in a minute. ``look`` at lines only while ``armed``."""

    def __init__(self, tell: Tell, steady: Callable[[], float], prefix: str = "", append_tags: bool = False) -> None:
        self._tell = tell
        self._steady = steady
        self._prefix = prefix
        self._append_tags = append_tags
        self._left = A_FEW
        self._rejected = 0
        self._told: dict[str, float] = {}  # reasons are few

    @property
    def armed(self) -> bool:
        """Whether the next lines should be looked at."""
        return self._left > 0

    def arm(self, dropped: Mapping[str, int]) -> None:
        """Look at lines again. ``dropped``: the ledger's samples lost since the start, by reason."""
        rejected = sum(dropped.get(reason, 0) for reason in BAD_LINES)
        self._left = MORE if rejected > self._rejected else A_FEW
        self._rejected = rejected

    def look(self, lines: bytes, sender: str) -> None:
        """Show what is bad in ``lines``, as far as we are armed."""
        for line in lines.split(b"\n", self._left)[: self._left]:
            self._left -= 1
            for reason in parse_line(line, self._prefix, self._append_tags).lost:
                if reason in BAD_LINES:
                    self.show(reason, line, sender)

    def show(self, reason: str, line: bytes, sender: str) -> None:
        """Tell of one line, unless one of its reason was told less than a minute ago."""
        now = self._steady()
        if now - self._told.get(reason, -SECONDS_A_REASON) >= SECONDS_A_REASON:
            self._told[reason] = now
            self._tell("bad_line", f"{reason}: {shown(line)} from {sender or 'an unknown sender'}")
