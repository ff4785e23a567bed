"""Real agents under load, killed at random moments: see under_fire."""

from pathlib import Path

from tests.agent.journal.under_fire import under_fire


async def test_what_was_read_is_stored_whenever_an_agent_is_killed(tmp_path: Path) -> None:
    happened = await under_fire(tmp_path, 10, 7)
    assert happened["kills"] == 10
    assert happened["journal_redone"] > 2
    assert happened["kills_in_a_recovery"] > 0
    assert happened["scrapes"] > 5
    assert happened["packets"] > 100
