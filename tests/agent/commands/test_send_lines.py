"""`fiesta-agent send`: the check, and the way to the socket."""

import socket
from typing import get_args

import pytest

from agent.commands.send_lines import ADVICE, PACKET_BYTES, faults, packets, send
from protocol.statsd import Reason


@pytest.mark.parametrize("line", ["foo:1|c", "foo:1:2|ms|@0.5|#a:b", "h\u00e4:1|c", "users:a:b|s", "g:+1|g"])
def test_a_good_line(line: str) -> None:
    assert faults([line]) == []


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("", "empty"),
        ("foo", "type"),
        ("foo:|c", "NAME:VALUE"),
        ("foo:1|x", "c, m, ms, h, d, g, s"),
        ("foo:1|c|@2", "rate"),
        ("foo:one|c", "number"),
        ("_e{1,1}:a|b", "events"),
    ],
)
def test_a_bad_line_is_named_with_what_would_be_right(line: str, advice: str) -> None:
    (fault,) = faults(["good:1|c", line])
    assert fault.startswith(repr(line))
    assert advice in fault


def test_every_reason_has_its_advice() -> None:
    assert set(ADVICE) == set(get_args(Reason))


def test_packets_hold_whole_lines_and_fit_a_frame() -> None:
    lines = [f"name{i}:{i}|c" for i in range(1_000)]
    made = list(packets(lines))
    assert b"\n".join(made).decode().split("\n") == lines
    assert max(len(packet) for packet in made) <= PACKET_BYTES
    assert len(made) < 20
    assert list(packets(["x" * 2_000])) == [b"x" * 2_000]
    assert list(packets([])) == []


def test_lines_arrive() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        send(["a:1|c", "b:2|g"], *listener.getsockname())
        assert listener.recv(100) == b"a:1|c\nb:2|g"
        port = listener.getsockname()[1]
    with pytest.raises(OSError, match="nobody listens"):
        send(["a:1|c"], "127.0.0.1", port)
