"""Whatever the mirror's target does, a datagram is counted at once: the send of its copy never waits.

A send that waits would wait for ever here, because nobody makes room for it.
"""

import asyncio
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from agent.aggregate.compiled import holding
from agent.ledger import Ledger
from agent.receive import mirror as module
from agent.receive.bad_lines import BadLines
from agent.receive.intake import Intake
from agent.receive.mirror import Mirror
from tests.agent.aggregate.test_core import a_core, learn
from tests.agent.aggregate.test_core_serves import served
from tests.agent.fakes import EventLog

PACKETS = [b"a:%d|c" % number for number in range(100)]


@contextmanager
def a_full_socket() -> Iterator[socket.socket]:
    """One into which nothing more fits. Without O_NONBLOCK and MSG_DONTWAIT, a send waits for ever."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        with suppress(BlockingIOError):
            while True:
                ours.send(b"full", socket.MSG_DONTWAIT)
        yield ours


@contextmanager
def a_target() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target:
        target.bind(("127.0.0.1", 0))
        target.settimeout(30)
        yield target


def counted_beside(mirror: Mirror) -> list[bytes]:
    """What is counted of the packets that come one after the other, each handed on before it is counted."""
    counted: list[bytes] = []
    intake = Intake(counted.append, Ledger(), BadLines(EventLog(), lambda: 0.0), mirror.send)
    for packet in PACKETS:
        intake.feed(packet)
    return counted


def test_a_send_that_would_wait_is_dropped_and_the_datagram_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_target() as target, a_full_socket() as full:
        host, port = target.getsockname()
        mirror = Mirror(host, port, EventLog())
        mirror.begin(())
        opened = mirror._socket
        assert opened is not None
        assert not os.get_blocking(opened.fileno())
        full.setblocking(False)  # as the one that it stands for
        monkeypatch.setattr(mirror, "_socket", full)
        assert counted_beside(mirror) == PACKETS
        opened.close()
    assert (mirror.status().sent, mirror.status().dropped) == (0, {"buffer_full": len(PACKETS)})


def test_a_thread_drops_what_would_wait_and_counts_the_datagram() -> None:
    core = a_core(learn)
    with served(core) as one, a_full_socket() as full:
        assert os.get_blocking(full.fileno()), "so the send itself says that it does not wait"
        with holding([core]):
            core.mirror(full.fileno())
        for packet in PACKETS:
            one.sender.send(packet)
        one.read(len(PACKETS))
        with holding([core]):
            assert core.mirror(-2) == (0, 0, len(PACKETS), 0, 0, 0)


async def test_no_datagram_waits_for_a_server_of_names(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asyncio.Event()
    answer: asyncio.Future[Sequence[Any]] = asyncio.get_running_loop().create_future()

    async def slow(*_: object) -> Sequence[Any]:
        asked.set()
        return await answer

    monkeypatch.setattr(module, "find_addresses", slow)
    with a_target() as target:
        mirror = Mirror("statsd.internal", 8126, EventLog())
        mirror.begin(())
        running = asyncio.create_task(mirror.run())
        await asked.wait()
        assert counted_beside(mirror) == PACKETS
        assert mirror.status().dropped == {"unresolved": len(PACKETS)}
        answer.set_result([(socket.AF_INET, socket.SOCK_DGRAM, 0, "", target.getsockname())])
        await running
        assert counted_beside(mirror) == PACKETS
        assert [target.recv(100) for _ in PACKETS] == PACKETS
        mirror.close()


async def test_no_datagram_waits_for_a_way_to_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system does not connect a plain socket to a broadcast address, as it connects none without a route."""
    paused = asyncio.Event()

    async def pause(_: float) -> None:
        paused.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio, "sleep", pause)
    mirror = Mirror("255.255.255.255", 8126, EventLog())
    mirror.begin(())
    running = asyncio.create_task(mirror.run())
    await paused.wait()  # it will try again
    assert counted_beside(mirror) == PACKETS
    assert mirror.status().dropped == {"failed": len(PACKETS)}
    running.cancel()
