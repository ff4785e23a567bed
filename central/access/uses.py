"""When each key was last used. Every request notes it in memory; once per minute it is written to the store."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog

from central.store.base import StoreError

WRITE_SECONDS: Final = 60.0
_log = structlog.get_logger(__name__)


class KeyUses:
    """The last use of each key. ``write`` stores seconds by key id. If it fails, the next minute tries again."""

    def __init__(self, write: Callable[[Mapping[int, int]], Awaitable[None]], seconds: float = WRITE_SECONDS) -> None:
        self._write = write
        self._seconds = seconds
        self._pending: dict[int, int] = {}
        self._task: asyncio.Task[None] | None = None

    def note(self, key_id: int, now: float) -> None:
        """Note that a key was used. METRICS_ADMIN_KEY has the id 0 and no row, so it is not noted."""
        if key_id:
            self._pending[key_id] = int(now)

    def latest(self, key_id: int, stored: int | None) -> int | None:
        """The last use of a key: ``stored``, or a later use that is not stored yet."""
        return max(self._pending.get(key_id, 0), stored or 0) or None

    def start(self) -> None:
        """Begin to write once per minute."""
        self._task = asyncio.create_task(self._run(), name="key-uses")

    async def close(self) -> None:
        """Stop, and write the last uses."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self.flush()

    async def flush(self) -> None:
        """Write all that was noted. Never raises."""
        uses, self._pending = self._pending, {}
        if not uses:
            return
        try:
            await self._write(uses)
        except StoreError as error:
            self._pending = {**uses, **self._pending}
            _log.debug("key_uses_not_written", error=str(error))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            await self.flush()
