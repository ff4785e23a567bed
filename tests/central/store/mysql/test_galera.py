"""Two stores on two nodes of a Galera cluster: what is acknowledged is stored once, on every level."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from central.store.base import Group, Metric, StoreError, StoreUnavailable
from central.store.mysql import partitions
from central.store.mysql.connection import Session, connect
from central.store.mysql.servers import Servers
from central.store.mysql.store import MySQLStore
from tests.central.mysql_help import commit_until_told, opened, server_of
from tests.central.store_help import TODAY, assert_levels_agree, group, name, plain, request
from tests.galera import Cluster, cluster

GROUPS = 60
METRICS = 5


@pytest.fixture(scope="module")
def nodes() -> Iterator[Cluster]:
    """A cluster of two. Its folder is open to all, which pytest's own is not: a node copies files as nobody."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with cluster(Path(folder)) as made:
            yield made


@pytest.fixture
def shared(nodes: Cluster) -> Iterator[str]:
    """The name of an empty database of the cluster."""
    with nodes.nodes[0].database(f"test_{os.urandom(6).hex()}") as made:
        yield made


def groups_of(metrics: list[Metric], size: int = 1) -> list[Group]:
    """Groups that all change the same rows of the rollups."""
    return [
        group([plain(metric, number) for metric in metrics for _ in range(size)], [request()])
        for number in range(GROUPS)
    ]


async def acknowledged(store: MySQLStore, groups: list[Group]) -> list[Group]:
    """Commit one group after the other. Returns those that the store acknowledged; the others are not stored."""
    stored = []
    for one in groups:
        try:
            await commit_until_told(store, one)
            stored.append(one)
        except StoreError:
            continue
    return stored


@pytest.mark.parametrize(("size", "most"), [(1, GROUPS), (110, 12)], ids=["as INSERT", "as LOAD DATA"])
async def test_two_nodes_store_what_they_acknowledge(nodes: Cluster, shared: str, size: int, most: int) -> None:
    first, second = nodes.nodes
    async with opened(first, shared) as one, opened(second, shared) as two:
        metrics = [await name(one, f"m{number}") for number in range(METRICS)]
        stored = await asyncio.gather(
            *(acknowledged(store, groups_of(metrics, size)[:most]) for store in (one, one, two, two))
        )
        rows = [row for groups in stored for each in groups for row in each.rows]
        assert rows
        await assert_levels_agree(one, [metric.id for metric in metrics], rows)
        nodes.until_applied(second)
        await assert_levels_agree(two, [metric.id for metric in metrics], rows)


async def test_partitions_are_made_while_another_node_is_written_to(nodes: Cluster, shared: str) -> None:
    first, second = nodes.nodes
    async with opened(first, shared) as one, opened(second, shared) as two:
        metrics = [await name(one, f"m{number}") for number in range(METRICS)]
        writing = asyncio.create_task(acknowledged(two, groups_of(metrics)))
        changer = await connect(server_of(first, shared), Session(lock_seconds=1))
        try:
            for day in range(TODAY + 8, TODAY + 13):
                assert await partitions.ensure(changer, TODAY, day)
        finally:
            changer.close()
        rows = [row for each in await writing for row in each.rows]
        await assert_levels_agree(two, [metric.id for metric in metrics], rows)


async def test_a_killed_node_loses_nothing_and_is_used_again_once_it_is_back(nodes: Cluster, shared: str) -> None:
    """Two processes write to the first node, it is killed, they go on with the second, and come back."""
    first, second = nodes.nodes
    async with chosen(nodes, shared) as one, chosen(nodes, shared) as two:
        metrics = [await name(one, f"m{number}") for number in range(METRICS)]
        writing = asyncio.gather(*(acknowledged(store, groups_of(metrics)) for store in (one, two)))
        await one.commit(kept := group([plain(metrics[0], 7)], [request()]))
        first.kill()
        rows = [*kept.rows, *(row for groups in await writing for each in groups for row in each.rows)]
        await commit_until_told(one, late := group([plain(metrics[0], 8)], [request()]))
        rows += late.rows
        assert one.server_counts.used == 1
        await asyncio.to_thread(nodes.rejoin, first)
        async with asyncio.timeout(60):
            while one.server_counts.used:
                await one.names.version()
        assert one.server_counts.cluster_size == 2
        for store in (one, two):
            await assert_levels_agree(store, [metric.id for metric in metrics], rows)
        nodes.until_applied(second)


@asynccontextmanager
async def chosen(nodes: Cluster, database: str) -> AsyncIterator[MySQLStore]:
    """A store that knows both nodes and goes back to the first as soon as it is healthy."""
    store = MySQLStore(Servers([server_of(node, database) for node in nodes.nodes], back=0))
    try:
        await store.open()
        yield store
    finally:
        await store.close()


async def test_a_node_without_its_cluster_is_away(nodes: Cluster) -> None:
    """The last test of this module: the nodes stay apart."""
    second, first = nodes.nodes
    first.run("CREATE DATABASE apart")
    async with opened(second, "apart") as store:
        await store.ping()
        first.kill()
        await asyncio.to_thread(nodes.until_status, second, "wsrep_cluster_status", "non-Primary")
        with pytest.raises(StoreUnavailable, match="1047"):
            await store.ping()
        with pytest.raises(StoreUnavailable, match="1047"):
            await store.commit(group([plain(1, 5)]))
