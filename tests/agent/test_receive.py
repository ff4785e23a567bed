"""The UDP receiver on real sockets: every datagram, whole and in order; what was granted; what was dropped."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent.compiled import CORE
from agent.receive import DatagramReceiver, Taken, granted_buffer, open_udp, parse_drops, read_batches, read_each

UDP_TABLE = """\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  301: 0100007F:1FBD 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 41234 2 0000000000000000 17
  302: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 41235 2 0000000000000000 0
  303: torn
"""
UDP6_TABLE = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when \
retrnsmt   uid  timeout inode ref pointer drops
  301: 00000000000000000000000001000000:1FBD 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 \
00000000     0        0 999 2 0000000000000000 3
"""


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
            await asyncio.wait_for(self._enough.wait(), 10)


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


async def test_more_than_one_turns_worth_is_read_in_several_turns(
    receiver: DatagramReceiver, inbox: Inbox, send: Callable[[bytes], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.receive.PACKETS_A_TURN", 2)
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


async def test_stop_holds_between_two_turns_too(
    receiver: DatagramReceiver, inbox: Inbox, send: Callable[[bytes], None]
) -> None:
    receiver.start(asyncio.get_running_loop())
    send(b"first")
    await inbox.wait_for(1)
    receiver.stop()
    send(b"second")
    assert receiver.drain() == 1
    assert inbox.packets == [b"first", b"second"]


async def test_a_socket_that_fails_is_counted_and_not_raised(receiver: DatagramReceiver) -> None:
    receiver._sock.close()
    assert receiver.drain() == 0
    assert receiver.errors == 1


@pytest.mark.parametrize("at_most", [1, 64, 100, 256])
def test_batches_are_counted_as_single_datagrams_are(at_most: int) -> None:
    """In the compiled core, up to as many as asked for, and then it is looked whether to settle."""
    assert CORE is not None
    core, looks = CORE(lambda name, tail: (1_000, name)), []
    read = read_batches(core, lambda: looks.append(core.left))
    sock = open_udp("127.0.0.1", 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(200):
            sender.sendto(b"a:1|c\n?", sock.getsockname())
    assert read(sock, at_most) == Taken(min(at_most, 200), 7 * min(at_most, 200))
    read(sock, 200)
    assert read(sock, 1) == Taken(0, 0)
    sock.close()
    assert read(sock, 1) == Taken(0, 0, failed=True)
    ((name, lines, *_),), left = core.take()
    assert (name, lines, left) == (b"a", 200, b"?\n" * 200)
    assert looks == sorted(looks)
    assert looks[-1] == 400


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


async def test_drops_of_the_kernel_are_seen(inbox: Inbox) -> None:
    receiver = DatagramReceiver(open_udp("127.0.0.1", 0, 4096), read_each(inbox.feed))
    assert receiver.kernel_drops() == 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(200):
            sender.sendto(b"x" * 1000, receiver.address)
    read, dropped = receiver.drain(), receiver.kernel_drops()
    assert dropped
    assert read + dropped == 200
    receiver.close()


async def test_drops_are_unknown_where_the_kernel_does_not_say(receiver: DatagramReceiver, tmp_path: Path) -> None:
    assert receiver.kernel_drops(tmp_path) is None
    (tmp_path / "udp").write_text(UDP_TABLE)
    assert receiver.kernel_drops(tmp_path) is None


@pytest.mark.parametrize(
    ("table", "inode", "drops"),
    [(UDP_TABLE, 41234, 17), (UDP_TABLE, 41235, 0), (UDP_TABLE, 4123, None), (UDP6_TABLE, 999, 3), ("", 1, None)],
)
def test_drops_are_read_from_the_sockets_own_line(table: str, inode: int, drops: int | None) -> None:
    assert parse_drops(table, inode) == drops
