"""How long to wait before the next attempt. All times are in seconds."""

from collections.abc import Callable
from typing import Final

from agent.clock import parse_http_date

SHORTEST: Final = 1.0
LONGEST: Final = 60.0
LONGEST_ASKED: Final = 300.0
"""The longest Retry-After that the agent obeys."""

Uniform = Callable[[float, float], float]
"""random.uniform, or a test's own function."""


def backoff(failures: int, uniform: Uniform, longest: float = LONGEST) -> float:
    """A random wait between SHORTEST and a ceiling that doubles with each failure in a row, up to ``longest``."""
    return uniform(SHORTEST, min(longest, SHORTEST * 2 ** min(failures, 16)))


def retry_after(text: str | None, now: float) -> float | None:
    """The wait that a Retry-After header asks for, in seconds or as an HTTP date. None when it is absent or malformed.

    The result is between SHORTEST and LONGEST_ASKED. ``now`` is the time of the header's sender.
    """
    text = (text or "").strip()
    if text.isascii() and text.isdigit():
        asked = float(text[:12])
    else:
        until = parse_http_date(text)
        if until is None:
            return None
        asked = until - now
    return min(max(asked, SHORTEST), LONGEST_ASKED)
