"""Real agents under load, killed at random moments: see under_fire."""

from pathlib import Path

import pytest

from tests.agent.journal.under_fire import under_fire


@pytest.mark.parametrize("threads", [1, 2])
async def test_what_was_read_is_stored_whenever_an_agent_is_killed(tmp_path: Path, threads: int) -> None:
    happened = await under_fire(tmp_path, 10, 7, threads)
    assert happened["kills"] == 10
    assert happened["journal_redone"] > 0
    assert happened["scrapes"] > 0
    assert happened["packets"] > 10
