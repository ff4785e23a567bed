"""The days under which request ids are kept, and which of them may go. Pure; both stores use it.

A wrong clock must not make an id look old: an id that is gone lets a replay be stored twice. So its day is never long
before the newest one, and a day goes only when enough later days hold ids too. A clock that is wrong adds one such
day, however far it is off and however long.
"""

from collections.abc import Iterable
from typing import Final

from protocol.limits import ID_DAYS

FARTHEST: Final = 31
"""How many days ahead of the clock the newest day may lie and still be used. Beyond that, the newest day is wrong."""


def id_day(today: int, newest: int) -> int:
    """The day to keep ids under: ``today``, or the newest day that holds some, where the clock was set back."""
    return newest if today < newest <= today + FARTHEST else today


def days_to_drop(days: Iterable[int], today: int) -> list[int]:
    """The days whose ids can be dropped: over ID_DAYS old by the clock, and before the newest ID_DAYS + 1 days."""
    return [day for day in sorted(days)[: -ID_DAYS - 1] if day < today - ID_DAYS]
