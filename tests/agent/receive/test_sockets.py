"""Which sockets are opened, under which names, and what is left when they close."""

import shutil
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from agent.ledger import Ledger
from agent.receive.activation import Passed, SocketKind
from agent.receive.bad_lines import BadLines
from agent.receive.datagrams import open_udp, read_each
from agent.receive.gauge_signs import KINDS
from agent.receive.intake import Intake
from agent.receive.sockets import Receiver, Receivers, SocketSettings, open_receivers, report_passed
from agent.receive.streams import StreamLimits, open_tcp
from agent.receive.unix import open_unix
from runtime.start_error import StartError
from tests.agent.fakes import EventLog

ANY = ("127.0.0.1", 0)


def open_all(settings: SocketSettings, stack: ExitStack, *passed: Passed) -> Receivers:
    lines: list[bytes] = []
    read = read_each(lines.append)
    intake = Intake(lines.append, Ledger(), BadLines(lambda event, message: None, lambda: 0.0))
    return open_receivers(settings, passed, dict.fromkeys(KINDS, intake), dict.fromkeys(("UDP", "unix"), read), stack)


def socket_settings(unix: Path | None = None, tcp: tuple[str, int] | None = None) -> SocketSettings:
    return SocketSettings(ANY, unix, tcp, StreamLimits())


def test_a_unix_stream_socket_is_opened_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with ExitStack() as stack:
        asked = socket_settings()._replace(unix_stream=path)
        assert [one.name for one in open_all(asked, stack)][1:] == [f"unix stream {path}"]
        with pytest.raises(StartError, match="FIESTA_AGENT_UNIX_STREAM"):
            open_all(asked, stack)
    assert not path.exists()


def kinds(receivers: list[Receiver]) -> list[str]:
    return [receiver.name.split()[0] for receiver in receivers]


def test_udp_alone_unless_more_is_asked_for(tmp_path: Path) -> None:
    with ExitStack() as stack:
        assert kinds(open_all(socket_settings(), stack)) == ["UDP"]
        assert kinds(open_all(socket_settings(tmp_path / "a.sock", ANY), stack)) == ["UDP", "unix", "TCP"]
        assert (tmp_path / "a.sock").is_socket()
    assert not (tmp_path / "a.sock").exists()


def test_a_passed_socket_replaces_only_the_setting_of_its_kind(tmp_path: Path) -> None:
    path = tmp_path / "passed.sock"
    events: list[str] = []
    asked = socket_settings(tmp_path / "a.sock", ANY)
    with ExitStack() as stack:
        passed = [
            Passed("unix", open_unix(path), ""),
            Passed("TCP", open_tcp(*ANY), ""),
            Passed("TCP", open_tcp("::1", 0), ""),
        ]
        report_passed(passed, asked, lambda event, message: events.append(message))
        assert kinds(open_all(asked, stack, *passed)) == ["unix", "TCP", "TCP", "UDP"]
        assert not (tmp_path / "a.sock").exists()
    assert path.exists(), "a socket of somebody else keeps its path"
    assert events[0] == f"unix {path} came from the process that started us; FIESTA_AGENT_UNIX is not used"
    assert events[1].startswith("TCP 127.0.0.1:")
    assert events[1].count("TCP") == 3
    assert len(events) == 2


def test_several_sockets_of_one_address_have_different_names() -> None:
    with ExitStack() as stack:
        one = open_udp(*ANY)
        receivers = open_all(socket_settings(), stack, Passed("UDP", one, ""), Passed("UDP", one.dup(), ""))
        assert receivers[1].name == f"{receivers[0].name} #2"


def test_a_passed_udp_socket_gets_our_receive_buffer() -> None:
    with ExitStack() as stack:
        small = open_udp("127.0.0.1", 0, 4_096)
        (receiver,) = open_all(socket_settings(), stack, Passed("UDP", small, ""))
        assert (receiver.status().buffer_granted or 0) > 4_096


def test_a_taken_address_is_reported_with_its_setting_and_all_closes(tmp_path: Path) -> None:
    path = tmp_path / "none" / "a.sock"
    with (
        pytest.raises(StartError, match=f"^FIESTA_AGENT_UNIX {path} cannot be used: No such file.*; make its folder"),
        ExitStack() as s,
    ):
        open_all(socket_settings(path), s)
    with open_tcp(*ANY) as taken:
        address = taken.getsockname()
        with (
            pytest.raises(StartError, match=f"^FIESTA_AGENT_TCP .*:{address[1]} cannot be used: .*in use"),
            ExitStack() as s,
        ):
            open_all(socket_settings(tmp_path / "a.sock", address), s)
    assert not (tmp_path / "a.sock").exists()


@pytest.mark.parametrize("kind", ["UDP", "TCP"])
def test_a_passed_socket_is_reported_with_the_setting_it_replaces(kind: SocketKind) -> None:
    events: list[str] = []
    sock = open_udp(*ANY) if kind == "UDP" else open_tcp(*ANY)
    with sock:
        report_passed([Passed(kind, sock, "")], socket_settings(), lambda event, message: events.append(message))
    assert ("is not used" in events[0]) == (kind == "UDP")


def test_localhost_listens_on_both_loopback_addresses() -> None:
    with ExitStack() as stack:
        asked = SocketSettings(("localhost", 0), None, ("LOCALHOST", 0), StreamLimits())
        names = [one.name for one in open_all(asked, stack)]
        assert [name.rpartition(":")[0] for name in names] == [
            "UDP 127.0.0.1",
            "UDP [::1]",
            "TCP 127.0.0.1",
            "TCP [::1]",
        ]
        ports = [name.rpartition(":")[2] for name in names]
        assert (ports[0], ports[2]) == (ports[1], ports[3])


def test_localhost_is_refused_when_another_program_has_one_address() -> None:
    with (
        ExitStack() as stack,
        open_udp("::1", 0) as other,
        pytest.raises(StartError, match="FIESTA_AGENT_UDP localhost"),
    ):
        open_all(socket_settings()._replace(udp=("localhost", other.getsockname()[1])), stack)


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_removed_unix_socket_file_is_made_again(tmp_path: Path, kind: socket.SocketKind) -> None:
    path, events = tmp_path / "a.sock", EventLog()
    with ExitStack() as stack:
        asked = socket_settings(path) if kind == socket.SOCK_DGRAM else socket_settings()._replace(unix_stream=path)
        receivers = open_all(asked, stack)
        with socket.socket(socket.AF_UNIX, kind) as early, socket.socket(socket.AF_UNIX, kind) as late:
            early.connect(str(path))
            early.send(b"waits:1|c\n")
            path.unlink()
            receivers.make_files_again(events)
            late.connect(str(path))
            late.send(b"new:1|c\n")
            receivers.make_files_again(events)
            receivers[1].drain()
        assert events == ["unix_socket_made_again"]
        assert receivers[1].status().bytes == len(b"waits:1|c\nnew:1|c\n")
    assert not path.exists()


def test_a_file_that_replaced_our_socket_file_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with ExitStack() as stack:
        receivers = open_all(socket_settings(path), stack)
        path.unlink()
        path.write_text("not ours")
        receivers.make_files_again(EventLog())
    assert path.read_text() == "not ours"


def test_a_file_that_cannot_be_made_again_yet_is_made_later(tmp_path: Path) -> None:
    folder, events = tmp_path / "run", EventLog()
    folder.mkdir()
    with ExitStack() as stack:
        receivers = open_all(socket_settings(folder / "a.sock"), stack)
        shutil.rmtree(folder)
        with pytest.raises(FileNotFoundError):
            receivers.make_files_again(events)
        folder.mkdir()
        receivers.make_files_again(events)
        assert events == ["unix_socket_made_again"]
