"""The agent knows sockets from a parent by their kind."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agent.receive.activation import Passed, passed_sockets
from runtime.start_error import StartError

FIRST = 400
"""Descriptors from here on are the test's."""


class Parent:
    """Puts sockets where a child would find them."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack = stack
        self._folder = folder
        self.count = 0

    def give(self, number: int) -> None:
        os.dup2(number, FIRST + self.count)
        self.count += 1

    def socket(self, family: int, kind: int, bound: bool = True, listening: bool = False) -> None:
        sock = self._stack.enter_context(socket.socket(family, kind))
        if bound:
            host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
            sock.bind(str(self._folder / f"{self.count}") if family == socket.AF_UNIX else (host, 0))
        if listening:
            sock.listen()
        self.give(sock.fileno())

    def take(self, **environ: str) -> list[Passed]:
        ours = {"LISTEN_PID": "77", "LISTEN_FDS": str(self.count)} | environ
        passed = passed_sockets(ours, 77, FIRST)
        for one in passed:
            self._stack.enter_context(one.sock)
        return passed


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[Parent]:
    with ExitStack() as stack:
        yield Parent(stack, tmp_path)


def test_sockets_are_recognised_in_any_order(parent: Parent) -> None:
    parent.socket(socket.AF_INET, socket.SOCK_STREAM, listening=True)
    parent.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    parent.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    parent.socket(socket.AF_INET, socket.SOCK_DGRAM)
    parent.socket(socket.AF_UNIX, socket.SOCK_STREAM, listening=True)
    passed = parent.take(LISTEN_FDNAMES="udp:tcp")
    assert [one.kind for one in passed] == ["TCP", "unix", "UDP", "UDP", "unix_stream"]
    assert [one.name for one in passed] == ["udp", "tcp", "", "", ""]
    assert not any(one.sock.getblocking() for one in passed)
    assert not any(one.sock.get_inheritable() for one in passed)


@pytest.mark.parametrize("environ", [{}, {"LISTEN_FDS": "1"}, {"LISTEN_PID": "78", "LISTEN_FDS": "1"}])
def test_sockets_for_another_process_are_not_touched(environ: dict[str, str]) -> None:
    assert passed_sockets(environ, 77) == []


@pytest.mark.parametrize(
    ("family", "kind", "bound"),
    [
        (socket.AF_INET, socket.SOCK_DGRAM, False),
        (socket.AF_UNIX, socket.SOCK_DGRAM, False),
        (socket.AF_INET, socket.SOCK_STREAM, True),
        (socket.AF_UNIX, socket.SOCK_SEQPACKET, True),
        (socket.AF_NETLINK, socket.SOCK_RAW, False),
    ],
)
def test_an_unusable_socket_is_reported_with_its_descriptor(
    parent: Parent, family: int, kind: int, bound: bool
) -> None:
    parent.socket(family, kind, bound)
    with pytest.raises(StartError, match=rf"descriptor {FIRST} \(mine\) is of no use: it must be"):
        parent.take(LISTEN_FDNAMES="mine")


def test_a_descriptor_that_is_not_a_socket_is_reported(parent: Parent, tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        parent.give(file.fileno())
        with pytest.raises(StartError, match=f"descriptor {FIRST} is no socket"):
            parent.take()
    os.close(FIRST)
    with pytest.raises(StartError, match=f"descriptor {FIRST} is no socket"):
        parent.take()


def test_a_count_that_is_not_a_number_is_reported(parent: Parent) -> None:
    with pytest.raises(StartError, match="LISTEN_FDS is 'many'"):
        parent.take(LISTEN_FDS="many")
