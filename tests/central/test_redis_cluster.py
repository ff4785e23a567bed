"""central/redis_cluster.py on a real Redis Cluster, also by TLS: any node may be asked, and moved keys are found."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from central.access.redis_key_news import KeyNews
from central.access.redis_limit import RedisLimiter
from central.redis_cluster import SLOT, ClusterNodes, nodes_of_slot
from central.redis_link import RedisLink
from central.spill.record import SpilledGroup, SpilledRequest, decode
from central.spill.spill import Spill, SpillInDoubt, SpillRefused
from central.tls_client import ClientTls
from protocol.item import Item
from protocol.numbers import UNIT
from tests.central.harness import running
from tests.central.redis_help import address, environ_of
from tests.central.spill.test_spill import group
from tests.central.store_help import NOW, TODAY
from tests.patience import PATIENCE, a_moment
from tests.redis_cluster import RedisCluster, redis_cluster
from tests.redis_server import RedisServer

WRITERS = 4
HERE = ("asked", 1)
A, B, C = [b"a", 1, b"id", []], [b"b", 2, b"id", []], [b"", 3, b"id", []]


@pytest.fixture
async def cluster(tmp_path: Path, tls: ClientTls | None) -> AsyncIterator[RedisCluster]:
    async with redis_cluster(tmp_path / "cluster", tls) as made:
        yield made


@asynccontextmanager
async def spilling(server: RedisServer, replicas: int | None = None, seconds: float = 1) -> AsyncIterator[Spill]:
    made = Spill(RedisLink(address(server), seconds=seconds), max_bytes=1 << 30, replicas=replicas)
    try:
        yield made
    finally:
        await made.close()


class Writers:
    """They put groups all the time inside the block, and know what became of each."""

    def __init__(self, spill: Spill) -> None:
        self.taken: set[bytes] = set()
        self.refused: set[bytes] = set()
        self._spill = spill
        self._over = asyncio.Event()
        self._enough = 0
        self._are_enough = asyncio.Event()

    async def until_taken(self, more: int) -> None:
        """Return once so many more were taken."""
        self._enough = len(self.taken) + more
        self._are_enough.clear()
        await self._are_enough.wait()

    async def __aenter__(self) -> "Writers":
        self._writing = [asyncio.create_task(self._write()) for _ in range(WRITERS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await asyncio.gather(*self._writing)

    async def _write(self) -> None:
        while not self._over.is_set():
            points = [Item("a", "value", UNIT, NOW)]
            made = SpilledGroup(os.urandom(16), TODAY, [SpilledRequest(1, points, os.urandom(16), bytes(16))])
            try:
                await self._spill.put(made)
                self.taken.add(made.id)
                if len(self.taken) >= self._enough:
                    self._are_enough.set()
            except SpillRefused:
                self.refused.add(made.id)
            except SpillInDoubt:
                pass
            await asyncio.sleep(0)


async def held(spill: Spill) -> set[bytes]:
    """The ids of all groups in the spill."""
    found: set[bytes] = set()
    after = b""
    while entries := await spill.read(after):
        after = entries[-1].id
        found |= {decode(entry.content).id for entry in entries}
    return found


async def test_whichever_node_is_asked_all_processes_share_one(cluster: RedisCluster) -> None:
    heard: asyncio.Queue[int] = asyncio.Queue()
    async with AsyncExitStack() as stack:
        for count, node in enumerate([cluster.owner, cluster.replica, *cluster.others]):
            limiter, news = RedisLimiter(address(node), seconds=5), KeyNews(address(node), heard.put_nowait)
            stack.push_async_callback(limiter.close)
            stack.push_async_callback(news.close)
            news.start()
            await news.listening.wait()
            assert (await limiter.hit(7, 100, 0.0)).remaining == 99 - count
            assert not limiter.alone
            spill = await stack.enter_async_context(spilling(node, seconds=20))
            await spill.put(group(bytes([count])))
            assert (await spill.refresh()).entries == count + 1
            assert set(await spill.find_requests([b"\0" * 16])) == {b"\0" * 16}
        await news.announce(7)
        assert [await heard.get() for _ in range(4)] == [7] * 4


async def test_a_fail_over_of_the_cluster_loses_nothing(cluster: RedisCluster) -> None:
    async with spilling(cluster.others[0]) as spill:
        async with Writers(spill) as writers:
            await writers.until_taken(50)
            await cluster.owner.kill()
            await cluster.until_owned_by(cluster.replica)
            while "an entry must be on 1" not in str(spill.fault):  # nobody follows the new primary
                await cluster.replica.client.ping()
            assert writers.taken - await held(spill) == set()
            await cluster.owner.start()
            await writers.until_taken(50)
        assert writers.taken - await held(spill) == set()


async def test_a_primary_that_stood_still_is_left_when_it_goes_on(cluster: RedisCluster) -> None:
    async with spilling(cluster.owner) as spill, Writers(spill) as writers:
        await writers.until_taken(50)
        cluster.owner.pause()
        await cluster.until_owned_by(cluster.replica)
        cluster.owner.go_on()
        await writers.until_taken(50)
        assert writers.taken - await held(spill) == set()


async def test_keys_that_move_to_another_node_are_followed(cluster: RedisCluster) -> None:
    """What was refused meanwhile is not stored: a script of a slot that moves runs whole or not at all."""
    await cluster.owner.client.xadd("fiesta:{spill}:groups:bad", {"reason": "so that no other key is missing"})
    async with spilling(cluster.replica, replicas=0) as spill:
        async with Writers(spill) as writers:
            await writers.until_taken(50)
            await cluster.move(cluster.owner, cluster.others[0])
            await writers.until_taken(50)
        found = await held(spill)
        assert writers.taken - found == set()
        assert writers.refused & found == set()


async def test_connections_from_before_a_move_are_left(cluster: RedisCluster) -> None:
    async with spilling(cluster.owner, replicas=0, seconds=20) as spill:
        await asyncio.gather(*(spill.put(group()) for _ in range(4)))
        await cluster.move(cluster.owner, cluster.others[0])
        await spill.put(group())
        assert spill.counts.put == 5


async def test_while_a_cluster_is_down_the_spill_says_that_it_is_closed(cluster: RedisCluster) -> None:
    """Its nodes then answer all that is asked of them, but no question about a key."""
    async with spilling(cluster.owner, seconds=20) as spill:
        await spill.put(group())
        await cluster.others[0].kill()
        while (await cluster.owner.client.cluster("INFO"))["cluster_state"] == "ok":
            await a_moment()
        for _ in range(3):
            with pytest.raises(SpillRefused):
                await spill.put(group())
            assert spill.fault is not None
        await cluster.others[0].start()
        await cluster.until_settled()
        await spill.put(group())
        assert spill.fault is None


async def test_a_service_goes_on_when_its_node_of_the_cluster_is_gone(cluster: RedisCluster, tmp_path: Path) -> None:
    async with running(tmp_path / "data", environ_of(cluster.owner.port, cluster.owner.tls)) as central:
        await cluster.owner.kill()
        await cluster.until_owned_by(cluster.replica)
        await cluster.owner.start()
        async with asyncio.timeout(PATIENCE):
            while (await central.ask("GET", "/ready")).json["dependencies"]["redis"] != "ok":
                await cluster.replica.client.ping()
                await a_moment()
        assert await central.meter("fiesta_spill_closed") == 0


async def test_without_a_replica_a_cluster_holds_no_spill(cluster: RedisCluster) -> None:
    await cluster.replica.kill()
    while (await cluster.owner.client.info("replication"))["connected_slaves"]:
        await a_moment()
    async with spilling(cluster.owner, seconds=20) as spill:
        with pytest.raises(SpillRefused, match="an entry must be on 1"):
            await spill.put(group())
    async with spilling(cluster.owner, replicas=0, seconds=20) as spill:
        await spill.put(group())


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ([], []),
        ([[0, SLOT - 1, A], [SLOT + 1, 16383, B]], []),
        ([[0, 16383, A]], [("a", 1)]),
        ([[0, SLOT - 1, A], [SLOT, 16383, B, A]], [("b", 2), ("a", 1), ("a", 1)]),
        ([[SLOT, SLOT, C]], [("asked", 3)]),
    ],
    ids=["nobody has a slot", "nobody has ours", "one has all", "the one with ours comes first", "no host of its own"],
)
def test_the_answer_names_the_node_with_the_keys(told: list[Any], found: list[tuple[str, int]]) -> None:
    assert list(nodes_of_slot(told, HERE)) == found


def test_nodes_are_asked_in_turn_until_one_answers() -> None:
    nodes = ClusterNodes("given", 1)
    assert [nodes.next() for _ in range(2)] == [("given", 1)] * 2
    nodes.learn([("a", 1), ("b", 1), ("a", 1)])
    assert [nodes.next() for _ in range(4)] == [("a", 1), ("b", 1), ("given", 1), ("a", 1)]
