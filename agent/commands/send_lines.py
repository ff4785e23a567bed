"""`fiesta-agent send`: checks lines as the agent would read them, then sends them to it."""

import socket
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from protocol.statsd import Reason, parse_line

PACKET_BYTES: Final = 1_400
"""A packet of this size fits an Ethernet frame, so it is not cut into fragments."""

ADVICE: Final[dict[Reason, str]] = {
    "event": "events are not metrics and are dropped",
    "service_check": "service checks are not metrics and are dropped",
    "client_telemetry": "datadog.dogstatsd.client.* is a client's own telemetry and is dropped",
    "bad_name": "the name must be 1 to 255 characters, of which one must be a letter or a digit of ASCII",
    "no_value": "there must be NAME:VALUE before the first |, such as foo:1|c",
    "no_type": "there must be a type after the value, such as foo:1|c",
    "unknown_type": "the type must be one of c, m, ms, h, d, g, s",
    "bad_rate": "the rate must be a number above 0 and at most 1, such as |@0.5",
    "duplicate_rate": "there must be one rate at most",
    "bad_number": "the value must be a number such as 1, -2.5 or 1e3",
    "out_of_range": "the value, divided by its rate, must be within +-9999999999999999.9999",
}


def faults(lines: Iterable[str]) -> list[str]:
    """What is wrong with the lines: one sentence for each reason why the agent would not count a line or a value."""
    sentences = []
    for line in lines:
        samples, lost = parse_line(line.encode("utf-8", "surrogateescape"))
        if not samples and not lost:
            sentences.append(f"{line!r}: is empty; a line is NAME:VALUE|TYPE such as foo:1|c")
        sentences += [f"{line!r}: {ADVICE[reason]}" for reason in dict.fromkeys(lost)]
    return sentences


def packets(lines: Sequence[str]) -> Iterator[bytes]:
    """Datagrams of whole lines. Each has as many lines as fit."""
    packet = b""
    for line in lines:
        encoded = line.encode("utf-8", "surrogateescape")
        if packet and len(packet) + 1 + len(encoded) > PACKET_BYTES:
            yield packet
            packet = b""
        packet = packet + b"\n" + encoded if packet else encoded
    if packet:
        yield packet


def send(lines: Sequence[str], host: str, port: int) -> None:
    """Send lines over UDP. Raises OSError, on this host also when no program listens at the address."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as sock:
        sock.connect(address)
        for packet in packets(lines):
            sock.send(packet)
        refused = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if refused:
            raise OSError(refused, "nobody listens there")
