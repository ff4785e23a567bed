"""What a real client put on the wire: its datagrams, and the samples in them, read without any code of ours."""

import socket
from collections import defaultdict
from contextlib import suppress
from decimal import Decimal
from typing import NamedTuple

_BUFFER = 4 << 20


class Sent(NamedTuple):
    """A sample as a client sent it; it stands for ``weight`` of them."""

    name: str
    value: Decimal
    weight: Decimal
    tags: frozenset[tuple[str, str]]


class Tap:
    """A UDP port in the agent's place. Datagrams of this host are there once the client has sent them."""

    def __init__(self) -> None:
        self._socket = socket.socket(type=socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.port = int(self._socket.getsockname()[1])

    def packets(self) -> list[bytes]:
        """All that came."""
        found = []
        with suppress(BlockingIOError):
            while True:
                found.append(self._socket.recv(1 << 16))
        return found

    def close(self) -> None:
        self._socket.close()


def samples(packets: list[bytes]) -> list[Sent]:
    """The samples of these packets; tags are DogStatsD's, or in the name as InfluxDB and Telegraf have them."""
    return [_sample(line) for packet in packets for line in packet.decode().splitlines() if line]


def _sample(line: str) -> Sent:
    """One sample. A client of these tests sends one value a line."""
    head, _, rest = line.partition(":")
    value, *fields = rest.split("|")
    name, *in_name = head.split(",")
    tags = {(key, text) for key, _, text in (pair.partition("=") for pair in in_name)}
    rate = Decimal(1)
    for field in fields:
        if field.startswith("@"):
            rate = Decimal(field[1:])
        if field.startswith("#"):
            tags |= {(key, text) for key, _, text in (pair.partition(":") for pair in field[1:].split(","))}
    return Sent(name, Decimal(value), 1 / rate, frozenset(tags))


def by_tags(sent: list[Sent], name: str, *keys: str) -> dict[tuple[str | None, ...], list[Sent]]:
    """The samples of a name in groups by the values of these tags."""
    groups: dict[tuple[str | None, ...], list[Sent]] = defaultdict(list)
    for one in sent:
        if one.name == name:
            groups[tuple(dict(one.tags).get(key) for key in keys)].append(one)
    return groups
