"""What systemd hears of the agent: ready when it receives, alive while windows close, stopping when it stops."""

import asyncio
import os
import signal
import socket
import threading
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from agent.app import Agent, Outside
from agent.forward.api_key import ApiKey
from agent.spool.disk import Disk
from agent.telemetry.status_text import one_line
from runtime.start_error import StartError
from runtime.systemd import Notifier
from tests.agent.fakes import KEY, EventLog, RealCentral
from tests.agent.in_process import running, settings_for
from tests.agent.process import an_agent
from tests.agent.telemetry.test_snapshot import UDP
from tests.notify_socket import NotifySocket
from tests.patience import PATIENCE


class MessageLog(list[str]):
    """A way to systemd that remembers, and tells when something comes."""

    def __init__(self) -> None:
        self._news = asyncio.Event()

    def __call__(self, address: str, message: bytes) -> None:
        self.append(message.decode())
        self._news.set()

    async def until(self, word: str, times: int = 1) -> None:
        async with asyncio.timeout(PATIENCE):
            while sum(said.startswith(word) for said in self) < times:
                self._news.clear()
                await self._news.wait()


def watched(messages: MessageLog) -> Notifier:
    """A sign of life is wanted within two windows."""
    return Notifier({"NOTIFY_SOCKET": "/somewhere", "WATCHDOG_USEC": "2000000"}, os.getpid(), messages)


async def test_ready_then_alive_with_each_window_then_stopping(tmp_path: Path) -> None:
    messages = MessageLog()
    async with running(tmp_path, "http://127.0.0.1:1", notify=watched(messages)) as agent:
        await messages.until("READY=1")
        assert messages[:2] == ["STATUS=healthy. 0 samples received, 0 in the spool. nothing was lost", "READY=1"]
        agent.send(["foo:1|c"])
        for times in (1, 2, 3):
            agent.ticks.tick()
            await messages.until("WATCHDOG=1", times)
        await messages.until("STATUS=healthy. 1 sample received, 1 in the spool. nothing was lost")
        assert "STOPPING=1" not in messages
    assert messages[-1] == "STOPPING=1"


async def test_a_flush_loop_that_hangs_sends_no_sign_of_life(tmp_path: Path) -> None:
    """A disk that takes for ever: the event loop turns and windows close, and no batch becomes durable."""
    messages, entered, go = MessageLog(), threading.Event(), threading.Event()
    go.set()

    def fsync(descriptor: int) -> None:
        entered.set()
        go.wait()
        os.fsync(descriptor)

    async with running(tmp_path, "http://127.0.0.1:1", Disk(fsync=fsync), notify=watched(messages)) as agent:
        agent.ticks.tick()
        await messages.until("WATCHDOG=1")
        entered.clear()
        go.clear()
        agent.send(["foo:1|c"])
        agent.ticks.tick()
        try:
            await asyncio.to_thread(entered.wait)
            sent, quiet = 1, 0
            async with asyncio.timeout(PATIENCE):
                while quiet < 5:  # windows without a sign of life
                    before = messages.count("WATCHDOG=1")
                    agent.ticks.tick()
                    await asyncio.to_thread(agent.send, ["foo:1|c"])
                    sent += 1
                    quiet = quiet + 1 if messages.count("WATCHDOG=1") == before else 0
            assert (await agent.snapshot()).received == sent
        finally:
            go.set()  # else the agent cannot end
        said = messages.count("WATCHDOG=1")
        async with asyncio.timeout(PATIENCE):
            while messages.count("WATCHDOG=1") == said:
                agent.ticks.tick()
                await asyncio.to_thread(agent.send, ["foo:1|c"])


async def test_a_failed_start_never_sends_ready(tmp_path: Path) -> None:
    messages = MessageLog()
    (tmp_path / "file").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        http = f"127.0.0.1:{taken.getsockname()[1]}"
        for folder, more in ((tmp_path / "file" / "spool", {}), (tmp_path / "spool", {"HTTP": http})):
            agent = Agent(
                settings_for(folder, "http://127.0.0.1:1", **more),
                ApiKey(KEY, None),
                EventLog(),
                Outside(notify=watched(messages)),
            )
            with pytest.raises(StartError):
                await agent.run(asyncio.Event())
    assert messages == []


@pytest.mark.parametrize("abstract", [False, True])
async def test_a_process_notifies_over_the_socket_it_was_given(tmp_path: Path, abstract: bool) -> None:
    with NotifySocket(tmp_path / "notify", abstract=abstract) as systemd:
        around = {**systemd.environ, "WATCHDOG_USEC": "300000"}
        async with RealCentral().serving() as central, an_agent(tmp_path / "spool", central, around=around) as agent:
            await systemd.until("READY=1")
            agent.send(["foo:1|c"])
            await systemd.until("STATUS=healthy")
            for _ in range(2):
                await systemd.again("WATCHDOG=1")
            agent.process.send_signal(signal.SIGTERM)
            await systemd.until("STOPPING=1")
            assert await agent.ended() == 0


def test_the_one_line_status_begins_with_the_faults() -> None:
    status = {
        "health": ["nothing goes through", "the spool is full"],
        "received": 1_000,
        "in_spool": 900,
        "sockets": [asdict(replace(UDP, kernel_drops=3))],
        "corrupt_files": 0,
        "journal_left": "",
        "dropped": {},
    }
    line = one_line(status)
    assert line.startswith(
        "UNHEALTHY: nothing goes through; the spool is full. 1,000 samples received, 900 in the spool"
    )
    assert "LOST: 3 datagrams that the kernel dropped" in line
