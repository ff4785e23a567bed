"""Real agents under load, killed at random moments: see under_fire."""

from pathlib import Path

import pytest

from tests.agent.journal.under_fire import ROUND, under_fire

ROUNDS = 2


@pytest.mark.parametrize("threads", [1, 2])
async def test_what_was_read_is_stored_whenever_an_agent_is_killed(tmp_path: Path, threads: int) -> None:
    kills = ROUNDS * sum(map(len, ROUND))
    happened = await under_fire(tmp_path, kills, 7, threads)
    assert happened["kills"] == kills
    assert happened["kills_in_a_recovery"] >= ROUNDS
    assert happened["journal_redone"] > 0
    assert happened["scrapes"] > 0
    assert happened["packets"] > 10
