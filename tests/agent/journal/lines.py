"""Lines of every kind, in packets, and the tally of what was sent."""

import random
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Final

from tests.agent.journal.tally import Tags, Tally

WHOLE: Final = Decimal(1)
NO_TAGS: Final[Tags] = {}
CLIENTS: Final = 8
"""UDP sockets that send. Where several sockets receive, the kernel gives each of them some of these, almost surely."""


class Load:
    """Sends lines over UDP and a unix socket, and adds up in ``sent`` what must be stored in the end.

    Each UDP socket sets gauges of its own: only what one socket sends comes in order.
    """

    def __init__(self, held: Mapping[str, socket.socket], chance: random.Random) -> None:
        self.sent = Tally()
        self.packets = 0
        self.samples = 0
        self._chance = chance
        self._udp = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(CLIENTS)]
        for sock in self._udp:
            sock.connect(held["UDP"].getsockname())
        self._unix = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._unix.connect(held["unix"].getsockname())
        self._unix.setblocking(False)
        self._number = 0

    def close(self) -> None:
        for sock in self._udp:
            sock.close()
        self._unix.close()

    def send(self, *, over_udp: bool) -> None:
        """Send a packet over UDP and over the unix socket, if there is room for it."""
        if over_udp:
            text, count = self._packet()
            number, client = self._number, self._chance.randrange(CLIENTS)
            gauges: list[tuple[str, str, Tags]] = [
                (f"last.tagged:{number}|g|#client:{client}", "last.tagged", {"client": str(client)})
            ]
            if not client:
                gauges.append((f"last:{number}|g", "last", NO_TAGS))
            self._udp[client].send("\n".join([text, *(line for line, _, _ in gauges)]).encode())
            for _, name, tags in gauges:
                self.sent.set_to(name, number, tags)
            self._sent(count, len(gauges))
        text, count = self._packet()
        try:
            self._unix.send(text.encode())
        except BlockingIOError:
            return
        self._sent(count, 0)

    def for_a_stream(self, lines: int) -> bytes:
        """Whole lines, and a part of one. They count as sent."""
        self.sent.add("counted", [1], WHOLE, NO_TAGS, lines)
        self.sent.add("timed", [7], WHOLE, NO_TAGS, lines)
        self.sent.add("timed.tagged", [7], WHOLE, {"a": "1"}, lines)
        self.samples += 3 * lines
        return b"counted:1|c\ntimed:7|ms\ntimed.tagged:7|ms|#a:1\n" * lines + b"cut in the midd"

    def _sent(self, count: Sequence[Callable[[], object]], more: int) -> None:
        for one in count:
            one()
        self.packets += 1
        self.samples += len(count) + more

    def _packet(self) -> tuple[str, Sequence[Callable[[], object]]]:
        """Lines of every kind in any order, and what to call for each value once it was sent."""
        self._number += 1
        number, value, few = self._number, self._chance.randrange(1, 5_000), self._chance.randrange(7)
        fraction, half, quarter = Decimal(value) / 4, Decimal("0.5"), Decimal("0.25")
        tags, other = {"a": str(few), "b": "x"}, {"env": "prod", "shard": str(few % 3)}
        numbers: list[tuple[str, str, Sequence[Decimal | int], Decimal, Tags]] = [
            ("counted:1|c", "counted", [1], WHOLE, NO_TAGS),
            ("sampled:1|c|@0.5", "sampled", [1], half, NO_TAGS),
            (f"tagged:{value}|c|#a:{few},b:x", "tagged", [value], WHOLE, tags),
            (f"tagged:{value}|c|#b:x,a:{few}", "tagged", [value], WHOLE, tags),
            (f"tagged.sampled:2|c|@0.25|#shard:{few % 3},env:prod", "tagged.sampled", [2], quarter, other),
            (f"timed:{fraction}|ms", "timed", [fraction], WHOLE, NO_TAGS),
            (f"timed.tagged:{fraction}|ms|#a:{few}", "timed.tagged", [fraction], WHOLE, {"a": str(few)}),
            (f"timed.sampled:{value}|h|@0.25|#env:prod,shard:{few % 3}", "timed.sampled", [value], quarter, other),
            (f"packed:{value}:{few}:7|d|#b:x,a:{few}", "packed", [value, few, 7], WHOLE, tags),
            ("odd:+1.50e1|c", "odd", [15], WHOLE, NO_TAGS),
            (f"stamped:2|c|T{int(time.time())}", "stamped", [2], WHOLE, NO_TAGS),
        ]
        growing: list[tuple[str, str, Tags]] = [
            (f"members:m{number}|s", "members", NO_TAGS),
            (f"members.tagged:m{number}|s|#a:{few}", "members.tagged", {"a": str(few)}),
            ("up:+1|g", "up", NO_TAGS),
        ]
        lines: list[tuple[str, list[Callable[[], object]]]] = [("bad line", [])]
        for line, name, values, rate, its in numbers:
            lines.append((line, [partial(self.sent.add, name, values, rate, its)]))
        for line, name, its in growing:
            lines.append((line, [partial(self.sent.grow, name, 1, its)]))
        self._chance.shuffle(lines)
        return "\n".join(line for line, _ in lines), [one for _, several in lines for one in several]
