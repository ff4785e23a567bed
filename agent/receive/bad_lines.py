"""The log shows some of the lines that are not counted, and who sent them.

Lines are inspected one by one only while we are *armed*: for a few lines at the beginning of each window, and for more
when lines were rejected in the last one. On a quiet host that is every line. All others are only counted.
"""

from collections.abc import Callable, Mapping
from typing import Final

from agent.attempts import Tell, cause
from agent.ledger import AGENT_FAULT, BAD_LINES
from protocol.statsd import KEEP, parse_line
from protocol.statsd_tags import TagRules

SHOWN_BYTES: Final = 80
FEW_LINES: Final = 200
MORE_LINES: Final = 2_000
"""Lines that are inspected per window: about 1 ms of work for FEW_LINES, 10 ms for MORE_LINES."""
SECONDS_PER_REASON: Final = 60.0


def shown(line: bytes) -> str:
    """A line that is safe in any log: shortened, with everything but plain ASCII escaped."""
    text = repr(line[:SHOWN_BYTES])[1:]
    return text if len(line) <= SHOWN_BYTES else f"{text}... ({len(line):,} bytes)"


class BadLines:
    """Logs at most one line per reason and minute. Call ``inspect`` only while ``armed``."""

    def __init__(self, tell: Tell, steady: Callable[[], float], prefix: str = "", rules: TagRules = KEEP) -> None:
        self._tell = tell
        self._steady = steady
        self._prefix = prefix
        self._rules = rules
        self._left = FEW_LINES
        self._rejected = 0
        self._last_shown: dict[str, float] = {}  # reasons are few

    def name_by(self, prefix: str, rules: TagRules) -> None:
        """Inspect lines by these rules from now on."""
        self._prefix, self._rules = prefix, rules

    @property
    def armed(self) -> bool:
        """Whether the next lines should be inspected."""
        return self._left > 0

    def arm(self, dropped: Mapping[str, int]) -> None:
        """Inspect lines again, at the start of a window. ``dropped``: the ledger's lost samples, by reason."""
        rejected = sum(dropped.get(reason, 0) for reason in BAD_LINES)
        self._left = MORE_LINES if rejected > self._rejected else FEW_LINES
        self._rejected = rejected

    def inspect(self, lines: bytes, sender: str) -> None:
        """Log what is bad in ``lines``, as long as we are armed."""
        for line in lines.split(b"\n", self._left)[: self._left]:
            self._left -= 1
            for reason in parse_line(line, self._prefix, self._rules).lost:
                if reason in BAD_LINES:
                    self.show(reason, line, sender)

    def show(self, reason: str, line: bytes, sender: str) -> None:
        """Log one line, unless one with its reason was logged less than a minute ago."""
        if self._is_due(reason):
            self._tell("bad_line", f"{reason}: {shown(line)} from {sender or 'an unknown sender'}")

    def fault(self, error: Exception, lines: bytes, sender: str = "") -> None:
        """Log a fault of ours that lost these lines, unless one was logged less than a minute ago."""
        if self._is_due(AGENT_FAULT):
            self._tell(AGENT_FAULT, f"{cause(error)}, at {shown(lines)} from {sender or 'an unknown sender'}")

    def _is_due(self, reason: str) -> bool:
        now = self._steady()
        due = now - self._last_shown.get(reason, -SECONDS_PER_REASON) >= SECONDS_PER_REASON
        if due:
            self._last_shown[reason] = now
        return due
