"""One soak: load, faults one after another, and at the end the oracle's judgement."""

import asyncio
import random
import re
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from typing import Final

from redis import RedisError

from protocol.numbers import UNIT
from tests.redis_server import RedisServer
from tests.soak.fault_servers import Fault, Step
from tests.soak.faults import PROXY, Table
from tests.soak.load import Load
from tests.soak.oracle import Sums
from tests.soak.packet import SAMPLES, points
from tests.soak.rig import Host, Node, Rig
from tests.soak.spread import histogram_faults, percentile_faults
from tests.soak.stored import Tables, by_rest, in_duckdb, in_mariadb, percentiles_by_rest, series_by_rest
from tests.soak.times import Attempt, Outage

REST_SECONDS: Final = 120.0
"""Seconds within which everything must come to rest after the last fault."""
SLOW_SECONDS: Final = 0.5
"""The service gives Redis 1 s. On a machine that is too busy, a Redis that is well may need longer."""
_PROBE_SECONDS: Final = 3.0
_CRASHES: Final = ("Traceback", "_crashed")
_LOGGED_AT: Final = re.compile(r'"timestamp": "([^"]+)"')
_BEFORE_SECONDS: Final = 3.0
"""Seconds of log before a refused single POST. They may say why it was refused."""
_LINES: Final = 30


@dataclass
class Verdict:
    """What a soak found; ``faults`` and ``refused`` are empty when all held."""

    load: Load
    struck: int = 0
    spilled: int = 0
    """Most entries that were seen in the spill."""
    samples: int = 0
    """Samples that agents acknowledged."""
    merged: int = 0
    """Merged histograms that were weighed at the end."""
    seconds: float = 0.0
    slow_redis: int = 0
    """How often a server of Redis took longer than SLOW_SECONDS for a write of the test."""
    pauses: dict[str, float] = field(default_factory=dict)
    """The longest time without a write during each kind of fault."""
    faults: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Promised answers that did not come: a single POST without its 201, or a process that said ready beside 503."""

    def lines(self) -> list[str]:
        """Lines for a person who reads the result."""
        times, oracle = self.load.times, self.load.oracle
        waits = ", ".join(f"{name} {times.percentile(part) * 1000:.0f} ms" for name, part in _PERCENTILES)
        reasons = Counter(f"{attempt.status} {attempt.said}" for attempt in times.failed)
        lines = [
            f"{self.seconds:.0f} s, {self.struck} faults; {oracle.requests} REST requests with {oracle.acknowledged}"
            f" points and {self.samples} agent samples acknowledged; {self.load.answers} queries answered",
            f"single POSTs by status {dict(sorted(times.statuses.items()))}; those with 201: {waits}",
            *(f"  {count} times {reason}" for reason, count in reasons.most_common(12)),
            f"longest stretch of 503 {times.longest_refusal:.1f} s, without any write {times.longest_pause:.1f} s;"
            f" most entries in the spill {self.spilled}; Redis was slow, stopped or gone {self.slow_redis} times",
            f"ready between two 503s {len(times.wrong_ready)} times, for"
            f" {max((seconds for _, seconds in times.wrong_ready), default=0):.1f} s at most",
            *(
                f"  {count} times {said}"
                for said, count in Counter(said for said, _ in times.wrong_ready).most_common(9)
            ),
            "longest time without a write: "
            + ", ".join(f"{kind} {seconds:.1f} s" for kind, seconds in sorted(self.pauses.items())),
            f"{len(oracle.certain)} names and series, {self.merged} merged histograms",
        ]
        return [
            *lines,
            *(f"FAULT: {fault}" for fault in self.faults[:20]),
            *(f"REFUSED: {refused}" for refused in self.refused[:20]),
            "HOLDS" if not self.faults + self.refused else "DOES NOT HOLD",
        ]


_PERCENTILES: Final = (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("longest", 1.0))


class Soak:
    """Load on a rig, inside ``under_load``; ``strike`` hurts it there, ``judge`` comes afterwards."""

    def __init__(self, rig: Rig, seed: int, say: Callable[[str], None] = lambda _: None) -> None:
        self._rig = rig
        self._say = say
        self._begun = time.monotonic()
        nodes = {node.name: node.url for node in rig.nodes} | ({PROXY: rig.proxy} if rig.proxy else {})
        self.load = Load(rig.http, nodes, rig.key, random.Random(seed))
        self.verdict = Verdict(self.load)
        self._logs: dict[str, list[str]] = {}

    @asynccontextmanager
    async def under_load(self, pause: float = 1.0) -> AsyncIterator[None]:
        """Clients and agents write inside the block; it ends when every request of theirs has its answer.

        ``pause``: how many times as long as usual each waits before it sends the next.
        """
        load, over = self.load, self.load.over
        over.clear()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(4):
                tasks.create_task(load.write(load.any_single, pause * 0.01))
                tasks.create_task(load.write(load.any_batch, pause * 0.05))
            for number in range(2):
                tasks.create_task(load.write_without_keys(f"soak.keyless.{number}", pause * 0.02))
            tasks.create_task(load.read(pause * 0.1))
            for node in self._rig.nodes:
                tasks.create_task(load.watch(node.name, node.url))
            for host in self._rig.hosts:
                tasks.create_task(host.send(over, pause * 0.01))
            for redis in self._rig.redis:
                tasks.create_task(self._time(redis))
            try:
                yield
            finally:
                over.set()
        load.times.rest()

    async def strike(self, fault: Fault, seconds: float) -> None:
        """Let a fault last for this many seconds."""
        load, times = self.load, self.load.times
        before, writes = len(times.failed), load.oracle.requests
        self._note_logs()
        begun = time.monotonic()
        times.recent_pause = 0.0
        times.outages += [Outage(what, begun, inf) for what in fault.away]
        await self._change(fault.begin)
        await asyncio.sleep(seconds)
        await self._look_at_spill()
        await self._change(fault.end)
        ended = time.monotonic()
        times.outages = [
            outage._replace(until=min(outage.until, ended)) if outage.since == begun else outage
            for outage in times.outages
        ]
        self.verdict.struck += 1
        kind = re.sub(r"\d", "", fault.name)
        self.verdict.pauses[kind] = max(self.verdict.pauses.get(kind, 0.0), times.recent_pause)
        self._say(
            f"{begun - self._begun:7.1f} s  {fault.name} for {ended - begun:.1f} s: {load.oracle.requests - writes}"
            f" requests acknowledged, {len(times.failed) - before} single POSTs were not,"
            f" {times.recent_pause:.1f} s without a write"
        )

    async def _change(self, step: Step) -> None:
        self.load.times.change()
        await step()
        self.load.times.steady(time.monotonic())

    async def _time(self, redis: RedisServer) -> None:
        """Write to a Redis all the time. While it takes long, whoever uses Redis may have given up: it is away."""
        times, over = self.load.times, self.load.over
        while not over.is_set():
            begun = time.monotonic()
            with suppress(RedisError, TimeoutError, OSError):
                async with asyncio.timeout(_PROBE_SECONDS):
                    await redis.client.set("soak:probe", "", ex=60)
            ended = time.monotonic()
            if ended - begun > SLOW_SECONDS:
                times.outages.append(Outage("redis", begun, ended))
                self.verdict.slow_redis += 1
            await asyncio.sleep(0.2)

    async def judge(self) -> Verdict:
        """Wait until all is at rest, and compare."""
        rig, load, verdict = self._rig, self.load, self.verdict
        verdict.seconds = time.monotonic() - self._begun
        try:
            async with asyncio.timeout(REST_SECONDS):
                for host in rig.hosts:
                    await host.settled()
                await rig.ready()
        except TimeoutError:
            said = [await rig.said_by(node) for node in rig.nodes]
            verdict.faults.append(f"not at rest {REST_SECONDS:g} s after the last fault: {said}")
            return verdict
        await load.send_again(load.kept)
        for host in rig.hosts:
            await self._count(host)
        for node in rig.nodes:
            verdict.faults += await self._compare(node)
        verdict.faults += await self._look_at_tables()
        verdict.faults += load.faults
        verdict.faults += self._crashes()
        verdict.refused = [self._told(attempt) for attempt in load.times.unexcused()]
        verdict.refused += [f"{said}, and refused {seconds:.1f} s later" for said, seconds in load.times.wrong_ready]
        return verdict

    async def _compare(self, node: Node) -> list[str]:
        """Where the answers of a process differ from the oracle."""
        oracle, asked = self.load.oracle, (self._rig.http, node.url, self._rig.key)
        stored, series = await by_rest(*asked, oracle.names), await series_by_rest(*asked, oracle.tagged)
        stored |= {name: sums for name, sums in series.items() if not name.endswith("|")}
        return [
            *oracle.faults(node.name, stored),
            *oracle.sum_faults(node.name, series),
            *percentile_faults(node.name, await percentiles_by_rest(*asked, oracle.timings), oracle),
        ]

    async def _count(self, host: Host) -> None:
        """Check what an agent's samples add up to. If it was killed, only samples at risk may be missing."""
        oracle, rig = self.load.oracle, self._rig
        packets = host.sent
        if host.kills:
            name = f"{host.prefix}.count"
            stored = (await by_rest(rig.http, rig.nodes[0].url, rig.key, [name])).get(name, Sums())
            packets, rest = divmod(stored.weight, UNIT)
            if rest or not host.sent * SAMPLES - host.at_risk <= packets * SAMPLES <= host.sent * SAMPLES:
                self.verdict.faults.append(
                    f"{host.name}: {host.sent} packets sent, {host.at_risk} samples at risk, {stored}"
                )
        else:
            status = await host.status()
            if status["acknowledged"] != packets * SAMPLES or any(status["dropped"].values()):
                self.verdict.faults.append(f"{host.name}: {host.sent} packets sent, its ledger says {status}")
        self.verdict.samples += (packets - host.counted) * SAMPLES
        for point in points(host.prefix) if packets > host.counted else ():
            oracle.count(point, packets - host.counted)
        host.counted = packets

    async def _look_at_tables(self) -> list[str]:
        """Where the tables of the store differ from the oracle."""
        rig = self._rig
        if rig.servers:
            await asyncio.to_thread(rig.until_applied)
            found = [
                await asyncio.to_thread(self._table_faults, in_mariadb(server, rig.database)) for server in rig.servers
            ]
            return [f"server {at}: {fault}" for at, faults in enumerate(found) for fault in faults]
        (node,) = rig.nodes
        await node.end(signal.SIGTERM)
        (path,) = node.folder.glob("*.duckdb")
        with in_duckdb(path) as tables:
            return self._table_faults(tables)

    def _table_faults(self, tables: Tables) -> list[str]:
        oracle = self.load.oracle
        for table in tables.merged:
            self.verdict.merged += tables.ask(f"SELECT COUNT(*) FROM {table}")[0][0]
        counts = {what: tables.ask(f"SELECT COUNT(*) FROM {table}")[0][0] for what, table in tables.none_of.items()}
        return [
            *(f"{count} {what}" for what, count in counts.items() if count),
            *(fault for level, stored in tables.levels().items() for fault in oracle.faults(f"level {level}", stored)),
            *histogram_faults(tables.ask, tables.points, oracle, tables.merged),
        ]

    async def _look_at_spill(self) -> None:
        """How many entries the spill has, if it can be asked."""
        for redis in self._rig.redis:
            with suppress(RedisError, TimeoutError, OSError):  # Redis may be away: that is one of the faults
                async with asyncio.timeout(0.5):
                    self.verdict.spilled = max(self.verdict.spilled, await redis.client.xlen("fiesta:{spill}:groups"))

    def _told(self, attempt: Attempt) -> str:
        """A single POST that got no 201, and what its process logged meanwhile."""
        begun, ended = (time.time() - time.monotonic() + at for at in (attempt.begun, attempt.ended))
        logged = [
            f"{name.split()[0]}: {line.strip()}"
            for name, log in self._logs.items()
            for line in log
            if attempt.central in (PROXY, name.split()[0])
            and (found := _LOGGED_AT.search(line))
            and begun - _BEFORE_SECONDS < datetime.fromisoformat(found[1]).timestamp() < ended + 0.1
        ]
        return "\n  ".join(
            [
                f"at {attempt.begun - self._begun:.1f} s {attempt.central} answered {attempt.status}"
                f" after {attempt.ended - attempt.begun:.2f} s: {attempt.said}",
                *logged[-_LINES:],
            ]
        )

    def _note_logs(self) -> None:
        for node in self._rig.nodes:
            self._logs[f"{node.name} {id(node.log)}"] = node.log

    def _crashes(self) -> list[str]:
        """Lines of the logs that no fault may cause."""
        self._note_logs()
        lines: Iterable[str] = (line for log in self._logs.values() for line in log)
        return [f"log: {line.strip()[-2000:]}" for line in lines if any(word in line for word in _CRASHES)]


async def short_soak(
    rig: Rig, table: Callable[[random.Random], Table], sequence: Sequence[tuple[str, float]], seed: int = 3
) -> Verdict:
    """These faults in this order, each for so many seconds, at seeded moments, under a quarter of the usual load."""
    dice = random.Random(seed)
    faults = table(dice)
    run = Soak(rig, seed, print)
    async with run.under_load(pause=4.0):
        for name, seconds in sequence:
            await asyncio.sleep(dice.uniform(0.0, 0.8))
            await run.strike(faults[name](), seconds)
        await asyncio.sleep(0.5)
    verdict = await run.judge()
    print(*verdict.lines(), sep="\n")
    return verdict
