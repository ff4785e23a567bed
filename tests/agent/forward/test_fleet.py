"""Requests per minute of a host, and hosts per key."""

from pathlib import Path

import pytest

from agent.forward.schedule import host_name, hosts_per_key, requests_per_minute
from protocol.limits import MAX_BATCH_ITEMS


@pytest.mark.parametrize(
    ("names", "interval", "requests"),
    [
        (0, 10, 6),
        (1, 10, 6),
        (1_000, 10, 6),
        (1_001, 10, 12),
        (5_000, 10, 30),
        (100_000, 10, 600),
        (1, 60, 1),
        (1, 1, 60),
    ],
)
def test_requests_per_minute_of_a_host(names: int, interval: int, requests: int) -> None:
    assert requests_per_minute(names, interval) == requests


@pytest.mark.parametrize(
    ("limit", "names", "interval", "hosts"),
    [
        (1_000, 1_000, 10, 83),
        (1_000, 1_000, 60, 500),
        (1_000, 5_000, 10, 16),
        (60_000, 1_000, 10, 5_000),
        (11, 1, 10, 0),
    ],
)
def test_hosts_per_key(limit: int, names: int, interval: int, hosts: int) -> None:
    assert MAX_BATCH_ITEMS == 1_000
    assert hosts_per_key(limit, names, interval) == hosts


def test_a_host_name_is_unique_and_does_not_change(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("0123\n")
    assert host_name(tmp_path / "id").endswith(" 0123")
    assert host_name(tmp_path / "none") == host_name(tmp_path / "none")
    assert host_name() == host_name()
