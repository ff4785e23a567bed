"""How many hosts one key serves: arithmetic of requests a minute. A batch is one request."""

from typing import Final

from protocol.limits import MAX_BATCH_ITEMS

FOR_THE_PRESENT: Final = 2
"""One part in so many of a key's minute: the rest is for the way back after an outage, see agent.schedule."""


def requests_a_minute(names: int, interval: int) -> int:
    """What a host with so many names in each window of ``interval`` seconds sends in quiet times."""
    return max(1, -(-names // MAX_BATCH_ITEMS)) * 60 // interval


def hosts_a_key(limit: int, names: int, interval: int) -> int:
    """How many such hosts can share a key with ``limit`` requests a minute; 0 when it is too small for one."""
    return limit // FOR_THE_PRESENT // requests_a_minute(names, interval)
