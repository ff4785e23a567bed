"""Looks up the rows of keys, many per call of the store. Keys that arrive during a call wait for the next one.

So however many unknown keys are tried, the store gets at most a fixed number of look-ups per second.
"""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Final

import structlog

from central.store.base import KeyRow, KeyStore, StoreError

PAUSE_SECONDS: Final = 0.02
"""The pause between two look-ups. A new key waits for it at most once, and there are at most 50 look-ups per second."""
MOST: Final = 1_000
"""The most public ids in one look-up."""
_log = structlog.get_logger(__name__)


class KeyLookUps:
    """Asks a KeyStore for one group of public ids after the other. ``sleep`` is for tests."""

    def __init__(self, keys: KeyStore, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._keys = keys
        self._sleep = sleep
        self._waiting: dict[str, list[asyncio.Future[KeyRow | None]]] = {}  # the id that has waited longest is first
        self._task: asyncio.Task[None] | None = None

    async def find(self, public_id: str) -> KeyRow | None:
        """The row of the key, or None. It is read after this call, never before. Raises StoreError."""
        waiter: asyncio.Future[KeyRow | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(public_id, []).append(waiter)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await waiter

    async def _run(self) -> None:
        while self._waiting:
            asked = {public_id: self._waiting.pop(public_id) for public_id in list(islice(self._waiting, MOST))}
            answer = await self._ask(list(asked))
            for public_id, waiters in asked.items():
                for waiter in waiters:
                    if waiter.done():  # it was cancelled
                        continue
                    if isinstance(answer, StoreError):
                        waiter.set_exception(answer)
                    else:
                        waiter.set_result(answer.get(public_id))
            await self._sleep(PAUSE_SECONDS)

    async def _ask(self, public_ids: list[str]) -> dict[str, KeyRow] | StoreError:
        """The rows; or the error, which all waiters get."""
        try:
            return await self._keys.find(public_ids)
        except StoreError as error:
            return error
        except Exception as error:
            _log.exception("key_look_up_crashed")
            return StoreError(f"the look-up failed: {error!r}")
