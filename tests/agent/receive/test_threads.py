"""agent/receive/threads.py: who reads where a thread cannot be started, and how often one is looked at."""

import asyncio
import os
import socket
import threading
from typing import TYPE_CHECKING, cast

from agent.aggregate.aggregator import AggregateOptions, Aggregator
from agent.aggregate.compiled import CORE
from agent.ledger import Ledger
from agent.receive.datagrams import ReadResult, open_udp, read_batches
from agent.receive.threads import Served, ThreadReceiver
from tests.agent.in_process import turns_until

if TYPE_CHECKING:
    from agent.aggregate.core import Core


class NoRoomThread(threading.Thread):
    """The system has no room for another thread."""

    def start(self) -> None:
        raise RuntimeError("can't start new thread")


async def test_without_room_for_a_thread_the_event_loop_reads() -> None:
    ledger = Ledger()
    aggregator = Aggregator(AggregateOptions(), ledger, CORE, others=1)
    assert aggregator.core is not None
    assert aggregator.others is not None
    (core,) = aggregator.others.cores

    def nothing(*_: object) -> None:
        pass

    log: list[tuple[str, str]] = []

    def tell(event: str, message: str) -> None:
        log.append((event, message))

    served = Served(core, 0, nothing, nothing, aggregator.count_left, nothing, tell, NoRoomThread)
    read = read_batches(aggregator.core, aggregator.settle_when_due, lambda: aggregator.learned)
    receiver = ThreadReceiver(open_udp("127.0.0.1", 0), served, read, "", ours=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(receiver.address)
        receiver.start(asyncio.get_running_loop())
        ((event, text),) = log
        assert event == "thread_missing"
        assert text.startswith(f"{receiver.name}: the event loop reads it")
        sender.send(b"a:1|c\nb:2|ms")
        await turns_until(lambda: receiver.packets == 1)
        aggregator.settle()
        assert ledger.received == 2
        receiver.stop()
        sender.send(b"a:1|c")
        assert receiver.drain() == 1
        receiver.stop()
        receiver.close()


class NeverTaught:
    """A core whose thread signals all the time, and which always has more names to learn."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.taught = 0

    def serve(self, fd: int, kind: int, stop: int, attention: int, pause: int) -> None:
        self.attention = attention
        self.ready.set()

    def hold(self) -> None: ...

    def let_go(self) -> None: ...

    def wants(self) -> tuple[int, bool, int, int, int]:
        return 0, False, 1_000_000, 0, 0

    def teach(self, most: int) -> bool:
        self.taught += 1
        return True


async def test_a_turn_of_the_loop_teaches_once_however_often_the_thread_signals() -> None:
    core = NeverTaught()

    def nothing(*_: object, **__: object) -> None: ...

    served = Served(cast("Core", core), 0, nothing, nothing, nothing, nothing, nothing)
    receiver = ThreadReceiver(open_udp("127.0.0.1", 0), served, lambda *_: ReadResult(0, 0), "", ours=True)
    receiver.start(asyncio.get_running_loop())
    await asyncio.to_thread(core.ready.wait)
    before, turns = core.taught, 50
    for _ in range(turns):
        os.eventfd_write(core.attention, 1)
        await asyncio.sleep(0)
    assert turns / 2 < core.taught - before <= turns + 1
    receiver.close()
