"""Agents that are killed again and again while lines of every kind come: what was read is stored, to the last sample.

``make soak-kills`` does it for as many kills as you like.

The test holds the sockets. So a line that was sent is in the kernel's queue, or an agent has read it, and the sums are
exact. A TCP connection dies with its agent, with what waits in it, so its lines are waited for before a kill.
"""

import asyncio
import random
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import web

from agent.journal.recovery import JOURNAL
from agent.receive.datagrams import open_beside, open_udp
from agent.receive.socket_status import receive_memory
from protocol.limits import HISTOGRAMS, TAGS
from tests.agent.fakes import RealCentral
from tests.agent.journal.lines import Load
from tests.agent.journal.tally import differences, in_words, tally_of
from tests.agent.journal.tries import tries_of
from tests.agent.process import PASS_ON, AgentProcess, balance, environment
from tests.patience import a_moment

Held = dict[str, socket.socket]
FAULTS: Final = frozenset({"journal_left", "journal_fails", "attempt_failed", "agent_fault", "samples_lost"})
DROPPED: Final = frozenset({"no_value", "no_type", "line_cut"})
"""Why a sample may be dropped here: it is a bad line, or one over TCP that a kill has cut."""
FULL: Final = 50_000
"""Bytes in the kernel's queue, beyond which nothing is sent, so that the kernel drops nothing."""
WINDOW_SECONDS: Final = "1"
MANY_TRIES: Final = 7
"""After so many kills in the recovery of one window, its recovery is left alone: ten would put the journal aside."""
ROUND: Final = (("load", "call"), ("start",), ("recovery",), ("TCP",))
"""The kinds of lives: see Fire. A kill under load always leaves a window, so the start after it has one to redo."""
CALLS: Final = 12
"""A recovery makes some twelve calls of the disk or more. One that makes fewer is killed at its end."""


def kinds(chance: random.Random) -> Iterator[str]:
    """How the agents live and die, one after the other, for ever. Each round has all kinds."""
    while True:
        for several in chance.sample(ROUND, len(ROUND)):
            yield from several


@contextmanager
def held_sockets(folder: Path, threads: int) -> Iterator[Held]:
    """What systemd would hold. Of several UDP sockets, which share an address, each has a thread of its own."""
    udp = open_udp("127.0.0.1", 0)
    more = [open_beside(udp) for _ in range(threads - 1)]
    unix = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with ExitStack() as stack:
        for sock in (udp, *more, unix, tcp):
            stack.enter_context(sock)
        unix.bind(str(folder / "held.sock"))
        tcp.bind(("127.0.0.1", 0))
        tcp.listen(100)
        yield {"UDP": udp, **{f"UDP {number}": sock for number, sock in enumerate(more, 2)}, "unix": unix, "TCP": tcp}


def waiting(held: Held) -> int:
    """Bytes that wait in the UDP sockets."""
    return sum(receive_memory(sock)[0] or 0 for name, sock in held.items() if name.startswith("UDP"))


class Fire:
    """One service, and one agent after the other in the same folder. ``happened`` counts what happened how often."""

    def __init__(self, folder: Path, held: Held, chance: random.Random, settings: dict[str, str]) -> None:
        self._folder = folder
        self._held = held
        self._chance = chance
        self._kinds = kinds(chance)
        self._settings = settings
        self.central = RealCentral()
        self.central.accepts = f"{HISTOGRAMS}, {TAGS}"
        self.load = Load(held, chance)
        self.happened: Counter[str] = Counter()
        self._client = socket.socket()
        """A connection to the last agent that was sent lines over TCP."""

    def close(self) -> None:
        self._client.close()
        self.load.close()

    def fail_sometimes(self, request: web.Request) -> web.StreamResponse | None:
        """An answer for the service: one in five batches must come again."""
        return web.Response(status=503) if self._chance.random() < 0.2 else None

    async def start(self, *module: str) -> AgentProcess:
        """Start an agent, or a module in its place, and do not wait for it."""
        numbers = [sock.fileno() for sock in self._held.values()]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", PASS_ON, ",".join(map(str, numbers)), *module),
            env=environment(self._folder, self.central.url, **{"FLUSH_INTERVAL": WINDOW_SECONDS, **self._settings}),
            stderr=asyncio.subprocess.PIPE,
            pass_fds=numbers,
        )
        return AgentProcess(process)

    async def live_and_die(self) -> None:
        """The life of an agent, up to a kill at some moment."""
        tries, kind = self._tries(), next(self._kinds)
        dying = ("tests.agent.journal.dies_in_recovery", str(self._chance.randrange(1, CALLS)))
        agent = await self.start(*dying if kind == "call" else ())
        scraping = asyncio.create_task(self._scrape(agent))
        try:
            await self._live(agent, kind, tries)
        finally:
            with suppress(ProcessLookupError):
                agent.process.kill()
            await agent.ended()
            scraping.cancel()
            with suppress(asyncio.CancelledError):
                await scraping
        events = [entry["event"] for entry in agent.log]
        assert not FAULTS & set(events), agent.log
        self.happened.update(events)
        self.happened["kills"] += 1
        self.happened["kills_in_a_recovery"] += self._tries() > tries

    async def _live(self, agent: AgentProcess, kind: str, tries: int) -> None:
        """In its start, at a call or at some moment of its recovery, under load, after lines over TCP."""
        if kind == "call":
            assert await agent.ended() == -signal.SIGKILL, agent.log
            return
        if kind == "recovery" and tries < MANY_TRIES:
            await self._until_recovering(agent, tries)
            await asyncio.sleep(self._chance.random() * 0.03)  # the moment is what varies, not what is waited for
            return
        if kind == "TCP":
            await agent.until("started")
            await self._send_over_tcp(agent, self._chance.randrange(1, 200))
        until = time.monotonic() + self._chance.choice([0.3, 0.6, 1.6]) * self._chance.random()
        if kind == "load":
            await agent.until("started")
        while time.monotonic() < until:
            await self._send_some()

    async def _send_some(self) -> None:
        for _ in range(self._chance.randrange(1, 50)):
            self.load.send(over_udp=waiting(self._held) < FULL)
        await asyncio.sleep(0.002)

    async def _until_recovering(self, agent: AgentProcess, tries: int) -> None:
        started = asyncio.create_task(agent.until("started"))
        while not started.done() and self._tries() <= tries:
            await asyncio.wait({started}, timeout=0.001)
        started.cancel()
        with suppress(asyncio.CancelledError):
            await started

    def _tries(self) -> int:
        return tries_of(self._folder / JOURNAL)

    async def _scrape(self, agent: AgentProcess) -> None:
        """Look at the ledger all the time, until the agent is gone. It adds up at every look."""
        await agent.until("status_open")
        with suppress(aiohttp.ClientError):
            while True:
                status = await agent.status()
                assert balance(status) == 0
                assert set(status["dropped"]) <= DROPPED, status["dropped"]
                self.happened["scrapes"] += 1
                await asyncio.sleep(0.02)

    async def _send_over_tcp(self, agent: AgentProcess, lines: int) -> None:
        """Send lines and a part of one, and wait until the agent has read them."""

        async def read() -> int:
            sockets = (await agent.status())["sockets"]
            return next(int(one["bytes"]) for one in sockets if one["name"].startswith("TCP"))

        self._client.close()
        self._client = socket.create_connection(self._held["TCP"].getsockname())
        before, text = await read(), self.load.for_a_stream(lines)
        self._client.sendall(text)
        while await read() - before < len(text):
            pass  # its answer takes its turn with its reading

    async def end(self) -> None:
        """Two more agents, which are not killed: all is counted, sent and stored."""
        last = await self.start()
        try:
            await last.until("started")
            while (await last.status())["in_window"] or waiting(self._held):
                await a_moment()
            assert balance(await last.status()) == 0
            assert await last.end(signal.SIGTERM) == 0
        finally:
            await last.ended() if last.process.returncode is not None else last.process.kill()
        again = await self.start()
        await again.until("started")
        while (status := await again.status())["in_spool"]:
            await a_moment()
        assert status["spool_batches"] == 0
        assert await again.end(signal.SIGTERM) == 0


async def under_fire(folder: Path, kills: int, seed: int, threads: int = 1) -> Counter[str]:
    """Kill so many agents and compare what is stored with what was sent. Returns what happened how often."""
    with held_sockets(folder, threads) as held:
        fire = Fire(folder / "spool", held, random.Random(seed), {"THREADS": str(threads)})
        async with fire.central.serving():
            fire.central.answer = fire.fail_sometimes
            for _ in range(kills):
                await fire.live_and_die()
            fire.central.answer = lambda request: None
            await fire.end()
            found, sent = tally_of(fire.central.stored.values()), fire.load.sent
        fire.close()
        assert receive_memory(held["UDP"]).drops == 0
    assert not differences(found, sent), in_words(differences(found, sent))
    fire.happened.update(
        {
            "packets": fire.load.packets,
            "samples": fire.load.samples,
            "series": len(sent),
            "batches": len(fire.central.stored),
        }
    )
    return fire.happened


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        found = asyncio.run(under_fire(Path(temporary), *map(int, sys.argv[1:])))
    print(", ".join(f"{count:,} {what}" for what, count in sorted(found.items())))
