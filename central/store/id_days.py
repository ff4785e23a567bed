"""The days under which request ids are kept, and which of them may go. Pure; both stores use it.

A wrong clock must not make an id look old: an id that is gone lets a replay be stored twice. So its day is never long
before the newest one, and a day goes only when enough later days hold ids too. A clock that is wrong adds one such
day, however far it is off and however long.
"""

from collections.abc import Iterable
from typing import Final

from protocol.limits import ID_DAYS

FARTHEST: Final = 31
"""Days that the newest day may lie ahead and still be followed: beyond it, that one was the mistake."""


def id_day(today: int, newest: int) -> int:
    """The day to keep ids under: ``today``, or the newest day that holds some, where the clock was set back."""
    return newest if today < newest <= today + FARTHEST else today


def days_to_drop(days: Iterable[int], today: int) -> list[int]:
    """Those of the days that hold ids which are over: older than ID_DAYS by the clock and by the days after them."""
    return [day for day in sorted(days)[: -ID_DAYS - 1] if day < today - ID_DAYS]
