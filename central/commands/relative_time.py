"""Times as people type them: ``now``, ``-1h``, or ISO 8601."""

import re
from collections.abc import Callable
from typing import Final

from protocol.times import first_second, format_time, parse_exact

_BACK: Final = re.compile(r"-(\d{1,9})([smhdw])", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def resolve_time(text: str, now: float, align: Callable[[int], int] = int) -> str:
    """``text`` as ``2026-02-15T00:00:00Z``. ``now`` is the end of the running second, so that it is included.

    Both ends of a range come here, so a time with a fraction is rounded up as the API does it. A time back from now
    goes where ``align`` says, the start of its window, so that the first window is whole.
    Raises ValueError that says what would be right.
    """
    if text == "now":
        return format_time(int(now) + 1)
    if found := _BACK.fullmatch(text):
        seconds = int(now) - int(found[1]) * _SECONDS[found[2]]
        return format_time(align(max(seconds, 0)))
    try:
        return format_time(first_second(parse_exact(text)))
    except ValueError:
        raise ValueError(f"{text!r} is no time; give 'now', a time back such as -1h, or 2026-02-15T00:00:00Z") from None


def resolve_expiry(text: str, now: float) -> str:
    """A time to come, ISO 8601 or so far from now (``90d``), as the API takes it. Raises ValueError."""
    if found := _BACK.fullmatch(f"-{text}"):
        return format_time(int(now) + int(found[1]) * _SECONDS[found[2]])
    try:
        return format_time(first_second(parse_exact(text)))
    except ValueError:
        raise ValueError(f"{text!r} is no time; give one such as 90d, or 2027-01-01T00:00:00Z") from None
