"""`fiesta-agent check`, finding by finding."""

from pathlib import Path
from typing import Any

import pytest

from agent.commands.check import Sends, Sockets, check_central, check_sockets, check_spool
from agent.forward.outcome import Reply
from agent.receive.datagrams import granted_buffer, open_udp
from agent.receive.socket_status import KernelLimits, limits
from agent.spool.disk import Disk
from tests.agent.fakes import FULL, NETWORK, NOW, FailingDisk, a_spool, ours, page, refused

OK = ours(200, {"success": True})
EMPTY = refused(400, "VALIDATION_ERROR")
SENDS = Sends(interval=10, max_names=100_000)


class FakeCentral:
    def __init__(self, health: Any, key: Any) -> None:
        self._health, self._key = health, key

    async def health(self) -> Reply:
        return self._served(self._health)

    async def try_key(self) -> Reply:
        return self._served(self._key)

    def _served(self, answer: Any) -> Reply:
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Reply)
        return answer


@pytest.mark.parametrize(
    ("health", "key", "now", "good", "says"),
    [
        (OK, EMPTY, NOW, [True, True, True], "accepted"),
        (OK, refused(429, "RATE_LIMITED"), NOW, [True, True, True], "accepted"),
        (OK, refused(403, "FORBIDDEN"), NOW, [True, True, False], "without the scope to send"),
        (OK, refused(401, "UNAUTHORIZED"), NOW, [True, True, False], "keys create"),
        (OK, refused(503, "SERVICE_UNAVAILABLE"), NOW, [True, True, False], "/ready"),
        (OK, page(200), NOW, [True, True, False], "proxy"),
        (OK, NETWORK, NOW, [True, True, False], "does the service run?"),
        (OK, EMPTY, NOW + 3_600, [True, False, True], "3600 s ahead of"),
        (OK, EMPTY, NOW - 3_600, [True, False, True], "3600 s behind"),
        (ours(200, {"success": True}, None), EMPTY, NOW, [True, False, True], "no valid Date header"),
        (page(200), EMPTY, NOW, [True, False], "CENTRAL_URL"),
        (refused(404, "NOT_FOUND"), EMPTY, NOW, [True, False], "CENTRAL_URL"),
        (NETWORK, EMPTY, NOW, [False], "does the service run?"),
    ],
)
async def test_the_service(health: Any, key: Any, now: float, good: list[bool], says: str) -> None:
    findings = [finding async for finding in check_central("http://c", FakeCentral(health, key), lambda: now, SENDS)]
    assert [finding.good for finding in findings] == good
    assert any(says in finding.message for finding in findings)


SOCKETS = Sockets("UDP 127.0.0.1:8125", "unix /run/a.sock", "TCP 127.0.0.1:8125", "unix stream /run/s.sock")
UNKNOWN = KernelLimits(None, None, None)
LITTLE, MUCH = KernelLimits(212_992, 10, 6_291_456), KernelLimits(16 << 20, 512, 6_291_456)
UDP_STATUS = {"name": "UDP [::]:8125", "packets": 5, "buffer_asked": 8 << 20, "buffer_granted": 8 << 20}
UNIX_STATUS = {"name": "unix /run/b.sock", "packets": 5, "buffer_granted": None, "queue_limit": 10}
TCP_STATUS = {"name": "TCP [::]:8125", "packets": None, "buffer_granted": None}


@pytest.mark.parametrize(
    ("status", "allowed", "doubt", "says"),
    [
        (UDP_STATUS, MUCH, False, "8,388,608 bytes asked for, 8,388,608 granted, net.core.rmem_max allows 16,777,216"),
        (UDP_STATUS, MUCH, False, "it holds some 13,107 datagrams of 200 bytes, 1,310 ms at 10,000 per second"),
        (UDP_STATUS | {"buffer_granted": 212_992}, LITTLE, True, "; sysctl -w net.core.rmem_max=8388608, then restart"),
        (
            UDP_STATUS | {"buffer_granted": 640_000},
            KernelLimits(None, None, None),
            False,
            "640,000 granted; it holds some 1,000",
        ),
        (UDP_STATUS | {"kernel_drops": 7}, MUCH, True, "7 datagrams were dropped because it was full"),
        (UNIX_STATUS, MUCH, True, "10 datagrams may wait (net.unix.max_dgram_qlen), then a sender has to, and clients"),
        (UNIX_STATUS, MUCH, True, "drop: sysctl -w net.unix.max_dgram_qlen=512, then restart"),
        (UNIX_STATUS | {"queue_limit": 512}, LITTLE, False, "512 datagrams may wait"),
        (UNIX_STATUS | {"queue_limit": None}, UNKNOWN, False, "does not say"),
        (TCP_STATUS, LITTLE, False, "up to 6,291,456 bytes (net.ipv4.tcp_rmem); a sender waits while it is full"),
        (TCP_STATUS | {"name": "unix stream /s"}, LITTLE, False, "each connection's buffer; a sender waits"),
    ],
)
def test_a_finding_for_each_socket_of_a_running_agent(
    status: dict[str, Any], allowed: KernelLimits, doubt: bool, says: str
) -> None:
    (finding,) = check_sockets(SOCKETS, [status], allowed)
    assert (finding.good, finding.doubt, finding.what) == (True, doubt, status["name"])
    assert says in finding.message


def test_a_finding_for_each_socket_of_the_settings_when_no_agent_runs() -> None:
    findings = list(check_sockets(SOCKETS, [], LITTLE))
    assert [finding.what for finding in findings] == list(SOCKETS)
    assert [finding.doubt for finding in findings[1:]] == [True, False, False]
    with open_udp("127.0.0.1", 0) as sock:
        assert f"8,388,608 bytes asked for, {granted_buffer(sock):,} granted" in findings[0].message
    assert len(list(check_sockets(Sockets("UDP 127.0.0.1:8125", None, None), [], LITTLE))) == 1


def test_the_systems_limits_are_read_and_may_be_missing(tmp_path: Path) -> None:
    assert limits(tmp_path) == UNKNOWN
    for name, text in (
        ("core/rmem_max", "212992"),
        ("unix/max_dgram_qlen", "10"),
        ("ipv4/tcp_rmem", "4096\t131072\t99"),
    ):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text + "\n")
    assert limits(tmp_path) == KernelLimits(212_992, 10, 99)
    assert limits().dgram_queue


def limited(limit: int, remaining: int = 0, answer: Reply = EMPTY) -> Reply:
    return answer._replace(rate_limit=str(limit), rate_remaining=str(remaining), rate_reset="30")


@pytest.mark.parametrize(
    ("answer", "sends", "doubts", "says"),
    [
        (limited(1_000, 987), SENDS, [False], "1,000 requests per minute, 987 left"),
        (limited(1_000), SENDS, [False], "up to 1,000 names sends 6, so it is enough for 83 such hosts"),
        (limited(1_000, answer=refused(429, "RATE_LIMITED")), SENDS, [False], "enough for 83"),
        (limited(1_000), Sends(60, 100_000, 1_000), [False], "sends 1, so it is enough for 500"),
        (
            limited(1_000),
            Sends(10, 100_000, 2_345),
            [False],
            "names, as this now, sends 18, so it is enough for 27",
        ),
        (limited(600), SENDS, [False], "enough for 50"),
        (limited(599), SENDS, [False, True], "this host alone may send 600 requests per minute, with 100,000 names"),
        (limited(1_000), Sends(1, 100_000), [False, True], "may send 6,000 requests per minute"),
        (limited(10), Sends(10, 1_000, 5), [True], "enough for 0 such hosts"),
    ],
)
async def test_how_many_hosts_share_a_key(answer: Reply, sends: Sends, doubts: list[bool], says: str) -> None:
    findings = [finding async for finding in check_central("http://c", FakeCentral(OK, answer), lambda: NOW, sends)]
    assert all(finding.good for finding in findings)
    assert [finding.doubt for finding in findings if finding.what == "fleet"] == doubts
    assert any(says in finding.message for finding in findings), findings


def test_a_spool_folder_that_is_good(tmp_path: Path) -> None:
    assert check_spool(tmp_path / "new", Disk()).good
    assert not (tmp_path / "new" / "check").exists()


def test_a_spool_folder_that_an_agent_uses_is_good(tmp_path: Path) -> None:
    spool, _ = a_spool(tmp_path)
    spool.open()
    finding = check_spool(tmp_path, Disk())
    assert finding.good
    assert "running agent" in finding.message
    spool.close()


def test_a_spool_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "Not a directory" in check_spool(tmp_path / "file" / "spool", Disk()).message
    full = FailingDisk()
    full.fault = FULL
    finding = check_spool(tmp_path, full.disk)
    assert not finding.good
    assert "No space left" in finding.message
