"""How each kind of socket is read, and where its lines go: into the journal, to the mirror, and to the aggregator."""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from agent.aggregate.aggregator import Aggregator
from agent.attempts import Tell
from agent.journal.journal import Journal
from agent.journal.layout import ABSOLUTE, PLAIN
from agent.ledger import Ledger
from agent.receive.activation import SocketKind
from agent.receive.bad_lines import BadLines
from agent.receive.datagrams import Read, read_batches, read_each
from agent.receive.gauge_signs import common_sign, feeds_by_socket, mark_absolute, parse_gauge_signs
from agent.receive.intake import Intake
from agent.receive.sockets import Threaded
from agent.receive.threads import Served, ThreadReceiver
from agent.receive.unix import read_whole

DATAGRAMS: Final[tuple[SocketKind, ...]] = ("UDP", "unix")


@dataclass(frozen=True, slots=True)
class Routes:
    """The stages that lines go to. ``hand_on`` gets each whole datagram; None without a mirror.

    ``gauges`` is the setting that says what a sign means on each kind of socket.
    """

    aggregator: Aggregator
    journal: Journal
    ledger: Ledger
    bad: BadLines
    hand_on: Callable[[bytes], None] | None
    gauges: str
    tell: Tell

    def intakes(self) -> Mapping[SocketKind, Intake]:
        """Where the lines of each kind of socket go.

        Datagrams are in the journal when they are read. Lines of streams are put there before they are counted.
        """
        feed = self.aggregator.feed
        datagrams = feeds_by_socket(self.gauges, feed)
        streams = feeds_by_socket(self.gauges, self.journal.keeping(feed))
        return {
            kind: Intake(datagrams[kind], self.ledger, self.bad, self.hand_on)
            if kind in DATAGRAMS
            else Intake(streams[kind], self.ledger, self.bad, losses=self.journal)
            for kind in datagrams
        }

    def reads(self, intakes: Mapping[SocketKind, Intake]) -> Mapping[SocketKind, Read]:
        """How the datagrams of each kind of socket are read."""
        core, udp, unix = self.aggregator.core, intakes["UDP"], intakes["unix"]
        if core is None:
            return {
                "UDP": udp.watching(read_each(udp.feed)),
                "unix": unix.watching(read_whole(unix.feed, unix.cut)),
            }
        reads = {kind: intakes[kind].reading(core, self._record_kind(kind)) for kind in DATAGRAMS}
        watched = {kind: intakes[kind].watching(read, read) for kind, read in reads.items()}
        if udp.feed == self.aggregator.feed:  # nobody else wants the datagrams, so the core counts them at once
            counted = read_batches(core, self.aggregator.settle_when_due, lambda: self.aggregator.learned)
            watched["UDP"] = udp.watching(counted, reads["UDP"])
        return watched

    def threaded(self, intake: Intake, read: Read) -> Threaded | None:
        """How UDP sockets are read by threads. None when the event loop reads them."""
        others, kind = self.aggregator.others, self._record_kind("UDP")
        if others is None:
            return None
        if kind == ABSOLUTE:
            others.mark = mark_absolute
        others.inspect = intake.counted
        aggregator, journal = self.aggregator, self.journal
        free = iter(others.cores)

        def made(sock: socket.socket, name: str, ours: bool) -> ThreadReceiver:
            served = Served(
                next(free), kind, journal.make_room, journal.grow, aggregator.count_left, intake.fault, self.tell
            )
            return ThreadReceiver(sock, served, read, name, ours=ours)

        return made

    def _record_kind(self, kind: SocketKind) -> int:
        differs = parse_gauge_signs(self.gauges)[kind] != common_sign(self.gauges)
        return ABSOLUTE if differs else PLAIN
