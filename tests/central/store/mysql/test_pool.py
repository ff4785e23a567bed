"""central/store/mysql/pool.py: when nobody waits for a statement any more, it ends at the server too."""

import asyncio
from math import inf

import pytest

from central.store.base import StoreUnavailable
from central.store.mysql.connection import Connection, Session, connect
from central.store.mysql.pool import Pool
from central.store.mysql.store import TimeLimits
from central.store.plan import plan
from tests.central.mysql_help import opened, server_of
from tests.central.store_help import DAY, NOW, name, whole
from tests.patience import a_moment
from tests.servers import MariaDB

PATIENT = TimeLimits(read=300, lock=300)


async def until(mariadb: MariaDB, database: str, count: int) -> None:
    """Return once so many statements read rollups."""
    running = (
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST"
        f" WHERE DB = '{database}' AND INFO LIKE 'SELECT%rollup%' AND ID <> CONNECTION_ID()"
    )
    while (await asyncio.to_thread(mariadb.run, running))[0][0] != count:
        await a_moment()


async def test_a_query_whose_caller_has_gone_ends_at_the_server(mariadb: MariaDB, database: str) -> None:
    async with opened(mariadb, database, limits=PATIENT) as store:
        metric = await name(store, "a")
        with mariadb.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLES `{database}`.rollup_minute WRITE, `{database}`.rollup_hour WRITE")
            asking = asyncio.create_task(store.aggregate(whole([metric.id]), 60, plan(NOW - DAY, NOW, 60)))
            await until(mariadb, database, 1)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await until(mariadb, database, 0)
            cursor.execute("UNLOCK TABLES")


@pytest.mark.parametrize("rolled_back_by", ["ROLLBACK", "COMMIT"])
@pytest.mark.parametrize("at_once", [False, True])
async def test_a_transaction_that_is_gone_is_run_again(
    mariadb: MariaDB, database: str, rolled_back_by: str, at_once: bool
) -> None:
    """A node of a Galera cluster rolls back and says nothing. Only the state in its answers shows it."""
    mariadb.run("CREATE TABLE found (attempt INT PRIMARY KEY)", database)
    attempts = iter(range(9))

    async def work(connection: Connection) -> None:
        attempt = next(attempts)
        statements = [f"INSERT INTO found VALUES ({attempt})"] if attempt else [rolled_back_by, "SELECT 1"]
        if at_once:
            await connection.run_all(statements)
            return
        for statement in statements:
            await connection.rows(statement)

    pool = Pool(lambda: connect(server_of(mariadb, database), Session()), 1, 20)
    try:
        await pool.transact(work)
    finally:
        pool.close()
    assert mariadb.run("SELECT attempt FROM found", database) == ((1,),)


class Conflicts:
    """Work of which the server rolls back the first attempts, as it does when other nodes change the same rows."""

    def __init__(self, count: float) -> None:
        self.count = count
        self.attempts = 0

    async def __call__(self, connection: Connection) -> None:
        self.attempts += 1
        if self.attempts <= self.count:
            await connection.run("SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'conflict'")


async def test_a_conflict_is_no_answer_however_often_it_comes(mariadb: MariaDB, database: str) -> None:
    pool, work = Pool(lambda: connect(server_of(mariadb, database), Session()), 1, 60), Conflicts(9)
    await pool.transact(work)
    pool.close()
    assert work.attempts == 10


async def test_after_conflicts_for_all_of_its_time_the_database_is_away(mariadb: MariaDB, database: str) -> None:
    pool, work = Pool(lambda: connect(server_of(mariadb, database), Session()), 1, 1), Conflicts(inf)
    with pytest.raises(StoreUnavailable):
        await pool.transact(work)
    pool.close()
    assert work.attempts > 5
