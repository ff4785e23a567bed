"""Every socket an agent receives on: those that a parent passed, and those that the settings ask for."""

import asyncio
import errno
import resource
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from agent.attempts import Tell
from agent.receive.activation import Passed, SocketKind
from agent.receive.datagrams import RECEIVE_BUFFER, DatagramReceiver, Read, ask_buffer, granted_buffer, open_udp
from agent.receive.intake import Intake
from agent.receive.socket_status import SocketStatus, socket_name
from agent.receive.streams import StreamLimits, StreamReceiver, open_tcp
from agent.receive.unix import SocketFile, open_unix, prepare_unix, read_whole
from runtime.addresses import join_address
from runtime.start_error import OTHER_ADDRESS, starting

MAX_CONNECTIONS: Final = 1_024
_NO_SUCH_LOOPBACK: Final = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
RESERVED: Final = 128
"""Descriptors for all else: sockets, the spool, the way to central, the local HTTP port."""


class Receiver(Protocol):
    """One socket, from its first line to its last."""

    name: str

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Receive from now on."""

    def stop(self) -> None:
        """Receive no more; what comes waits in the kernel."""

    def refuse(self) -> None:
        """Take nothing new where senders can be told so, and the socket is ours alone. After ``stop``."""

    def drain(self) -> int:
        """Take what waits in the kernel. After ``stop``."""

    def close(self) -> None:
        """Let go of the socket. May be called again."""

    def status(self) -> SocketStatus:
        """Its numbers."""


Intakes = Mapping[SocketKind, Intake]
"""Where each kind of socket brings its lines."""


class Receivers(list[Receiver]):
    """All of them. ``files`` are the files of those unix sockets that we made ourselves."""

    def __init__(self) -> None:
        super().__init__()
        self.files: list[tuple[SocketFile, DatagramReceiver | StreamReceiver]] = []

    def make_files_again(self, tell: Tell) -> None:
        """Make the files that somebody removed, with new sockets. To be called once in a window. Raises OSError."""
        for file, receiver in self.files:
            sock = file.try_make_again()
            if sock is not None:
                receiver.go_on_with(sock)
                tell("unix_socket_made_again", f"somebody removed the file of {receiver.name}; it is there again")


class Wanted(NamedTuple):
    """The sockets that the settings ask for."""

    udp: tuple[str, int]
    unix: Path | None
    tcp: tuple[str, int] | None
    limits: StreamLimits
    unix_stream: Path | None = None

    @property
    def settings(self) -> Mapping[SocketKind, object]:
        """By the kind of socket; None where none is asked for."""
        return {"UDP": self.udp, "unix": self.unix, "unix_stream": self.unix_stream, "TCP": self.tcp}


def open_receivers(
    wanted: Wanted, passed: Sequence[Passed], intakes: Intakes, read_udp: Read, stack: ExitStack
) -> Receivers:
    """All receivers, none started; ``stack`` closes them and removes what was made for them.

    A kind of socket that was passed is not opened again. Raises StartError.
    """
    found = Receivers()

    def keep(
        kind: SocketKind, sock: socket.socket, name: str = "", *, ours: bool = True
    ) -> DatagramReceiver | StreamReceiver:
        intake = intakes[kind]
        receiver: DatagramReceiver | StreamReceiver
        if kind == "UDP":
            receiver = DatagramReceiver(sock, read_udp, name, ours=ours)
        elif kind == "unix":
            read = intake.watching(read_whole(intake.feed, intake.cut))
            receiver = DatagramReceiver(sock, read, name, ours=ours)
        else:
            receiver = StreamReceiver(sock, intake, wanted.limits, name, ours=ours)
        stack.callback(receiver.close)
        found.append(receiver)
        return receiver

    def keep_file(kind: SocketKind, path: Path, of: socket.SocketKind) -> None:
        setting = f"FIESTA_AGENT_{kind.upper()} {path}"
        with starting(setting, "make its folder, stop what listens there, or choose another path"):
            sock = open_unix(path, of)
            file = SocketFile(path, of)
        stack.callback(file.remove)
        found.files.append((file, keep(kind, sock)))

    for one, name in zip(passed, _names(passed), strict=True):
        if one.kind == "unix":
            prepare_unix(one.sock)
        elif one.kind == "UDP" and granted_buffer(one.sock) < RECEIVE_BUFFER:
            ask_buffer(one.sock, RECEIVE_BUFFER)
        keep(one.kind, one.sock, name, ours=False)
    kinds = {one.kind for one in passed}
    if "UDP" not in kinds:
        with starting(f"FIESTA_AGENT_UDP {join_address(*wanted.udp)}", OTHER_ADDRESS):
            for sock in open_each(*wanted.udp, open_udp):
                keep("UDP", sock)
    if wanted.unix is not None and "unix" not in kinds:
        keep_file("unix", wanted.unix, socket.SOCK_DGRAM)
    if wanted.unix_stream is not None and "unix_stream" not in kinds:
        keep_file("unix_stream", wanted.unix_stream, socket.SOCK_STREAM)
    if wanted.tcp is not None and "TCP" not in kinds:
        with starting(f"FIESTA_AGENT_TCP {join_address(*wanted.tcp)}", OTHER_ADDRESS):
            for sock in open_each(*wanted.tcp, open_tcp):
                keep("TCP", sock)
    return found


def open_each(host: str, port: int, open_one: Callable[[str, int], socket.socket]) -> list[socket.socket]:
    """A socket for ``host``; for localhost one on each loopback address that this host has, all with one port.

    A client may take either of them. Raises OSError, also where another program has one of the two.
    """
    if host.lower() != "localhost":
        return [open_one(host, port)]
    found: list[socket.socket] = []
    missing: OSError | None = None
    for address in ("127.0.0.1", "::1"):
        try:
            found.append(open_one(address, found[0].getsockname()[1] if found else port))
        except OSError as error:
            if error.errno not in _NO_SUCH_LOOPBACK:
                for sock in found:
                    sock.close()
                raise
            missing = error
    if missing is not None and not found:
        raise missing
    return found


def tell_passed(passed: Sequence[Passed], wanted: Wanted, tell: Tell) -> None:
    """Say which sockets came from the parent, and which settings are therefore not used."""
    for kind, asked in wanted.settings.items():
        names = [name for one, name in zip(passed, _names(passed), strict=True) if one.kind == kind]
        if names:
            ignored = f"; FIESTA_AGENT_{kind.upper()} is not used" if asked is not None else ""
            tell("sockets_passed", f"{', '.join(names)} came from the process that started us{ignored}")


def _names(passed: Sequence[Passed]) -> Iterator[str]:
    """A name for each, no two the same: several sockets may share an address."""
    seen: Counter[str] = Counter()
    for one in passed:
        name = socket_name(one.sock)
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name} #{seen[name]}"


def room_for_connections() -> int:
    """MAX_CONNECTIONS, or fewer where the system's limit is small. Raises the process's own limit as far as it must."""
    wanted = MAX_CONNECTIONS + RESERVED
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < wanted:
        soft = wanted if hard < 0 else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MAX_CONNECTIONS if soft < 0 else max(1, min(MAX_CONNECTIONS, soft - RESERVED))
