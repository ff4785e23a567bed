"""Datagrams with and without a look at their sender: the same lines, the same books."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.ledger import Ledger
from agent.receive.bad_lines import FEW_LINES, BadLines
from agent.receive.datagrams import MAX_DATAGRAM, DatagramReceiver, open_udp, read_each
from agent.receive.intake import Intake
from agent.receive.unix import open_unix, read_whole


class Desk:
    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self.ledger = Ledger()
        self.told: list[str] = []
        self.bad = BadLines(lambda event, message: self.told.append(message), lambda: 0.0)
        self.taker = Intake(self.packets.append, self.ledger, self.bad)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def udp(desk: Desk) -> Iterator[DatagramReceiver]:
    receiver = DatagramReceiver(open_udp("127.0.0.1", 0), desk.taker.watching(read_each(desk.packets.append)))
    yield receiver
    receiver.close()


@pytest.fixture
def unix(desk: Desk, tmp_path: Path) -> Iterator[DatagramReceiver]:
    taker = desk.taker
    read = taker.watching(read_whole(taker.feed, taker.cut))
    receiver = DatagramReceiver(open_unix(tmp_path / "a.sock"), read)
    yield receiver
    receiver.close()


def test_datagrams_stay_in_order_while_bad_lines_are_looked_for(desk: Desk, udp: DatagramReceiver) -> None:
    sent = [b"a:%d|c" % number for number in range(FEW_LINES + 50)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for packet in sent:
            client.sendto(packet, udp.address)
        assert udp.drain() == len(sent)
        assert desk.packets == sent
        assert not desk.bad.armed
        assert (udp.packets, udp.bytes) == (len(sent), sum(map(len, sent)))


def test_a_bad_line_over_udp_is_shown_with_its_address(desk: Desk, udp: DatagramReceiver) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"a:1|c\nb:1|x", udp.address)
        udp.drain()
        assert desk.told == [f"unknown_type: 'b:1|x' from 127.0.0.1:{client.getsockname()[1]}"]


@pytest.mark.parametrize("bound", [False, True])
def test_a_bad_line_over_unix_is_shown_with_its_process(
    desk: Desk, unix: DatagramReceiver, tmp_path: Path, bound: bool
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        if bound:
            client.bind(str(tmp_path / "client"))
        client.sendto(b"b:1|x", str(tmp_path / "a.sock"))
    unix.drain()
    path = f"{tmp_path / 'client'} " if bound else ""
    assert desk.told == [f"unknown_type: 'b:1|x' from {path}pid {os.getpid()}, uid {os.getuid()}"]


@pytest.mark.parametrize("armed", [True, False])
def test_a_cut_datagram_counts_its_whole_lines_and_the_last_as_truncated(
    desk: Desk, unix: DatagramReceiver, tmp_path: Path, armed: bool
) -> None:
    if not armed:
        desk.bad.inspect(b"\n" * FEW_LINES, "")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.sendto(b"a:1|c\nb:1|c\n" + b"c" * MAX_DATAGRAM, str(tmp_path / "a.sock"))
        client.sendto(b"d" * (MAX_DATAGRAM + 1), str(tmp_path / "a.sock"))
    unix.drain()
    assert desk.packets == [b"a:1|c\nb:1|c"]
    assert (desk.ledger.received, desk.ledger.dropped) == (2, {"truncated": 2})
    assert unix.status().truncated == 2
    sender = f"pid {os.getpid()}, uid {os.getuid()}" if armed else "an unknown sender"
    assert len(desk.told) == 1
    assert desk.told[0].endswith(sender)


def test_a_socket_that_fails_while_lines_are_looked_at_is_counted(desk: Desk) -> None:
    sock = open_udp("127.0.0.1", 0)
    udp = DatagramReceiver(sock, desk.taker.watching(read_each(desk.packets.append)))
    sock.close()
    assert udp.drain() == 0
    assert udp.errors == 1
