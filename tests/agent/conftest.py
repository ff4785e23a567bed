"""Fixtures of the agent's tests: after each the ledgers must balance."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.agent.ledgers import Bench, Ledgers


@pytest.fixture
def ledgers() -> Iterator[Ledgers]:
    ledgers = Ledgers()
    yield ledgers
    for spool, ledger in ledgers.open:
        spool.close()
        assert ledger.balance() == 0
        assert ledger.in_spool >= 0


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.spool.close()
    assert bench.ledger.balance() == 0
