"""Datagrams with and without a look at their sender: the same lines, the same ledger."""

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import uvloop

from agent.ledger import Ledger
from agent.receive.bad_lines import FEW_LINES, BadLines
from agent.receive.datagrams import MAX_DATAGRAM, DatagramReceiver, open_udp, read_each
from agent.receive.intake import Intake
from agent.receive.streams import StreamLimits, StreamReceiver, open_tcp
from agent.receive.unix import open_unix, read_whole


class Received:
    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self.ledger = Ledger()
        self.events: list[str] = []
        self.bad = BadLines(lambda event, message: self.events.append(message), lambda: 0.0)
        self.intake = Intake(self.packets.append, self.ledger, self.bad)


@pytest.fixture
def received() -> Received:
    return Received()


@pytest.fixture
def udp(received: Received) -> Iterator[DatagramReceiver]:
    receiver = DatagramReceiver(open_udp("127.0.0.1", 0), received.intake.watching(read_each(received.packets.append)))
    yield receiver
    receiver.close()


@pytest.fixture
def unix(received: Received, tmp_path: Path) -> Iterator[DatagramReceiver]:
    intake = received.intake
    read = intake.watching(read_whole(intake.feed, intake.cut))
    receiver = DatagramReceiver(open_unix(tmp_path / "a.sock"), read)
    yield receiver
    receiver.close()


def test_datagrams_stay_in_order_while_lines_are_inspected(received: Received, udp: DatagramReceiver) -> None:
    sent = [b"a:%d|c" % number for number in range(FEW_LINES + 50)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for packet in sent:
            client.sendto(packet, udp.address)
        assert udp.drain() == len(sent)
        assert received.packets == sent
        assert not received.bad.armed
        assert (udp.packets, udp.bytes) == (len(sent), sum(map(len, sent)))


def test_a_bad_line_over_udp_is_shown_with_its_address(received: Received, udp: DatagramReceiver) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"a:1|c\nb:1|x", udp.address)
        udp.drain()
        assert received.events == [f"unknown_type: 'b:1|x' from 127.0.0.1:{client.getsockname()[1]}"]


@pytest.mark.parametrize("bound", [False, True])
def test_a_bad_line_over_unix_is_shown_with_its_process(
    received: Received, unix: DatagramReceiver, tmp_path: Path, bound: bool
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        if bound:
            client.bind(str(tmp_path / "client"))
        client.sendto(b"b:1|x", str(tmp_path / "a.sock"))
    unix.drain()
    path = f"{tmp_path / 'client'} " if bound else ""
    assert received.events == [f"unknown_type: 'b:1|x' from {path}pid {os.getpid()}, uid {os.getuid()}"]


@pytest.mark.parametrize("armed", [True, False])
def test_a_cut_datagram_counts_its_whole_lines_and_the_last_as_truncated(
    received: Received, unix: DatagramReceiver, tmp_path: Path, armed: bool
) -> None:
    if not armed:
        received.bad.inspect(b"\n" * FEW_LINES, "")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.sendto(b"a:1|c\nb:1|c\n" + b"c" * MAX_DATAGRAM, str(tmp_path / "a.sock"))
        client.sendto(b"d" * (MAX_DATAGRAM + 1), str(tmp_path / "a.sock"))
    unix.drain()
    assert received.packets == [b"a:1|c\nb:1|c"]
    assert (received.ledger.received, received.ledger.dropped) == (2, {"truncated": 2})
    assert unix.status().truncated == 2
    sender = f"pid {os.getpid()}, uid {os.getuid()}" if armed else "an unknown sender"
    assert len(received.events) == 1
    assert received.events[0].endswith(sender)


def test_a_socket_that_fails_while_lines_are_inspected_is_counted(received: Received) -> None:
    sock = open_udp("127.0.0.1", 0)
    udp = DatagramReceiver(sock, received.intake.watching(read_each(received.packets.append)))
    sock.close()
    assert udp.drain() == 0
    assert udp.errors == 1


def failing_feed(received: Received, packet: bytes) -> None:
    if b"bad" in packet:
        raise ZeroDivisionError("by a bad line")
    received.packets.append(packet)


@pytest.mark.parametrize(("armed", "lost"), [(True, 5), (False, 3)])
def test_an_exception_loses_only_its_lines_and_is_reported_once(received: Received, armed: bool, lost: int) -> None:
    """Without a look at single datagrams nobody knows how many lines there were: then it counts as one."""
    feed = partial(failing_feed, received)
    received.intake = Intake(feed, received.ledger, received.bad)
    if not armed:
        received.bad.inspect(b"\n" * FEW_LINES, "")
    udp = DatagramReceiver(open_udp("127.0.0.1", 0), received.intake.watching(read_each(feed)))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for packet in (b"a:1|c", b"bad:1|c\nb:1|c\nc:1|c", b"d:1|c", b"bad:2|c", b"bad:3|c", b"e:1|c"):
            client.sendto(packet, udp.address)
    while udp.drain():
        pass
    udp.close()
    assert received.packets == [b"a:1|c", b"d:1|c", b"e:1|c"]
    assert (received.ledger.received, received.ledger.dropped) == (lost, {"agent_fault": lost})
    assert len(received.events) == 1
    assert received.events[0].startswith("ZeroDivisionError: by a bad line at failing_feed:")


class BadSink(Intake):
    """Fails at some lines in a way that Intake itself does not."""

    def lines(self, lines: bytes, sender: str) -> None:
        if b"bad" in lines:
            raise ZeroDivisionError("by a bad line")
        super().lines(lines, sender)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_an_exception_ends_its_connection_alone(
    received: Received, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def talk() -> None:
        sink = BadSink(received.packets.append, received.ledger, received.bad)
        receiver = StreamReceiver(open_tcp("127.0.0.1", 0), sink, StreamLimits())
        receiver.start(asyncio.get_running_loop())
        first, second = [await asyncio.open_connection(*receiver.address) for _ in range(2)]
        first[1].write(b"bad:1|c\nbad:2|c\nhal")
        assert await first[0].read() == b"", "it is closed"
        second[1].write(b"a:1|c\n")
        second[1].close()
        third = await asyncio.open_connection(*receiver.address)
        third[1].write(b"bad:3|c\n")
        third[1].write_eof()
        await third[0].read()
        receiver.stop()
        receiver.drain()
        receiver.close()
        for _, writer in (first, third):
            writer.close()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(talk())
    assert received.packets == [b"a:1|c"]
    assert received.ledger.dropped == {"agent_fault": 4}
    assert len(received.events) == 1
