"""agent/receive/threads.py: who reads a socket where a thread cannot be started."""

import asyncio
import socket
import threading

from agent.aggregate.aggregator import AggregateOptions, Aggregator
from agent.aggregate.compiled import CORE
from agent.ledger import Ledger
from agent.receive.datagrams import open_udp, read_batches
from agent.receive.threads import Served, ThreadReceiver
from tests.agent.in_process import turns_until


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

    served = Served(core, 0, nothing, nothing, aggregator.count_soon, nothing, tell, NoRoomThread)
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
