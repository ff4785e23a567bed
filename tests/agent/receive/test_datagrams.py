"""The UDP receiver on real sockets: every datagram, whole and in order; what was granted; what was dropped."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from agent.aggregate.compiled import CORE
from agent.receive.datagrams import (
    MOST_AT_ONCE,
    NEW_PER_TURN,
    RECEIVE_BUFFER,
    DatagramReceiver,
    ReadResult,
    granted_buffer,
    open_udp,
    read_batches,
    read_each,
)
from tests.patience import PATIENCE


class Inbox:
    """Datagrams fed, and an event for when so many are there."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self._enough = asyncio.Event()
        self._wanted = 0

    def feed(self, packet: bytes) -> None:
        self.packets.append(packet)
        if len(self.packets) >= self._wanted:
            self._enough.set()

    async def wait_for(self, count: int) -> None:
        self._wanted = count
        if len(self.packets) < count:
            self._enough.clear()
            await asyncio.wait_for(self._enough.wait(), PATIENCE)


@pytest.fixture
async def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
async def receiver(inbox: Inbox) -> AsyncIterator[DatagramReceiver]:
    receiver = DatagramReceiver(open_udp("127.0.0.1", 0), read_each(inbox.feed))
    yield receiver
    receiver.close()


@pytest.fixture
def send(receiver: DatagramReceiver) -> Callable[[bytes], None]:
    def to_receiver(packet: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(packet, receiver.address)

    return to_receiver


async def test_every_datagram_is_fed_whole_and_in_order(
    receiver: DatagramReceiver, inbox: Inbox, send: Callable[[bytes], None]
) -> None:
    receiver.start(asyncio.get_running_loop())
    sent = [b"a:1|c", b"", b"x" * 65_507, b"b:2|c\n"]
    for packet in sent:
        send(packet)
    await inbox.wait_for(4)
    assert inbox.packets == sent
    assert (receiver.packets, receiver.bytes, receiver.errors) == (4, 65_518, 0)


async def test_many_packets_are_read_in_several_turns(
    receiver: DatagramReceiver, inbox: Inbox, send: Callable[[bytes], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.receive.datagrams.PACKETS_PER_TURN", 2)
    for index in range(7):
        send(b"%d" % index)
    receiver.start(asyncio.get_running_loop())
    await inbox.wait_for(7)
    assert inbox.packets == [b"%d" % index for index in range(7)]


async def test_after_stop_drain_reads_what_waits(
    receiver: DatagramReceiver, inbox: Inbox, send: Callable[[bytes], None]
) -> None:
    receiver.start(asyncio.get_running_loop())
    receiver.stop()
    receiver.stop()
    for index in range(600):
        send(b"%d" % index)
    assert receiver.drain() == 600
    assert len(inbox.packets) == 600
    assert receiver.drain() == 0


async def test_stop_also_works_between_two_reads(
    receiver: DatagramReceiver, inbox: Inbox, send: Callable[[bytes], None]
) -> None:
    receiver.start(asyncio.get_running_loop())
    send(b"first")
    await inbox.wait_for(1)
    receiver.stop()
    send(b"second")
    assert receiver.drain() == 1
    assert inbox.packets == [b"first", b"second"]


@pytest.mark.parametrize(
    ("bound", "target"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "::1"), ("::", "::1"), ("::", "127.0.0.1")],
)
async def test_after_refuse_only_what_waited_is_read(inbox: Inbox, bound: str, target: str) -> None:
    receiver = DatagramReceiver(open_udp(bound, 0), read_each(inbox.feed))
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.connect((target, receiver.address[1]))
        sender.send(b"before")
        receiver.refuse()
        sender.send(b"after")
        with pytest.raises(ConnectionRefusedError):
            sender.send(b"the kernel answers the one before")
    assert receiver.drain() == 1
    assert inbox.packets == [b"before"]
    receiver.close()


async def test_a_socket_that_another_process_holds_goes_on_taking(inbox: Inbox) -> None:
    receiver = DatagramReceiver(open_udp("127.0.0.1", 0), read_each(inbox.feed), ours=False)
    receiver.refuse()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"for the next agent", receiver.address)
    assert receiver.drain() == 1
    receiver.close()


async def test_a_socket_that_fails_is_counted_and_not_raised(inbox: Inbox) -> None:
    sock = open_udp("127.0.0.1", 0)
    receiver = DatagramReceiver(sock, read_each(inbox.feed))
    sock.close()
    assert receiver.drain() == 0
    assert receiver.errors == 1


@pytest.mark.parametrize("at_most", [1, 64, 100, 256])
def test_batches_are_counted_as_single_datagrams_are(at_most: int) -> None:
    """In the compiled core, up to as many as asked for, and then it is looked whether to settle."""
    assert CORE is not None
    core, looks = CORE(lambda name, tail: (1_000, name)), []
    read = read_batches(core, lambda: looks.append(core.left), lambda: 0)
    sock = open_udp("127.0.0.1", 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(200):
            sender.sendto(b"a:1|c\n?", sock.getsockname())
    assert read(sock, at_most) == ReadResult(min(at_most, 200), 7 * min(at_most, 200))
    read(sock, 200)
    assert read(sock, 1) == ReadResult(0, 0)
    sock.close()
    assert read(sock, 1) == ReadResult(0, 0, failed=True)
    taken, left = core.take()
    ((name, lines, *_),) = taken
    assert (name, lines, left) == (b"a", 200, b"?\n" * 200)
    assert looks == sorted(looks)
    assert looks[-1] == 400


def test_while_many_names_are_new_fewer_datagrams_are_taken_at_once() -> None:
    """To learn a name takes time, in which no other task runs."""
    assert CORE is not None
    learned: list[bytes] = []

    def learn(name: bytes, tail: bytes) -> tuple[int, bytes]:
        learned.append(name)
        return 1_000, name

    core = CORE(learn)
    receiver = DatagramReceiver(open_udp("127.0.0.1", 0), read_batches(core, lambda: None, lambda: len(learned)))
    send_new(receiver, b"a")
    turns: list[int] = []
    while receiver._read(256).packets:
        turns.append(len(learned) - sum(turns))
    assert max(turns) <= NEW_PER_TURN
    _, left = core.take()
    assert sum(turns) + left.count(b"\n") == 3_000
    assert left.count(b"\n") == MOST_AT_ONCE * 30 - NEW_PER_TURN, "only the first read was too large"
    send_new(receiver, b"b")
    assert (receiver.drain(), len(learned) - sum(turns)) == (100, 3_000)
    send_new(receiver, b"b")
    assert (receiver._read(256).packets, len(learned) - sum(turns)) == (100, 3_000)
    receiver.close()


def send_new(receiver: DatagramReceiver, name: bytes) -> None:
    """100 packets of 30 names."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for first in range(0, 3_000, 30):
            sender.sendto(b"\n".join(b"%b%d:1|c" % (name, first + line) for line in range(30)), receiver.address)


async def test_ipv6_is_received_too(inbox: Inbox) -> None:
    receiver = DatagramReceiver(open_udp("::1", 0), read_each(inbox.feed))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"a:1|c", receiver.address)
    assert receiver.address[0] == "::1"
    assert receiver.drain() == 1
    receiver.close()
    receiver.close()


def test_a_port_in_use_is_an_os_error() -> None:
    with open_udp("127.0.0.1", 0) as taken, pytest.raises(OSError) as raised:
        open_udp("127.0.0.1", taken.getsockname()[1])
    assert raised.value.errno == errno.EADDRINUSE


def test_the_granted_buffer_is_what_can_be_used() -> None:
    with open_udp("127.0.0.1", 0, 65_536) as sock:
        assert granted_buffer(sock) == 65_536


async def test_kernel_drops_and_waiting_bytes_are_shown(inbox: Inbox) -> None:
    receiver = DatagramReceiver(open_udp("127.0.0.1", 0, 4096), read_each(inbox.feed))
    status = receiver.status()
    assert (status.kernel_drops, status.buffer_used) == (0, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(200):
            sender.sendto(b"x" * 1000, receiver.address)
    assert (receiver.status().buffer_used or 0) > 1000
    read, dropped = receiver.drain(), receiver.status().kernel_drops
    assert dropped
    assert read + dropped == 200
    assert receiver.status().buffer_used == 0
    receiver.close()
    assert receiver.status().kernel_drops is None


async def test_the_status_of_a_udp_socket(receiver: DatagramReceiver, send: Callable[[bytes], None]) -> None:
    send(b"foo:1|c")
    receiver.drain()
    status = receiver.status()
    assert status.name == f"UDP 127.0.0.1:{receiver.address[1]}"
    assert (status.packets, status.bytes, status.errors, status.truncated) == (1, 7, 0, 0)
    assert (status.buffer_asked, status.buffer_granted) == (RECEIVE_BUFFER, receiver.granted)
    assert status.connections is None


async def test_all_of_ipv6_takes_ipv4_too(inbox: Inbox) -> None:
    receiver = DatagramReceiver(open_udp("::", 0), read_each(inbox.feed))
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.sendto(host.encode(), (host, receiver.address[1]))
    receiver.drain()
    assert inbox.packets == [b"127.0.0.1", b"::1"]
    receiver.close()
