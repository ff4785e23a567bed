"""`fiesta-agent check`, finding by finding."""

from pathlib import Path
from typing import Any

import pytest

from agent.check import Sends, check_centre, check_spool
from agent.disk import Disk
from protocol.outcomes import Answer
from tests.agent.fakes import FULL, NETWORK, NOW, FailingDisk, a_spool, ours, page, refused

OK = ours(200, {"success": True})
EMPTY = refused(400, "VALIDATION_ERROR")
SENDS = Sends(interval=10, max_names=100_000)


class Asked:
    def __init__(self, health: Any, key: Any) -> None:
        self._health, self._key = health, key

    async def health(self) -> Answer:
        return self._told(self._health)

    async def try_key(self) -> Answer:
        return self._told(self._key)

    def _told(self, answer: Any) -> Answer:
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Answer)
        return answer


@pytest.mark.parametrize(
    ("health", "key", "now", "good", "says"),
    [
        (OK, EMPTY, NOW, [True, True, True], "accepted"),
        (OK, refused(429, "RATE_LIMITED"), NOW, [True, True, True], "accepted"),
        (OK, refused(403, "FORBIDDEN"), NOW, [True, True, False], "may not send"),
        (OK, refused(401, "UNAUTHORIZED"), NOW, [True, True, False], "keys create"),
        (OK, refused(503, "SERVICE_UNAVAILABLE"), NOW, [True, True, False], "/ready"),
        (OK, page(200), NOW, [True, True, False], "proxy"),
        (OK, NETWORK, NOW, [True, True, False], "does the service run?"),
        (OK, EMPTY, NOW + 3_600, [True, False, True], "3600 s ahead of"),
        (OK, EMPTY, NOW - 3_600, [True, False, True], "3600 s behind"),
        (ours(200, {"success": True}, None), EMPTY, NOW, [True, False, True], "tells no time"),
        (page(200), EMPTY, NOW, [True, False], "CENTRAL_URL"),
        (refused(404, "NOT_FOUND"), EMPTY, NOW, [True, False], "CENTRAL_URL"),
        (NETWORK, EMPTY, NOW, [False], "does the service run?"),
    ],
)
async def test_the_centre(health: Any, key: Any, now: float, good: list[bool], says: str) -> None:
    findings = [finding async for finding in check_centre("http://c", Asked(health, key), lambda: now, SENDS)]
    assert [finding.good for finding in findings] == good
    assert any(says in finding.message for finding in findings)


def limited(limit: int, remaining: int = 0, answer: Answer = EMPTY) -> Answer:
    return answer._replace(rate_limit=str(limit), rate_remaining=str(remaining), rate_reset="30")


@pytest.mark.parametrize(
    ("answer", "sends", "doubts", "says"),
    [
        (limited(1_000, 987), SENDS, [False], "1,000 requests a minute, 987 left"),
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
        (limited(599), SENDS, [False, True], "this host alone may send 600 requests a minute, with 100,000 names"),
        (limited(1_000), Sends(1, 100_000), [False, True], "may send 6,000 requests a minute"),
        (limited(10), Sends(10, 1_000, 5), [True], "enough for 0 such hosts"),
    ],
)
async def test_how_many_hosts_share_a_key(answer: Answer, sends: Sends, doubts: list[bool], says: str) -> None:
    findings = [finding async for finding in check_centre("http://c", Asked(OK, answer), lambda: NOW, sends)]
    assert all(finding.good for finding in findings)
    assert [finding.doubt for finding in findings if finding.what == "fleet"] == doubts
    assert any(says in finding.message for finding in findings), findings


def test_a_spool_folder_that_is_good(tmp_path: Path) -> None:
    assert check_spool(tmp_path / "new", Disk()).good
    assert not (tmp_path / "new" / "check").exists()


def test_a_spool_folder_in_use_is_good_news(tmp_path: Path) -> None:
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
