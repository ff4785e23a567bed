"""What DogStatsD clients say of themselves: how much they sent, and what they dropped before it reached this agent.

A client sends ``datadog.dogstatsd.client.NAME:COUNT|c|#client:py,client_version:1,client_transport:uds`` every few
seconds. COUNT is since its last such line. The names, as the clients of Datadog define them:

metrics                            calls of the application, also those that a sample rate left out
packets_sent, bytes_sent           what a client wrote to its socket
packets_dropped, bytes_dropped     what it did not: its queue was full, or the socket took nothing

A client that says nothing is not in these numbers. What arrived is known per kind of socket, for all clients.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from agent.receive.socket_status import SocketStatus

PREFIX: Final = b"datadog.dogstatsd.client."
NAMES: Final = frozenset(
    {b"metrics", b"packets_sent", b"packets_dropped", b"bytes_sent", b"bytes_dropped"},
)
_COUNT: Final = re.compile(rb"([0-9]{1,15})\|c\|#([^|]*)")
_TRANSPORTS: Final[Mapping[bytes, str]] = {
    b"udp": "UDP",
    b"uds": "unix",
    b"uds-datagram": "unix",
    b"unixgram": "unix",
    b"uds-stream": "unix stream",
    b"unixstream": "unix stream",
    b"tcp": "TCP",
}
"""The clients' words for a transport -> our word for the kind of socket."""
OTHER: Final = "other"
TRANSPORTS: Final = (*sorted({*_TRANSPORTS.values()}), OTHER)
MAX_CLIENTS: Final = 100
"""How many kinds of clients (name and version) are listed apart."""
_ADVICE: Final[Mapping[str, str]] = {
    "UDP": "the kernel dropped them: raise net.core.rmem_max, or send less",
    "unix": "the unix socket's queue{queue} was full: set net.unix.max_dgram_qlen",
    "unix stream": "the agent was away, or the clients wait too little",
    "TCP": "the agent was away, or the clients wait too little",
    OTHER: "look at the clients",
}


@dataclass(frozen=True, slots=True)
class ClientsStatus:
    """What the clients of one kind of socket say, and what arrived there. Totals since the start.

    ``arrived`` counts datagrams of all clients, also of those that say nothing; None for streams.
    """

    transport: str
    clients: Sequence[str]
    metrics: int
    packets_sent: int
    packets_dropped: int
    bytes_sent: int
    bytes_dropped: int
    arrived: int | None

    @property
    def missing(self) -> int:
        """Packets that clients sent and that did not arrive. A lower bound: ``arrived`` has other clients too."""
        return 0 if self.arrived is None else max(0, self.packets_sent - self.arrived)

    @property
    def lost(self) -> int:
        """Packets that clients made and that did not arrive. A lower bound, as ``missing`` is."""
        return self.packets_dropped + self.missing


class Clients:
    """Adds up what clients say."""

    def __init__(self) -> None:
        self._counts: defaultdict[str, Counter[bytes]] = defaultdict(Counter)
        self._clients: defaultdict[str, dict[str, None]] = defaultdict(dict)

    def take(self, name: bytes, rests: Iterable[bytes]) -> None:
        """Take lines under one of the clients' names, each without the name and its colon. Raises nothing."""
        counted = name.removeprefix(PREFIX)
        if counted not in NAMES:
            return
        for rest in rests:
            match = _COUNT.fullmatch(rest.rstrip(b"\r"))
            if match is None:
                continue
            tags = dict(tag.partition(b":")[::2] for tag in match[2].split(b","))
            transport = _TRANSPORTS.get(tags.get(b"client_transport", b"").lower(), OTHER)
            self._counts[transport][counted] += int(match[1])
            known = self._clients[transport]
            if len(known) < MAX_CLIENTS:
                known[_client(tags)] = None

    def statuses(self, sockets: Sequence[SocketStatus]) -> list[ClientsStatus]:
        """For each transport of which any client has said something, what they say and what arrived."""
        return [
            ClientsStatus(
                transport=transport,
                clients=sorted(self._clients[transport]),
                metrics=counts[b"metrics"],
                packets_sent=counts[b"packets_sent"],
                packets_dropped=counts[b"packets_dropped"],
                bytes_sent=counts[b"bytes_sent"],
                bytes_dropped=counts[b"bytes_dropped"],
                arrived=arrived(transport, sockets),
            )
            for transport, counts in sorted(self._counts.items())
        ]


def arrived(transport: str, sockets: Iterable[SocketStatus]) -> int | None:
    """The datagrams that came over a transport. None for streams and unknown transports."""
    packets = [one.packets for one in sockets if _kind(one.name) == transport and one.packets is not None]
    return sum(packets) if packets else None


def silent(statuses: Iterable[ClientsStatus], sockets: Iterable[SocketStatus]) -> list[str]:
    """The sockets where lines came, and no client says how much it sent."""
    talking = {status.transport for status in statuses}
    return [one.name for one in sockets if one.bytes and _kind(one.name) not in talking]


def losses(statuses: Iterable[ClientsStatus], sockets: Sequence[SocketStatus]) -> Iterator[str]:
    """A sentence for each transport on which packets were lost before they arrived."""
    limits = [one.queue_limit for one in sockets if one.queue_limit is not None]
    for status in statuses:
        if not status.lost:
            continue
        said = status.packets_sent + status.packets_dropped
        queue = f" of {min(limits):,}" if limits else ""
        came = "" if status.arrived is None else f", of which {min(status.arrived, said - status.lost):,} arrived"
        yield (
            f"clients over {status.transport} say that they made {said:,} packets with {status.metrics:,} "
            f"metrics{came}; they dropped {status.packets_dropped:,} themselves: "
            f"{_ADVICE[status.transport].format(queue=queue)}"
        )


def _client(tags: Mapping[bytes, bytes]) -> str:
    """``py 1.0``: visible ASCII only, for logs and labels."""
    words = (tags.get(key, b"?").decode("ascii", "replace")[:32] for key in (b"client", b"client_version"))
    return " ".join(
        "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in word) for word in words
    )


def _kind(name: str) -> str:
    """The kind of a socket, from its name: see agent.receive.socket_status.socket_name."""
    return "unix stream" if name.startswith("unix stream ") else name.partition(" ")[0]
