"""Central as a process of its own, killed and stopped under load: what got 201 is there, once."""

import asyncio
import json
import signal
import uuid
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest

from central.store.base import Group
from tests.central.harness import Central, Overlay, Process, Reply, faulty, launch, process, running
from tests.patience import a_moment

CLIENTS = 8
NAMES = [f"load.{number}" for number in range(CLIENTS)]


@dataclass
class Load:
    """What clients sent, by Idempotency-Key: path, body, points; and which of it got 201."""

    sent: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)
    refused: Counter[int] = field(default_factory=Counter)
    broken: int = 0
    enough: asyncio.Event = field(default_factory=asyncio.Event)

    def next(self, client: int, number: int) -> str:
        """A new request: batches of several sizes with and without tags, single counters in between."""
        name, key = NAMES[client], str(uuid.uuid4())
        size = (0, 1, 20, 300)[number % 4]
        if size:
            item = {"name": name, "type": "counter", "value": 0.1}
            items = [item | {"tags": {"part": str(place % 7)}} if place % 8 else item for place in range(size)]
            self.sent[key] = ("/api/metrics/batch", json.dumps({"metrics": items}), size)
        else:
            self.sent[key] = ("/api/metrics/counter", json.dumps({"name": name, "value": 0.1}), 1)
        return key

    async def one(self, central: Central, key: str) -> Reply:
        """Send or send again; about half of the requests take a connection of their own."""
        path, body, _ = self.sent[key]
        headers = {"Idempotency-Key": key, "Connection": "close" if key[0] in "01234567" else "keep-alive"}
        return await central.post(path, body, headers=headers)

    async def client(self, central: Central, client: int, enough_at: int) -> None:
        """Send until the service is gone."""
        for number in range(100_000):
            key = self.next(client, number)
            try:
                reply = await self.one(central, key)
            except (aiohttp.ClientError, ConnectionError):
                self.broken += 1
                return
            if reply.status == 201:
                self.acknowledged.add(key)
                assert "Idempotency-Replayed" not in reply.headers
            else:
                self.refused[reply.status] += 1
            if len(self.acknowledged) >= enough_at:
                self.enough.set()

    def points(self, keys: set[str] | None = None) -> int:
        return sum(size for key, (_, _, size) in self.sent.items() if keys is None or key in keys)


async def stored(central: Central) -> int:
    """Points stored, by count; their sum must agree to the last digit, and the sum over their tags too."""
    counts = [await central.total(name, "count") for name in NAMES]
    assert [sum((await central.by_tags(name, "part", operation="count")).values()) for name in NAMES] == counts
    sums = [await central.total(name, "sum") for name in NAMES]
    assert sums == [count * Decimal("0.1") for count in counts]
    return int(sum(counts))


async def run_load(server: Process, central: Central, enough_at: int, number: int) -> tuple[Load, int]:
    """Let clients send, and signal the service in the middle of it; the load and the exit code."""
    load = Load()
    clients = [asyncio.create_task(load.client(central, client, enough_at)) for client in range(CLIENTS)]
    await load.enough.wait()
    code = await server.end(number)
    await asyncio.gather(*clients)
    return load, code


@pytest.mark.parametrize("enough_at", [5, 120, 400])
async def test_killed_under_load_every_point_with_a_201_is_there_once(tmp_path: Path, enough_at: int) -> None:
    async with process(tmp_path) as (server, central):
        load, code = await run_load(server, central, enough_at, signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert load.refused == {}
    assert load.broken == CLIENTS

    async with process(tmp_path) as (server, central):
        at_least, at_most = load.points(load.acknowledged), load.points()
        assert at_least <= await stored(central) <= at_most
        for key in load.sent:
            reply = await load.one(central, key)
            assert reply.status == 201
            if key in load.acknowledged:
                assert reply.headers["Idempotency-Replayed"] == "true"
        assert await stored(central) == at_most
        assert await server.end(signal.SIGTERM) == 0


async def test_killed_again_and_again_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    load = Load()
    for number in range(60):
        load.next(number % CLIENTS, number)
    for round_ in range(4):
        server = await launch(tmp_path)
        async with aiohttp.ClientSession() as http:
            key = (tmp_path / "admin.key").read_text().strip()
            central = Central(f"http://127.0.0.1:{server.port}", tmp_path, key, http)
            answered = 0
            for task in asyncio.as_completed([load.one(central, key) for key in load.sent]):
                try:
                    reply = await task
                except (aiohttp.ClientError, ConnectionError):
                    continue
                assert reply.status == 201
                answered += 1
                if answered == 10 + 10 * round_:
                    await server.end(signal.SIGKILL)
            if server.process.returncode is None:
                await server.end(signal.SIGKILL)
    async with process(tmp_path) as (_, central):
        for key in load.sent:
            assert (await load.one(central, key)).status == 201
        assert await stored(central) == load.points()


async def test_stopped_under_load_every_request_received_is_answered(tmp_path: Path) -> None:
    async with process(tmp_path) as (server, central):
        load, code = await run_load(server, central, 200, signal.SIGTERM)
        assert code == 0
        assert "stopped" in server.log[-1]
        assert "Traceback" not in "".join(server.log)
        assert load.refused == {}
    async with process(tmp_path) as (_, central):
        # Not one point more than was acknowledged: what was stored was answered, what broke off was never received.
        assert await stored(central) == load.points(load.acknowledged)


async def test_stopped_while_commits_hang_all_that_wait_get_their_201_first(tmp_path: Path) -> None:
    gate, arrived, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()

    class Slow(Overlay):
        async def commit(self, group: Group, *, again: bool = False) -> None:
            arrived.set()
            await gate.wait()
            await self.real.commit(group, again=again)

    async with running(tmp_path, outside=faulty(Slow), stop=stop) as central:
        first = asyncio.create_task(central.counter("a"))
        await arrived.wait()
        others = [asyncio.create_task(central.counter("a")) for _ in range(30)]
        while await central.meter("fiesta_requests_waiting") < 30:
            await a_moment()
        stop.set()
        await refused(central)
        gate.set()
        assert {reply.status for reply in await asyncio.gather(first, *others)} == {201}
    async with running(tmp_path) as central:
        assert await central.total("a") == 31


async def test_stopped_within_a_body_it_reads_to_the_end_and_answers(tmp_path: Path) -> None:
    stop = asyncio.Event()
    body = b'{"name":"a"}'
    async with running(tmp_path, stop=stop) as central:
        host, port = central.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /api/metrics/counter HTTP/1.1\r\nHost: x\r\nX-API-Key: {central.key}\r\nExpect: 100-continue\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
        assert b" 100 " in await reader.readuntil(b"\r\n\r\n")
        writer.write(body[:5])
        stop.set()
        await refused(central)
        writer.write(body[5:])
        answer = await reader.read()  # to the end: the answer closes the connection
        assert answer.startswith(b"HTTP/1.1 201 ")
        assert b"Connection: close" in answer
        writer.close()
    async with running(tmp_path) as central:
        assert await central.total("a") == 1


async def refused(central: Central) -> None:
    """Return once the service takes no more connections."""
    host, port = central.url.removeprefix("http://").split(":")
    while True:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except ConnectionError:
            return
        writer.transport.abort()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_while_it_is_idle_ends_it_with_0(tmp_path: Path, number: int) -> None:
    async with process(tmp_path) as (server, _):
        assert await server.end(number) == 0


async def test_a_second_one_on_the_same_data_folder_ends_with_one_clear_line(tmp_path: Path) -> None:
    async with process(tmp_path) as (_, central):
        second = await launch(tmp_path)
        assert await second.wait() == 1
        assert second.log == [
            f"Error: another process uses the data folder {tmp_path}; stop it, or set METRICS_DATA_DIR\n"
        ]
        assert (await central.counter("a")).status == 201


async def test_a_port_in_use_ends_it_with_one_clear_line(tmp_path: Path) -> None:
    async with process(tmp_path / "one") as (first, _):
        address = f"127.0.0.1:{first.port}"
        second = await launch(tmp_path / "two", METRICS_LISTEN=address)
        assert await second.wait() == 1
        errors = [line for line in second.log if '"level": "info"' not in line]
        assert errors == [
            f"Error: {address} is in use by another program: stop it, or choose another address with METRICS_LISTEN\n"
        ]


async def test_a_backup_under_load_agrees_with_what_was_acknowledged(tmp_path: Path) -> None:
    async with process(tmp_path / "one") as (server, central):
        load = Load()
        clients = [asyncio.create_task(load.client(central, client, 50)) for client in range(CLIENTS)]
        await load.enough.wait()
        before = set(load.acknowledged)
        async with central.http.get(f"{central.url}/api/admin/backup", headers={"X-API-Key": central.key}) as answer:
            copy = await answer.read()
        after = set(load.sent)
        await server.end()
        await asyncio.gather(*clients)
    folder = tmp_path / "copy"
    folder.mkdir()
    (folder / "fiesta.duckdb").write_bytes(copy)
    (folder / "admin.key").write_text(central.key)
    async with process(folder) as (_, restored):
        assert load.points(before) <= await stored(restored) <= load.points(after)
