"""The agent's soak, for less than half a minute: its ledger, its spool, its memory."""

from loadtest.soak_agent import Sent, judge, soak

WARMING_UP_MB = 10.0
"""Caches of names and tails fill in the first minutes. A leak of some 100 bytes per line would still be over it."""
GOOD = {"received": 10, "acknowledged": 8, "dropped": {"no_type": 2}, "in_window": 0, "in_spool": 0, "sockets": []}


def test_under_mixed_load_nothing_is_lost_and_memory_stays() -> None:
    rows = soak(0.4, flush_interval=1, flat_mb=WARMING_UP_MB)
    assert [row for row in rows if not row[-1]] == []


def test_each_fault_fails_the_soak() -> None:
    flat = [50.0] * 40
    sent = Sent(10, 2, 3)
    assert all(row[-1] for row in judge(sent, GOOD, 3, flat, 4.0))
    faults = [
        (GOOD | {"received": 9}, 3, flat),
        (GOOD | {"acknowledged": 7}, 3, flat),
        (GOOD | {"dropped": {"no_type": 3}}, 3, flat),
        (GOOD | {"in_spool": 1}, 3, flat),
        (GOOD | {"sockets": [{"kernel_drops": 1}]}, 3, flat),
        (GOOD, 4, flat),
        (GOOD, 3, [50.0] * 30 + [54.0] * 10),
    ]
    for status, in_store, memory in faults:
        assert [row[-1] for row in judge(sent, status, in_store, memory, 4.0)].count(False) == 1
