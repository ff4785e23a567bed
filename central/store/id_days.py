"""The day under which a request id is stored, and the days whose ids may be dropped. Pure. Both stores use it.

A wrong clock must not make an id look old: when an id is dropped too early, a replay is stored twice. So new ids never
go under a day before the newest one, and a day is dropped only if enough later days hold ids. A wrong clock adds only
one such day, however wrong it is.
"""

from collections.abc import Iterable
from typing import Final

from protocol.limits import ID_DAYS

FARTHEST: Final = 31
"""The newest day is used only if it is at most this many days ahead of the clock. Otherwise it is wrong."""


def id_day(today: int, newest: int) -> int:
    """The day for new ids: ``today``, or the newest day that holds ids if the clock was set back."""
    return newest if today < newest <= today + FARTHEST else today


def days_to_drop(days: Iterable[int], today: int) -> list[int]:
    """The days whose ids may be dropped: more than ID_DAYS ago, and not among the newest ID_DAYS + 1 days with ids."""
    return [day for day in sorted(days)[: -ID_DAYS - 1] if day < today - ID_DAYS]
