"""Why samples are dropped: the reasons, by the place where it happens."""

from typing import Final, get_args

from protocol.lines import Reason

NO_METRICS: Final = frozenset({"event", "service_check", "client_telemetry"})
"""Lines that are something else: left out on purpose, and so not lost."""
CUT_LINES: Final = frozenset({"truncated", "line_too_long", "line_cut"})
"""Lines of which we have a part: of a datagram or a line that was too long, of a connection that broke."""
BAD_LINES: Final = frozenset(get_args(Reason)) - NO_METRICS
"""Lines that the grammar rejects."""
OVER_CAP: Final = frozenset({"names_over_cap", "rates_over_cap", "members_over_cap"})
"""Samples for which a window had no room."""
SPOOL_REASONS: Final = frozenset({"spool_bytes", "spool_files", "spool_age", "spool_corrupt", "spool_write_failed"})
DEAD_LETTER: Final = "dead_letter"

UNREADABLE: Final = "in lines that could not be read"
FULL: Final = "in windows that were full"
SPOOL: Final = "in the spool"
REFUSED: Final = "refused by the centre"
DEAD: Final = "in dead letters (`fiesta-agent spool ls` shows why, `spool replay` sends them again)"
PLACES: Final = (UNREADABLE, FULL, SPOOL, REFUSED, DEAD)
"""In the order of the data's way."""


def place(reason: str) -> str:
    """Where samples dropped for ``reason`` were lost, in words; empty when they were no metrics."""
    if reason in NO_METRICS:
        return ""
    if reason in BAD_LINES or reason in CUT_LINES:
        return UNREADABLE
    if reason in OVER_CAP:
        return FULL
    if reason == DEAD_LETTER:
        return DEAD
    return SPOOL if reason in SPOOL_REASONS else REFUSED
