"""`fiesta-agent check`, finding by finding."""

from pathlib import Path
from typing import Any

import pytest

from agent.check import check_centre, check_spool
from agent.disk import Disk
from protocol.outcomes import Answer
from tests.agent.fakes import FULL, NETWORK, NOW, FailingDisk, a_spool, ours, page, refused

OK = ours(200, {"success": True})
LISTED = ours(200, {"success": True, "data": []})


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
        (OK, LISTED, NOW, [True, True, True], "accepted"),
        (OK, refused(403, "FORBIDDEN"), NOW, [True, True, True], "accepted"),
        (OK, refused(401, "UNAUTHORIZED"), NOW, [True, True, False], "keys create"),
        (OK, refused(503, "SERVICE_UNAVAILABLE"), NOW, [True, True, False], "/ready"),
        (OK, page(200), NOW, [True, True, False], "proxy"),
        (OK, NETWORK, NOW, [True, True, False], "does the service run?"),
        (OK, LISTED, NOW + 3_600, [True, False, True], "3600 s ahead of"),
        (OK, LISTED, NOW - 3_600, [True, False, True], "3600 s behind"),
        (ours(200, {"success": True}, None), LISTED, NOW, [True, False, True], "tells no time"),
        (page(200), LISTED, NOW, [True, False], "CENTRAL_URL"),
        (refused(404, "NOT_FOUND"), LISTED, NOW, [True, False], "CENTRAL_URL"),
        (NETWORK, LISTED, NOW, [False], "does the service run?"),
    ],
)
async def test_the_centre(health: Any, key: Any, now: float, good: list[bool], says: str) -> None:
    findings = [finding async for finding in check_centre("http://c", Asked(health, key), lambda: now)]
    assert [finding.good for finding in findings] == good
    assert any(says in finding.message for finding in findings)


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
