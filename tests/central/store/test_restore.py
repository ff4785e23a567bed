"""docs/operations.md, "Backup and restore": its steps for both stores bring back what was acknowledged."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.central.harness import Central, process, process_environ, running
from tests.central.mysql_help import environ_of
from tests.servers import MariaDB, program


async def send(central: Central) -> str:
    """Points of both types, and a key that a restored service must know."""
    for value in ("9999999999999999.9999", "-0.5"):
        assert (await central.value("exact", value)).status == 201
    reply = await central.batch(*({"name": f"n{i}", "type": "counter", "value": i} for i in range(300)))
    assert reply.json["rejected"] == 0, reply.text
    return (await central.new_key("ingest", "query"))[1]


async def is_whole(central: Central, key: str) -> None:
    assert await central.digits("exact", "max") == "9999999999999999.9999"
    assert await central.digits("exact", "count") == "2"
    assert await central.total("n299") == 299
    assert (await central.counter("n299", key=key)).status == 201
    assert await central.total("n299") == 300


async def test_the_embedded_store_comes_back_from_its_backup(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "metrics-1.duckdb"
    async with process(data) as (service, central):
        key = await send(central)
        environ = process_environ(data, {"METRICS_LISTEN": central.url.removeprefix("http://")})
        command = [sys.executable, "-m", "central", "backup", str(copy)]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)  # noqa: ASYNC221
        assert done.returncode == 0, done.stderr
        await central.counter("after.the.backup")
        await service.end()
    for left in data.glob("fiesta.duckdb*"):
        left.rename(tmp_path / f"old-{left.name}")
    shutil.copy(copy, data / "fiesta.duckdb")
    async with process(data) as (_, central):
        await is_whole(central, key)
        assert await central.total("after.the.backup") == 0


def client(mariadb: MariaDB, name: str, *arguments: str) -> list[str]:
    where = [f"--host={mariadb.host}", f"--port={mariadb.port}", f"--user={mariadb.user}"]
    return [program(name), "--no-defaults", *where, *arguments]


async def test_a_database_comes_back_from_a_dump_taken_while_the_service_runs(
    mariadb: MariaDB, database: str, tmp_path: Path
) -> None:
    dump = tmp_path / "metrics.sql"
    async with running(tmp_path / "one", environ_of(mariadb, database)) as central:
        key = await send(central)
        options = ["--single-transaction", "--quick", "--no-tablespaces", "--default-character-set=utf8mb4", database]
        with dump.open("wb") as file:
            subprocess.run(client(mariadb, "mysqldump", *options), stdout=file, check=True)  # noqa: ASYNC221
        await central.counter("after.the.backup")
    with mariadb.database(f"restored_{os.urandom(4).hex()}") as restored:
        with dump.open("rb") as file:
            subprocess.run(client(mariadb, "mysql", restored), stdin=file, check=True)  # noqa: ASYNC221
        async with running(
            tmp_path / "two", {**environ_of(mariadb, restored), "METRICS_ADMIN_KEY": "k" * 40}
        ) as central:
            await is_whole(central, key)
            assert await central.total("after.the.backup") == 0
            ((rows,),) = mariadb.run("SELECT COUNT(*) FROM metrics_by_hour WHERE name = 'exact'", restored)
            assert rows == 1


BACKUP_RIGHTS = ("SELECT, SHOW VIEW, TRIGGER ON {database}.*", "RELOAD, REPLICATION CLIENT, REPLICATION SLAVE ON *.*")
"""As docs/high-availability.md gives them."""


async def test_a_database_comes_back_to_a_point_in_time(tmp_path: Path) -> None:
    """docs/high-availability.md, "Restore drill": a dump by the backup's user, and the binary log up to an accident."""
    lost = MariaDB(tmp_path / "lost", "--log-bin=binlog", "--binlog-format=ROW", "--server-id=1")
    fresh = MariaDB(tmp_path / "fresh")
    dump, log = tmp_path / "metrics.sql", tmp_path / "log.sql"
    try:
        for server in (lost, fresh):
            server.install()
            server.start()
            server.run("CREATE DATABASE metrics")
        lost.run("CREATE USER backup@'127.0.0.1'")
        for rights in BACKUP_RIGHTS:
            lost.run(f"GRANT {rights.format(database='metrics')} TO backup@'127.0.0.1'")
        async with running(tmp_path / "one", environ_of(lost, "metrics")) as central:
            key = await send(central)
            run_as_backup(lost, "mysqldump", dump, *DUMPED)
            assert (await central.counter("after.the.backup", "3")).status == 201
        ((file, end, *_),) = lost.run("SHOW MASTER STATUS")
        lost.run("DROP TABLE metric_points, rollup_minute, rollup_hour", "metrics")
        found = re.search(r"MASTER_LOG_FILE='(\S+)', MASTER_LOG_POS=(\d+)", dump.read_text(errors="replace"))
        assert found is not None
        assert found[1] == file  # else each file between belongs to it too
        position = [f"--start-position={found[2]}", f"--stop-position={end}"]
        run_as_backup(lost, "mysqlbinlog", log, "--read-from-remote-server", *position, file)
        for made in (dump, log):
            with made.open("rb") as text:
                subprocess.run(client(fresh, "mysql", "metrics"), stdin=text, check=True)  # noqa: ASYNC221
        environ = {**environ_of(fresh, "metrics"), "METRICS_ADMIN_KEY": "k" * 40}
        async with running(tmp_path / "two", environ) as central:
            await is_whole(central, key)
            assert await central.total("after.the.backup") == 3
    finally:
        lost.kill()
        fresh.kill()


DUMPED = ("--single-transaction", "--quick", "--no-tablespaces", "--master-data=2", "metrics")


def run_as_backup(server: MariaDB, name: str, target: Path, *arguments: str) -> None:
    """Run a tool as the user of the backup, and keep what it writes."""
    where = [f"--host={server.host}", f"--port={server.port}", "--user=backup"]
    with target.open("wb") as file:
        subprocess.run([program(name), "--no-defaults", *where, *arguments], stdout=file, check=True)
