"""Lines over connections, cut wherever the network likes, and bounded."""

import asyncio
import errno
import resource
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.receive.cutters import MAX_LINE
from agent.receive.streams import StreamLimits, StreamReceiver, open_tcp, refuse_connections
from tests.loop_time import skip
from tests.patience import PATIENCE

LONG = b"x" * (MAX_LINE + 1)


class ReceivedLines:
    """Lines received and lost, and an event for each."""

    def __init__(self) -> None:
        self.found: list[bytes] = []
        self.senders: set[str] = set()
        self.gone: list[str] = []
        self.begun = 0
        """Connections with a line that has not come to its end."""
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def lines(self, lines: bytes, sender: str) -> None:
        self.found += lines.split(b"\n")
        self.senders.add(sender)
        self._notify()

    def lost(self, reason: str, lines: int, sample: bytes, sender: str) -> None:
        self.gone += [reason] * lines
        assert sample
        self._notify()

    def fault(self, error: Exception, lines: bytes, sender: str) -> None:
        raise error

    def unfinished(self, more: int) -> None:
        self.begun += more

    def _notify(self) -> None:
        async def notify() -> None:
            async with self._changed:
                self._changed.notify_all()

        task = asyncio.get_running_loop().create_task(notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(reached)


@asynccontextmanager
async def receiving(**limits: float) -> AsyncIterator[tuple[StreamReceiver, ReceivedLines]]:
    received = ReceivedLines()
    receiver = StreamReceiver(open_tcp("127.0.0.1", 0), received, StreamLimits(**limits))  # type: ignore[arg-type]
    receiver.start(asyncio.get_running_loop())
    try:
        yield receiver, received
    finally:
        receiver.close()
        receiver.close()


Pipe = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(receiver: StreamReceiver) -> Pipe:
    return await asyncio.open_connection(*receiver.address)


async def ended(pipe: Pipe) -> None:
    """Wait until the receiver has closed the connection, and close it."""
    async with asyncio.timeout(PATIENCE):
        assert await pipe[0].read() == b""
    await leave(pipe)


async def leave(pipe: Pipe) -> None:
    pipe[1].close()
    await pipe[1].wait_closed()


async def test_lines_of_several_clients_are_taken_with_their_senders() -> None:
    async with receiving() as (receiver, received):
        pipes = [await connect(receiver) for _ in range(3)]
        for number, pipe in enumerate(pipes):
            pipe[1].write(b"a:%d|c\nb:1|c\nbegun" % number)
        await received.until(lambda: len(received.found) == 6)
        assert sorted(received.found) == [b"a:0|c", b"a:1|c", b"a:2|c", b"b:1|c", b"b:1|c", b"b:1|c"]
        assert received.senders == {f"127.0.0.1:{pipe[1].get_extra_info('sockname')[1]}" for pipe in pipes}
        status = receiver.status()
        assert status.name == f"TCP 127.0.0.1:{receiver.address[1]}"
        assert (status.connections, status.accepted, status.bytes) == (3, 3, 3 * 17)
        for pipe in pipes:
            await leave(pipe)
        await received.until(lambda: len(received.found) == 9)
        assert received.found[6:] == [b"begun"] * 3, "the last line of a closed connection needs no end"
        assert received.gone == []


async def test_a_connection_that_breaks_leaves_no_half_line() -> None:
    async with receiving() as (receiver, received):
        with socket.create_connection(receiver.address) as client:
            client.sendall(b"a:1|c\nb:1|c")
            await received.until(lambda: received.found == [b"a:1|c"])
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # close resets
        await received.until(lambda: received.gone == ["line_cut"])
        assert received.found == [b"a:1|c"]
        assert (receiver.status().connections, receiver.errors) == (0, 1)


async def test_a_line_that_is_too_long_is_counted_once_and_others_go_on() -> None:
    async with receiving() as (receiver, received):
        pipe = await connect(receiver)
        pipe[1].write(b"a:1|c\n" + LONG * 5 + b"\nb:1|c\n")
        await received.until(lambda: b"b:1|c" in received.found)
        assert (received.found, received.gone) == ([b"a:1|c", b"b:1|c"], ["line_too_long"])
        await leave(pipe)


async def test_more_connections_than_allowed_are_closed_at_once() -> None:
    async with receiving(connections=2) as (receiver, received):
        held = [await connect(receiver) for _ in range(2)]
        await ended(await connect(receiver))
        assert (receiver.refused, receiver.accepted) == (1, 2)
        held[1][1].write(b"last:1|c")
        await leave(held.pop())
        await received.until(lambda: received.found == [b"last:1|c"])
        again = await connect(receiver)
        again[1].write(b"a:1|c\n")
        await received.until(lambda: received.found[1:] == [b"a:1|c"])
        for pipe in (*held, again):
            await leave(pipe)


async def test_an_idle_connection_is_closed_and_a_busy_one_is_not() -> None:
    async with receiving(idle_seconds=10) as (receiver, received):
        busy, idle = await connect(receiver), await connect(receiver)
        idle[1].write(b"cut:1|c")
        closed = asyncio.create_task(ended(idle))
        count = 0
        while not closed.done():
            skip(4)
            count += 1
            busy[1].write(b"a:1|c\n")
            await received.until(lambda: received.found.count(b"a:1|c") == count)  # noqa: B023
        await closed
        assert (receiver.idle_closed, receiver.status().connections) == (1, 1)
        assert received.gone == ["line_cut"], "half a line, as far as we know"
        skip(10)
        await ended(busy)
        assert receiver.idle_closed == 2


async def test_drain_also_reads_connections_that_are_not_accepted_yet() -> None:
    async with receiving() as (receiver, received):
        known = await connect(receiver)
        known[1].write(b"a:1|c\n")
        await received.until(lambda: len(received.found) == 1)
        receiver.stop()
        receiver.stop()
        with socket.create_connection(receiver.address) as new, socket.create_connection(receiver.address) as whole:
            new.sendall(b"b:1|c\n" * 20_000 + b"begun")
            whole.sendall(b"c:1|c")
            whole.shutdown(socket.SHUT_WR)
            assert receiver.status().buffer_used == 0
            assert receiver.drain() == 20_000 * 6 + 10
            assert received.found.count(b"b:1|c") == 20_000
            assert received.found[-1] == b"c:1|c"
            receiver.close()
            assert received.gone == ["line_cut"]
        await ended(known)


def send_until_it_ends(address: tuple[str, int], lines: bytes) -> tuple[int, int]:
    """Bytes that the receiver's kernel had acknowledged at the end, and bytes that the client's kernel had taken."""
    sent = 0
    with socket.socket() as client:
        client.settimeout(60)
        try:
            client.connect(address)
            while True:
                sent += client.send(lines)
        except ConnectionError:
            acknowledged: int = struct.unpack_from(
                "Q", client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192), 120
            )[0]
            return max(acknowledged - 1, 0), sent  # its SYN is one of them


async def test_a_stop_reads_all_that_the_kernel_has_acknowledged() -> None:
    async with receiving() as (receiver, received):
        clients = [
            asyncio.create_task(asyncio.to_thread(send_until_it_ends, receiver.address, b"a:1|c\n" * 10**power))
            for power in (0, 0, 1, 2, 3)
        ]
        await received.until(lambda: len(received.found) > 10_000)
        receiver.stop()
        receiver.refuse()
        receiver.drain()
        receiver.close()
        acknowledged, sent = map(sum, zip(*(await asyncio.gather(*clients)), strict=True))
        assert receiver.bytes == acknowledged <= sent
        assert set(received.found) == {b"a:1|c"}
        assert len(received.found) * 6 <= receiver.bytes < (len(received.found) + len(clients)) * 6
        assert receiver.errors == 0
        assert set(received.gone) <= {"line_cut"}


async def test_a_refusing_listener_keeps_the_connections_that_wait() -> None:
    with open_tcp("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()) as waits:
        waits.sendall(b"a:1|c\n")
        refuse_connections(listener)
        with socket.socket() as late:
            late.setblocking(False)
            assert late.connect_ex(listener.getsockname()) == errno.EINPROGRESS
            accepted, _ = listener.accept()
            with accepted, pytest.raises(BlockingIOError):
                assert accepted.recv(100) == b"a:1|c\n"
                listener.accept()


async def test_a_unix_stream_socket_serves_lines_too_and_knows_the_process(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.setblocking(False)
    listener.bind(str(tmp_path / "s"))
    listener.listen()
    received = ReceivedLines()
    receiver = StreamReceiver(listener, received, StreamLimits())
    receiver.start(asyncio.get_running_loop())
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(tmp_path / "s"))
        client.sendall(b"a:1|c\n")
        await received.until(lambda: received.found == [b"a:1|c"])
    (sender,) = received.senders
    assert sender.startswith("pid ")
    assert receiver.name == f"unix stream {tmp_path / 's'}"
    receiver.close()


async def test_without_descriptors_the_loop_goes_on_and_accepts_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.receive.streams.NO_ROOM_SECONDS", 0.01)
    async with receiving() as (receiver, received):
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.socket() as client:
            with socket.socket() as probe:
                lowest = probe.fileno()
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
            try:
                client.connect(receiver.address)
                for _ in range(10):
                    await asyncio.sleep(0)
                assert receiver.errors
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            client.sendall(b"a:1|c\n")
            await received.until(lambda: received.found == [b"a:1|c"])


async def test_a_flood_on_one_connection_does_not_block_others() -> None:
    async with receiving() as (receiver, received):
        flood, other = await connect(receiver), await connect(receiver)
        flood[1].write(b"f:1|c\n" * 300_000)
        other[1].write(b"o:1|c\n")
        await received.until(lambda: b"o:1|c" in received.found)
        await received.until(lambda: len(received.found) == 300_001)
        for pipe in (flood, other):
            await leave(pipe)


def test_all_of_ipv6_takes_ipv4_too() -> None:
    with open_tcp("::", 0) as listener, socket.create_connection(("127.0.0.1", listener.getsockname()[1])):
        listener.setblocking(True)
        listener.accept()[0].close()
