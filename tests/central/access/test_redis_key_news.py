"""central/access/redis_key_news.py: a revoked key is refused in every process at once."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from central.access.redis_key_news import CHANNEL, KeyNews
from tests.central.redis_help import address
from tests.redis_server import RedisServer, redis_server


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with redis_server(tmp_path / "redis") as server:
        yield server


class Forgotten:
    """What one process's ``forget`` was called with."""

    def __init__(self) -> None:
        self.ids: asyncio.Queue[int] = asyncio.Queue()

    def __call__(self, key_id: int) -> None:
        self.ids.put_nowait(key_id)


@asynccontextmanager
async def process(server: RedisServer, listen_seconds: float = 60) -> AsyncIterator[tuple[KeyNews, Forgotten]]:
    """One central process that listens."""
    forgotten = Forgotten()
    news = KeyNews(address(server), forgotten, listen_seconds=listen_seconds)
    news.start()
    await news.listening.wait()
    try:
        yield news, forgotten
    finally:
        await news.close()


async def test_every_process_hears_of_a_change_and_so_does_the_one_that_made_it(server: RedisServer) -> None:
    async with process(server) as (one, forgotten_one), process(server) as (two, forgotten_two):
        await one.announce(7)
        await two.announce(8)
        for forgotten in (forgotten_one, forgotten_two):
            assert [await forgotten.ids.get(), await forgotten.ids.get()] == [7, 8]
        assert (one.counts.published, two.counts.published, one.counts.received, two.counts.received) == (1, 1, 2, 2)


async def test_nonsense_on_the_channel_is_ignored(server: RedisServer) -> None:
    async with process(server) as (news, forgotten):
        for text in ("", "x", "-1", "7;drop", b"\xff"):
            await server.client.publish(CHANNEL, text)
        await news.announce(7)
        assert await forgotten.ids.get() == 7


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_it_listens_again_after_redis_was_away(server: RedisServer, number: int) -> None:
    async with process(server) as (news, forgotten):
        await server.end(number)
        await news.announce(6)
        assert (news.counts.published, news.counts.not_published) == (0, 1)
        await news.away.wait()
        await server.start()
        await news.listening.wait()
        await news.announce(7)
        assert await forgotten.ids.get() == 7


async def test_a_server_that_stays_silent_is_connected_again(server: RedisServer) -> None:
    async with process(server, listen_seconds=0.3) as (news, forgotten):
        while (await server.client.info("commandstats"))["cmdstat_ping"]["calls"] < 5:
            assert news.listening.is_set()
        server.pause()
        await news.away.wait()
        server.go_on()
        await news.listening.wait()
        await news.announce(7)
        assert await forgotten.ids.get() == 7


async def test_a_start_without_redis_listens_as_soon_as_it_is_there(tmp_path: Path) -> None:
    async with redis_server(tmp_path / "redis") as server:
        await server.kill()
        forgotten = Forgotten()
        news = KeyNews(address(server), forgotten)
        news.start()
        await news.announce(1)
        await server.start()
        await news.listening.wait()
        await news.announce(7)
        assert await forgotten.ids.get() == 7
        await news.close()


async def test_close_without_start_is_nothing(server: RedisServer) -> None:
    await KeyNews(address(server), Forgotten()).close()
