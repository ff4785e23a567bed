"""central/web/connections.py: idle connections, heads without end and answers that nobody reads keep nobody out."""

import asyncio
import socket
import ssl
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from central.app import Outside
from central.web import connections
from central.web.connections import RESERVED, ConnectionBounds, Connections, room_within
from tests.central.harness import QUICK_HASH, Central, running
from tests.patience import a_moment

SOON = 0.2
"""Seconds. Nothing below waits for less than forever where it is not over."""
FAR = 3_600.0


WHOLE = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
WITH_BODY = b"POST /api/metrics/counter HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
TLS = Path(__file__).parents[2] / "data" / "tls"
WITH_TLS = {"METRICS_TLS_CERT": str(TLS / "cert.pem"), "METRICS_TLS_KEY": str(TLS / "key.pem")}


def outside(**bounds: float) -> Outside:
    return Outside(
        bcrypt_cost=QUICK_HASH,
        connections=ConnectionBounds(**{"head": FAR, "idle": FAR, "take": FAR, **bounds}),  # type: ignore[arg-type]
    )


async def connected(central: Central) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    address = urlsplit(central.url)
    return await asyncio.open_connection(address.hostname, address.port)


async def closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """What comes until the service closes."""
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    return head + await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]))


@pytest.mark.parametrize(
    ("bounds", "sent"),
    [
        ({"head": SOON}, b""),
        ({"head": SOON}, b"GET /health HTTP/1.1\r\nHost: x\r\nX-Endless: "),
        ({"idle": SOON}, WHOLE),
        ({"head": SOON}, WHOLE + b"GET /heal"),
        ({"head": SOON}, WHOLE + b"GET /health HTTP/1.1\r\nX-Endless: 1\r\n"),
        ({"head": SOON}, WITH_BODY + b"G"),
        ({"head": SOON}, WHOLE + WHOLE + WITH_BODY + WHOLE[:-1]),
    ],
    ids=[
        *("nothing", "a head without end", "nothing after a request", "a second line", "a second head"),
        *("a letter behind a body", "a fourth head without its last byte"),
    ],
)
async def test_a_connection_that_waits_too_long_is_closed(
    tmp_path: Path, bounds: dict[str, float], sent: bytes
) -> None:
    async with running(tmp_path, outside=outside(**bounds)) as central:
        reader, writer = await connected(central)
        writer.write(sent)
        assert (await closed(reader, writer)).count(b"HTTP/1.1 ") == sent.count(b"\r\n\r\n")


async def test_a_second_head_has_its_time_from_its_first_byte(tmp_path: Path) -> None:
    async with running(tmp_path, outside=outside(head=SOON)) as central:
        reader, writer = await connected(central)
        writer.write(WHOLE)
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
        writer.write(b"GET /heal")
        assert await closed(reader, writer) == b""


@pytest.mark.parametrize("sent", [WHOLE, WITH_BODY, WHOLE + b"\r\n", WHOLE + WITH_BODY])
async def test_an_idle_connection_outlives_the_time_of_a_head(tmp_path: Path, sent: bytes) -> None:
    async with running(tmp_path, outside=outside(head=SOON)) as central:
        reader, writer = await connected(central)
        writer.write(sent)
        for _ in range(sent.count(b"\r\n\r\n")):
            assert b"HTTP/1.1 " in await answer(reader)
        for _ in range(2):  # each is closed after that time, at a look at all connections
            assert await closed(*await connected(central)) == b""
        writer.write(WHOLE)
        assert (await answer(reader)).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_a_handshake_without_end_is_closed(tmp_path: Path) -> None:
    async with running(tmp_path, WITH_TLS, outside=outside(head=SOON)) as central:
        for sent in (b"", b"\x16\x03\x01"):
            reader, writer = await connected(central)
            writer.write(sent)
            assert await closed(reader, writer) == b""


async def test_handshakes_without_end_keep_nobody_out(tmp_path: Path) -> None:
    async with running(tmp_path, WITH_TLS, outside=outside(most=8)) as central:
        trusted = ssl.create_default_context(cafile=str(TLS / "cert.pem"))
        with ExitStack() as stack:
            address = urlsplit(central.url)
            begun = [stack.enter_context(socket.create_connection((address.hostname, address.port))) for _ in range(30)]
            assert (await central.counter("a", ssl=trusted)).status == 201
            for one in begun[:20]:
                assert await asyncio.to_thread(gone, one), "the oldest make room"
        assert (await central.counter("a", ssl=trusted)).status == 201


async def test_a_stop_does_not_wait_for_a_handshake(tmp_path: Path) -> None:
    async with running(tmp_path, WITH_TLS, outside=outside()) as central:
        reader, writer = await connected(central)
        assert (await central.counter("a", ssl=ssl.create_default_context(cafile=str(TLS / "cert.pem")))).status == 201
    assert await closed(reader, writer) == b""


async def test_idle_connections_keep_nobody_out_the_oldest_goes_first(tmp_path: Path) -> None:
    async with running(tmp_path, outside=outside(most=8)) as central:
        with ExitStack() as stack:
            address = urlsplit(central.url)
            idle = [stack.enter_context(socket.create_connection((address.hostname, address.port))) for _ in range(100)]
            assert (await central.counter("a")).status == 201
            for one in idle[:90]:
                assert await asyncio.to_thread(lambda one=one: gone(one)), "the oldest make room"  # type: ignore[misc]
            assert await central.meter('fiesta_busy_total{kind="connections"}') >= 90
        assert (await central.counter("a")).status == 201


def gone(one: socket.socket) -> bool:
    try:
        return one.recv(1) == b""
    except ConnectionError:
        return True


ANSWERS = 50
LIST = "/api/metrics?limit=1000"
NO_LIMIT = {"METRICS_RATE_LIMIT_DEFAULT": "1000000"}


async def deaf(central: Central, stack: ExitStack, count: int) -> list[socket.socket]:
    """Clients that ask for many large answers and read none."""
    names = [{"name": f"{'n' * 240}{name}", "type": "value", "value": 1} for name in range(1000)]
    assert (await central.batch(*names)).json["accepted"] == 1000
    address = urlsplit(central.url)
    made = []
    for _ in range(count):
        sock = stack.enter_context(socket.socket())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect((address.hostname, address.port))
        sock.sendall(f"GET {LIST} HTTP/1.1\r\nHost: x\r\nX-API-Key: {central.key}\r\n\r\n".encode() * ANSWERS)
        made.append(sock)
    return made


async def test_an_answer_that_nobody_reads_ends_with_its_connection(tmp_path: Path) -> None:
    async with running(tmp_path, NO_LIMIT, outside=outside(take=SOON)) as central:
        with ExitStack() as stack:
            clients = await deaf(central, stack, 3)
            while await central.meter('fiesta_busy_total{kind="unread answers"}') < len(clients):
                await a_moment()
            for sock in clients:
                assert await asyncio.to_thread(received, sock) < ANSWERS * 250_000, "it was closed before the last"


async def test_answers_that_nobody_reads_are_bounded_by_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_UNREAD_OF_ONE_KEY", 1 << 20)
    async with running(tmp_path, NO_LIMIT, outside=outside()) as central:
        with ExitStack() as stack:
            await deaf(central, stack, 12)
            while not await central.meter('fiesta_busy_total{kind="unread answers"}'):
                await a_moment()
            assert (await central.counter("a")).status == 201
            _, other = await central.new_key("query")
            assert (await central.ask("GET", LIST, key=other)).status == 200
        while (await central.ask("GET", LIST)).status != 200:
            await a_moment()  # the room is given back when they have gone


def received(sock: socket.socket) -> int:
    """Bytes that come until the service closes the connection."""
    count = 0
    try:
        while data := sock.recv(1 << 16):
            count += len(data)
    except ConnectionError:
        pass
    return count


class Counted:
    """A connection of which nothing is known but that it was ended."""

    ended = False

    def end(self) -> None:
        self.ended = True

    def has_begun(self) -> bool:
        return False


async def test_where_all_are_at_work_the_newest_is_closed() -> None:
    busy: Counter[str] = Counter()
    held = Connections(ConnectionBounds(most=2), busy)
    peers = [Counted(), Counted(), Counted(), Counted()]
    for peer in peers[:2]:
        held.opened(peer)
        held.asked(peer)
    held.opened(peers[2])
    held.lost(peers[2])
    assert [peer.ended for peer in peers] == [False, False, True, False]
    held.answering(peers[1])
    held.answered(peers[1])
    held.opened(peers[3])
    assert [peer.ended for peer in peers] == [False, True, True, False]
    assert busy[connections.CONNECTIONS] == 2
    held.close()


@pytest.mark.parametrize(
    ("descriptors", "room"),
    [(1_024, 1_024 - RESERVED), (65_536, 10_000), (10_256, 10_000), (400, 200), (64, 32)],
)
def test_descriptors_are_kept_for_the_store(descriptors: int, room: int) -> None:
    assert room_within(10_000, descriptors) == room
