"""``fiesta-central doctor`` against real servers, with and without faults, and with and without the service."""

import asyncio
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from central.access.key_file import write_key
from central.commands.main import main
from central.spill.spill import PREFIX
from central.store.mysql.partitions import AHEAD
from tests.central.harness import launch, process, process_environ, running
from tests.central.mysql_help import environ_of, opened
from tests.central.store_help import Clock
from tests.ports import free_port
from tests.redis_server import PASSWORD, RedisServer, redis_server
from tests.servers import MariaDB

TLS = Path(__file__).parents[2] / "data" / "tls"
ROOT = Path(__file__).parents[3]
DOCUMENTED = set(re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs" / "doctor.md").read_text(), re.MULTILINE))
CANARY = "canary-of-the-database-0123456789"


pytestmark = pytest.mark.usefixtures("logging_as_it_was")


class Report:
    """What a run printed: the verdicts by check, the exit code, all text."""

    def __init__(self, code: int, text: str) -> None:
        output: dict[str, Any] = json.loads(text)
        self.code = code
        self.text = text
        self.status = output["status"]
        self.checks: dict[str, str] = {row["check"]: row["status"] for row in output["checks"]}
        self.messages: dict[str, str] = {row["check"]: row["message"] for row in output["checks"]}
        assert set(self.checks) <= DOCUMENTED

    @property
    def bad(self) -> dict[str, str]:
        """What is not ok."""
        return {check: status for check, status in self.checks.items() if status != "ok"}


async def doctor(folder: Path, environ: Mapping[str, str], *options: str) -> tuple[int, str]:
    """Run the program; its exit code and what it printed."""
    given = {"METRICS_LISTEN": f"127.0.0.1:{free_port()}", **environ}
    ran = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "central", "doctor", *options),
        env=process_environ(folder, given),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await ran.communicate()
    return ran.returncode or 0, printed.decode()


async def report(folder: Path, environ: Mapping[str, str] | None = None) -> Report:
    """Of the command in a thread of this process: a Python of its own takes ten times the CPU of the checks."""
    given = {"METRICS_LISTEN": f"127.0.0.1:{free_port()}", "METRICS_DATA_DIR": str(folder), **(environ or {})}
    ran = await asyncio.to_thread(CliRunner().invoke, main, ["doctor", "--json"], env=given)
    assert ran.stderr == ""
    return Report(ran.exit_code, ran.stdout)


def of_mysql(mariadb: MariaDB, database: str) -> dict[str, str]:
    return {**environ_of(mariadb, database), "METRICS_ADMIN_KEY": CANARY}


def of_redis(server: RedisServer) -> dict[str, str]:
    return {
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(server.port),
        "REDIS_PASSWORD": PASSWORD,
        "QUEUE_CONNECTION": "redis",
    }


async def test_before_the_first_start_only_the_service_is_missing(tmp_path: Path) -> None:
    found = Report(*await doctor(tmp_path / "data", {}, "--json"))
    assert (found.bad, found.status, found.code) == ({"service": "warning"}, "warning", 1)
    assert not (tmp_path / "data").exists()


async def test_the_embedded_store_while_the_service_runs_and_after(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    listen = {"METRICS_LISTEN": f"127.0.0.1:{free_port()}"}
    async with process(folder, **listen) as (made, central):
        await central.counter("a")
        key_id, key = await central.new_key("ingest")
        assert not (await report(folder, listen)).bad
        await central.ask("DELETE", f"/api/admin/keys/{key_id}")
        await central.counter("a", key=key)
        found = await report(folder, listen)
        assert (found.bad, found.code) == ({"revoked keys": "warning"}, 1)
        await made.end(9)
    before = sorted((path.name, path.stat().st_size) for path in folder.iterdir())
    found = await report(folder, listen)
    assert (found.bad, found.code) == ({"service": "warning"}, 1)
    assert {"migrations", "admin keys", "retention", "rejected points"} <= set(found.checks)
    assert sorted((path.name, path.stat().st_size) for path in folder.iterdir()) == before


async def test_a_store_that_another_process_has_open_without_a_service(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with process(folder):
        found = await report(folder)
    assert (found.bad, found.code) == ({"service": "warning", "store": "fails"}, 2)


async def test_a_folder_and_a_key_that_others_can_read_and_a_key_that_is_none(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with running(folder):
        pass
    folder.chmod(0o755)
    (folder / "admin.key").chmod(0o644)
    assert (await report(folder)).bad == {"service": "warning", "data folder": "warning", "admin.key": "fails"}
    folder.chmod(0o700)
    write_key(folder / "admin.key", "no key")
    assert (await report(folder)).bad == {"service": "warning", "admin.key": "fails"}
    write_key(folder / "admin.key", f"gf_{'x' * 12}_{'y' * 43}")
    assert (await report(folder)).bad == {"service": "warning", "admin.key": "warning"}


async def test_another_program_at_the_address(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        found = await report(tmp_path / "data", {"METRICS_LISTEN": f"127.0.0.1:{port}"})
    assert (found.bad, found.code) == ({"service": "fails"}, 2)


async def test_tls_of_the_running_service(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    files = {"METRICS_TLS_CERT": str(TLS / "cert.pem"), "METRICS_TLS_KEY": str(TLS / "key.pem")}
    async with running(folder, files) as central:
        listen = {"METRICS_LISTEN": central.url.removeprefix("https://")}
        found = await report(folder, {**files, **listen})
    assert found.checks["service"] == found.checks["store"] == "ok"
    assert "valid until" in found.messages["certificate"]


@pytest.mark.parametrize("faults", ["METRICS_FOO", "METRICS_LISTEN"])
async def test_settings_that_cannot_be_used(tmp_path: Path, faults: str) -> None:
    found = await report(tmp_path / "data", {faults: "nonsense"})
    assert (found.bad, found.code) == ({"settings": "fails"}, 2)
    assert faults in found.messages["settings"]


async def test_mysql_and_redis_as_they_should_be(tmp_path: Path, mariadb: MariaDB, database: str) -> None:
    async with redis_server(tmp_path / "redis") as redis:
        environ = {**of_mysql(mariadb, database), **of_redis(redis)}
        found = await report(tmp_path / "data", environ)
        assert found.bad == {"service": "warning", "migrations": "warning"}
        async with running(tmp_path / "data", environ) as central:
            listen = {"METRICS_LISTEN": central.url.removeprefix("http://")}
            while (found := await report(tmp_path / "data", {**environ, **listen})).bad:
                pass
    assert (found.status, found.code) == ("ok", 0)
    assert {"partitions", "clock of the database", "clock of Redis", "spill", "spill memory"} <= set(found.checks)
    assert found.messages["partitions"] == f"{AHEAD} days ahead"
    assert CANARY not in found.text
    assert PASSWORD not in found.text


@pytest.fixture
def careless(tmp_path: Path) -> Iterator[MariaDB]:
    """A database server that may lose what it said it has."""
    server = MariaDB(
        tmp_path / "careless",
        "--innodb-flush-log-at-trx-commit=2",
        "--innodb-doublewrite=0",
        "--log-bin=binlog",
        "--sync-binlog=0",
        "--binlog-format=STATEMENT",
    )
    server.install()
    server.start()
    yield server
    server.stop()


async def test_a_database_server_that_may_lose_commits(tmp_path: Path, careless: MariaDB) -> None:
    careless.run("CREATE DATABASE metrics")
    found = await report(tmp_path / "data", of_mysql(careless, "metrics"))
    names = ("innodb_flush_log_at_trx_commit", "innodb_doublewrite", "sync_binlog", "binlog_format")
    assert found.bad == {
        "service": "warning",
        "migrations": "warning",
        **{f"database {name}": "fails" for name in names},
    }
    assert found.code == 2


async def test_a_database_whose_clock_is_wrong(tmp_path: Path, careless: MariaDB) -> None:
    careless.run("CREATE DATABASE metrics")
    careless.run("CREATE USER plain@'127.0.0.1'")
    careless.run("GRANT ALL ON metrics.* TO plain@'127.0.0.1'")
    careless.run("SET GLOBAL init_connect = 'SET timestamp = UNIX_TIMESTAMP() - 3600'")  # for all but root
    found = await report(tmp_path / "data", {**of_mysql(careless, "metrics"), "DB_USERNAME": "plain"})
    assert found.checks["clock of the database"] == "fails"
    assert "s behind this host's" in found.messages["clock of the database"]


async def test_partitions_that_nobody_made_and_points_that_fitted_no_name(
    tmp_path: Path, mariadb: MariaDB, database: str
) -> None:
    async with opened(mariadb, database, clock=Clock()):
        pass  # its clock is long ago
    mariadb.run(
        "INSERT INTO rejected_points (name, type, recorded_at, value, reason, rejected_at)"
        " VALUES ('a', 'value', NOW(), 1, 'type', NOW())",
        database,
    )
    mariadb.run("INSERT INTO metrics (id, name, type, created_by) VALUES (7, 'a.set', 'value', 1)", database)
    mariadb.run("INSERT INTO name_owners VALUES (7, 'set', 'a')", database)
    mariadb.run("UPDATE retention SET last_run = UNIX_TIMESTAMP() - 300000", database)
    mariadb.run(
        "INSERT INTO histogram_hour (metric_id, bucket, samples, histogram) VALUES (7, '1970-01-01', 1, 'x')", database
    )
    found = await report(tmp_path / "data", of_mysql(mariadb, database))
    assert found.bad == {
        "service": "warning",
        "partitions": "fails",
        "retention": "warning",
        "rejected points": "warning",
        "histograms": "fails",
        "clashes of names": "warning",
    }


@pytest.mark.parametrize("wrong", [{"DB_PORT": "1"}, {"DB_PASSWORD": CANARY}, {"DB_DATABASE": "nowhere"}])
async def test_a_database_that_cannot_be_reached(
    tmp_path: Path, mariadb: MariaDB, database: str, wrong: dict[str, str]
) -> None:
    found = await report(tmp_path / "data", {**of_mysql(mariadb, database), **wrong})
    assert (found.bad, found.code) == ({"service": "warning", "store": "fails"}, 2)
    assert CANARY not in found.text


async def test_a_database_that_does_not_answer(tmp_path: Path, mariadb: MariaDB, database: str) -> None:
    with mariadb.paused():
        found = await report(tmp_path / "data", of_mysql(mariadb, database))
    assert found.bad == {"service": "warning", "store": "fails"}


@pytest.mark.parametrize(
    ("config", "bad"),
    [
        ({"appendfsync": "everysec"}, {"spill": "fails"}),
        ({"appendonly": "no"}, {"spill": "fails"}),
        ({"maxmemory_policy": "allkeys-lru"}, {"spill": "fails"}),
        ({"maxmemory": "20mb"}, {"spill memory": "warning"}),
    ],
)
async def test_a_redis_that_is_no_place_for_the_spill(
    tmp_path: Path, config: dict[str, str], bad: dict[str, str]
) -> None:
    async with redis_server(tmp_path / "redis", **config) as redis:
        environ = of_redis(redis)
        assert (await report(tmp_path / "data", environ)).bad == {"service": "warning", **bad}
        alone = await report(tmp_path / "data", {**environ, "QUEUE_CONNECTION": "none"})
        assert alone.bad == {"service": "warning"}


async def test_a_redis_that_is_away_or_does_not_let_us_in(tmp_path: Path) -> None:
    async with redis_server(tmp_path / "redis") as redis:
        environ = of_redis(redis)
        found = await report(tmp_path / "data", {**environ, "REDIS_PASSWORD": CANARY})
        assert found.bad == {"service": "warning", "redis": "fails"}
        assert CANARY not in found.text
        await redis.client.xadd(f"{PREFIX}:groups:bad", {"group": "x"})
        assert (await report(tmp_path / "data", environ)).bad == {"service": "warning", "spill entries": "warning"}
        await redis.kill()
        assert (await report(tmp_path / "data", environ)).bad == {"service": "warning", "redis": "fails"}


async def test_it_prints_a_line_a_check_and_the_advice_below(tmp_path: Path) -> None:
    code, text = await doctor(tmp_path / "data", {})
    lines = text.splitlines()
    assert code == 1
    assert "warning service: none runs at" in text
    assert lines[lines.index(next(line for line in lines if line.startswith("warning"))) + 1].startswith("        -> ")
    assert lines[-1].endswith("checks, 1 to look at")
    assert "\x1b" not in text
    assert os.linesep + os.linesep not in text


async def test_a_start_that_failed_for_a_lock_is_seen_too(tmp_path: Path) -> None:
    """The service that could not start says it as the doctor does."""
    folder = tmp_path / "data"
    async with process(folder):
        second = await launch(folder)
        assert await second.wait() == 1
    assert "another process uses the data folder" in "".join(second.log)


def test_every_check_in_the_docs_is_one_of_the_program() -> None:
    source = "".join(
        (ROOT / "central" / "doctor" / name).read_text() for name in ("judge.py", "servers.py", "probe.py")
    )
    for check in DOCUMENTED:
        name = check.removeprefix("database ").removeprefix("clock of ")
        assert name in source, check
