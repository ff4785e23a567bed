"""The files of deploy/ in the programs they are for, with ports, names and folders of the test."""

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import redis.asyncio

from protocol.limits import MAX_BODY_BYTES
from tests.central.harness import Central, running
from tests.patience import PATIENCE
from tests.ports import free_port
from tests.proxies import Nginx, trusting
from tests.redis_server import PASSWORD
from tests.servers import MariaDB, program
from tests.test_compose import settings_of

ROOT = Path(__file__).parents[1]
KEY = "k" * 40
PROXIED = {"METRICS_BEHIND_PROXY": "true", "METRICS_ADMIN_KEY": KEY}


async def agreed(port: int, version: ssl.TLSVersion) -> str | None:
    """The protocol agreed on when only ``version`` is offered; None when the server refuses it."""
    context = trusting()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # so that it is the server that refuses
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = context.maximum_version = version
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    except ssl.SSLError as error:
        assert "alert" in str(error).lower(), error
        return None
    found: str = writer.get_extra_info("ssl_object").version()
    writer.close()
    await writer.wait_closed()
    return found


@asynccontextmanager
async def proxied(folder: Path) -> AsyncIterator[tuple[Central, list[asyncio.Event], list[Central]]]:
    """A client of nginx, what stops each of the two services behind it, and clients to these."""
    stops = [asyncio.Event(), asyncio.Event()]
    proxy = Nginx(folder / "nginx")
    async with AsyncExitStack() as stack:
        behind = [
            await stack.enter_async_context(running(folder / f"central{number}", PROXIED, stop=stop))
            for number, stop in enumerate(stops)
        ]
        proxy.start([central.url.removeprefix("http://") for central in behind])
        stack.callback(proxy.stop)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting())))
        yield Central(proxy.url, folder, KEY, http), stops, behind


async def test_nginx_takes_the_file(tmp_path: Path) -> None:
    proxy = Nginx(tmp_path)
    proxy.fit(["127.0.0.1:1", "127.0.0.1:2"])
    done = proxy.run("-t")
    assert (done.returncode, "test is successful" in done.stderr) == (0, True), done.stderr


async def test_what_is_sent_through_nginx_reaches_both_processes(tmp_path: Path) -> None:
    async with proxied(tmp_path) as (central, _, behind):
        for number in range(10):
            reply = await central.counter("a", headers={"Idempotency-Key": str(number)})
            assert (reply.status, reply.headers["RateLimit-Limit"]) == (201, "1000")
            assert reply.headers["Strict-Transport-Security"] == "max-age=31536000"
        shares = [await one.total("a") for one in behind]
        assert (sum(shares), min(shares) > 0) == (10, True)


async def test_nginx_speaks_tls_1_2_and_1_3_and_nothing_older(tmp_path: Path) -> None:
    async with proxied(tmp_path) as (central, _, _behind):
        port = int(central.url.rpartition(":")[2])
        assert await agreed(port, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
        assert await agreed(port, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            older = [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1]
        assert [await agreed(port, version) for version in older] == [None, None]


async def test_with_one_process_gone_the_other_answers(tmp_path: Path) -> None:
    async with proxied(tmp_path) as (central, stops, behind):
        stops[0].set()
        await refused(behind[0])
        assert {(await central.counter("a")).status for _ in range(10)} == {201}
        stops[1].set()
        await refused(behind[1])
        while (reply := await central.counter("a")).status == 201:
            pass  # over a connection that nginx had open: the process answers it before it ends
        assert reply.error == (503, "SERVICE_UNAVAILABLE", None)
        assert (reply.headers["Retry-After"], reply.headers["Content-Type"]) == ("2", "application/json")


async def test_a_body_that_is_too_large_gets_the_services_answer(
    tmp_path: Path,
) -> None:
    async with proxied(tmp_path) as (central, _, _behind):
        reply = await central.post("/api/metrics/batch", b" " * (MAX_BODY_BYTES + 1))
        assert reply.error == (413, "BODY_TOO_LARGE", "body")
        assert (await central.ask("GET", "/metrics")).error == (404, "NOT_FOUND", None)


async def refused(central: Central) -> None:
    """Return when nobody listens there any more."""
    while True:
        try:
            await central.ask("GET", "/health")
        except aiohttp.ClientConnectorError:
            return
        except aiohttp.ClientError:
            continue


async def test_redis_takes_the_file_and_is_durable(tmp_path: Path) -> None:
    """The file as it is, and after it what the test needs to be alone."""
    port = free_port()
    command = [program("redis-server"), str(ROOT / "deploy" / "redis.conf"), "--requirepass", PASSWORD]
    with (tmp_path / "log").open("wb") as log:
        server = await asyncio.create_subprocess_exec(
            *command, "--port", str(port), "--bind", "127.0.0.1", cwd=tmp_path, stdout=log, stderr=log
        )
    client = redis.asyncio.Redis(host="127.0.0.1", port=port, password=PASSWORD, protocol=2, decode_responses=True)
    try:
        async with asyncio.timeout(PATIENCE):
            while not await answers(client):
                assert server.returncode is None, (tmp_path / "log").read_text()
                await asyncio.sleep(0.02)
        config = await client.config_get("*")
        wanted = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction", "save": ""}
        assert {name: config.get(name) for name in wanted} == wanted
        assert config.get("maxmemory") == str(1536 << 20)
        assert (tmp_path / "appendonlydir").is_dir()
    finally:
        await client.aclose()
        server.terminate()
        await server.wait()


def test_mariadb_takes_the_file_and_each_of_its_values(tmp_path: Path) -> None:
    """The file as it is, except for sizes: a small machine has no room for them."""
    path = ROOT / "deploy" / "mysql.cnf"
    small = {"innodb_buffer_pool_size": 64 << 20, "innodb_log_file_size": 32 << 20}
    options = [f"--{name.replace('_', '-')}={size}" for name, size in small.items()]
    server = MariaDB(tmp_path / "mariadb", *options, defaults=path)
    server.install()
    server.start()
    try:
        has = {name.lower(): str(value) for name, value in server.run("SHOW GLOBAL VARIABLES")}
    finally:
        server.stop()
    unknown = [line for line in server.log if "unknown variable" in line]
    assert [line for line in unknown if "loose_innodb_redo_log_capacity" not in line] == []
    given = {**settings_of("deploy/mysql.cnf", "="), **{name: str(size) for name, size in small.items()}}
    for name in ("loose_innodb_redo_log_capacity", "transaction_isolation", "log_bin"):
        del given[name]
    given["time_zone"] = given.pop("default_time_zone")
    assert (has["tx_isolation"], has["log_bin"]) == ("READ-COMMITTED", "ON")
    assert {name: has[name] for name in given} == {name: in_bytes(value) for name, value in given.items()}


def in_bytes(value: str) -> str:
    """A value as the server says it: without quotes and units."""
    units = {"M": 1 << 20, "G": 1 << 30}
    value = value.strip("'")
    return str(int(value[:-1]) * units[value[-1]]) if value[:-1].isdigit() and value[-1] in units else value


async def answers(client: "redis.asyncio.Redis") -> bool:
    try:
        return bool(await client.ping())
    except redis.RedisError:
        return False
