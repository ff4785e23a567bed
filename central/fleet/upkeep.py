"""Writes the reports of agents to the store once per minute, and reads what other processes have written.

An acknowledgement never waits for it. What a crash loses comes again with the next batch of each agent.
"""

import asyncio
from typing import Final

import structlog

from central.fleet.agents import Agents
from central.store.agents import AgentStore
from central.store.base import StoreError

WRITE_SECONDS: Final = 60.0
OVERLAP_SECONDS: Final = 600
"""Rows are read again that are so old: clocks of other processes differ, and a write may have been late."""
_log = structlog.get_logger(__name__)


class FleetUpkeep:
    """The agents of this process and the store's. If the store fails, the next minute tries again."""

    def __init__(self, agents: Agents, store: AgentStore, seconds: float = WRITE_SECONDS) -> None:
        self._agents = agents
        self._store = store
        self._seconds = seconds
        self._read_until = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write once per minute. Call ``exchange`` before, so that the agents of earlier runs are known."""
        self._task = asyncio.create_task(self._run(), name="fleet")

    async def close(self) -> None:
        """Stop, and write the last reports."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self.exchange()

    async def exchange(self) -> None:
        """Write the reports that came, then read those of other processes. Never raises."""
        agents = self._agents
        agents.forget()
        changed = agents.take_changed()
        try:
            if changed:
                await self._store.note(changed, agents.forget_before(), agents.most)
                changed = []
            rows = await self._store.seen_since(self._read_until)
        except StoreError as error:
            agents.put_back(changed)
            _log.debug("agents_not_written", error=str(error))
            return
        agents.merge(rows)
        newest = max((row.seen_at for row in rows), default=0)
        self._read_until = max(self._read_until, newest - OVERLAP_SECONDS)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            await self.exchange()
