"""Unix datagram sockets: whose path it is, and that nothing is cut in silence."""

import errno
import socket
import stat
from pathlib import Path

import pytest

from agent.receive.datagrams import MAX_DATAGRAM, DatagramReceiver
from agent.receive.unix import open_unix, read_whole, remove_own


class ReceivedLines:
    def __init__(self) -> None:
        self.whole: list[bytes] = []
        self.cut: list[bytes] = []

    def receiver(self, sock: socket.socket) -> DatagramReceiver:
        return DatagramReceiver(sock, read_whole(self.whole.append, self.cut.append))


def send(path: Path, *packets: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        for packet in packets:
            sender.sendto(packet, str(path))


def test_datagrams_are_fed_whole_and_in_order_as_the_status_shows(tmp_path: Path) -> None:
    path, received = tmp_path / "a.sock", ReceivedLines()
    receiver = received.receiver(open_unix(path))
    sent = [b"a:1|c", b"", b"x" * MAX_DATAGRAM, b"b:2|c\n"]
    send(path, *sent)
    assert receiver.drain() == 4
    assert (received.whole, received.cut) == (sent, [])
    status = receiver.status()
    assert status.name == f"unix {path}"
    assert (status.packets, status.bytes, status.truncated, status.kernel_drops) == (4, 11 + MAX_DATAGRAM, 0, 0)
    assert status.buffer_granted is None
    receiver.close()


def test_a_datagram_that_is_too_long_is_cut_and_counted_whole(tmp_path: Path) -> None:
    path, received = tmp_path / "a.sock", ReceivedLines()
    receiver = received.receiver(open_unix(path))
    send(path, b"y" * (MAX_DATAGRAM + 1), b"a:1|c", b"z" * 200_000)
    receiver.drain()
    assert received.whole == [b"a:1|c"]
    assert received.cut == [b"y" * MAX_DATAGRAM, b"z" * MAX_DATAGRAM]
    assert (receiver.truncated, receiver.bytes) == (2, MAX_DATAGRAM + 1 + 5 + 200_000)
    receiver.close()


def test_after_refuse_a_sender_gets_an_error_and_what_waited_is_read(tmp_path: Path) -> None:
    path, received = tmp_path / "a.sock", ReceivedLines()
    receiver = received.receiver(open_unix(path))
    send(path, b"a:1|c", b"b:2|c")
    receiver.refuse()
    with pytest.raises(BrokenPipeError):
        send(path, b"c:3|c")
    assert receiver.drain() == 2
    assert receiver.drain() == 0
    assert received.whole == [b"a:1|c", b"b:2|c"]
    receiver.close()


def test_every_user_may_send(tmp_path: Path) -> None:
    with open_unix(tmp_path / "a.sock"):
        assert stat.S_IMODE((tmp_path / "a.sock").stat().st_mode) == 0o666


def test_the_socket_file_of_a_dead_agent_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    open_unix(path).close()
    with open_unix(path) as again:
        again.setblocking(True)
        send(path, b"a:1|c")
        assert again.recv(10) == b"a:1|c"


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_socket_file_in_use_is_not_replaced(tmp_path: Path, kind: socket.SocketKind) -> None:
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX, kind) as theirs:
        theirs.bind(str(path))
        if kind == socket.SOCK_STREAM:
            theirs.listen()
        with pytest.raises(OSError, match="listens there") as raised:
            open_unix(path)
        assert raised.value.errno == errno.EADDRINUSE
        assert path.exists()


def test_a_file_that_is_not_a_socket_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    path.write_text("precious")
    with pytest.raises(OSError, match="no socket"):
        open_unix(path)
    assert path.read_text() == "precious"


def test_a_missing_folder_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_unix(tmp_path / "none" / "a.sock")


def test_only_our_own_file_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with open_unix(path):
        ours = path.stat().st_ino
        path.rename(tmp_path / "moved")
        with open_unix(path):
            remove_own(path, ours)
            assert path.exists()
            remove_own(path, path.stat().st_ino)
    assert not path.exists()
    remove_own(path, ours)


def test_a_socket_that_fails_is_counted_and_not_raised(tmp_path: Path) -> None:
    sock = open_unix(tmp_path / "a.sock")
    receiver = ReceivedLines().receiver(sock)
    sock.close()
    assert receiver.drain() == 0
    assert receiver.errors == 1
