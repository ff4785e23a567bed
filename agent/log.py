"""Where the agent says what it does: a line for each change of state, JSON unless a person is watching."""

from collections import defaultdict, deque
from collections.abc import Callable
from typing import Final, TextIO

import structlog

from agent.forward import Told
from protocol.logtext import hide_keys, one_line

GOOD_NEWS: Final = frozenset(
    {"books_open", "started", "stopped", "forwarding_again", "held_no_more", "sockets_passed", "spool_recovered"}
)
BURST: Final = 5
BURST_SECONDS: Final = 60.0


def log_to(stream: TextIO) -> Told:
    """A ``tell`` that writes to ``stream``: events that are no good news are warnings."""
    person = stream.isatty()
    logger = structlog.wrap_logger(
        structlog.PrintLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer() if person else structlog.processors.JSONRenderer(),
        ],
    )

    def tell(event: str, message: str) -> None:
        shown = hide_keys(one_line(message))
        (logger.info if event in GOOD_NEWS else logger.warning)(event, message=shown)

    return tell


def not_too_often(tell: Told, steady: Callable[[], float]) -> Told:
    """``tell``, but at most BURST lines of one event in BURST_SECONDS; the next one says how many were left out."""
    told: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=BURST))
    left_out: defaultdict[str, int] = defaultdict(int)

    def limited(event: str, message: str) -> None:
        now, recent = steady(), told[event]
        if len(recent) == BURST and now - recent[0] < BURST_SECONDS:
            left_out[event] += 1
            return
        recent.append(now)
        missing = left_out.pop(event, 0)
        tell(event, f"{message} ({missing} more like this were left out)" if missing else message)

    return limited
