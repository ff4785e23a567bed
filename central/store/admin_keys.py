"""Whether a change of a key would lock everybody out. Pure. A store asks this in the transaction of the change."""

import math
from collections.abc import Iterable

from central.store.base import KeyRow


def is_live(row: KeyRow, now: float) -> bool:
    """Whether the key is valid now: not revoked and not expired."""
    return row.revoked_at is None and (row.expires_at is None or row.expires_at > now)


def locks_out(rows: Iterable[KeyRow], changed: KeyRow, now: float) -> bool:
    """Whether ``changed``, in place of its row, would make the last valid admin key end earlier.

    So an admin key that expires cannot replace one that does not: after its end, nobody could make a key.
    """
    before = list(rows)
    after = [changed if row.id == changed.id else row for row in before]
    return _admins_until(after, now) < _admins_until(before, now)


def _admins_until(rows: Iterable[KeyRow], now: float) -> float:
    """When the last valid admin key ends; ``now`` if there is none."""
    ends = [row.expires_at or math.inf for row in rows if "admin" in row.scopes and is_live(row, now)]
    return max(ends, default=now)
