"""Whether a Redis server could lose an entry that it has acknowledged, by what it says of itself. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

_LAG_SECONDS: Final = 3
"""A replica says once per second how far it is. One that did not for longer does not count."""
_WAITAOF_FROM: Final = (7, 2)


class Waits(NamedTuple):
    """What must have an entry before it is acknowledged: the disk (WAITAOF), and so many replicas (WAIT)."""

    disk: bool
    replicas: int


def durability_fault(info: Mapping[str, Any], fsync: str, policy: str) -> str | None:
    """Why this server could lose entries that it acknowledged, and what to set; None if it cannot."""
    if not info.get("aof_enabled"):
        return "Redis is not durable: it has no append-only file; set appendonly yes"
    if fsync != "always":
        return f"Redis is not durable: its appendfsync is {fsync}; set appendfsync always"
    if policy != "noeviction":
        return f"Redis may throw entries away: its maxmemory-policy is {policy}; set maxmemory-policy noeviction"
    if info.get("aof_last_write_status", "ok") != "ok":
        return "Redis cannot write its append-only file; see its log"
    if info.get("role", "master") != "master":
        return "this Redis is a replica; give the address of the primary"
    return None


def good_replicas(info: Mapping[str, Any]) -> int:
    """How many replicas follow this server and have said so within the last seconds."""
    listed = (info.get(f"slave{number}") for number in range(int(info.get("connected_slaves", 0))))
    return sum(
        isinstance(one, Mapping) and one.get("state") == "online" and int(one.get("lag", 0)) <= _LAG_SECONDS
        for one in listed
    )


def replica_fault(have: int, needed: int) -> str | None:
    """Why an entry could be lost when another server takes the place of this one; None if it cannot."""
    if have >= needed:
        return None
    return f"Redis has {have} replicas that follow, and an entry must be on {needed} (METRICS_SPILL_REPLICAS)"


def late(waits: Waits, synced: Sequence[Any]) -> str | None:
    """Who has not confirmed a write in time: ``synced`` is what WAITAOF and WAIT answered. None if all have."""
    answers = iter(synced)
    if waits.disk and next(answers)[0] < 1:
        return "Redis did not sync its append-only file in time"
    if waits.replicas and (have := next(answers)) < waits.replicas:
        return f"{have} replicas of Redis confirmed a write in time, and {waits.replicas} must (METRICS_SPILL_REPLICAS)"
    return None


def memory_fault(info: Mapping[str, Any]) -> str | None:
    """Why this server takes no more entries; None if it does."""
    most = info.get("maxmemory", 0)
    if most and info["used_memory"] - info.get("mem_not_counted_for_evict", 0) > most:
        return f"Redis is full: it uses more than its maxmemory of {most} bytes; raise maxmemory"
    return None


def can_wait_for_disk(info: Mapping[str, Any]) -> bool:
    """Whether the server is new enough for WAITAOF."""
    major, minor, *_ = (int(number) for number in str(info["redis_version"]).split("."))
    return (major, minor) >= _WAITAOF_FROM
