"""No log line, error answer or metric holds a key or password: real processes get marked secrets."""

import ast
import asyncio
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from central.web.openapi.document import openapi
from tests.central.harness import Central, Process, Reply, launch, process
from tests.central.mysql_help import environ_of
from tests.central.web.test_api_service import exchange
from tests.patience import PATIENCE, a_moment
from tests.ports import free_port
from tests.redis_server import PASSWORD, RedisServer, redis_server
from tests.servers import MariaDB

ROOT = Path(__file__).parents[2]
ADMIN = "canary-of-the-admin-'\"\\-0123456789abcdef"
DATABASE = "canary of the database '\"\\ é"
FOREIGN = "gf_q7w3k9x2m5ab_" + "CanaryOfNobody-" * 3


@dataclass(frozen=True)
class Database:
    """A database of the tests, and its user."""

    server: MariaDB
    name: str
    user: str


@pytest.fixture
def canary(mariadb: MariaDB, database: str) -> Iterator[Database]:
    """A database whose user's password is a canary."""
    name = f"u{os.urandom(4).hex()}"
    with mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE USER {name}@'127.0.0.1' IDENTIFIED BY %s", (DATABASE,))
        cursor.execute(f"GRANT ALL ON `{database}`.* TO {name}@'127.0.0.1'")
    yield Database(mariadb, database, name)
    mariadb.run(f"DROP USER {name}@'127.0.0.1'")


def settings(canary: Database, redis_port: int) -> dict[str, str]:
    return {
        **environ_of(canary.server, canary.name),
        "DB_USERNAME": canary.user,
        "DB_PASSWORD": DATABASE,
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(redis_port),
        "REDIS_PASSWORD": PASSWORD,
        "QUEUE_CONNECTION": "redis",
        "METRICS_ADMIN_KEY": ADMIN,
        "PYTHONASYNCIODEBUG": "1",
    }


async def misuse(central: Central, key: str) -> list[str]:
    """Keys where none belongs; what was answered."""
    replies: list[Reply] = [
        await central.ask("GET", f"/api/metrics/{key}", key=key),
        await central.ask("GET", f"/api/metrics?api_key={key}", key=None),
        await central.ask("DELETE", f"/api/admin/metrics/{key}%0a", key=key),
        await central.ask("GET", "/api/admin/keys", key=key),
        await central.ask("GET", "/api/admin/keys", key=key[:-1] + "x"),
        await central.ask("GET", "/api/metrics", key="x" + key),
        await central.ask("GET", "/api/metrics", headers={"X-Request-Id": f"{key} "}, key=FOREIGN),
        await central.post("/api/metrics/counter", {"name": "a"}, headers={"Idempotency-Key": "é"}, key=key),
    ]
    host = f"Host: x\r\nX-API-Key: {key}".encode()
    raw = [
        b"GET /health HTTP/1.1\r\nHost: x\r\nX-API-Key " + key.encode() + b"\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nX-API-Key: " + key.encode() + b"\x00\r\n\r\n",
        key.encode() + b"\r\n\r\n",
        b"GET /" + key.encode() + b" HTTP/9.9\r\n\r\n",
        b"GET /health HTTP/1.1\r\n" + host + b"y" * 20_000 + b"\r\n\r\n",
        b"POST /api/metrics/counter HTTP/1.1\r\n" + host + b"\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ]
    return [reply.text for reply in replies] + [
        (await exchange(central, sent)).decode(errors="replace").partition("\r\n\r\n")[2] for sent in raw
    ]


async def outages(central: Central, mariadb: MariaDB, redis: RedisServer, key: str) -> list[str]:
    """Everything fails once; what was answered."""
    answers: list[str] = []

    async def ask() -> None:
        replies = [
            await central.counter("a", key=key),
            await central.query("a", "sum", key=key),
            await central.counter("a", key=FOREIGN),
            await central.post("/api/admin/keys", {"name": "x"}, key=FOREIGN),
            await central.ask("GET", "/ready", key=None),
            await central.ask("GET", "/metrics", key=None),
        ]
        answers.extend(reply.text for reply in replies)

    mariadb.kill()
    await ask()
    await redis.kill()
    await ask()
    mariadb.start()
    while (await central.ask("GET", "/ready", key=None)).status != 200:
        await a_moment()
    await ask()
    return answers


def found(texts: list[str], secrets: list[str]) -> list[str]:
    """The texts that hold a secret, as it is or as JSON or repr writes it."""
    forms = {form for text in secrets for form in (text, repr(text)[1:-1], text.replace("\\", "\\\\"), text[-20:])}
    return [text for text in texts if any(form in text for form in forms)]


async def test_nothing_that_happens_to_a_process_brings_a_secret_to_light(tmp_path: Path, canary: Database) -> None:
    async with redis_server(tmp_path / "redis") as redis:
        environ = settings(canary, redis.port)
        async with process(tmp_path / "data", **environ) as (made, central):
            _, key = await central.new_key("ingest", "query")
            answers = await misuse(central, key)
            answers += await misuse(central, FOREIGN)
            answers += await outages(central, canary.server, redis, key)
            assert await made.end() == 0
    log = "".join(made.log)
    assert {"store_down", "request_is_no_http", "key_created"} <= set(re.findall(r'"event": "(\w+)"', log))
    assert found([*made.log, *answers], [ADMIN, DATABASE, PASSWORD, key.split("_", 2)[2], FOREIGN]) == []
    assert "$2b$" not in log + "".join(answers)


@pytest.mark.parametrize(
    ("wrong", "logged"),
    [
        ({"DB_PASSWORD": DATABASE + "x"}, "Access denied"),
        ({"DB_PORT": "1"}, "cannot be reached"),
        ({"DB_DATABASE": "nowhere"}, "nowhere"),
        ({"DB_HOST": f"mysql://u:{DATABASE}@h"}, "DB_HOST is not a host"),
        ({"REDIS_HOST": f"redis://:{PASSWORD}@h"}, "REDIS_HOST is not a host"),
        ({"METRICS_ADMIN_KEY": ADMIN + " "}, "METRICS_ADMIN_KEY has"),
        ({"METRICS_LISTEN": "127.0.0.1:1x"}, "METRICS_LISTEN"),
        ({"METRICS_PASSWORD": ADMIN}, "METRICS_PASSWORD is not a setting"),
    ],
    ids=lambda value: "".join(value) if isinstance(value, dict) else "",
)
async def test_a_start_that_fails_says_why_without_a_secret(
    tmp_path: Path, canary: Database, wrong: dict[str, str], logged: str
) -> None:
    made: Process = await launch(tmp_path / "data", **{**settings(canary, free_port()), **wrong})
    assert await asyncio.wait_for(made.wait(), PATIENCE) in {1, 2}
    log = "".join(made.log)
    assert logged in log
    assert "Traceback" not in log
    assert found(made.log, [ADMIN, DATABASE, PASSWORD]) == []


ADMIN_CALLS = [
    (method.upper(), path)
    for path, methods in openapi("1")["paths"].items()
    for method in methods
    if path.startswith("/api/admin")
]


async def test_every_admin_call_needs_the_admin_scope(central: Central) -> None:
    assert len(ADMIN_CALLS) >= 9
    keys = [(await central.new_key(*scopes))[1] for scopes in (["ingest"], ["query"], ["ingest", "query"])]
    _, admin = await central.new_key("admin")
    for method, path in ADMIN_CALLS:
        exact = path.replace("{id}", "999").replace("{name}", "nothing")
        for key in keys:
            assert (await central.ask(method, exact, key=key)).error == (403, "FORBIDDEN", None), (method, path)
        for nobody in (None, FOREIGN, "x", central.key[:-1] + "é"):
            reply = await central.ask(method, exact, key=nobody)
            assert reply.error == (401, "UNAUTHORIZED", None), (method, path, nobody)
        assert (await central.ask(method, exact, key=admin)).status in {200, 201, 400, 404}, (method, path)


COMPARED = re.compile(r"secret|password|api_?key|admin_key|digest|\bheader\b|pepper|token|\btext\b")


@pytest.mark.parametrize(
    "path", ["central/access/auth.py", "central/access/key_file.py", "central/web/gate.py", "central/app.py"]
)
def test_no_secret_is_compared_byte_by_byte(path: str) -> None:
    """Only hmac.compare_digest and bcrypt.checkpw may; the cache is looked up by a hash whose key nobody knows."""
    tree = ast.parse((ROOT / path).read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and any(isinstance(how, ast.Eq | ast.NotEq | ast.In) for how in node.ops):
            names = {
                part.id if isinstance(part, ast.Name) else part.attr
                for part in ast.walk(node)
                if isinstance(part, ast.Name | ast.Attribute)
            }
            assert not any(COMPARED.search(name) for name in names), ast.unparse(node)


def test_the_given_key_and_the_stored_ones_are_compared_in_constant_time() -> None:
    source = (ROOT / "central/access/auth.py").read_text()
    assert "hmac.compare_digest(self._given, digest)" in source
    assert "bcrypt.checkpw, fresh.secret.encode(), row.hash.encode()" in source
