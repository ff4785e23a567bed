"""loadtest/attacks.py: each attack is one that the service meets, and a good key's POST is stored beside it."""

import asyncio
import sys
from pathlib import Path

import pytest

from loadtest.attacks import ATTACKS
from tests.central.harness import running

MET_BY = {
    "many_items": 'fiesta_requests_total{route="/api/metrics/batch",status="400"}',
    "long_items": "fiesta_items_rejected_total",
    "slow_bodies": 'fiesta_busy_total{kind="arriving bodies"}',
    "unread_answers": 'fiesta_requests_total{route="/api/metrics/aggregate",status="200"}',
    "guesses": "fiesta_key_refusals_total",
    "unknown_keys": "fiesta_key_refusals_total",
    "backups": 'fiesta_busy_total{kind="backups"}',
    "beyond_the_limit": 'fiesta_requests_total{route="/api/metrics",status="429"}',
}
"""The number that shows that an attack has come. Those of the other two are gone when they are read."""


@pytest.mark.parametrize("name", MET_BY)
async def test_an_attack_comes_and_a_good_key_is_served(tmp_path: Path, name: str) -> None:
    async with running(tmp_path) as central:
        for metric in "abcd":
            await central.value(metric, "1")
        _, good = await central.new_key("ingest")
        _, bad = await central.new_key("ingest", "query", "admin", rate_limit=1_000)
        attacked = good if name == "guesses" else bad
        attack = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "loadtest.attacks", name, central.url, attacked
        )
        try:
            while not await central.meter(MET_BY[name]):
                assert attack.returncode is None
            assert (await central.counter("good", key=good)).status == 201
        finally:
            attack.kill()
            await attack.wait()


def test_every_attack_is_one_of_the_table() -> None:
    assert MET_BY.keys() | {"queries", "idle_connections"} == ATTACKS.keys()
