"""Times as Graphite writes them: ``-24h``, ``now``, ``midnight-7d``, ``14:30_20260215``, or seconds. Pure."""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

_MONTH: Final = 30 * 86_400
_UNITS: Final = (
    ("s", 1),
    ("min", 60),
    ("h", 3_600),
    ("d", 86_400),
    ("w", 604_800),
    ("mon", _MONTH),
    ("y", 365 * 86_400),
)
"""How the words of each unit begin: ``h``, ``hr``, ``hrs`` and ``hours`` are hours."""
_FORMS: Final = "such as -24h, now, today, 14:30_20260215 or seconds since the epoch"
_OFFSET: Final = re.compile(r"([+-]?)([0-9]{1,9})([a-z]+)", re.ASCII)
_PARTS: Final = re.compile(r"([^+-]*)((?:[+-](?:[0-9]{1,9}[a-z]+)+)*)", re.ASCII)
_SIGNED: Final = re.compile(r"[+-][^+-]+")
_CLOCK: Final = re.compile(r"([0-9]{1,2}):?([0-9]{2})?(am|pm)?", re.ASCII)
_NAMED_CLOCKS: Final = {"midnight": (0, 0), "noon": (12, 0), "teatime": (16, 0)}
_NAMED_DAYS: Final = {"today": 0, "yesterday": -1, "tomorrow": 1}
_WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH_DAY: Final = re.compile(r"([a-z]{3})[a-z]*[_ ]*([0-9]{1,2})", re.ASCII)
_PART: Final = re.compile(r"[_ ]++(?![0-9]{1,2}(?:[_ ]|$))", re.ASCII)
"""What parts a clock time from a day, but not a month from its day."""
_DATE_FORMS: Final = ("%Y%m%d", "%m/%d/%y", "%m/%d/%Y")
MOST: Final = 253_402_300_799
"""The last second of the year 9999."""


def parse_time(text: str, now: int, zone: tzinfo = UTC) -> int:
    """Seconds since the epoch. ``zone`` is that of days and clock times. Raises ValueError that says what is right."""
    text = text.strip().lower()
    if re.fullmatch(r"[0-9]{1,7}|[0-9]{9,12}", text):  # eight digits are a date
        return min(int(text), MOST)
    found = _PARTS.fullmatch(text)
    if found is None or not text:
        raise ValueError(f"{text[:40]!r} is not a time; give one {_FORMS}")
    base, offset = found.groups()
    moment = now if base in {"", "now"} else int(_reference(base, datetime.fromtimestamp(now, zone)).timestamp())
    moment += sum(map(parse_offset, _SIGNED.findall(offset)))
    if not 0 <= moment <= MOST:
        raise ValueError(f"{text[:40]!r} is not between the years 1970 and 9999")
    return moment


def parse_offset(text: str) -> int:
    """The seconds of an offset such as ``1h``, ``-7d`` or ``1h30min``. Raises ValueError."""
    parts = list(_OFFSET.finditer(text.strip().lower()))
    if not parts or "".join(part.group() for part in parts) != text.strip().lower():
        raise ValueError(f"{text[:40]!r} is not a span of time; give one such as 5min, 1h, 7d or 1mon")
    sign = -1 if parts[0].group(1) == "-" else 1
    return sign * sum(int(part.group(2)) * _seconds_of(part.group(3)) for part in parts)


def beginning(moment: int, unit: str, first: int = 1) -> int:
    """When the unit of time began in which a moment is, in UTC. Weeks begin at weekday ``first``; 1 is Monday.

    Raises ValueError for no unit.
    """
    seconds = _seconds_of(unit)
    day = datetime.fromtimestamp(moment, UTC).replace(hour=0, minute=0, second=0)
    if seconds < 604_800:
        return moment // seconds * seconds
    if seconds == 604_800:
        day -= timedelta(days=(day.isoweekday() - first) % 7)
    else:
        day = day.replace(day=1) if seconds == _MONTH else day.replace(month=1, day=1)
    return max(0, int(day.timestamp()))


def _seconds_of(unit: str) -> int:
    for start, seconds in _UNITS:
        if unit.startswith(start) or (unit, start) == ("m", "min"):
            return seconds
    raise ValueError(f"{unit[:20]!r} is not a unit of time; give s, min, h, d, w, mon or y")


def _reference(base: str, now: datetime) -> datetime:
    """The moment of a day, a clock time, or both with ``_`` or a blank between."""
    clock: tuple[int, int] | None = None
    day: datetime | None = None
    for part in _PART.split(base):
        if part in _NAMED_CLOCKS:
            clock = _NAMED_CLOCKS[part]
        elif (date := _day(part, now)) is not None:
            day = date
        elif (time := _CLOCK.fullmatch(part)) is not None and (time.group(2) or time.group(3)):
            clock = _clock(time)
        else:
            raise ValueError(f"{base[:40]!r} is not a time; give one {_FORMS}")
    hour, minute = clock or (0, 0)
    return (day or now).replace(hour=hour, minute=minute, second=0, microsecond=0)


def _clock(found: re.Match[str]) -> tuple[int, int]:
    hour, minute = int(found.group(1)), int(found.group(2) or 0)
    if found.group(3) is not None:
        if not 1 <= hour <= 12:
            raise ValueError(f"{found.group()!r} is not a time of a day")
        hour = hour % 12 + 12 * (found.group(3) == "pm")
    if hour > 23 or minute > 59:
        raise ValueError(f"{found.group()!r} is not a time of a day")
    return hour, minute


def _day(text: str, now: datetime) -> datetime | None:
    if text in _NAMED_DAYS:
        return now + timedelta(days=_NAMED_DAYS[text])
    if text[:3] in _WEEKDAYS and text.isalpha():
        return now - timedelta(days=(now.weekday() - _WEEKDAYS.index(text[:3])) % 7)
    found = _MONTH_DAY.fullmatch(text)
    if found is not None and found.group(1) in _MONTHS:
        try:
            return now.replace(month=_MONTHS.index(found.group(1)) + 1, day=int(found.group(2)))
        except ValueError:
            raise ValueError(f"{text[:40]!r} is not a day of this year") from None
    for form in _DATE_FORMS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=now.tzinfo)
        except ValueError:
            continue
    return None
