"""The agent's ledger: where every sample went.

received + recovered = acknowledged + dropped + in window + in spool, at every scrape. A sample is one value on a line.
A rejected line counts as one sample. Counters are plain ints, which the telemetry reads.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, get_args

from protocol.item import ITEM_CODES
from protocol.statsd import Note, Reason

MAX_REASONS: Final = 100
OTHER_REASON: Final = "rejected_OTHER"
"""Used for all further error codes of central when there are MAX_REASONS. Central itself has some twenty."""

NO_METRICS: Final = frozenset({"event", "service_check", "client_telemetry"})
"""Lines that are not metrics. They are left out on purpose, so they are not lost."""
CUT_LINES: Final = frozenset({"truncated", "line_too_long", "line_cut", "frame_too_long"})
"""Lines that came in part: the datagram, line or frame was too long, or the connection broke."""
BAD_LINES: Final = frozenset(get_args(Reason)) - NO_METRICS
"""Lines that the grammar rejects."""
OVER_CAP: Final = frozenset({"names_over_cap", "rates_over_cap", "members_over_cap", "timestamps_over_cap"})
"""Samples for which a window had no room."""
BAD_TIMES: Final = frozenset({"timestamp_too_old", "timestamp_in_future"})
"""Samples that came with a time which central does not take."""
SPOOL_REASONS: Final = frozenset({"spool_bytes", "spool_files", "spool_age", "spool_corrupt", "spool_write_failed"})
DEAD_LETTER: Final = "dead_letter"
AGENT_FAULT: Final = "agent_fault"
"""A bug in the agent kept the samples from being counted."""
KNOWN_REASONS: Final = (
    *sorted((*NO_METRICS, *BAD_LINES, *CUT_LINES, *OVER_CAP, *BAD_TIMES, *SPOOL_REASONS, DEAD_LETTER, AGENT_FAULT)),
    *(f"rejected_{code}" for code in ITEM_CODES),
)
"""Every known reason. Each is shown with a count of 0 from the start, so that Prometheus sees the first loss."""
KNOWN_NOTES: Final = (*get_args(Note), "series_over_cap", "gauges_forgotten", "gauge_state_bad", "histograms_over_cap")

UNREADABLE: Final = "in lines that could not be read"
FULL: Final = "in windows that were full"
TIMES: Final = "with a time (|T) that is too old or in the future"
SPOOL: Final = "in the spool"
REFUSED: Final = "refused by the service"
DEAD: Final = "in dead letters (`fiesta-agent spool ls` shows why, `spool replay` sends them again)"
FAULT: Final = "by a bug in the agent itself (its log has the cause)"
PLACES: Final = (UNREADABLE, FAULT, FULL, TIMES, SPOOL, REFUSED, DEAD)
"""Where samples can be lost, in the order of the data's way through the agent."""


@dataclass(slots=True)
class Ledger:
    """Sample counts since the start. The event loop owns it, and every stage adds its own counts."""

    received: int = 0
    recovered: int = 0
    acknowledged: int = 0
    in_window: int = 0
    in_spool: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """Samples lost, by reason."""
    notes: Counter[str] = field(default_factory=Counter)
    """Things worth knowing that lose nothing: names cleaned, tags dropped, fields ignored."""

    def drop(self, reason: str, samples: int) -> None:
        """Count ``samples`` as lost for ``reason``. There are at most MAX_REASONS reasons and OTHER_REASON."""
        if reason not in self.dropped and len(self.dropped) >= MAX_REASONS:
            reason = OTHER_REASON
        self.dropped[reason] += samples

    def reject(self, reason: str, lines: int) -> None:
        """Count lines as received and as lost at once. Each line is one sample."""
        self.received += lines
        self.drop(reason, lines)

    def balance(self) -> int:
        """0 when every sample is accounted for, else how many are not."""
        gone = self.acknowledged + sum(self.dropped.values())
        return self.received + self.recovered - gone - self.in_window - self.in_spool


def lines_in(text: bytes) -> int:
    """The number of lines that are not empty."""
    return sum(1 for line in text.split(b"\n") if line.strip())


def place(reason: str) -> str:
    """Where samples dropped for ``reason`` were lost, in words. Empty when they were not metrics."""
    if reason in NO_METRICS:
        return ""
    if reason in BAD_LINES or reason in CUT_LINES:
        return UNREADABLE
    if reason in OVER_CAP:
        return FULL
    if reason in BAD_TIMES:
        return TIMES
    if reason == AGENT_FAULT:
        return FAULT
    if reason == DEAD_LETTER:
        return DEAD
    return SPOOL if reason in SPOOL_REASONS else REFUSED
