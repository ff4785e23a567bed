"""Times on the wire (PRD 4.3.3): ISO 8601 comes in, whole UTC seconds are inside, ``2026-02-15T00:00:00Z`` goes out."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_ISO: Final = re.compile(
    r"\d{4}-\d\d-\d\d"
    r"(?:[Tt ]\d\d:\d\d(?::\d\d(?:[.,](?P<fraction>\d{1,9}))?)?(?:[Zz]|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)
NANOSECONDS: Final = 10**9
"""Nanoseconds per second."""
_LAST: Final = 253_402_300_799
"""The last second of the calendar, 9999-12-31T23:59:59Z."""
_EXPECTED: Final = "must be an ISO 8601 time such as 2026-02-15T00:00:00Z"


@lru_cache(maxsize=4096)
def parse_time(text: str) -> int:
    """Seconds since the epoch of an ISO 8601 time. Its fraction is dropped. A time without an offset is UTC.

    Raises ValueError for anything else, also for plain numbers and the compact form ``20260215``.
    """
    return parse_exact(text) // NANOSECONDS


def parse_exact(text: str) -> int:
    """Nanoseconds since the epoch of an ISO 8601 time with its fraction. Raises ValueError like ``parse_time``."""
    match = _ISO.fullmatch(text)
    if not match:
        raise ValueError(_EXPECTED)
    try:
        moment = datetime.fromisoformat(text.upper())
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # OverflowError: the offset leads out of the years 1 to 9999
        raise ValueError(f"is no date of the calendar; it {_EXPECTED}") from None
    # The fraction comes from the text, because datetime has at most six digits of it.
    return (moment - _EPOCH) // _SECOND * NANOSECONDS + int((match["fraction"] or "").ljust(9, "0"))


def first_second(nanoseconds: int) -> int:
    """The first whole second that is not before a moment. It is a bound of a half-open range of stored times.

    Stored times are whole seconds. So a range that begins at 00:00:00.5 does not have 00:00:00, and one that ends at
    23:59:59.999 has 23:59:59.
    """
    return min(-(-nanoseconds // NANOSECONDS), _LAST)


def format_time(seconds: int) -> str:
    """``2026-02-15T00:00:00Z`` of whole seconds since the epoch. Five times as fast as strftime, for large answers."""
    day, second = divmod(seconds, 86_400)
    return f"{_date(day)}{second // 3600:02d}:{second % 3600 // 60:02d}:{second % 60:02d}Z"


@lru_cache(maxsize=1024)
def _date(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).strftime("%Y-%m-%dT").rjust(11, "0")
