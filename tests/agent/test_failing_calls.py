"""Calls of the system that fail, at every step of the agent: it does not end, and each sample is counted once."""

import asyncio
import errno
import os
import resource
import signal
import socket
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from agent.app import Agent, Outside
from agent.forward.api_key import ApiKey
from agent.receive.activation import Passed
from agent.spool.disk import Disk, read_file
from tests.agent.fakes import KEY, EventLog, RealCentral
from tests.agent.in_process import running, settings_for
from tests.agent.process import an_agent, balance
from tests.patience import PATIENCE


def has(central: RealCentral, number: int) -> bool:
    return central.total("foo") == number


CALLS: tuple[Callable[..., Any], ...] = (os.write, os.fsync, os.replace, os.unlink, read_file, os.listdir)


class Failing:
    """A disk of which call number ``at`` fails with ``number``, and all others work."""

    def __init__(self, number: int, at: int) -> None:
        self._error = OSError(number, os.strerror(number))
        self._left = at
        self.failed = asyncio.Event()
        self.disk = Disk(*map(self._call, CALLS))

    def _call(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any) -> Any:
            self._left -= 1
            if self._left == -1:
                self.failed.set()
                raise self._error
            return call(*args)

        return wrapped


@pytest.mark.parametrize(("at", "number"), [*zip(range(3, 51), cycle([errno.EMFILE, errno.EIO]))])
async def test_no_call_that_fails_ends_the_agent_or_loses_a_sample(tmp_path: Path, at: int, number: int) -> None:
    failing = Failing(number, at)
    async with RealCentral().serving() as central:
        async with running(tmp_path, central.url, failing.disk) as agent:
            for number_sent in range(1, 4):
                agent.send(["foo:1|c", "bar:+1|g"])
                agent.ticks.tick()
                arrived = asyncio.create_task(central.until(partial(has, central, number_sent)))
                failed = asyncio.create_task(failing.failed.wait())
                await asyncio.wait({arrived, failed}, return_when=asyncio.FIRST_COMPLETED)
                while not arrived.done():
                    agent.ticks.tick()  # what could not be read is read again after a window that closes later
                    await asyncio.wait({arrived}, timeout=1)
                await arrived
                failed.cancel()
            await agent.end()
        assert failing.failed.is_set()
        assert central.total("foo") == 3
        assert agent.agent.snapshot().acknowledged == 6


class NoThreads(ThreadPoolExecutor):
    """The system has no room for another thread."""

    def submit(self, *given: Any, **named: Any) -> Future[Any]:
        raise RuntimeError("can't start new thread")


async def test_without_room_for_another_thread_all_goes_on(tmp_path: Path) -> None:
    asyncio.get_running_loop().set_default_executor(NoThreads())
    async with RealCentral().serving() as central, running(tmp_path, central.url) as agent:
        for total in (1, 2):
            agent.send(["foo:1|c", "bar:+1|g"])
            agent.ticks.tick()
            await central.until(partial(has, central, total))
        await agent.end()
        ledger = agent.agent.ledger
        assert (ledger.acknowledged, ledger.in_spool, ledger.dropped.total()) == (4, 0, 0)


class FailingSocket(socket.socket):
    """Fails at reading so many times, and then reads again."""

    def __init__(self, kind: socket.SocketKind, number: int, times: int) -> None:
        super().__init__(socket.AF_INET, kind)
        self.error = OSError(number, os.strerror(number))
        self.times = times
        self.setblocking(False)

    def _read(self, call: Callable[..., Any], *given: Any) -> Any:
        if self.times:
            self.times -= 1
            raise self.error
        return call(*given)

    def recv(self, *given: Any) -> Any:
        return self._read(super().recv, *given)

    def recvmsg(self, *given: Any) -> Any:
        return self._read(super().recvmsg, *given)

    def accept(self) -> Any:
        return self._read(super().accept)


SOCKET_ERRORS = [
    (socket.SOCK_DGRAM, errno.ECONNREFUSED),
    (socket.SOCK_DGRAM, errno.ENOMEM),
    (socket.SOCK_DGRAM, errno.EIO),
    (socket.SOCK_STREAM, errno.EMFILE),
    (socket.SOCK_STREAM, errno.ECONNABORTED),
]


@pytest.mark.parametrize(("kind", "number"), SOCKET_ERRORS)
async def test_a_socket_that_fails_goes_on(tmp_path: Path, kind: socket.SocketKind, number: int) -> None:
    sock = FailingSocket(kind, number, 1)
    sock.bind(("127.0.0.1", 0))
    name = "UDP"
    if kind == socket.SOCK_STREAM:
        sock.listen()
        name = "TCP"
    with socket.socket(socket.AF_INET, kind) as client:
        client.connect(sock.getsockname())
        client.send(b"foo:1|c\n")
        async with RealCentral().serving() as central:
            events, stop = EventLog(), asyncio.Event()
            passed = [Passed("UDP" if name == "UDP" else "TCP", sock, "")]
            agent = Agent(settings_for(tmp_path, central.url), ApiKey(KEY, None), events, Outside(core=None), passed)
            task = asyncio.create_task(agent.run(stop))
            async with asyncio.timeout(PATIENCE):
                while not agent.receivers or not agent.receivers[0].status().bytes:  # noqa: ASYNC110 - the loop must turn
                    await asyncio.sleep(0)
            stop.set()
            await task
            assert agent.ledger.balance() == 0
            assert agent.ledger.acknowledged == 1
            assert sum(receiver.status().errors for receiver in agent.receivers) == 1


async def test_a_unix_socket_that_cannot_be_made_again_is_made_later(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    path = folder / "a.sock"
    async with RealCentral().serving() as central, an_agent(tmp_path / "spool", central, UNIX=str(path)) as agent:
        path.unlink()
        folder.rmdir()
        await agent.until("attempt_failed")
        assert (await agent.status())["failing"].keys() == {"unix_socket"}
        agent.send(["foo:1|c"])
        await central.until(partial(has, central, 1))
        folder.mkdir()
        await agent.until("unix_socket_made_again")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.sendto(b"foo:1|c", str(path))
        await central.until(partial(has, central, 2))
        status = await agent.status()
        assert (balance(status), status["failing"]) == (0, {})
        assert await agent.end(signal.SIGTERM) == 0


def most_descriptors(pid: int, soft: int) -> None:
    """What `prlimit --nofile` does to a running process."""
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]))


async def test_an_agent_without_free_descriptors_goes_on_and_loses_nothing(tmp_path: Path) -> None:
    """Nothing can be opened: no file, no folder, no connection, no socket."""
    async with (
        RealCentral().serving() as central,
        an_agent(tmp_path / "spool", central, UNIX=str(tmp_path / "a.sock"), TCP="127.0.0.1:0") as agent,
    ):
        pid = agent.process.pid
        agent.send(["foo:1|c"])
        await central.until(partial(has, central, 1))
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]
        most_descriptors(pid, 3)
        (tmp_path / "a.sock").unlink()
        agent.send(["foo:1|c", "depth:+1|g"])
        with socket.create_connection(("127.0.0.1", agent.tcp)) as client:
            client.send(b"foo:1|c\n")
            await agent.until("disk_fails")
            await agent.until("attempt_failed")
            agent.send(["foo:1|c"])
            most_descriptors(pid, before)
            await central.until(partial(has, central, 4))
        await agent.until("disk_works_again")
        await agent.until("unix_socket_made_again")
        status = await agent.status()
        assert balance(status) == 0
        assert (status["acknowledged"], status["dropped"]) == (5, {})
        assert await agent.end(signal.SIGTERM) == 0
        assert not agent.failed
    assert (central.total("foo"), central.total("depth")) == (4, 1)
