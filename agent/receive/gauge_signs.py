"""What the sign of a gauge means on each socket: a delta as in StatsD, or a plain value as in DogStatsD.

delta                          a delta on all sockets
delta,unix=absolute            a delta on all sockets but the unix datagram socket
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Final, Literal, get_args

from agent.receive.activation import SocketKind
from protocol.statsd import pieces_of

GaugeSign = Literal["delta", "absolute"]
Feed = Callable[[bytes], None]
GaugeSigns = dict[SocketKind, GaugeSign]
KINDS: Final = get_args(SocketKind)
_GAUGE: Final = re.compile(rb"\|g(?=[|\r\n]|\Z)")


def parse_gauge_signs(text: str) -> GaugeSigns:
    """The meaning per kind of socket, from the setting's text. Raises ValueError or KeyError when it is malformed."""
    everywhere, *single = text.split(",")
    signs: GaugeSigns = dict.fromkeys(KINDS, _sign(everywhere))
    by_name = {kind.lower(): kind for kind in KINDS}
    for one in single:
        name, _, sign = one.strip().partition("=")
        signs[by_name[name]] = _sign(sign)
    return signs


def common_sign(text: str) -> GaugeSign:
    """The meaning for lines that are not marked. It is absolute only when it is absolute on all sockets."""
    return "absolute" if "delta" not in parse_gauge_signs(text).values() else "delta"


def feeds_by_socket(text: str, feed: Feed) -> dict[SocketKind, Feed]:
    """``feed`` for each kind of socket. It marks gauges as absolute where the common meaning is a delta."""
    differ = common_sign(text) == "delta"
    return {
        kind: partial(_feed_absolute, feed) if differ and sign == "absolute" else feed
        for kind, sign in parse_gauge_signs(text).items()
    }


def _feed_absolute(feed: Feed, packet: bytes) -> None:
    feed(mark_absolute(packet))


def mark_absolute(lines: bytes) -> bytes:
    """The same lines with every gauge marked as absolute, by an empty DogStatsD container field (``|c:``)."""
    if b"|g" not in lines:
        return lines
    if b"|g:" in lines:  # a line with further values becomes one line per piece
        lines = b"\n".join(line for sent in lines.split(b"\n") for line in _single(sent))
    return _GAUGE.sub(b"|g|c:", lines)


def _single(line: bytes) -> list[bytes]:
    name, colon, rest = line.partition(b":")
    return [name + colon + values + b"|" + tail for values, tail in pieces_of(rest)] if b"|g:" in line else [line]


def _sign(text: str) -> GaugeSign:
    for sign in get_args(GaugeSign):
        if sign == text.strip():
            found: GaugeSign = sign
            return found
    raise ValueError(text)
