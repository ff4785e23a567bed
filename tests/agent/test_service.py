"""The agent as its units start it: systemd's part (sockets, credential, folders, notify) is played by the test."""

import shutil
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from agent.spool.browse import replay
from agent.spool.disk import Disk
from agent.spool.gauge_file import GaugeFile
from tests.agent.fakes import KEY, RealCentral, a_batch, a_spool
from tests.agent.process import AgentProcess, an_agent
from tests.notify_socket import NotifySocket
from tests.unit_file import listen, read_unit

SPOOL_OF_VERSION_1 = Path(__file__).parents[1] / "data" / "spool-1"


class Host:
    """What outlives the agent: sockets, credential, state."""

    def __init__(self, folder: Path) -> None:
        (folder / "run").mkdir()
        (folder / "credentials").mkdir()
        (folder / "credentials" / "api_key").write_text(f"{KEY}\n")
        self.folder = folder
        self.sockets = listen(read_unit("fiesta-agent.socket"), folder / "run")
        self.addresses = {
            (sock.family, sock.type): sock.getsockname() for sock in self.sockets.values()
        }  # UDP, unix datagram, TCP

    def environ(self) -> dict[str, str]:
        specifiers = {"%d": str(self.folder / "credentials"), "%S": str(self.folder / "state")}
        return read_unit("fiesta-agent.service").environment(specifiers)

    def send(self, lines: list[str], family: socket.AddressFamily = socket.AF_INET) -> None:
        """A datagram a line."""
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            for line in lines:
                sender.sendto(line.encode(), self.addresses[family, socket.SOCK_DGRAM])

    def stream(self, lines: list[str]) -> None:
        with socket.create_connection(self.addresses[socket.AF_INET, socket.SOCK_STREAM]) as sender:
            sender.sendall("".join(f"{line}\n" for line in lines).encode())


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    for sock in made.sockets.values():
        sock.close()


@asynccontextmanager
async def service(host: Host, central: RealCentral) -> AsyncIterator[AgentProcess]:
    """Started, and ready as systemd understands it; stopped as systemctl stop does."""
    (host.folder / "notify").unlink(missing_ok=True)
    with NotifySocket(host.folder / "notify") as systemd:
        seconds = int(read_unit("fiesta-agent.service").one("WatchdogSec").removesuffix("s"))
        around = {**host.environ(), **systemd.environ, "WATCHDOG_USEC": str(seconds * 1_000_000)}
        sockets = list(host.sockets.values())
        async with an_agent(host.folder, central, sockets, around=around, API_KEY="", UDP="") as agent:
            await systemd.until("READY=1")
            await systemd.until("WATCHDOG=1")
            yield agent
            if agent.process.returncode is None:
                assert await agent.end(signal.SIGTERM) == 0
                assert "STOPPING=1" in systemd.so_far()


async def test_all_sockets_of_the_unit_are_read_and_the_credential_is_the_key(host: Host) -> None:
    async with RealCentral().serving() as central:
        async with service(host, central):
            host.send(["udp:1|c"] * 5)
            host.send(["unix:1|c"] * 5, socket.AF_UNIX)
            host.stream(["tcp:1|c"] * 5)
            await central.until(lambda: all(central.total(name) == 5 for name in ("udp", "unix", "tcp")))
        assert (host.folder / "state" / "fiesta-agent" / "spool" / "queue").is_dir()


async def test_an_upgrade_and_its_rollback_lose_and_double_nothing(host: Host) -> None:
    """Old, new and old again over the same sockets and spool; datagrams all the time, at first without a service."""
    async with RealCentral().serving() as central:
        central.answer = lambda request: web.json_response({}, status=503)
        for version in ("old", "new", "old again"):
            async with service(host, central) as agent:
                host.send(["while.running:1|c", f"{version.replace(' ', '.')}:1|c"] * 50)
                if version == "new":
                    central.answer = lambda request: None
                    await central.until(lambda: central.total("while.stopped") >= 500)
            assert agent.process.returncode == 0
            host.send(["while.stopped:1|c"] * 500)
        async with service(host, central):
            await central.until(lambda: central.total("while.stopped") == 1_500)
        assert central.total("while.running") == 150
        assert [central.total(name) for name in ("old", "new", "old.again")] == [50, 50, 50]


async def test_a_restart_after_a_kill_reads_what_waits_in_the_sockets(host: Host) -> None:
    async with RealCentral().serving() as central:
        async with service(host, central) as agent:
            await agent.end(signal.SIGKILL)
        host.send(["foo:1|c"] * 500)
        async with service(host, central):
            await central.until(lambda: central.total("foo") == 500)


async def test_a_kill_by_the_watchdog_leaves_a_trace_in_the_journal(host: Host) -> None:
    async with RealCentral().serving() as central, service(host, central) as agent:
        agent.process.send_signal(signal.SIGSTOP)
        agent.process.send_signal(signal.SIGABRT)
        assert await agent.end(signal.SIGCONT) == -signal.SIGABRT
        assert agent.failed.startswith("Extension modules: "), "what faulthandler says after all stacks"


def test_the_spool_of_version_1_can_be_read_for_ever(tmp_path: Path) -> None:
    """Files as version 1 wrote them, without types: a batch, one half of another, a dead letter, gauges."""
    shutil.copytree(SPOOL_OF_VERSION_1, tmp_path / "spool")
    assert replay(tmp_path / "spool") == 1
    spool, ledger = a_spool(tmp_path / "spool")
    spool.open()
    halves = a_batch(2).halves()
    assert halves is not None
    expected = [batch._replace(types="") for batch in (a_batch(1), halves[1], a_batch(3))]
    assert [spool.take(entry) for entry in spool.index] == expected
    assert (spool.replayed, ledger.recovered) == (1, sum(batch.total for batch in expected))
    assert GaugeFile(tmp_path / "spool" / "gauges.json", Disk()).load() == {"depth": "40.5", "temperature": "-3"}
    spool.close()
