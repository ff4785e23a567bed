"""agent/receive/mirror.py: datagrams go on byte for byte, and nothing that the target does is felt here."""

import asyncio
import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.receive.mirror import MIRROR_REASONS, Mirror
from agent.settings import load_settings
from runtime.settings import SettingsError
from tests.agent.fakes import EventLog, RealCentral
from tests.agent.process import an_agent, balance

PACKETS = [b"a:1|c", b"\0\xff" * 700, b"a:1|c\r\nb:2|ms\n", b"x" * 60_000, "é:1|c".encode(), b"\n"]


@contextmanager
def a_daemon(host: str = "127.0.0.1") -> Iterator[socket.socket]:
    """Something that listens, as statsd would."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        sock.settimeout(30)
        yield sock


def arrived(daemon: socket.socket, packets: int) -> list[bytes]:
    return [daemon.recv(70_000) for _ in range(packets)]


async def a_mirror(daemon: socket.socket | tuple[str, int], *own: tuple[str, int]) -> tuple[Mirror, EventLog]:
    log = EventLog()
    host, port = daemon if isinstance(daemon, tuple) else daemon.getsockname()[:2]
    mirror = Mirror(host, port, log)
    mirror.begin(own)
    await mirror.run()
    return mirror, log


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_datagrams_arrive_byte_for_byte(host: str) -> None:
    with a_daemon(host) as daemon:
        mirror, log = await a_mirror(daemon)
        for packet in PACKETS:
            mirror.send(packet)
        assert arrived(daemon, len(PACKETS)) == PACKETS
        status = mirror.status()
        assert (status.sent, status.dropped, log) == (len(PACKETS), {}, [])
        mirror.close()


@given(st.binary(max_size=2_000))
def test_any_bytes_go_on(packet: bytes) -> None:
    with a_daemon() as daemon:
        mirror, _ = asyncio.run(a_mirror(daemon))
        mirror.send(packet)
        assert arrived(daemon, 1) == [packet]
        mirror.close()


async def test_a_target_where_nobody_listens_refuses_and_is_tried_on() -> None:
    with a_daemon() as daemon:
        address = daemon.getsockname()
    mirror, log = await a_mirror(address)
    for _ in range(10):
        mirror.send(b"a:1|c")
    status = mirror.status()
    assert status.dropped["refused"] >= 5
    assert status.sent + status.dropped["refused"] == 10
    mirror.window_closed()
    mirror.window_closed()
    assert log == ["mirror_fails"]  # nothing came in the second window
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(address)
        again.settimeout(30)
        mirror.send(b"b:1|c")
        assert again.recv(100) == b"b:1|c"
        mirror.window_closed()
        mirror.send(b"b:1|c")
        mirror.window_closed()
        assert log == ["mirror_fails", "mirror_works_again"]
    mirror.close()


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EAGAIN, "buffer_full"),
        (errno.ENOBUFS, "buffer_full"),
        (errno.EMSGSIZE, "too_long"),
        (errno.ENETUNREACH, "failed"),
        (errno.EPERM, "failed"),
    ],
)
async def test_each_failure_is_counted_by_its_reason(number: int, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def send(self, _: bytes) -> int:
            raise OSError(number, os.strerror(number))

    mirror = Mirror("127.0.0.1", 1, EventLog())
    monkeypatch.setattr(mirror, "_socket", Failing())
    mirror.send(b"a")
    assert (mirror.status().sent, mirror.status().dropped) == (0, {reason: 1})


async def test_a_datagram_that_does_not_fit_is_too_long() -> None:
    with a_daemon() as daemon:
        mirror, _ = await a_mirror(daemon)
        mirror.send(b"x" * 65_508)
        assert mirror.status().dropped == {"too_long": 1}
        mirror.close()


async def test_a_name_that_is_not_known_drops_until_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    paused = asyncio.Event()

    async def pause(_: float) -> None:
        paused.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio, "sleep", pause)
    mirror = Mirror("name.invalid", 8126, EventLog())
    running = asyncio.create_task(mirror.run())
    await paused.wait()
    mirror.send(b"a")
    assert mirror.status().dropped == {"unresolved": 1}
    running.cancel()


@pytest.mark.parametrize(
    ("target", "own", "loop"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("localhost", "127.0.0.1", True),
        ("127.0.0.1", "0.0.0.0", True),
        ("127.0.0.5", "0.0.0.0", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("127.0.0.1", "::", True),
        ("::1", "::", True),
        ("127.0.0.2", "127.0.0.1", False),
        ("192.0.2.1", "0.0.0.0", False),
    ],
)
async def test_the_agent_itself_is_no_target(target: str, own: str, loop: bool) -> None:
    mirror, log = await a_mirror((target, 8125), (own, 8125))
    if loop:
        mirror.send(b"a")
        assert (mirror.status().dropped, log) == ({"loop": 1}, ["mirror_loop"])
    else:
        assert log == []
    mirror.close()
    other, log = await a_mirror((target, 8126), (own, 8125))
    assert log == []
    other.close()


@pytest.mark.parametrize(
    ("mirror", "udp", "fault"),
    [
        ("127.0.0.1:8126", "", "it must be udp://host:port"),
        ("tcp://127.0.0.1:8126", "", "it must be udp://host:port"),
        ("udp://127.0.0.1", "", "it must be udp://host:port"),
        ("udp://127.0.0.1:0", "", "it must be udp://host:port"),
        ("udp://127.0.0.1:8125", "", "is the agent's own address"),
        ("udp://127.0.0.1:8125", "0.0.0.0:8125", "is the agent's own address"),
        ("udp://[::1]:8126", "", None),
        ("udp://statsd.internal:8125", "", None),
    ],
)
def test_the_setting_is_checked(mirror: str, udp: str, fault: str | None) -> None:
    environ = {"FIESTA_AGENT_MIRROR": mirror, "FIESTA_AGENT_UDP": udp}
    if fault is None:
        assert load_settings(environ).mirror is not None
    else:
        with pytest.raises(SettingsError, match=fault):
            load_settings(environ)


async def test_an_agent_hands_on_what_it_counts(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with a_daemon() as daemon:
        target = f"udp://127.0.0.1:{daemon.getsockname()[1]}"
        async with (
            RealCentral().serving() as central,
            an_agent(tmp_path / "spool", central, MIRROR=target, UNIX=path, TCP="127.0.0.1:0") as agent,
        ):
            sent = [f"udp.{number}:1|c\nall:1|c" for number in range(100)]
            agent.send(sent)
            assert sorted(arrived(daemon, 100)) == sorted(text.encode() for text in sent)
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"unix:1|c|#env:prod", path)
                assert arrived(daemon, 1) == [b"unix:1|c|#env:prod"]
                sender.sendto(b"long:1|c\n" * 8_000, path)  # it is cut, so it cannot go on as it was
            with socket.create_connection(("127.0.0.1", agent.tcp)) as stream:
                stream.sendall(b"tcp:1|c\n")
            await agent.received(202 + 7_281 + 1)
            await central.until(lambda: central.total("tcp") == 1 and central.total("all") == 100)
            status = await agent.status()
            assert balance(status) == 0
            assert status["mirror"] == {"target": target.replace("udp://", "UDP "), "sent": 101, "dropped": {}}
            text = (await agent.get("/metrics"))[1]
            assert "fiesta_agent_mirror_packets_total 101.0" in text
            for reason in MIRROR_REASONS:
                assert f'fiesta_agent_mirror_dropped_packets_total{{reason="{reason}"}} 0.0' in text


async def test_a_dead_target_costs_no_sample(tmp_path: Path) -> None:
    with a_daemon() as daemon:
        dead = daemon.getsockname()[1]
    async with (
        RealCentral().serving() as central,
        an_agent(tmp_path / "spool", central, MIRROR=f"udp://127.0.0.1:{dead}") as agent,
    ):
        agent.send(["all:1|c"] * 500)
        await central.until(lambda: central.total("all") == 500)
        await agent.until("mirror_fails")
        status = await agent.status()
        assert (balance(status), status["acknowledged"], status["health"]) == (0, 500, [])
        assert status["mirror"]["dropped"]["refused"] > 0


async def test_a_slow_target_costs_no_sample(tmp_path: Path) -> None:
    with a_daemon() as daemon:  # it never reads, so its buffer fills
        daemon.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
        async with (
            RealCentral().serving() as central,
            an_agent(tmp_path / "spool", central, MIRROR=f"udp://127.0.0.1:{daemon.getsockname()[1]}") as agent,
        ):
            agent.send(["all:1|c"] * 500)
            await central.until(lambda: central.total("all") == 500)
            assert balance(await agent.status()) == 0
