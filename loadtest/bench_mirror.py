"""What a bad mirror costs the agent's own path: ``python -m loadtest.bench_mirror``.

Agents with the same settings run at once, and differ in the target of their mirror: none, a daemon that reads, a port
where nobody listens, a socket that is full, a host that is dead, a name that no server answers. Each gets the same
datagrams at the same pace in turn, for some rounds. Two things are measured:

latency    from the send of a datagram until the agent has it in its journal, so that a kill no longer loses it. The
           journal is a file map, and the sender looks at it all the time, so the agent does nothing for it. Of the p50
           and the p99 of each turn, the figure is the lower quartile.
CPU        of the agent per datagram, by the kernel's clock; the median of the turns

It runs in a network of its own, in which it makes a link to a host that is not there, and a server of names that never
answers. Nothing leaves this host.
"""

import mmap
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Final, NamedTuple

from agent.journal import layout
from agent.journal.recovery import JOURNAL
from loadtest.bench_agent import on_core
from loadtest.report import show_table
from loadtest.servers import Server, agent, central, free_udp_port, get_json
from loadtest.statsd_daemons import bare, cpu_seconds

ROUNDS: Final = 20
TURN_SECONDS: Final = 0.5
PACES: Final = (200, 5_000)
"""Datagrams per second. At the lower pace each wakes the agent. At the higher one it reads many at once."""
LINES: Final = 20
DATAGRAM: Final = b"\n".join(b"app.service%d.calls:1|c" % number for number in range(LINES))
LOST_SECONDS: Final = 10.0
_LINK: Final = """
mount --bind "$1" /etc/resolv.conf
ip link set lo up
ip link add agent0 type veth peer name nobody0
ip link set agent0 up
ip link set nobody0 up
ip address add 192.0.2.1/24 dev agent0
shift
exec "$@"
"""
DEAD: Final = "192.0.2.9:8126"
"""An address of that link which nobody has."""
NAME_SERVER: Final = "127.0.0.9"


class Kept:
    """How many datagrams an agent has kept since its start, by its journal. All must be DATAGRAM."""

    def __init__(self, journal: Path) -> None:
        with journal.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        room = layout.decode_about(self._map[layout.ABOUT : layout.HEAD_BYTES]).room
        words = memoryview(self._map)[: layout.WORDS * 8].cast("Q")
        self._blocks = [(block, layout.first_record(block.place, room)) for block in layout.blocks(words)]
        self._last = [0] * layout.PLACES
        """The last window of each place, by its generation."""
        self._bytes = {0: 0}
        """Of the records of each window."""

    def datagrams(self) -> int:
        """Look. A place that is free still has what its last window has kept."""
        for block, first in self._blocks:
            generation, end = block.generation, block.get(layout.END)
            if generation == block.generation:
                place = block.place
                self._last[place] = last = generation or self._last[place]
                self._bytes[last] = max(self._bytes.get(last, 0), end - first)
        return sum(self._bytes.values()) // (len(DATAGRAM) + 8)


class Agent(NamedTuple):
    """One that runs, and where its mirror goes."""

    target: str
    server: Server
    port: int
    kept: Kept

    def lost(self) -> int:
        """Lines that were sent and are not counted, and datagrams that the kernel dropped."""
        status = get_json(self.server, "/status")
        received, sockets = status["received"], status["sockets"]
        assert isinstance(received, int)
        assert isinstance(sockets, list)
        return self.kept.datagrams() * LINES - received + sum(one["kernel_drops"] or 0 for one in sockets)

    def handed_on(self) -> str:
        """What became of the copies, in words."""
        mirror = get_json(self.server, "/status")["mirror"]
        if not isinstance(mirror, dict):
            return ""
        dropped = [f"{count:,} {reason}" for reason, count in mirror["dropped"].items()]
        return ", ".join([f"{mirror['sent']:,} sent", *dropped])


@contextmanager
def agents() -> Iterator[list[Agent]]:
    """All of them, before one service."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-mirror-")))
        full, deaf = (stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(2))
        full.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        full.bind(("127.0.0.1", 0))
        deaf.bind((NAME_SERVER, 53))
        with on_core(-1):
            (folder / "bare").mkdir()
            reads = stack.enter_context(bare(folder / "bare"))
            service = stack.enter_context(central(folder / "central"))
            targets = {
                "no mirror": None,
                "a daemon that reads": f"127.0.0.1:{reads.port}",
                "nobody listens": f"127.0.0.1:{free_udp_port()}",
                "its buffer is full": f"127.0.0.1:{full.getsockname()[1]}",
                "the host is dead": DEAD,
                "no server knows its name": "statsd.internal:8126",
            }
            made = []
            for target, address in targets.items():
                environ = {"FIESTA_AGENT_MIRROR": f"udp://{address}"} if address else {}
                spool = folder / target.replace(" ", "-")
                server, port = stack.enter_context(agent(spool, service.url, service.key, environ))
                made.append(Agent(target, server, port, Kept(spool / JOURNAL)))
        time.sleep(2)  # what they do once after the start is no part of what a datagram costs
        yield made


def turn(one: Agent, pace: int) -> tuple[list[float], float]:
    """Send at this pace for a while. Returns the seconds until each datagram was kept, and the agent's CPU for each."""
    count, sent_at, delays = round(pace * TURN_SECONDS), list[float](), list[float]()
    with socket.socket(type=socket.SOCK_DGRAM) as sock, on_core(0):
        sock.connect(("127.0.0.1", one.port))
        before, cpu, now = one.kept.datagrams(), cpu_seconds(one.server.pid), time.perf_counter
        begun = now()
        while len(delays) < count:
            if len(sent_at) < count and now() >= begun + len(sent_at) / pace:
                sent_at.append(now())
                sock.send(DATAGRAM)
            kept = one.kept.datagrams() - before
            at = now()
            delays.extend(at - sent for sent in sent_at[len(delays) : kept])
            if at > begun + TURN_SECONDS + LOST_SECONDS:
                raise RuntimeError(f"{count - kept} datagrams were lost beside a mirror where {one.target}")
        return delays, (cpu_seconds(one.server.pid) - cpu) / count


def quarter(values: Iterable[float]) -> float:
    """What a quarter of them is below. Other work on the machine lengthens the others."""
    return quantiles(values, n=4)[0]


def report(pace: int, all_: list[Agent]) -> None:
    """Measure at one pace, and show a table."""
    turns = [[turn(one, pace) for one in all_] for _ in range(ROUNDS)]
    rows = []
    for one, its in zip(all_, zip(*turns, strict=True), strict=True):
        p50, p99 = (quarter(quantiles(delays, n=100)[rank - 1] for delays, _ in its) * 1e3 for rank in (50, 99))
        cpu = median(cpu for _, cpu in its) * 1e6
        rows.append([one.target, f"{p50:.2f} ms", f"{p99:.2f} ms", f"{cpu:.1f} us", f"{one.lost()}", one.handed_on()])
    columns = ["The mirror's target", "p50", "p99", "CPU per datagram", "Lost", "Copies so far"]
    show_table(f"{pace:,} datagrams of {LINES} lines per second", columns, rows)


def main() -> None:
    """In a network of its own."""
    if os.environ.get("BENCH_MIRROR") != "inside":
        with tempfile.NamedTemporaryFile("w") as names:
            names.write(f"nameserver {NAME_SERVER}\n")
            names.flush()
            command = ["unshare", "--user", "--map-root-user", "--net", "--mount", "sh", "-ec", _LINK, "sh", names.name]
            inside = [*command, sys.executable, "-m", "loadtest.bench_mirror"]
            sys.exit(subprocess.run(inside, check=False, env={**os.environ, "BENCH_MIRROR": "inside"}).returncode)
    with agents() as all_:
        for pace in PACES:
            report(pace, all_)


if __name__ == "__main__":
    main()
