"""However a connection ends, all that the kernel acknowledged is counted: as lines, or as one line cut.

Both event loops, since uvloop speaks of an error once and then no more.
"""

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import uvloop

from agent.receive.streams import StreamLimits, StreamReceiver, open_tcp
from agent.receive.unix import open_unix
from tests.patience import PATIENCE

LINES: Final = 20_000
LINE: Final = b"a:1|c\n"
RESET: Final = struct.pack("ii", 1, 0)
IDLE: Final = 0.05

Loop = Callable[[], asyncio.AbstractEventLoop]
loops = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])


class Taken:
    """Lines taken, and lines lost by reason."""

    def __init__(self) -> None:
        self.whole: list[bytes] = []
        self.lost_lines: list[str] = []

    def lines(self, lines: bytes, sender: str) -> None:
        self.whole += filter(None, lines.split(b"\n"))

    def lost(self, reason: str, lines: int, sample: bytes, sender: str) -> None:
        self.lost_lines += [reason] * lines

    def fault(self, error: Exception, lines: bytes, sender: str) -> None:
        raise error

    def unfinished(self, more: int) -> None:
        assert more in (-1, 1)


def listen(transport: str, folder: Path) -> socket.socket:
    if transport == "TCP":
        return open_tcp("127.0.0.1", 0)
    return open_unix(folder / "s", socket.SOCK_STREAM)


def connect(listener: socket.socket) -> socket.socket:
    client = socket.socket(listener.family, socket.SOCK_STREAM)
    client.connect(listener.getsockname())
    client.setblocking(False)
    return client


async def until(reached: Callable[[], bool]) -> None:
    """Look once in each turn of the loop: what is waited for is done by this loop."""
    loop, happened = asyncio.get_running_loop(), asyncio.Event()

    def check() -> None:
        if reached():
            happened.set()
        else:
            loop.call_soon(check)

    check()
    async with asyncio.timeout(PATIENCE):
        await happened.wait()


def run(new_loop: Loop, work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(work)


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()


def half_close(client: socket.socket) -> None:
    client.shutdown(socket.SHUT_WR)


def close(client: socket.socket) -> None:
    client.close()


def go_silent(client: socket.socket) -> None:
    """The connection stays open until the receiver has had enough of it."""


class Case(NamedTuple):
    """How a client ends its connection behind many lines and one that has no end yet, and what becomes of that."""

    transport: str
    end: Callable[[socket.socket], None]
    begun: bytes
    taken: list[bytes]
    lost: list[str]


CASES: Final = [
    Case("TCP", reset, b"", [], []),
    Case("TCP", reset, b"b:12", [], ["line_cut"]),
    Case("TCP", reset, b"b:12|c", [], ["line_cut"]),
    Case("TCP", half_close, b"", [], []),
    Case("TCP", half_close, b"b:12|c", [b"b:12|c"], []),
    Case("TCP", close, b"b:12|c", [b"b:12|c"], []),
    Case("TCP", go_silent, b"", [], []),
    Case("TCP", go_silent, b"b:12|c", [], ["line_cut"]),
    Case("unix", half_close, b"b:12|c", [b"b:12|c"], []),
    Case("unix", close, b"b:12|c", [b"b:12|c"], []),
    Case("unix", reset, b"b:12|c", [b"b:12|c"], []),  # the kernel knows no reset here: it is a close
    Case("unix", go_silent, b"b:12|c", [], ["line_cut"]),
]


@loops
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.transport}-{case.end.__name__}-{case.begun.decode()}")
def test_data_that_waits_at_the_end_of_a_connection_is_counted(new_loop: Loop, case: Case, tmp_path: Path) -> None:
    async def work() -> None:
        taken = Taken()
        listener = listen(case.transport, tmp_path)
        receiver = StreamReceiver(listener, taken, StreamLimits(idle_seconds=IDLE))
        receiver.start(asyncio.get_running_loop())
        with connect(listener) as client:
            await until(lambda: receiver.accepted == 1)
            text = memoryview(LINE * LINES + case.begun)
            while text:
                try:
                    text = text[client.send(text) :]
                except BlockingIOError:
                    await asyncio.sleep(0)
            # No turn of the loop from here to the end: a part of the lines is still in the kernel.
            case.end(client)
            await until(lambda: receiver.status().connections == 0)
        receiver.close()
        assert taken.whole == [LINE.rstrip()] * LINES + case.taken
        assert taken.lost_lines == case.lost

    run(new_loop, work())


@loops
def test_a_reset_before_the_connection_is_accepted_loses_nothing(new_loop: Loop) -> None:
    async def work() -> None:
        taken = Taken()
        listener = open_tcp("127.0.0.1", 0)
        receiver = StreamReceiver(listener, taken, StreamLimits())
        client = connect(listener)
        client.send(LINE * 1_000 + b"begun")
        reset(client)
        receiver.start(asyncio.get_running_loop())
        await until(lambda: receiver.accepted == 1 and receiver.status().connections == 0)
        receiver.close()
        assert (taken.whole, taken.lost_lines) == ([LINE.rstrip()] * 1_000, ["line_cut"])

    run(new_loop, work())


@loops
def test_many_resets_at_once_are_all_read_to_their_end(new_loop: Loop) -> None:
    async def work() -> None:
        taken = Taken()
        listener = open_tcp("127.0.0.1", 0)
        receiver = StreamReceiver(listener, taken, StreamLimits())
        receiver.start(asyncio.get_running_loop())
        clients = [connect(listener) for _ in range(100)]
        await until(lambda: receiver.accepted == 100)
        for client in clients:
            client.send(LINE * 5_000 + b"begun")
        for client in clients:
            reset(client)
        await until(lambda: receiver.status().connections == 0)
        receiver.close()
        assert len(taken.whole) == 100 * 5_000
        assert taken.lost_lines == ["line_cut"] * 100

    run(new_loop, work())


FRAME: Final = b"\x05\0\0\0a:1|c"
FRAMES: Final = [
    # begun: what comes behind whole frames | how the client ends | what is lost
    (b"", close, []),
    (b"\x05\0", close, ["line_cut"]),
    (b"\x0a\0\0\0a:1|c\nb", close, ["line_cut"]),
    (b"\x0a\0\0\0a:1|c\nb", go_silent, ["line_cut"]),
    (b"\xff\xff\xff\xff", close, ["frame_too_long", "line_cut"]),
]


@loops
@pytest.mark.parametrize(("begun", "end", "lost"), FRAMES)
def test_dogstatsd_frames_are_read_and_a_torn_one_is_counted(
    new_loop: Loop, begun: bytes, end: Callable[[socket.socket], None], lost: list[str], tmp_path: Path
) -> None:
    async def work() -> None:
        taken = Taken()
        listener = listen("unix", tmp_path)
        receiver = StreamReceiver(listener, taken, StreamLimits(idle_seconds=IDLE))
        receiver.start(asyncio.get_running_loop())
        with connect(listener) as client:
            client.send(FRAME * 1_000 + begun)
            end(client)
            await until(lambda: receiver.accepted == 1 and receiver.status().connections == 0)
        receiver.close()
        assert len(taken.whole) == 1_000 + begun.count(b"a:1|c")
        assert (set(taken.whole), taken.lost_lines) == ({b"a:1|c"}, lost)

    run(new_loop, work())


@loops
def test_a_unix_listener_that_refuses_keeps_what_waits(new_loop: Loop, tmp_path: Path) -> None:
    async def work() -> None:
        taken = Taken()
        listener = listen("unix", tmp_path)
        receiver = StreamReceiver(listener, taken, StreamLimits())
        receiver.start(asyncio.get_running_loop())
        with connect(listener) as client:
            client.send(FRAME)
            receiver.stop()
            receiver.refuse()
            with socket.socket(socket.AF_UNIX) as late, pytest.raises(ConnectionRefusedError):
                late.connect(listener.getsockname())
            receiver.drain()
        receiver.close()
        assert (taken.whole, taken.lost_lines, receiver.errors) == ([b"a:1|c"], [], 0)

    run(new_loop, work())
