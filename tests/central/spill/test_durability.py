"""Whether a Redis server could lose an entry that it has acknowledged."""

from typing import Any

import pytest

from central.spill.durability import Waits, durability_fault, good_replicas, late, replica_fault


@pytest.mark.parametrize(
    ("info", "fsync", "policy", "fault"),
    [
        ({"aof_enabled": 1}, "always", "noeviction", None),
        ({"aof_enabled": 1, "aof_last_write_status": "ok", "role": "master"}, "always", "noeviction", None),
        ({}, "always", "noeviction", "set appendonly yes"),
        ({"aof_enabled": 0}, "always", "noeviction", "set appendonly yes"),
        ({"aof_enabled": 1}, "everysec", "noeviction", "set appendfsync always"),
        ({"aof_enabled": 1}, "no", "noeviction", "set appendfsync always"),
        ({"aof_enabled": 1}, "always", "allkeys-lru", "set maxmemory-policy noeviction"),
        ({"aof_enabled": 1}, "always", "volatile-ttl", "set maxmemory-policy noeviction"),
        ({"aof_enabled": 1, "aof_last_write_status": "err"}, "always", "noeviction", "cannot write"),
        ({"aof_enabled": 1, "role": "slave"}, "always", "noeviction", "replica"),
    ],
)
def test_durability(info: dict[str, Any], fsync: str, policy: str, fault: str | None) -> None:
    found = durability_fault(info, fsync, policy)
    assert found is None if fault is None else fault in (found or "")


@pytest.mark.parametrize(
    ("info", "good"),
    [
        ({}, 0),
        ({"connected_slaves": 1, "slave0": {"state": "online", "lag": 0}}, 1),
        ({"connected_slaves": 1, "slave0": {"state": "online", "lag": 4}}, 0),
        ({"connected_slaves": 2, "slave0": {"state": "wait_bgsave"}, "slave1": {"state": "online", "lag": 1}}, 1),
    ],
)
def test_a_replica_counts_if_it_follows(info: dict[str, object], good: int) -> None:
    assert good_replicas(info) == good


def test_a_lack_of_replicas_is_a_fault_that_names_the_setting() -> None:
    assert replica_fault(1, 1) is None
    assert replica_fault(0, 0) is None
    assert "Redis has 1 replicas that follow, and an entry must be on 2" in str(replica_fault(1, 2))


@pytest.mark.parametrize(
    ("waits", "synced", "fault"),
    [
        (Waits(disk=False, replicas=0), [], None),
        (Waits(disk=True, replicas=0), [[1, 0]], None),
        (Waits(disk=True, replicas=0), [[0, 1]], "did not sync"),
        (Waits(disk=False, replicas=2), [2], None),
        (Waits(disk=False, replicas=2), [1], "1 replicas of Redis confirmed a write in time, and 2 must"),
        (Waits(disk=True, replicas=1), [[1, 1], 1], None),
        (Waits(disk=True, replicas=1), [[1, 0], 0], "0 replicas of Redis confirmed a write in time, and 1 must"),
        (Waits(disk=True, replicas=1), [[0, 0], 0], "did not sync"),
    ],
)
def test_who_is_late_with_a_write(waits: Waits, synced: list[Any], fault: str | None) -> None:
    assert (late(waits, synced) is None) == (fault is None)
    assert (fault or "") in (late(waits, synced) or "")
