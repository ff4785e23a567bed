"""Agents that are killed again and again while lines of every kind come: what was read is stored, to the last sample.

``python -m tests.agent.journal.under_fire KILLS [SEED]`` does it for as many kills as you like.

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
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.receive.datagrams import ask_buffer
from agent.receive.socket_status import receive_memory
from tests.agent.fakes import RealCentral
from tests.agent.process import PASS_ON, AgentProcess, balance, environment

Held = dict[str, socket.socket]


@contextmanager
def held_sockets(folder: Path) -> Iterator[Held]:
    """What systemd would hold."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    unix = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with udp, unix, tcp:
        ask_buffer(udp, 8 << 20)
        udp.bind(("127.0.0.1", 0))
        unix.bind(str(folder / "held.sock"))
        tcp.bind(("127.0.0.1", 0))
        tcp.listen(100)
        yield {"UDP": udp, "unix": unix, "TCP": tcp}


class Load:
    """Sends lines of every kind and adds up what must be stored in the end: sums, and samples by their weight."""

    def __init__(self, held: Held, chance: random.Random) -> None:
        self._chance = chance
        self._held = held
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.connect(held["UDP"].getsockname())
        self._unix = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._unix.connect(held["unix"].getsockname())
        self._unix.setblocking(False)
        self.sums: defaultdict[str, float] = defaultdict(float)
        self.packets = 0
        self.client = socket.socket()
        """A connection to the last agent that was sent lines over TCP."""
        self._last = 0

    def close(self) -> None:
        self.client.close()
        self._udp.close()
        self._unix.close()

    def send(self) -> None:
        """Send a packet over each of the two datagram sockets, if there is room for it."""
        if (receive_memory(self._held["UDP"])[0] or 0) < 50_000:
            self._send(self._udp)
            self._last += 1
            self._udp.send(b"last:%d|g" % self._last)
            self.sums["last"] = self._last
        self._send(self._unix)

    def _send(self, sock: socket.socket) -> None:
        value = self._chance.randrange(1, 5000)
        try:
            sock.send(
                b"counted:1|c\nsampled:1|c|@0.5\ntagged:%d|c|#a:%d,b:x\ntimed:%d|ms\nstamped:2|c|T%d\nodd:+1.50e1|c\n"
                b"members:m%d|s\nup:+1|g\nbad line" % (value, value % 7, value, int(time.time()), self.packets)
            )
        except BlockingIOError:
            return
        self.packets += 1
        for name, one in {"counted": 1, "sampled": 2, "tagged": value, "timed": value, "odd": 15, "stamped": 2}.items():
            self.sums[name] += one
        self.sums["members"] += 1
        self.sums["up"] += 1

    def sent_over_tcp(self, lines: int) -> None:
        self.sums["counted"] += lines
        self.sums["timed"] += 7 * lines


async def start(folder: Path, central: RealCentral, held: Held, **settings: str) -> AgentProcess:
    """Start an agent, and do not wait for it."""
    numbers = [sock.fileno() for sock in held.values()]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", PASS_ON, ",".join(map(str, numbers))),
        env=environment(folder, central.url, **settings),
        stderr=asyncio.subprocess.PIPE,
        pass_fds=numbers,
    )
    return AgentProcess(process)


async def send_over_tcp(agent: AgentProcess, client: socket.socket, load: Load, lines: int) -> None:
    """Send lines and a part of one, and wait until the agent has read them."""

    async def read() -> int:
        sockets = (await agent.status())["sockets"]
        return next(int(one["bytes"]) for one in sockets if one["name"].startswith("TCP"))

    before = await read()
    text = b"counted:1|c\ntimed:7|ms\n" * lines + b"cut in the midd"
    client.sendall(text)
    while await read() - before < len(text):
        pass  # its answer takes its turn with its reading
    load.sent_over_tcp(lines)


def stored(central: RealCentral) -> dict[str, float]:
    """Sums by name; of gauges, which only grow here, the largest value."""
    sums: defaultdict[str, float] = defaultdict(float)
    for items in central.stored.values():
        for item in items:
            name, value = item["name"], item["value"]
            sums[name] = max(sums[name], value) if name in ("up", "last") else sums[name] + value
    return dict(sums)


async def under_fire(folder: Path, kills: int, seed: int, **settings: str) -> dict[str, int]:
    """Kill so many agents and compare what is stored with what was sent. Returns what happened how often."""
    chance = random.Random(seed)
    happened: defaultdict[str, int] = defaultdict(int)
    with held_sockets(folder) as held:
        load = Load(held, chance)
        async with RealCentral().serving() as central:
            for number in range(kills):
                agent = await start(folder / "spool", central, held, **settings)
                try:
                    await live(agent, number, load, held, chance)
                finally:
                    agent.process.kill()
                    await agent.ended()
                for entry in agent.log:
                    happened[entry["event"]] += 1
                    assert entry["event"] not in {"journal_left", "journal_fails", "attempt_failed", "agent_fault"}, (
                        entry
                    )
            last = await start(folder / "spool", central, held, **settings)
            try:
                await last.until("started")
                while (await last.status())["in_window"] or receive_memory(held["UDP"])[0]:
                    pass
                assert balance(await last.status()) == 0
                assert await last.end(signal.SIGTERM) == 0
            finally:
                await last.ended() if last.process.returncode is not None else last.process.kill()
            again = await start(folder / "spool", central, held, **settings)
            await again.until("started")
            while (status := await again.status())["in_spool"]:
                pass
            assert await again.end(signal.SIGTERM) == 0
            found = stored(central)
    assert found == dict(load.sums), {
        name: (found.get(name), sent) for name, sent in load.sums.items() if found.get(name) != sent
    }
    load.close()
    assert status["spool_batches"] == 0
    return dict(happened) | {"packets": load.packets}


async def live(agent: AgentProcess, number: int, load: Load, held: Held, chance: random.Random) -> None:
    """The life of an agent, up to some moment: in its start, in its redo, under load, at the end of a window."""
    if number % 4 == 3:
        await agent.until("started")
        load.client.close()
        load.client = socket.create_connection(held["TCP"].getsockname())
        await send_over_tcp(agent, load.client, load, chance.randrange(1, 200))
    until = time.monotonic() + chance.choice([0.3, 0.6, 1.6]) * chance.random()
    if number % 2:
        await agent.until("started")
    while time.monotonic() < until:
        for _ in range(chance.randrange(1, 50)):
            load.send()
        await asyncio.sleep(0.002)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        print(asyncio.run(under_fire(Path(temporary), int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)))
