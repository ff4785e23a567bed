"""A service that answers as no honest one does.

Whatever comes, the agent goes on, its ledger adds up, and the honest answer at the end is the only one that counts.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.agent.fakes import RealCentral
from tests.agent.in_process import running, turns_until
from tests.patience import PATIENCE

FINE = b'{"success":true,"accepted":1,"rejected":0,"errors":[]}'


def answer(status: int, body: bytes = b"", *headers: bytes, kind: bytes = b"application/json") -> bytes:
    lines = [b"HTTP/1.1 %d X" % status, b"Content-Type: " + kind, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"", body])


def chunked(*chunks: bytes) -> bytes:
    return b"HTTP/1.1 201 X\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(chunks)


def said(**fields: object) -> bytes:
    return json.dumps({"success": True, "accepted": 1, "rejected": 0, "errors": [], **fields}).encode()


ANSWERS = {
    "nothing": b"",
    "a byte": b"H",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "HTTP/0.9": FINE,
    "a 503 with a 201 behind it": answer(503) + answer(201, FINE),
    "a 204 with a 201 behind it": b"HTTP/1.1 204 X\r\n\r\n" + answer(201, FINE),
    "a 304 with a 201 as its body": b"HTTP/1.1 304 X\r\nContent-Length: 99\r\n\r\n" + answer(201, FINE),
    "a page with a 201 behind it": answer(200, b"<html>", kind=b"text/html") + answer(201, FINE),
    "101 and nothing": b"HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    "101 and a 201": b"HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n" + answer(201, FINE),
    "100 and nothing": b"HTTP/1.1 100 Continue\r\n\r\n",
    "100 without end": b"HTTP/1.1 100 Continue\r\n\r\n" * 4_000,
    "103 and a 503": b"HTTP/1.1 103 X\r\nLink: <x>\r\n\r\n" + answer(503),
    "bytes before the status line": b"\r\n\r\n" + answer(201, FINE),
    "two lengths": answer(201, FINE, b"Content-Length: %d" % len(FINE)),
    "a length and chunks": answer(201, FINE, b"Transfer-Encoding: chunked"),
    "a negative length": b"HTTP/1.1 201 X\r\nContent-Length: -1\r\n\r\n" + FINE,
    "a length that is too long": b"HTTP/1.1 201 X\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"
    + FINE,
    "a length that is too short": b"HTTP/1.1 201 X\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
    + FINE,
    "a length past all bounds": b"HTTP/1.1 201 X\r\nContent-Length: 99999999999999999999999\r\n\r\n" + FINE,
    "half a chunk": chunked(b"ff\r\n", FINE),
    "a chunk of nonsense": chunked(b"zz\r\n", FINE),
    "chunks without an end": chunked(b"%x\r\n" % len(FINE), FINE, b"\r\n"),
    "headers without end": b"HTTP/1.1 201 X\r\n" + b"A: b\r\n" * 10_000,
    "a header without end": b"HTTP/1.1 201 X\r\nA: " + b"b" * 1_000_000,
    "a body without end": answer(201, FINE + b" " * (5 << 20)),
    "the status 000": answer(0, FINE),
    "the status 999": answer(999, FINE),
    "a 201 of another batch": answer(201, said(accepted=2)),
    "a 201 that counts twice": answer(201, said(accepted=1, rejected=1, errors=[{"index": 0, "code": "X"}])),
    "a 201 with true for a number": answer(201, said(accepted=True)),
    "a 201 of deep JSON": answer(201, b"[" * 200_000),
    "a 201 of bad text": answer(201, b"\xff" + FINE),
    "a 201 as a page": answer(201, FINE, kind=b"text/html"),
    "a 200 in our words": answer(200, FINE),
    "a redirect to itself": answer(307, FINE, b"Location: /api/metrics/batch"),
    "a foreign 401": answer(401, b"<html>", kind=b"text/html"),
    "a foreign 403": answer(403, b'{"message":"no"}'),
    "a foreign 429": answer(429, b"{}"),
    "a Retry-After of nonsense": answer(503, b"", b"Retry-After: \xff-1e99"),
    "a Date of nonsense": answer(503, FINE, b"Date: Mon, 99 Feb 99999 99:99:99 GMT"),
    "limits of nonsense": answer(503, FINE, b"RateLimit-Limit: 1e9", b"RateLimit-Remaining: \xb2"),
}


class Malice:
    """Gives each POST its answer of the script, then stores as a real service does."""

    def __init__(self, central: RealCentral, script: list[bytes]) -> None:
        self.url = ""
        self.script = script
        self.given = asyncio.Event()
        """The script is at its end."""
        self._port = int(central.url.rpartition(":")[2])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")), 0)
            request = head + await reader.readexactly(length)
            if head.startswith(b"POST") and self.script:
                writer.write(self.script.pop(0))
                if not self.script:
                    self.given.set()
            else:
                writer.write(await self._ask(request))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _ask(self, request: bytes) -> bytes:
        """What the real service says, on a connection for this request alone."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        said = await reader.read()
        writer.close()
        return said


@asynccontextmanager
async def malice(central: RealCentral, script: list[bytes]) -> AsyncIterator[Malice]:
    one = Malice(central, script)
    async with await asyncio.start_server(one.serve, "127.0.0.1", 0) as server:
        one.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield one


@pytest.mark.parametrize("what", ANSWERS)
async def test_no_answer_ends_the_agent_or_counts_a_sample(tmp_path: Path, what: str) -> None:
    async with (
        RealCentral().serving() as central,
        malice(central, [ANSWERS[what]]) as service,
        running(tmp_path, service.url) as agent,
    ):
        agent.send(["foo:1|c"])
        agent.ticks.tick()
        await asyncio.wait_for(service.given.wait(), PATIENCE)
        while not central.stored:
            agent.ticks.end_waits()
            await asyncio.sleep(0)
        await agent.end()
        assert central.total("foo") == 1
        assert agent.agent.snapshot().acknowledged == 1
        assert sum(agent.agent.snapshot().dropped.values()) == 0


def has(central: RealCentral, number: int) -> bool:
    return central.total("foo") == number


async def test_after_all_bad_answers_a_good_service_gets_each_sample_once(tmp_path: Path) -> None:
    """One agent with ten batches lives through the whole script."""
    names = [f"foo.{number}" for number in range(10)]
    async with (
        RealCentral().serving() as central,
        malice(central, list(ANSWERS.values())) as service,
        running(tmp_path, service.url) as agent,
    ):
        for name in names:
            agent.send([f"{name}:1|c"])
            agent.ticks.tick()
            await turns_until(lambda: agent.agent.snapshot().in_window == 0)
        async with asyncio.timeout(PATIENCE):
            while len(central.times_stored()) < len(names):
                agent.ticks.end_waits()
                await asyncio.sleep(0)
        await agent.end()
        assert service.given.is_set()
        assert central.times_stored() == dict.fromkeys(names, 1)
        assert {central.total(name) for name in names} == {1}
        snapshot = agent.agent.snapshot()
        assert (snapshot.acknowledged, snapshot.received, sum(snapshot.dropped.values())) == (len(names), len(names), 0)
