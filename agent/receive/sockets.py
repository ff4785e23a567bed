"""Every socket an agent receives on: those that a parent passed, and those that the settings ask for."""

import asyncio
import resource
import socket
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from agent.attempts import Tell
from agent.receive.activation import Passed, SocketKind
from agent.receive.datagrams import RECEIVE_BUFFER, DatagramReceiver, Read, ask_buffer, granted_buffer, open_udp
from agent.receive.intake import Intake
from agent.receive.socket_status import SocketStatus, socket_name
from agent.receive.streams import StreamLimits, StreamReceiver, open_tcp
from agent.receive.unix import open_unix, prepare_unix, read_whole, remove_own
from runtime.addresses import join_address
from runtime.start_error import OTHER_ADDRESS, starting

MAX_CONNECTIONS: Final = 1_024
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
) -> list[Receiver]:
    """All receivers, none started; ``stack`` closes them and removes what was made for them.

    A kind of socket that was passed is not opened again. Raises StartError.
    """
    found: list[Receiver] = []

    def keep(kind: SocketKind, sock: socket.socket, name: str = "", *, ours: bool = True) -> None:
        intake = intakes[kind]
        receiver: Receiver
        if kind == "UDP":
            receiver = DatagramReceiver(sock, read_udp, name, ours=ours)
        elif kind == "unix":
            read = intake.watching(read_whole(intake.feed, intake.cut))
            receiver = DatagramReceiver(sock, read, name, ours=ours)
        else:
            receiver = StreamReceiver(sock, intake, wanted.limits, name, ours=ours)
        stack.callback(receiver.close)
        found.append(receiver)

    for one, name in zip(passed, _names(passed), strict=True):
        if one.kind == "unix":
            prepare_unix(one.sock)
        elif one.kind == "UDP" and granted_buffer(one.sock) < RECEIVE_BUFFER:
            ask_buffer(one.sock, RECEIVE_BUFFER)
        keep(one.kind, one.sock, name, ours=False)
    kinds = {one.kind for one in passed}
    if "UDP" not in kinds:
        with starting(f"FIESTA_AGENT_UDP {join_address(*wanted.udp)}", OTHER_ADDRESS):
            keep("UDP", open_udp(*wanted.udp))
    if wanted.unix is not None and "unix" not in kinds:
        keep("unix", _open_unix("FIESTA_AGENT_UNIX", wanted.unix, socket.SOCK_DGRAM, stack))
    if wanted.unix_stream is not None and "unix_stream" not in kinds:
        keep("unix_stream", _open_unix("FIESTA_AGENT_UNIX_STREAM", wanted.unix_stream, socket.SOCK_STREAM, stack))
    if wanted.tcp is not None and "TCP" not in kinds:
        with starting(f"FIESTA_AGENT_TCP {join_address(*wanted.tcp)}", OTHER_ADDRESS):
            keep("TCP", open_tcp(*wanted.tcp))
    return found


def _open_unix(setting: str, path: Path, kind: socket.SocketKind, stack: ExitStack) -> socket.socket:
    with starting(f"{setting} {path}", "make its folder, stop what listens there, or choose another path"):
        sock = open_unix(path, kind)
        stack.callback(partial(remove_own, path, path.lstat().st_ino))
    return sock


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
