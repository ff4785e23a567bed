"""Whether a change of a key locks everybody out. Pure, for a store to ask in the transaction of the change."""

import math
from collections.abc import Iterable

from central.store.base import KeyRow


def is_live(row: KeyRow, now: float) -> bool:
    """Whether the key is good now: not revoked and not expired."""
    return row.revoked_at is None and (row.expires_at is None or row.expires_at > now)


def locks_out(rows: Iterable[KeyRow], changed: KeyRow, now: float) -> bool:
    """Whether with ``changed`` in the place of its row the last admin key ends earlier than without.

    So a key that expires does not stand in for one that does not: the day comes on which nobody can make a key.
    """
    before = list(rows)
    after = [changed if row.id == changed.id else row for row in before]
    return _admins_until(after, now) < _admins_until(before, now)


def _admins_until(rows: Iterable[KeyRow], now: float) -> float:
    """When the last of the admin keys ends; ``now`` where none lives."""
    ends = [row.expires_at or math.inf for row in rows if "admin" in row.scopes and is_live(row, now)]
    return max(ends, default=now)
