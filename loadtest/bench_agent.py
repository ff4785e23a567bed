"""CPU of the agent for each line, in one run beside a bare loop: ``python -m loadtest.bench_agent``.

bare   Counter.update(packet.split(b"\\n")): counts lines and understands none
feed   Aggregator.feed and settle in this process
udp    the same behind a real socket: a process of its own on loopback, its user and system time

Figures are nanoseconds of CPU a line, the best of a few rounds. Compare the ratios, not the machines.
"""

import asyncio
import multiprocessing
import os
import random
import socket
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import uvloop

from agent.aggregate import AggregateOptions, Aggregator
from agent.ledger import Ledger
from agent.receive import DatagramReceiver, open_udp, read_each

LINES_A_PACKET: Final = 30
PACKETS: Final = 4_000
ROUNDS: Final = 3
LAST_PACKET: Final = b"\n"
WAITING_BYTES: Final = 1 << 19


def workloads(seed: int = 1) -> dict[str, list[bytes]]:
    """Packets by workload, the same on every run."""
    pick = random.Random(seed)
    names = [f"app.service{index % 7}.metric{index}" for index in range(100)]

    def counter() -> str:
        return f"{pick.choice(names)}:1|c"

    def timing() -> str:
        return f"{pick.choice(names)}:{pick.uniform(0, 1000):.3f}|ms"

    def mixed() -> str:
        index = pick.randrange(100)
        name, tags = names[index], f"#env:prod,status:{pick.choice((200, 201, 404, 500))}"
        if index < 40:
            return f"{name}:1|c|@0.5|{tags}"
        if index < 70:
            return f"{name}:{pick.uniform(0, 1000):.3f}|ms|{tags}"
        if index < 80:
            return f"{name}:{pick.randrange(1000)}|h|@0.1"
        if index < 90:
            return f"{name}:{pick.choice(('+1', '-1', '17', '23.5'))}|g"
        return f"{name}:user{pick.randrange(5000)}|s"

    def packets(line: Callable[[], str]) -> list[bytes]:
        return ["\n".join(line() for _ in range(LINES_A_PACKET)).encode() for _ in range(PACKETS)]

    return {"repeated counters": packets(counter), "distinct timings": packets(timing), "mixed": packets(mixed)}


def bare(packets: list[bytes]) -> float:
    """Seconds of CPU for the loop that understands nothing."""
    counts: Counter[bytes] = Counter()
    begun = time.process_time()
    for packet in packets:
        counts.update(packet.split(b"\n"))
    return time.process_time() - begun


def fed(packets: list[bytes]) -> float:
    """Seconds of CPU for the aggregator alone."""
    ledger = Ledger()
    aggregator = Aggregator(AggregateOptions(), ledger)
    begun = time.process_time()
    for packet in packets:
        aggregator.feed(packet)
    aggregator.settle()
    seconds = time.process_time() - begun
    assert ledger.in_window == ledger.received == len(packets) * LINES_A_PACKET
    return seconds


def received(packets: list[bytes]) -> tuple[float, int]:
    """Seconds of CPU of a receiving process, and the packets that reached it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=receive, args=(theirs,))
    process.start()
    host, port = ours.recv()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect((host, port))
        for index, packet in enumerate(packets):
            if index % 100 == 0:
                while waiting(port) > WAITING_BYTES:
                    time.sleep(0.0005)
            sender.send(packet)
        sender.send(LAST_PACKET)
    seconds, count = ours.recv()
    process.join()
    return seconds, count


def receive(pipe: Connection) -> None:
    """The receiving process: tells its address, and after the last packet its CPU time and packets."""

    async def serve() -> None:
        aggregator = Aggregator(AggregateOptions(), Ledger())
        done = asyncio.Event()

        def feed(packet: bytes) -> None:
            aggregator.feed(packet)
            if packet == LAST_PACKET:
                done.set()

        receiver = DatagramReceiver(open_udp("127.0.0.1", 0), read_each(feed))
        receiver.start(asyncio.get_running_loop())
        begun = os.times()
        pipe.send(receiver.address)
        await done.wait()
        aggregator.settle()
        ended = os.times()
        receiver.close()
        pipe.send((ended.user + ended.system - begun.user - begun.system, receiver.packets - 1))

    uvloop.run(serve())


def waiting(port: int) -> int:
    """Bytes that wait in the receive buffer of a UDP port of this host."""
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        columns = line.split()
        if int(columns[1].rpartition(":")[2], 16) == port:
            return int(columns[4].partition(":")[2], 16)
    return 0


def main() -> None:
    print(f"{LINES_A_PACKET} lines a packet, {PACKETS} packets, 100 names; ns of CPU a line")
    print(f"{'workload':20}{'bare':>8}{'feed':>8}{'udp':>8}{'feed/bare':>12}{'udp/bare':>10}{'not received':>14}")
    for name, packets in workloads().items():
        lines = len(packets) * LINES_A_PACKET
        bare_ns = min(bare(packets) for _ in range(ROUNDS)) / lines * 1e9
        feed_ns = min(fed(packets) for _ in range(ROUNDS)) / lines * 1e9
        # os.times counts in hundredths of a second, so the socket gets a longer run.
        seconds, count = min(received(packets * ROUNDS) for _ in range(ROUNDS))
        udp_ns = seconds / (count * LINES_A_PACKET) * 1e9
        lost = len(packets) * ROUNDS - count
        ratios = f"{feed_ns / bare_ns:12.2f}{udp_ns / bare_ns:10.2f}"
        print(f"{name:20}{bare_ns:8.0f}{feed_ns:8.0f}{udp_ns:8.0f}{ratios}{lost:14}")


if __name__ == "__main__":
    main()
