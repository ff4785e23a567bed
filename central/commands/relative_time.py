"""Times as people type them: ``now``, ``-1h``, or ISO 8601."""

import re
from collections.abc import Callable
from typing import Final

from protocol.times import first_second, format_time, parse_exact

_BACK: Final = re.compile(r"-(\d{1,9})([smhdw])", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def resolve_time(text: str, now: float, align: Callable[[int], int] = int) -> str:
    """``text`` as ``2026-02-15T00:00:00Z``. The text "now" is the end of the current second, so that it is included.

    A time with a fraction is rounded up, as the API does. ``align`` moves a time before now to the start of its window,
    so that the first window is whole. Raises ValueError that says what would be right.
    """
    if text == "now":
        return format_time(int(now) + 1)
    if found := _BACK.fullmatch(text):
        seconds = int(now) - int(found[1]) * _SECONDS[found[2]]
        return format_time(align(max(seconds, 0)))
    try:
        return format_time(first_second(parse_exact(text)))
    except ValueError:
        raise ValueError(f"{text!r} is not a time; give 'now', -1h for an hour ago, or 2026-02-15T00:00:00Z") from None


def resolve_expiry(text: str, now: float) -> str:
    """A future time as the API takes it. ``text`` is ISO 8601 or a time from now (``90d``). Raises ValueError."""
    if found := _BACK.fullmatch(f"-{text}"):
        return format_time(int(now) + int(found[1]) * _SECONDS[found[2]])
    try:
        return format_time(first_second(parse_exact(text)))
    except ValueError:
        raise ValueError(f"{text!r} is not a time; give one such as 90d or 2027-01-01T00:00:00Z") from None
