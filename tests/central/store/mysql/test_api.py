"""The whole service on MariaDB: two services over one database, as two processes would be."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import pytest

from central.access.auth import parse_key
from central.app import Outside, migrate
from central.settings import load_settings
from central.store.migrations import load
from central.store.mysql.connection import Connection
from central.store.mysql.pool import run_commit
from central.store.mysql.store import MySQLStore
from protocol.times import format_time
from tests.central.harness import QUICK_HASH, Central, Clock, now_text, running
from tests.central.mysql_help import Script, environ_of, lost, server_of, until_waiting
from tests.doc_pages import ROOT
from tests.servers import MariaDB

DAY = 86_400
EXACT = "9999999999999999.9999"


@pytest.fixture
def environ(mariadb: MariaDB, database: str) -> dict[str, str]:
    return environ_of(mariadb, database)


@pytest.fixture
async def central(tmp_path: Path, environ: Mapping[str, str]) -> AsyncIterator[Central]:
    async with running(tmp_path / "one", environ) as made:
        yield made


@pytest.fixture
async def other(central: Central, tmp_path: Path, environ: Mapping[str, str]) -> AsyncIterator[Central]:
    """A second service over the same database, with the first one's key."""
    key = "given-by-an-operator-0123456789abcdef"
    async with running(tmp_path / "two", {**environ, "METRICS_ADMIN_KEY": key}) as made:
        yield made


async def test_points_come_back_exactly_and_a_key_is_good_in_both(central: Central, other: Central) -> None:
    assert (await central.value("a", EXACT)).status == 201
    assert (await other.value("a", "0.0001", key=central.key)).status == 201
    assert (await central.batch({"name": "b", "type": "counter", "value": 2}, {"name": "a", "type": "counter"})).json[
        "rejected"
    ] == 1
    for service in (central, other):
        assert await service.total("a") == Decimal(EXACT) + Decimal("0.0001")
        assert await service.total("a", "count") == 2
        assert await service.total("b") == 2


async def test_a_backup_is_not_to_be_had_and_the_answer_says_what_makes_one(central: Central) -> None:
    reply = await central.ask("GET", "/api/admin/backup")
    assert reply.error == (404, "NOT_FOUND", None)
    assert "mysqldump --single-transaction" in reply.message
    assert "Retry-After" not in reply.headers


async def test_a_replay_at_the_other_process_stores_nothing(central: Central, other: Central) -> None:
    headers = {"Idempotency-Key": "the same"}
    first = await central.counter("a", headers=headers)
    again = await other.counter("a", key=central.key, headers=headers)
    assert (again.status, again.text, again.headers.get("Idempotency-Replayed")) == (201, first.text, "true")
    assert await central.total("a") == 1


async def test_a_name_deleted_by_one_process_is_never_written_to_by_the_other(central: Central, other: Central) -> None:
    for service in (central, other):
        assert (await service.counter("a", "5")).status == 201
    assert (await central.ask("DELETE", "/api/admin/metrics/a")).status == 200
    assert (await other.value("a", "7")).status == 201
    assert (await central.counter("a", "1")).error == (400, "METRIC_TYPE_CONFLICT", "name")
    assert await other.total("a") == 7


async def test_two_processes_agree_on_series_and_one_deletes_some(central: Central, other: Central) -> None:
    def items(*hosts: str) -> list[dict[str, object]]:
        return [{"name": "a", "type": "counter", "value": 1, "tags": {"env": "prod", "host": host}} for host in hosts]

    batches = [items(*(f"h{(start + number) % 40}" for number in range(30))) for start in range(12)]
    replies = await asyncio.gather(
        *((central, other)[place % 2].batch(*batch, key=central.key) for place, batch in enumerate(batches))
    )
    assert [reply.json["accepted"] for reply in replies] == [30] * 12
    hosts = await other.by_tags("a", "host")
    assert len(hosts) == 40
    assert sum(hosts.values()) == await central.total("a") == 360
    # The other process knows the series. It finds out that its id is gone before it stores anything under it.
    assert (await central.ask("DELETE", "/api/admin/metrics/a/series?tags=env:prod,host:h20")).status == 200
    assert (await other.batch(*items("h20", "h21"))).json["accepted"] == 2
    after = await central.by_tags("a", "host")
    assert [after["h20",], after["h21",], await central.total("a")] == [1, hosts["h21",] + 1, 362]


async def test_two_processes_under_load_add_up(central: Central, other: Central) -> None:
    at = now_text(-60)

    async def send(service: Central, number: int) -> None:
        items = [{"name": f"n{name}", "type": "counter", "value": number, "recorded_at": at} for name in range(100)]
        reply = await service.batch(*items, headers={"Idempotency-Key": f"{number}"}, key=central.key)
        assert (reply.status, reply.json["rejected"]) == (201, 0)

    await asyncio.gather(*(send((central, other)[number % 2], number) for number in range(60)))
    assert await central.total("n0") == await other.total("n99") == sum(range(60))


async def test_one_batch_under_many_api_keys_at_two_processes_counts_once(central: Central, other: Central) -> None:
    keys = [(await central.new_key("ingest"))[1] for _ in range(4)]
    item = {"name": "a", "type": "counter", "value": 1}
    for number in range(5):
        headers = {"Idempotency-Key": f"c0ffee5eaf00d1234567890abcdef01{number}"}
        replies = await asyncio.gather(
            *(process.batch(item, headers=headers, key=key) for key in keys for process in (central, other) * 2)
        )
        assert {reply.status for reply in replies} == {201}
        assert sum("Idempotency-Replayed" not in reply.headers for reply in replies) == 1
    assert await central.total("a") == 5


@pytest.mark.parametrize("goes_in", [True, False])
async def test_a_retry_after_midnight_at_another_process_counts_once(
    tmp_path: Path, mariadb: MariaDB, database: str, environ: Mapping[str, str], goes_in: bool
) -> None:
    midnight = (int(time.time()) // DAY + 1) * DAY
    hangs, go = asyncio.Event(), asyncio.Event()

    async def hang(connection: Connection) -> None:
        hangs.set()
        await go.wait()
        await (run_commit if goes_in else lost)(connection)

    def scripted(store: MySQLStore) -> MySQLStore:
        replaced.append(store)
        return MySQLStore(server_of(mariadb, database), commit=commits, clock=Clock(midnight - 1))

    commits = Script()
    replaced: list[MySQLStore] = []
    given = {**environ, "METRICS_ADMIN_KEY": "k" * 40}
    before = Outside(clock=Clock(midnight - 1), bcrypt_cost=QUICK_HASH, wrap_store=scripted)
    after = Outside(clock=Clock(midnight + 1), bcrypt_cost=QUICK_HASH)
    async with (
        running(tmp_path / "one", given, outside=before) as one,
        running(tmp_path / "two", given, outside=after) as two,
    ):
        assert (await one.counter("a")).status == 201
        commits.coming = [hang]
        headers = {"Idempotency-Key": "the same"}
        first = asyncio.create_task(one.counter("a", headers=headers))
        await hangs.wait()
        retry = asyncio.create_task(two.counter("a", headers=headers))
        await until_waiting(mariadb)
        go.set()
        assert [(await reply).status for reply in (first, retry)] == [201, 201]
        span = {"start": format_time(midnight - DAY), "end": format_time(midnight + DAY)}
        points = (await two.query("a", "sum", **span)).json["data"]
    await replaced[0].close()
    assert sum(point["value"] for point in points) == 2


OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


async def test_the_rights_in_the_docs_are_enough(
    mariadb: MariaDB, database: str, environ: dict[str, str], tmp_path: Path
) -> None:
    (grant,) = re.findall(r"```sql\n(GRANT [^;]*?)\nON metrics\.\* TO 'metrics'@'%';\n```", OPERATIONS)
    mariadb.run(f"CREATE USER '{database}'@'%' IDENTIFIED BY 'x'")
    try:
        mariadb.run(f"{grant} ON {database}.* TO '{database}'@'%'")
        async with running(tmp_path, {**environ, "DB_USERNAME": database, "DB_PASSWORD": "x"}) as central:
            assert (await central.counter("a")).status == 201
            assert await central.total("a") == 1
            assert (await central.ask("DELETE", "/api/admin/metrics/a")).status == 200
            assert (await central.post("/api/admin/retention/run", {})).status in {200, 201}
    finally:
        mariadb.run(f"DROP USER '{database}'@'%'")


ODD = ["a'b", 'a"b', "a\\b", "a\0b", "a b", "'; DROP TABLE metrics; -- ", "%s", "\u2028", "\U0001f600"]
FIELDS = ("name", "type", "value", "recorded_at", "count", "min", "max", "x")


@pytest.mark.parametrize("text", ODD)
async def test_odd_texts_in_any_field_harm_nothing(central: Central, text: str) -> None:
    good = {"name": "a", "type": "value", "value": 1, "count": 1, "min": 1, "max": 1}
    for field in FIELDS:
        for kind in ("counter", "value"):
            reply = await central.post(f"/api/metrics/{kind}", {"name": "a", "value": 1, field: text})
            assert reply.error[0] == 400, reply.text
        reply = await central.batch({**good, field: text})
        assert (reply.status, reply.json["accepted"], reply.json["rejected"]) == (201, 0, 1)
    for parameters in ({"name": text}, {"operation": text}, {"window": text}, {"start": text}, {"fill": text}):
        query = {"name": "a", "operation": "sum", **parameters}
        assert (await central.query(query.pop("name"), query.pop("operation"), **query)).error[0] == 400
    for field in ("prefix", "after", "limit"):
        assert (await central.ask("GET", "/api/metrics", params={field: text})).error[0] == 400
    assert (await central.ask("DELETE", f"/api/admin/metrics/{quote(text, safe='')}")).status in {400, 404}
    assert (await central.post("/api/admin/keys", {"name": text})).status == (201 if text.isprintable() else 400)
    assert (await central.counter("a\\ud800")).error == (400, "INVALID_JSON", "body")
    assert (await central.counter("a", headers={"Idempotency-Key": "it's \"quoted\\"})).status == 201
    assert await central.total("a") == 1


async def test_names_that_differ_in_case_or_a_dot_stay_three(mariadb: MariaDB, database: str, central: Central) -> None:
    names = ("a", "A", "a.")
    for value, name in enumerate(names, 1):
        assert (await central.counter(name, str(value))).status == 201
    assert [await central.total(name) for name in names] == [1, 2, 3]
    assert mariadb.run("SELECT COUNT(*) FROM metrics", database) == ((3,),)


async def test_the_views_for_bi_say_what_the_api_says(mariadb: MariaDB, database: str, central: Central) -> None:
    at = now_text(-3600)
    for value in ("2.5", "-1", "10"):
        assert (
            await central.batch({"name": "a", "type": "value", "value": float(value), "recorded_at": at})
        ).status == 201
    hour, minute = f"{at[:13].replace('T', ' ')}:00:00", f"{at[:16].replace('T', ' ')}:00"
    for view, column, start in (("metrics_by_hour", "hour", hour), ("metrics_by_minute", "minute", minute)):
        ((_, kind, shown, *numbers),) = mariadb.run(
            f"SELECT name, type, {column}, count, sum, min, max FROM {view} WHERE name = 'a'", database
        )
        assert (kind, str(shown)) == ("value", start)
        assert numbers == [Decimal(3), Decimal("11.5"), Decimal(-1), Decimal(10)]


async def test_a_database_that_goes_away_is_503_and_comes_back(mariadb: MariaDB, central: Central) -> None:
    assert (await central.counter("a")).status == 201
    await asyncio.to_thread(mariadb.stop)
    assert (await central.counter("a")).error[:2] == (503, "SERVICE_UNAVAILABLE")
    assert (await central.query("a", "sum")).error[:2] == (503, "SERVICE_UNAVAILABLE")
    assert (await central.ask("GET", "/ready", key=None)).status == 503
    await asyncio.to_thread(mariadb.start)
    assert (await central.ask("GET", "/ready", key=None)).status == 200  # it asks, and so ends the outage at once
    assert (await central.counter("a")).status == 201
    assert await central.total("a") == 2


def test_migrate_makes_tables_and_key_once(tmp_path: Path, environ: Mapping[str, str]) -> None:
    settings = load_settings({**environ, "METRICS_DATA_DIR": str(tmp_path)})
    names, steps = [migration.name for migration in load("mysql")], []
    assert migrate(settings, lambda *step: steps.append(step)) == names
    assert steps == [(name, place, len(names)) for place, name in enumerate(names, 1)]
    assert migrate(settings) == []
    assert (tmp_path / "admin.key").stat().st_mode & 0o777 == 0o600


async def test_of_processes_that_start_at_once_one_makes_the_admin_key(
    mariadb: MariaDB, database: str, tmp_path: Path, environ: Mapping[str, str]
) -> None:
    folders = [tmp_path / str(number) for number in range(5)]
    starting = [load_settings({**environ, "METRICS_DATA_DIR": str(folder)}) for folder in folders]
    await asyncio.gather(*(asyncio.to_thread(migrate, settings) for settings in starting))
    ((public_id,),) = mariadb.run("SELECT public_id FROM api_keys", database)
    (path,) = (path for folder in folders if (path := folder / "admin.key").exists())
    assert parse_key(path.read_text().strip()).public_id == public_id


def test_a_missing_server_stops_the_start_and_is_named(tmp_path: Path, environ: Mapping[str, str]) -> None:
    settings = load_settings({**environ, "DB_PORT": "1", "METRICS_DATA_DIR": str(tmp_path)})
    with pytest.raises(match=r"127\.0\.0\.1:1 cannot be reached as root"):
        migrate(settings)


async def test_two_processes_agree_on_who_owns_a_name(central: Central, other: Central) -> None:
    """Each sends both types at once, in its own order; the name is deleted and taken anew in between."""

    async def send(service: Central, types: str) -> None:
        kinds = {"c": "counter", "t": "value"}
        items = [{"name": "a", "type": kinds[letter], "value": 1} for letter in types]
        reply = await service.batch(*items, headers={"Metrics-Statsd-Types": types}, key=central.key)
        assert reply.json["accepted"] == len(types)

    for _ in range(3):
        await asyncio.gather(*(send(service, types) for service, types in [(central, "ct"), (other, "tc")] * 5))
        names = [found["name"] for found in (await other.ask("GET", "/api/metrics", key=central.key)).json["data"]]
        assert names in (["a", "a.counter"], ["a", "a.timing"])
        assert [await central.total(name) for name in names] == [10, 10]
        for name in names:
            assert (await central.ask("DELETE", f"/api/admin/metrics/{name}")).status == 200
