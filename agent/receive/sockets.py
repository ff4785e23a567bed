"""Every socket that an agent receives on: those that a parent passed, and those that the settings ask for."""

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
from agent.receive.datagrams import (
    RECEIVE_BUFFER,
    DatagramReceiver,
    Read,
    ask_buffer,
    granted_buffer,
    open_beside,
    open_udp,
)
from agent.receive.intake import Intake
from agent.receive.socket_status import SocketStatus, socket_name
from agent.receive.streams import StreamLimits, StreamReceiver, open_tcp
from agent.receive.unix import SocketFile, open_unix, prepare_unix
from runtime.addresses import join_address
from runtime.start_error import OTHER_ADDRESS, starting

MAX_CONNECTIONS: Final = 1_024
_NO_SUCH_LOOPBACK: Final = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
LOCALHOST: Final = "localhost"
LOOPBACKS: Final = ("127.0.0.1", "::1")
RESERVED: Final = 128
"""Descriptors for everything else: sockets, the spool, the connection to central, the local HTTP port."""


class Receiver(Protocol):
    """One socket, from its first line to its last."""

    name: str

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Receive from now on."""

    def stop(self) -> None:
        """Receive no more. New data waits in the kernel."""

    def refuse(self) -> None:
        """Refuse new data, if no other process has the socket. Call it after ``stop``."""

    def drain(self) -> int:
        """Take what waits in the kernel. Call it after ``stop``."""

    def close(self) -> None:
        """Close the socket. You may call it more than once."""

    def status(self) -> SocketStatus:
        """Its numbers."""


Intakes = Mapping[SocketKind, Intake]
"""The Intake for each kind of socket."""
Reads = Mapping[SocketKind, Read]
"""The Read for each kind of datagram socket."""
Threaded = Callable[[socket.socket, str, bool], DatagramReceiver]
"""Makes a receiver that has a thread of its own. It gets a socket, a name, and whether the socket is only ours."""


class Receivers(list[Receiver]):
    """All receivers. ``files`` are the files of the unix sockets that the agent made itself."""

    def __init__(self) -> None:
        super().__init__()
        self.files: list[tuple[SocketFile, DatagramReceiver | StreamReceiver]] = []

    def make_files_again(self, tell: Tell) -> None:
        """Make removed socket files again, with new sockets. Call it once per window. Raises OSError."""
        for file, receiver in self.files:
            sock = file.try_make_again()
            if sock is not None:
                receiver.go_on_with(sock)
                tell("unix_socket_made_again", f"somebody removed the file of {receiver.name}; it is there again")


class SocketSettings(NamedTuple):
    """The sockets that the settings ask for. ``threads`` is how many UDP sockets share each address.

    ``threaded`` makes their receivers; None when the event loop reads them.
    """

    udp: tuple[str, int]
    unix: Path | None
    tcp: tuple[str, int] | None
    limits: StreamLimits
    unix_stream: Path | None = None
    threads: int = 1
    threaded: Threaded | None = None

    @property
    def by_kind(self) -> Mapping[SocketKind, object]:
        """The setting for each kind of socket. None where no such socket is asked for."""
        return {"UDP": self.udp, "unix": self.unix, "unix_stream": self.unix_stream, "TCP": self.tcp}


def open_receivers(
    settings: SocketSettings, passed: Sequence[Passed], intakes: Intakes, reads: Reads, stack: ExitStack
) -> Receivers:
    """Open all receivers; the caller starts them. ``stack`` closes them and removes the files that were made.

    A kind of socket that was passed is not opened again. Raises StartError.
    """
    receivers = Receivers()

    def add(
        kind: SocketKind, sock: socket.socket, name: str = "", *, ours: bool = True
    ) -> DatagramReceiver | StreamReceiver:
        receiver: DatagramReceiver | StreamReceiver
        if kind == "UDP" and settings.threaded is not None:
            receiver = settings.threaded(sock, name or socket_name(sock), ours)
        elif kind in reads:
            receiver = DatagramReceiver(sock, reads[kind], name, ours=ours)
        else:
            receiver = StreamReceiver(sock, intakes[kind], settings.limits, name, ours=ours)
        stack.callback(receiver.close)
        receivers.append(receiver)
        return receiver

    def add_unix(kind: SocketKind, path: Path, socket_kind: socket.SocketKind) -> None:
        setting = f"FIESTA_AGENT_{kind.upper()} {path}"
        with starting(setting, "make its folder, stop what listens there, or choose another path"):
            sock = open_unix(path, socket_kind)
            file = SocketFile(path, socket_kind)
        stack.callback(file.remove)
        receivers.files.append((file, add(kind, sock)))

    for one, name in zip(passed, _names(passed), strict=True):
        if one.kind == "unix":
            prepare_unix(one.sock)
        elif one.kind == "UDP" and granted_buffer(one.sock) < RECEIVE_BUFFER:
            ask_buffer(one.sock, RECEIVE_BUFFER)
        add(one.kind, one.sock, name, ours=False)
    kinds = {one.kind for one in passed}
    if "UDP" not in kinds:
        with starting(f"FIESTA_AGENT_UDP {join_address(*settings.udp)}", OTHER_ADDRESS):
            for first in open_each(*settings.udp, open_udp):
                add("UDP", first)
                for number in range(2, settings.threads + 1):
                    add("UDP", open_beside(first), _numbered(socket_name(first), number))
    if settings.unix is not None and "unix" not in kinds:
        add_unix("unix", settings.unix, socket.SOCK_DGRAM)
    if settings.unix_stream is not None and "unix_stream" not in kinds:
        add_unix("unix_stream", settings.unix_stream, socket.SOCK_STREAM)
    if settings.tcp is not None and "TCP" not in kinds:
        with starting(f"FIESTA_AGENT_TCP {join_address(*settings.tcp)}", OTHER_ADDRESS):
            for sock in open_each(*settings.tcp, open_tcp):
                add("TCP", sock)
    return receivers


def open_each(host: str, port: int, open_one: Callable[[str, int], socket.socket]) -> list[socket.socket]:
    """One socket for ``host``. For localhost, one on each loopback address of this host, all with the same port.

    A client may use either address. Raises OSError, also when another program has one of the two.
    """
    if host.lower() != LOCALHOST:
        return [open_one(host, port)]
    socks: list[socket.socket] = []
    missing: OSError | None = None
    for address in LOOPBACKS:
        try:
            socks.append(open_one(address, socks[0].getsockname()[1] if socks else port))
        except OSError as error:
            if error.errno not in _NO_SUCH_LOOPBACK:
                for sock in socks:
                    sock.close()
                raise
            missing = error
    if missing is not None and not socks:
        raise missing
    return socks


def report_passed(passed: Sequence[Passed], settings: SocketSettings, tell: Tell) -> None:
    """Log which sockets came from the parent, and which settings are therefore not used."""
    given = sum(one.kind == "UDP" for one in passed)
    if 0 < given < settings.threads:
        tell(
            "threads_without_sockets",
            f"{given} UDP sockets came from the process that started us, so {given} threads read UDP and not "
            f"{settings.threads}, which FIESTA_AGENT_THREADS asks for; let it pass a socket for each thread",
        )
    for kind, asked in settings.by_kind.items():
        names = [name for one, name in zip(passed, _names(passed), strict=True) if one.kind == kind]
        if names:
            ignored = f"; FIESTA_AGENT_{kind.upper()} is not used" if asked is not None else ""
            tell("sockets_passed", f"{', '.join(names)} came from the process that started us{ignored}")


def _names(passed: Sequence[Passed]) -> Iterator[str]:
    """A different name for each. Sockets that share an address get a number."""
    uses: Counter[str] = Counter()
    for one in passed:
        name = socket_name(one.sock)
        uses[name] += 1
        yield name if uses[name] == 1 else _numbered(name, uses[name])


def _numbered(name: str, number: int) -> str:
    return f"{name} #{number}"


def count_threads(threads: int, host: str, passed: Sequence[Passed]) -> int:
    """How many UDP sockets get a thread of their own at most.

    ``threads`` is how many share the address ``host``. Each socket that was passed gets one instead, because what one
    socket holds cannot be shared without losing its order.
    """
    given = sum(one.kind == "UDP" for one in passed)
    return given or threads * (len(LOOPBACKS) if host.lower() == LOCALHOST else 1)


def room_for_connections() -> int:
    """MAX_CONNECTIONS, or fewer when the system's limit of descriptors is small.

    Increases this process's own limit when that is needed.
    """
    needed = MAX_CONNECTIONS + RESERVED
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < needed:
        soft = needed if hard < 0 else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MAX_CONNECTIONS if soft < 0 else max(1, min(MAX_CONNECTIONS, soft - RESERVED))
