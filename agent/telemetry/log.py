"""The agent's log: one line for each change of state, as JSON unless standard error is a terminal."""

import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, TextIO

from agent.attempts import Tell
from runtime.log_lines import BurstLimit, LogLines
from runtime.redact import hide_keys, one_line
from runtime.systemd import journal_reads, mark
from runtime.terminal_line import TerminalLine, columns_of, folded, wants_colour

INFO_EVENTS: Final = frozenset(
    {
        *("status_open", "started", "stopped", "sockets_passed", "spool_recovered", "reloaded", "forwarding_again"),
        *("journal_redone", "held_no_more", "mirror_works_again", "disk_works_again", "attempt_works_again"),
    }
)
BURST: Final = 5
BURST_SECONDS: Final = 60.0


def log_to(stream: TextIO, environ: Mapping[str, str] = os.environ) -> Tell:
    """A ``tell`` that writes to ``stream`` and raises nothing. All events but INFO_EVENTS are warnings.

    When lines could not be written, the next line says how many.
    """
    person, journal = stream.isatty(), journal_reads(environ, stream)
    lines, terminal = LogLines(stream), TerminalLine("agent", colour=wants_colour(environ))

    def tell(event: str, message: str) -> None:
        missing = f" ({lines.unwritten} lines before this one could not be written)" if lines.unwritten else ""
        shown = hide_keys(one_line(message)) + missing
        level = "info" if event in INFO_EVENTS else "warning"
        now = datetime.now(UTC)
        if person:
            line = folded(terminal.make(now.astimezone(), level, event, {"message": shown}), columns_of(stream))
        else:
            stamp = now.isoformat(timespec="microseconds").replace("+00:00", "Z")
            line = json.dumps({"message": shown, "event": event, "level": level, "timestamp": stamp})
        if journal:
            line = mark(level) + line
        lines.write(f"{line}\n")

    return tell


class AtLevel:
    """``tell`` without the events of INFO_EVENTS while ``level`` is ``warning``."""

    def __init__(self, tell: Tell, level: str) -> None:
        self.level = level
        self._tell = tell

    def __call__(self, event: str, message: str) -> None:
        """As the ``tell``."""
        if self.level == "info" or event not in INFO_EVENTS:
            self._tell(event, message)


def not_too_often(tell: Tell, steady: Callable[[], float]) -> Tell:
    """``tell`` with at most BURST lines per event in BURST_SECONDS. The next line says how many were left out."""
    limit = BurstLimit(BURST, BURST_SECONDS, steady)

    def limited(event: str, message: str) -> None:
        left_out = limit.try_pass(event)
        if left_out is not None:
            tell(event, f"{message} ({left_out} more like this were left out)" if left_out else message)

    return limited
