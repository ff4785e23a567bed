"""Two stores on two nodes of a Galera cluster: what is acknowledged is stored once, on every level."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from central.store.base import Group, Metric, Refused, StaleNames, StoreError, StoreUnavailable
from central.store.mysql import partitions
from central.store.mysql.connection import Session, connect
from central.store.mysql.reads import ReadFrom
from central.store.mysql.servers import Servers
from central.store.mysql.store import MySQLStore
from central.store.series import NewSeries, SeriesCaps
from tests.central.harness import Central, process, running
from tests.central.mysql_help import commit_until_told, environ_of, opened, server_of
from tests.central.store_help import NOW, TODAY, ask, assert_levels_agree, group, name, plain, request
from tests.galera import Cluster, cluster
from tests.patience import PATIENCE, a_moment
from tests.soak.soak import short_soak
from tests.soak.tier_faults import galera_faults
from tests.soak.tiers import on_galera

GROUPS = 60
MIDNIGHTS = 40
BATCHES, BATCH = 120, 100
KEY = "given-by-an-operator-0123456789abcdef"
METRICS = 5
NAMES = 60
FAULTS = (
    ("node killed", 0.5),
    ("upkeep", 0.0),
    ("central killed", 0.0),
    ("node isolated", 0.5),
    ("node emptied, by mariabackup", 0.0),
)


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


async def test_a_query_at_another_node_has_what_was_acknowledged(nodes: Cluster, shared: str) -> None:
    first, second = (server_of(node, shared) for node in nodes.nodes)
    store = MySQLStore(Servers([first]), read_from=ReadFrom([second], 10))
    try:
        await store.open()
        metric = await name(store, "a")
        for number in range(GROUPS):
            await store.commit(group([plain(metric, 1)], [request()]))
            ((_, _, _, total, _, _),) = await ask(store, [metric.id])
            assert total == number + 1
        counts = store.server_counts.replication
        assert (counts.reads, counts.fallbacks, counts.fault) == ({second.address: GROUPS}, 0, None)
    finally:
        await store.close()


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


async def test_one_id_on_two_nodes_and_two_days_is_stored_once(nodes: Cluster, shared: str) -> None:
    """As at midnight: the first attempt still runs while the second comes to another process, a day later.

    They change no row of a rollup in common, as samples without a time of their own do.
    """
    first, second = nodes.nodes
    async with opened(first, shared) as one, opened(second, shared) as two:
        metrics = [await name(one, f"m{number}") for number in range(2)]
        for _ in range(MIDNIGHTS):
            both = request()
            attempts = [group([plain(metric, 1)], [both]) for metric in metrics]
            attempts[1].day += 1
            ended = await asyncio.gather(
                *(commit_until_told(store, attempt) for store, attempt in zip((one, two), attempts, strict=True)),
                return_exceptions=True,
            )
            assert [isinstance(end, Refused) for end in ended].count(True) == 1, ended
    nodes.until_applied(first)
    assert first.run("SELECT COUNT(*), COUNT(DISTINCT id) FROM request_judges", shared) == ((MIDNIGHTS, MIDNIGHTS),)
    assert first.run("SELECT COUNT(*) FROM metric_points", shared) == ((MIDNIGHTS,),)


async def test_a_name_deleted_on_one_node_takes_no_more_points_from_another(nodes: Cluster, shared: str) -> None:
    """The other node does not know of it yet: both threads that apply changes there wait for a lock."""
    first, second = nodes.nodes
    async with opened(first, shared) as one, opened(second, shared) as two:
        metric = await name(one, "gone")
        for number in range(2):
            first.run(f"CREATE TABLE busy{number} (id INT PRIMARY KEY) ENGINE = InnoDB", shared)
        nodes.until_applied(second)
        late = replace(group([plain(metric, 1)], [request()]), names_version=await two.names.version())
        with second.connect(shared) as other, other.cursor() as cursor:
            cursor.execute("LOCK TABLES busy0 READ, busy1 READ")
            for number in range(2):
                first.run(f"INSERT INTO busy{number} VALUES (1)", shared)
            assert await one.names.delete("gone")
            storing = asyncio.create_task(commit_until_told(two, late))
            commits = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO = 'COMMIT'"
            while not storing.done() and await asyncio.to_thread(second.run, commits) == ((0,),):
                await a_moment()
            cursor.execute("UNLOCK TABLES")
        with pytest.raises(StoreError) as refused:
            await storing
        assert isinstance(refused.value, StaleNames) or "1213" in str(refused.value)
        nodes.until_applied(second)
        for table in ("metric_points", "rollup_minute", "rollup_hour", "request_judges"):
            assert second.run(f"SELECT COUNT(*) FROM {table}", shared) == ((0,),)


async def test_names_are_deleted_while_two_nodes_are_written_to(nodes: Cluster, shared: str) -> None:
    """Each point that was acknowledged is there, or went with its name. None is left under a name that is gone."""
    first, second = nodes.nodes
    async with opened(first, shared) as one, opened(second, shared) as two:
        metrics = [await name(one, f"m{number}") for number in range(METRICS)]
        nodes.until_applied(second)
        going = [await name(one, f"gone{number}") for number in range(8)]
        version = await one.names.version()
        groups = [[replace(each, names_version=version) for each in groups_of(going)] for _ in range(2)]
        writing = [acknowledged(store, some) for store, some in zip((one, two), groups, strict=True)]
        kept = [acknowledged(store, groups_of(metrics)) for store in (one, two)]

        async def delete() -> None:
            for number in range(len(going)):
                assert await one.names.delete(f"gone{number}")
                await one.names.purge()

        deleting = asyncio.create_task(delete())
        stored = await asyncio.gather(*kept, *writing)
        await deleting
        rows = [row for groups in stored[:2] for each in groups for row in each.rows]
        nodes.until_applied(second)
        for store in (one, two):
            await assert_levels_agree(store, [metric.id for metric in metrics], rows)
    for node in nodes.nodes:
        orphans = "SELECT COUNT(*) FROM metric_points WHERE metric_id NOT IN (SELECT id FROM metrics)"
        assert node.run(orphans, shared) == ((0,),)


async def test_processes_that_start_at_once_on_two_nodes_migrate_in_turn(nodes: Cluster) -> None:
    first, second = nodes.nodes
    for round_ in range(2):
        with first.database(f"start{round_}") as made:
            nodes.until_applied(second)
            stores = [MySQLStore(server_of(node, made)) for node in (first, second, first, second)]
            try:
                await asyncio.gather(*(store.open() for store in stores))
                assert sum(bool(store.applied) for store in stores) == 1
            finally:
                for store in stores:
                    await store.close()
            nodes.until_applied(second)
            assert second.run("SELECT COUNT(*) FROM lock_claims", made) == ((0,),)


async def test_two_services_on_two_nodes_are_exact_on_every_level(nodes: Cluster, shared: str, tmp_path: Path) -> None:
    """Over HTTP, as agents send: again under the same key until it is acknowledged."""
    async with AsyncExitStack() as stack:
        services = []
        for number, node in enumerate(nodes.nodes):
            environ = {**environ_of(node, shared), "METRICS_ADMIN_KEY": KEY}
            _, service = await stack.enter_async_context(process(tmp_path / str(number), **environ))
            services.append(service)

        async def send(service: Central, batch: int) -> None:
            items = [{"name": f"m{n % METRICS}", "type": "value", "value": batch + n} for n in range(BATCH)]
            headers = {"Idempotency-Key": f"batch {batch}"}
            while (await service.batch(*items, headers=headers)).status != 201:
                await a_moment()

        for wave in range(0, BATCHES, 12):
            await asyncio.gather(*(send(services[batch % 2], batch) for batch in range(wave, wave + 12)))
            for service in services:  # each has what the other has just acknowledged
                assert await service.total("m0", "count") == (wave + 12) * BATCH // METRICS
        for node in nodes.nodes:
            nodes.until_applied(node)
            for table, count, total in (
                ("metric_points", "COUNT(*)", "value"),
                ("rollup_minute", "SUM(samples)", "total"),
                ("rollup_hour", "SUM(samples)", "total"),
            ):
                rows = node.run(f"SELECT {count}, SUM({total}) FROM {table}", shared)
                assert rows == ((BATCHES * BATCH, sum(range(BATCHES)) * BATCH + BATCHES * sum(range(BATCH))),), table


async def test_nodes_that_make_the_same_names_and_series_at_once_agree(nodes: Cluster, shared: str) -> None:
    """Neither node sees what the other one is about to commit, and the later one must look again."""
    first, second = nodes.nodes
    async with opened(first, shared) as one, opened(second, shared) as two:
        for number in range(NAMES):
            made, same = await asyncio.gather(*(name(store, f"new{number}") for store in (one, two)))
            assert made == same
            wanted = NewSeries(made.id, f"host:{number}")
            found, other = await asyncio.gather(
                *(store.series.resolve([wanted], SeriesCaps(1_000, 1_000), NOW) for store in (one, two))
            )
            assert found[wanted] == other[wanted]


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
        async with asyncio.timeout(PATIENCE):
            while one.server_counts.used:
                await one.names.version()
                await a_moment()
        assert one.server_counts.cluster_size == 2
        for store in (one, two):
            await assert_levels_agree(store, [metric.id for metric in metrics], rows)
        nodes.until_applied(second)


async def test_under_faults_what_two_services_acknowledge_is_on_every_node(
    nodes: Cluster, shared: str, tmp_path: Path
) -> None:
    """The short form of ``make cluster``."""
    async with on_galera(tmp_path, nodes, shared) as several:
        verdict = await short_soak(several.rig, partial(galera_faults, several, nodes), FAULTS)
    assert verdict.faults + verdict.refused == []
    assert verdict.samples > 0


@asynccontextmanager
async def chosen(nodes: Cluster, database: str) -> AsyncIterator[MySQLStore]:
    """A store that knows both nodes and goes back to the first as soon as it is healthy."""
    store = MySQLStore(Servers([server_of(node, database) for node in nodes.nodes], back=0))
    try:
        await store.open()
        yield store
    finally:
        await store.close()


async def test_a_node_without_its_cluster_is_away(nodes: Cluster, tmp_path: Path) -> None:
    """The last test of this module: the nodes stay apart."""
    second, first = nodes.nodes
    first.run("CREATE DATABASE apart")
    nodes.until_applied(second)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(opened(second, "apart"))
        await store.ping()
        service = await stack.enter_async_context(running(tmp_path, environ_of(second, "apart")))
        assert (await service.ask("GET", "/ready")).status == 200
        first.kill()
        await asyncio.to_thread(nodes.until_status, second, "wsrep_cluster_status", "non-Primary")
        with pytest.raises(StoreUnavailable, match="1047"):
            await store.ping()
        with pytest.raises(StoreUnavailable, match="1047"):
            await store.commit(group([plain(1, 5)]))
        ready = await service.ask("GET", "/ready")
        assert (ready.status, ready.json["status"]) == (503, "not ready")
        assert (await service.counter("a")).status == 503
