"""A service that cannot store says so: from the first write that failed, and until one succeeds."""

import asyncio
from pathlib import Path

from central.store.base import Group, StoreUnavailable
from tests.central.harness import Overlay, faulty, running


async def test_ready_after_a_failed_write_is_not_what_a_check_said_before(tmp_path: Path) -> None:
    failing = asyncio.Event()

    class Failing(Overlay):
        async def commit(self, group: Group, *, again: bool = False) -> None:
            if failing.is_set():
                raise StoreUnavailable("it takes no writes")
            await self.real.commit(group, again=again)

    async with running(tmp_path, outside=faulty(Failing)) as central:
        for change, written, ready in (
            (failing.clear, 201, 200),
            (failing.set, 503, 503),
            (failing.set, 503, 503),
            (failing.clear, 201, 200),
        ):
            change()
            assert (await central.counter("a")).status == written
            assert (await central.ask("GET", "/ready")).status == ready
