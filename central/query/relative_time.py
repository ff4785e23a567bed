"""Times that count from now: ``now``, ``-24h`` for a day ago, and in 90 days ``90d``. Pure."""

import re
from collections.abc import Callable
from typing import Final

from protocol.times import first_second, format_time, parse_exact

_SHOWN: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
RELATIVE_PATTERN: Final = r"(now|-[0-9]{1,9}[smhdw])"
_BACK: Final = re.compile(r"-([0-9]{1,9})([smhdw])", re.ASCII)
_AHEAD: Final = re.compile(r"([0-9]{1,9})([smhdw])", re.ASCII)


def relative_time(text: str, now: float, align: Callable[[int], int] = int) -> int | None:
    """The second that a text means; None if it is no relative time.

    "now" is the end of the current second, so that it is included. ``align`` moves a time before now to the start of
    its window, so that the first window is whole.
    """
    if text == "now":
        return int(now) + 1
    found = _BACK.fullmatch(text)
    return None if found is None else align(max(0, int(now) - int(found[1]) * _SECONDS[found[2]]))


def resolve_time(text: str, now: float, align: Callable[[int], int] = int) -> str:
    """``text`` as ``2026-02-15T00:00:00Z``. For ``align``, see relative_time.

    A time with a fraction is rounded up, as the API does. Raises ValueError that says what would be right.
    """
    found = relative_time(text, now, align)
    if found is not None:
        return format_time(found)
    try:
        return format_time(first_second(parse_exact(text)))
    except ValueError:
        raise ValueError(f"{text!r} is not a time; give 'now', -1h for an hour ago, or 2026-02-15T00:00:00Z") from None


def ago(seconds: float) -> str:
    """How long ago, in the largest unit that fits: ``3d``, ``42s``."""
    unit, size = next(((unit, size) for unit, size in _SHOWN if seconds >= size), _SHOWN[-1])
    return f"{max(0, int(seconds // size))}{unit}"


def resolve_expiry(text: str, now: float) -> str:
    """A future time as the API takes it. ``text`` is ISO 8601 or a time from now (``90d``). Raises ValueError."""
    try:
        if found := _AHEAD.fullmatch(text):
            return format_time(int(now) + int(found[1]) * _SECONDS[found[2]])
        return format_time(first_second(parse_exact(text)))
    except (ValueError, OverflowError):  # OverflowError: after the year 9999
        raise ValueError(f"{text!r} is not a time; give one such as 90d or 2027-01-01T00:00:00Z") from None
