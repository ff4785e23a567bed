"""Announces changed keys to every central process at once.

A process that is not connected misses the message. It still reads each key's row again after 30 seconds: see
central.access.auth.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from central.redis_link import RedisAddress, RedisDown, RedisLink, RedisRefused

CHANNEL: Final = "fiesta:keys"
SECONDS: Final = 2.0
LISTEN_SECONDS: Final = 10.0
"""After this many seconds without a message, the server gets a ping."""
_PAUSE_FIRST: Final = 0.1
_PAUSE_MOST: Final = 5.0
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class KeyNewsCounts:
    """Counts since the start; plain ints, read at scrape."""

    published: int = 0
    not_published: int = 0
    """Changes that could not be published. Other processes read them from the store within 30 s."""
    received: int = 0


class KeyNews:
    """Publishes the ids of changed keys, and calls ``forget`` with each id that it receives. Owns its connections."""

    def __init__(
        self, address: RedisAddress, forget: Callable[[int], None], *, listen_seconds: float = LISTEN_SECONDS
    ) -> None:
        self._link = RedisLink(address, seconds=SECONDS, connections=2)
        self._forget = forget
        self._listen_seconds = listen_seconds
        self._task: asyncio.Task[None] | None = None
        self.counts = KeyNewsCounts()
        self.listening = asyncio.Event()
        """Set while subscribed. ``away`` is set while not."""
        self.away = asyncio.Event()
        self.away.set()

    def start(self) -> None:
        """Begin to listen, and to connect again whenever that ends."""
        self._task = asyncio.create_task(self._run(), name="key-news")

    async def close(self) -> None:
        """Stop listening and close the connections."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._link.close()

    async def announce(self, key_id: int) -> None:
        """Publish that a key was changed. Call it after the change is durable. Never raises."""
        try:
            await self._link.run(lambda client: client.publish(CHANNEL, str(key_id)))
            self.counts.published += 1
        except (RedisDown, RedisRefused) as error:
            self.counts.not_published += 1
            _log.warning("key_change_not_told", id=key_id, error=str(error), others_learn_within_seconds=30)

    async def _run(self) -> None:
        pause = _PAUSE_FIRST
        while True:
            try:
                await self._link.run(lambda client: client.ping())
                pause = _PAUSE_FIRST
                await self._listen()
            except (RedisDown, RedisRefused) as error:
                _log.warning("key_news_interrupted", error=str(error), next_try_seconds=pause)
            self.listening.clear()
            self.away.set()
            await asyncio.sleep(pause)
            pause = min(pause * 2, _PAUSE_MOST)

    async def _listen(self) -> None:
        """Receive messages until the server does not answer a ping. Then raises RedisDown."""
        async with contextlib.aclosing(self._link.client.pubsub()) as channel:
            await self._link.run(lambda _: channel.subscribe(CHANNEL))
            asked = False
            while True:
                message = await self._link.run(
                    lambda _: channel.get_message(timeout=self._listen_seconds), self._listen_seconds + SECONDS
                )
                if message is None and asked:
                    raise RedisDown(f"no message and no answer to a ping for {2 * self._listen_seconds:g} s")
                if message is None:
                    asked = True
                    await self._link.run(lambda _: channel.ping())
                    continue
                asked = False
                self._receive(message)

    def _receive(self, message: dict[str, object]) -> None:
        data = message["data"]
        if message["type"] == "subscribe":
            self.away.clear()
            self.listening.set()
        elif message["type"] == "message" and isinstance(data, bytes) and data.isdigit():
            self.counts.received += 1
            self._forget(int(data))
