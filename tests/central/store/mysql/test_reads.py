"""Queries at read servers: with a real primary and its replica, no answer lacks what was acknowledged before."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.doctor.probe import examine
from central.settings import load_settings
from central.store.base import Metric, Page
from central.store.mysql.reads import LatestPosition, ReadFrom, ReadState, chosen, unfit
from central.store.mysql.replication import HIDDEN, Position, Replica, replica
from central.store.mysql.servers import Servers
from central.store.mysql.store import MySQLStore
from tests.central.harness import Central, Log, running
from tests.central.mysql_help import server_of
from tests.central.store_help import ask, group, name, plain, request
from tests.patience import PATIENCE, a_moment
from tests.replica_pair import Pair
from tests.servers import started

WRITES = 60
IN_USE = Position(1, "0-1-7")
NODE = Position(1, "", "u")
GOOD = ReadState(None, 2, replica=Replica(1, 0))
RECORD = {
    "Slave_IO_Running": "Yes",
    "Slave_SQL_Running": "Yes",
    "Seconds_Behind_Master": 0,
    "Master_Server_Id": 1,
    "Last_IO_Error": "",
    "Last_SQL_Error": "",
    "Replicate_Do_DB": "",
    "SQL_Delay": 0,
}


# --- which server answers


@pytest.mark.parametrize(
    ("state", "source", "why"),
    [
        (GOOD, IN_USE, None),
        (ReadState("no answer within 1 s"), IN_USE, "no answer"),
        (ReadState(None, 2), IN_USE, "it is no replica"),
        (replace(GOOD, replica=Replica(1, 1)), IN_USE, None),
        (replace(GOOD, replica=Replica(1, 2)), IN_USE, "it is 2 s behind"),
        (replace(GOOD, replica=Replica(1, fault="its SQL thread does not run")), IN_USE, "SQL thread"),
        (replace(GOOD, replica=Replica(0, fault=HIDDEN)), IN_USE, "GRANT REPLICA MONITOR"),
        (GOOD, Position(3, "0-3-7"), "it copies the server with server_id 1, and 3 is in use"),
        (GOOD, Position(1, ""), "no binary log with GTIDs"),
        (GOOD, NODE, "no node of the cluster"),
        (ReadState(None, 2, "u"), NODE, None),
        (ReadState(None, 2, "v"), NODE, "no node of the cluster"),
        (ReadState("wsrep_ready is OFF and not ON", 2, "u"), NODE, "wsrep_ready"),
        (ReadState(None, 2, "u"), IN_USE, "it is no replica"),
    ],
)
def test_a_server_is_asked_only_if_it_can_be_compared(state: ReadState, source: Position, why: str | None) -> None:
    found = unfit(state, source, 1)
    assert (found is None) == (why is None)
    assert (why or "") in (found or "")


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5))))
def test_the_fit_server_with_the_fewest_queries_answers(servers: list[tuple[bool, int]]) -> None:
    fit, busy = [one for one, _ in servers], [many for _, many in servers]
    place = chosen(fit, busy)
    if place is None:
        assert not any(fit)
    else:
        assert fit[place]
        assert all(busy[place] < many for many, one in zip(busy[:place], fit[:place], strict=True) if one)
        assert all(busy[place] <= many for many, one in zip(busy[place:], fit[place:], strict=True) if one)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, Replica(1, 0)),
        ({"Seconds_Behind_Master": 7}, Replica(1, 7)),
        ({"SQL_Delay": 60}, Replica(1, 60)),
        ({"Seconds_Behind_Master": None}, Replica(1, fault="it does not know how far it is behind")),
        ({"Slave_IO_Running": "Connecting"}, Replica(1, fault="its IO thread does not run: Connecting")),
        (
            {"Slave_SQL_Running": "No", "Last_SQL_Error": "Table 't' is gone"},
            Replica(1, fault="its SQL thread does not run: No (Table 't' is gone)"),
        ),
        ({"Replicate_Do_DB": "other"}, Replica(1, fault="it leaves something out (Replicate_Do_DB)")),
    ],
)
def test_a_replica_is_judged_by_its_row(change: dict[str, Any], found: Replica) -> None:
    record = {**RECORD, **change}
    assert replica(record) == found
    new = {name.replace("Slave", "Replica").replace("Master", "Source"): value for name, value in record.items()}
    assert replica(new) == found  # the names of MySQL 8


async def test_a_position_is_asked_for_after_the_query_came_and_once_for_many() -> None:
    sent: list[asyncio.Future[Position]] = []

    async def turns() -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def send() -> Position:
        sent.append(asyncio.get_running_loop().create_future())
        return await sent[-1]

    source = LatestPosition(send)
    first = asyncio.create_task(source.now())
    await turns()
    assert len(sent) == 1
    late = [asyncio.create_task(source.now()) for _ in range(3)]
    late[0].cancel()
    sent[0].set_result(Position(1, "0-1-1"))
    assert (await first).gtids == "0-1-1"
    await turns()
    sent[1].set_result(Position(1, "0-1-2"))
    assert [one.gtids for one in await asyncio.gather(*late[1:])] == ["0-1-2"] * 2
    assert len(sent) == 2


# --- a primary and its replica


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with started(Pair(tmp_path_factory.mktemp("pair"))) as made:
        yield made


@pytest.fixture(scope="module")
def database(servers: Pair) -> str:
    """One database for all tests: to make and drop its hundreds of partitions takes long."""
    servers.primary.run("CREATE DATABASE metrics")
    servers.until_applied()
    return "metrics"


@pytest.fixture
def shared(servers: Pair, database: str) -> Iterator[str]:
    """The name of the database. Afterwards the replica follows again, whatever was done to it."""
    yield database
    servers.mend()


@asynccontextmanager
async def opened(servers: Pair, database: str, most_lag: float = 10) -> AsyncIterator[MySQLStore]:
    """A store that writes to the primary and reads from the replica."""
    reads = ReadFrom([server_of(servers.replica, database)], most_lag)
    store = MySQLStore(Servers([server_of(servers.primary, database)]), read_from=reads)
    try:
        await store.open()
        yield store
    finally:
        await store.close()


def answered(store: MySQLStore) -> tuple[int, int]:
    """How many queries the replica answered, and how many the primary."""
    counts = store.server_counts.replication
    return sum(counts.reads.values()), counts.fallbacks


async def until_told(store: MySQLStore, found: Callable[[str], bool]) -> None:
    """Return once the service says this of the replica; it says '' of a replica without a fault."""
    async with asyncio.timeout(PATIENCE):
        while not found(store.server_counts.replication.fault or ""):
            await store.names.version()
            await a_moment()


async def total(store: MySQLStore, metric: Metric) -> int:
    """The sum of a name."""
    ((_, _, _, found, _, _),) = await ask(store, [metric.id])
    return found


async def test_a_write_is_read_at_once_and_by_every_process(servers: Pair, shared: str) -> None:
    async with opened(servers, shared) as writer, opened(servers, shared) as reader:
        await until_told(reader, lambda fault: not fault)
        for number in range(WRITES):
            metric = await name(writer, f"m{number}")
            await writer.commit(group([plain(metric, number)], [request()]))
            assert await total(reader, metric) == number
            assert [one.name for one in await reader.names.page(Page(f"m{number}", "", 1))] == [f"m{number}"]
        assert answered(reader) == (2 * WRITES, 0)
        assert answered(writer) == (0, 0)


async def test_a_replica_that_stands_is_not_asked_until_it_runs_again(servers: Pair, shared: str) -> None:
    async with opened(servers, shared) as store:
        metric = await name(store, "stands")
        servers.replica.run("STOP SLAVE SQL_THREAD")
        await until_told(store, lambda fault: "its SQL thread does not run" in fault)
        for number in range(3):
            await store.commit(group([plain(metric, 1)], [request()]))
            assert await total(store, metric) == number + 1
        assert answered(store) == (0, 3)
        servers.replica.run("START SLAVE SQL_THREAD")
        await until_told(store, lambda fault: not fault)
        assert (await total(store, metric), answered(store)) == (3, (1, 3))


async def test_a_replica_that_falls_behind_unseen_is_waited_for(servers: Pair, shared: str) -> None:
    """Its threads run and it says that it is not behind, but a lock holds up what the query needs."""
    async with opened(servers, shared) as store:
        await until_told(store, lambda fault: not fault)
        metric = await name(store, "waits")
        await store.commit(group([plain(metric, 1)], [request()]))
        servers.until_applied()
        with servers.replica.connect(shared) as other, other.cursor() as cursor:
            cursor.execute("LOCK TABLES metric_points READ")
            await store.commit(group([plain(metric, 2)], [request()]))
            asked = asyncio.create_task(total(store, metric))
            waits = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT MASTER_GTID_WAIT%'"
            while await asyncio.to_thread(servers.replica.run, waits) == ((0,),):
                assert not asked.done()
                await a_moment()
            cursor.execute("UNLOCK TABLES")
        assert (await asked, answered(store)) == (3, (1, 0))


async def test_a_killed_replica_is_replaced_and_asked_again_when_it_is_back(servers: Pair, shared: str) -> None:
    async with opened(servers, shared) as store:
        await until_told(store, lambda fault: not fault)
        metric = await name(store, "killed")
        await store.commit(group([plain(metric, 1)], [request()]))
        assert await total(store, metric) == 1
        servers.replica.kill()
        await store.commit(group([plain(metric, 2)], [request()]))
        assert (await total(store, metric), answered(store)) == (3, (1, 1))
        await asyncio.to_thread(servers.replica.start)
        await until_told(store, lambda fault: not fault)
        assert (await total(store, metric), answered(store)) == (3, (2, 1))


async def test_a_replica_that_hangs_is_given_up(servers: Pair, shared: str) -> None:
    async with opened(servers, shared, 0.1) as store:
        await until_told(store, lambda fault: not fault)
        metric = await name(store, "hangs")
        await store.commit(group([plain(metric, 1)], [request()]))
        with servers.replica.paused():
            for number in range(2):
                await store.commit(group([plain(metric, 1)], [request()]))
                assert await total(store, metric) == number + 2
        assert answered(store) == (0, 2)
        await asyncio.to_thread(servers.until_applied)
        await until_told(store, lambda fault: not fault)
        assert (await total(store, metric), answered(store)) == (3, (1, 2))


async def test_a_query_that_is_left_ends_at_the_replica_too(servers: Pair, shared: str) -> None:
    async with opened(servers, shared) as store:
        await until_told(store, lambda fault: not fault)
        reads = store._read_servers
        assert reads is not None
        asked = asyncio.create_task(reads.ask(lambda connection: connection.rows("SELECT SLEEP(8)")))
        runs = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO = 'SELECT SLEEP(8)'"
        while await asyncio.to_thread(servers.replica.run, runs) == ((0,),):
            assert not asked.done()
            await a_moment()
        asked.cancel()
        while await asyncio.to_thread(servers.replica.run, runs) == ((1,),):
            await a_moment()


# --- a service


def settings_of(servers: Pair, database: str, user: str) -> dict[str, str]:
    primary, replica = (f"{server.host}:{server.port}" for server in (servers.primary, servers.replica))
    return {
        **{"DB_CONNECTION": "mysql", "DB_HOSTS": f"{primary},{replica}", "DB_READ_HOSTS": replica},
        **{"DB_DATABASE": database, "DB_USERNAME": user, "METRICS_READ_MAX_LAG_SECONDS": "5"},
        **{"METRICS_RATE_LIMIT_DEFAULT": "1000000"},
    }


async def until_ready(central: Central, status: str, reason: str) -> Any:
    """The body of /ready once it says this of the replication."""
    async with asyncio.timeout(PATIENCE):
        while True:
            body = (await central.ask("GET", "/ready", key=None)).json
            if reason in body["dependencies"]["replication"]:
                assert body["status"] == status
                return body


async def test_a_service_answers_from_its_read_server(servers: Pair, shared: str, tmp_path: Path) -> None:
    """All that reads goes there: aggregates, lists, tags, exports and Graphite's paths. /ready says how it is."""
    user = f"reader@'{servers.primary.host}'"
    servers.primary.run(f"CREATE USER {user}")
    servers.primary.run(f"GRANT ALL ON {shared}.* TO {user}")
    servers.until_applied()
    environ = settings_of(servers, shared, "reader")
    address = environ["DB_READ_HOSTS"]
    async with running(tmp_path, environ) as central:
        await until_ready(central, "degraded", HIDDEN)
        servers.primary.run(f"GRANT REPLICA MONITOR ON *.* TO {user}")
        body = await until_ready(central, "ready", "ok")
        assert body["databases"][1] == {"server": address, "replication": "ok", "lag_seconds": 0}
        before = await central.meter("fiesta_read_fallbacks_total")
        assert (await central.counter("shop.orders", "3")).status == 201
        assert await central.total("shop.orders") == 3
        for path in (
            "/api/metrics?details=true",
            "/api/metrics/shop.orders/series",
            "/api/metrics/export?match=shop.*&window=1h&start=-1h&end=now",
            "/api/metrics/export?match=shop.*&window=raw&start=-1h&end=now",
            "/graphite/render?target=shop.orders&format=json",
            "/graphite/metrics/find?query=shop.*",
        ):
            assert (await central.ask("GET", path)).status == 200
        assert await central.meter("fiesta_read_fallbacks_total") == before
        assert await central.meter("fiesta_read_server_queries_total") >= 6
        assert await central.meter(f'fiesta_replica_lag_seconds{{server="{address}"}}') == 0
        servers.replica.run("STOP SLAVE")
        await until_ready(central, "degraded", f"{address}: its IO thread does not run: No")
        assert (await central.counter("shop.orders", "4")).status == 201
        assert await central.total("shop.orders") == 7
        assert await central.meter(f'fiesta_replication_faulty{{server="{address}"}}') == 1
        assert await central.meter("fiesta_read_fallbacks_total") > before


async def findings(environ: dict[str, str], folder: Path) -> dict[str, tuple[str, str]]:
    """What the doctor says of the database servers."""
    settings = load_settings({**environ, "METRICS_DATA_DIR": str(folder), "METRICS_LISTEN": "127.0.0.1:0"})
    wanted = ("database servers", "replication", "read servers", "semi-synchronous replication")
    return {one.check: (one.status, one.message) async for one in examine(settings) if one.check in wanted}


async def test_the_doctor_sees_the_replication(servers: Pair, shared: str, tmp_path: Path) -> None:
    primary, replica = servers.primary, servers.replica
    environ = settings_of(servers, shared, "root")
    found = await findings(environ, tmp_path)
    assert {check: status for check, (status, _) in found.items()} == {
        **dict.fromkeys(("database servers", "replication", "read servers"), "ok"),
        "semi-synchronous replication": "warning",  # it is off
    }
    primary.run("SET GLOBAL rpl_semi_sync_master_enabled = ON")
    replica.run("SET GLOBAL rpl_semi_sync_slave_enabled = ON")
    replica.run("STOP SLAVE IO_THREAD")
    try:
        found = await findings(environ, tmp_path)
        assert found["semi-synchronous replication"][0] == "warning"
        assert found["replication"] == ("warning", f"{environ['DB_READ_HOSTS']}: its IO thread does not run: No")
        assert found["read servers"] == found["replication"]
        servers.mend()
        clients = "SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_master_clients'"
        while (await asyncio.to_thread(primary.run, clients))[0][1] != "1":
            await a_moment()
        primary.run("CREATE DATABASE acknowledged")
        found = await findings(environ, tmp_path)
        message = "commits wait for a replica; replicas that confirm: 1"
        assert found["semi-synchronous replication"] == ("ok", message)
    finally:
        primary.run("SET GLOBAL rpl_semi_sync_master_enabled = OFF")
        replica.run("SET GLOBAL rpl_semi_sync_slave_enabled = OFF")


async def test_a_promoted_replica_is_no_read_server_any_more(servers: Pair, shared: str, log: Log) -> None:
    """The last test of this module: the old primary stays read only, and follows nobody."""
    hosts = [server_of(server, shared) for server in (servers.primary, servers.replica)]
    store = MySQLStore(Servers(hosts), read_from=ReadFrom(hosts[1:], 10))
    try:
        await store.open()
        await until_told(store, lambda fault: not fault)
        metric = await name(store, "promoted")
        servers.until_applied()
        servers.primary.run("SET GLOBAL read_only = ON")
        servers.replica.run("STOP SLAVE")
        servers.replica.run("RESET SLAVE ALL")
        servers.replica.run("SET GLOBAL read_only = OFF")
        await until_told(store, lambda fault: fault == f"{hosts[0].address}: it is no replica")
        await store.commit(group([plain(metric, 5)], [request()]))
        before = answered(store)
        assert (await total(store, metric), answered(store)) == (5, (before[0], before[1] + 1))
        assert log.events("database_changed")
    finally:
        await store.close()
