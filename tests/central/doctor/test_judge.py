"""central/doctor/judge.py: tables of what was found and how it is judged."""

import itertools
from typing import Any

import pytest

from central.doctor import judge
from central.doctor.judge import Finding, Folder, KeyFile, RedisServer, worst
from central.store.base import ListedName
from central.store.inspection import MAX_CLASHES, KeyState, StoreState, count_bad_histograms
from protocol.histogram import encode

DAY = 86_400
NOW = 1_771_113_600.0
GOOD_MYSQL = {
    "innodb_flush_log_at_trx_commit": "1",
    "innodb_doublewrite": "ON",
    "read_only": "OFF",
    "log_bin": "ON",
    "sync_binlog": "1",
    "binlog_format": "ROW",
    "max_allowed_packet": "16777216",
}
ADMIN = KeyState(1, "a" * 12, "admin", frozenset({"ingest", "query", "admin"}), revoked=False)
SENDER = KeyState(2, "b" * 12, "checkout", frozenset({"ingest"}), revoked=False)


def statuses(findings: Any) -> str:
    """The first letters of all of them; each that is not ok says what to do."""
    found: list[Finding] = [findings] if isinstance(findings, Finding) else list(findings)
    assert all(bool(finding.advice) == (finding.status != "ok") for finding in found), found
    return "".join(finding.status[0] for finding in found)


@pytest.mark.parametrize(
    ("folder", "verdict"),
    [
        (Folder("data", 0o700, writable=True, free=1 << 40), "oo"),
        (Folder("data", None, writable=True, free=1 << 40), "oo"),
        (Folder("data", 0o755, writable=True, free=1 << 40), "wo"),
        (Folder("data", 0o700, writable=False, free=1 << 40), "fo"),
        (Folder("data", 0o700, writable=True, free=500 << 20), "ow"),
        (Folder("data", 0o700, writable=True, free=50 << 20), "of"),
    ],
)
def test_the_data_folder(folder: Folder, verdict: str) -> None:
    assert statuses(judge.data_folder(folder)) == verdict


@pytest.mark.parametrize(
    ("file", "keys", "given", "verdict"),
    [
        (KeyFile("k", 0o600, ADMIN.public_id), [ADMIN], False, "o"),
        (KeyFile("k", 0o600, ADMIN.public_id), None, False, "o"),
        (KeyFile("k", 0o640, ADMIN.public_id), [ADMIN], False, "f"),
        (KeyFile("k", 0o600, fault="does not hold a key"), [ADMIN], False, "f"),
        (KeyFile("k", 0o600, ADMIN.public_id), [ADMIN._replace(revoked=True)], False, "w"),
        (KeyFile("k", 0o600, "c" * 12), [ADMIN], False, "w"),
        (KeyFile("k"), [ADMIN], False, "w"),
        (KeyFile("k"), [], False, "o"),
        (KeyFile("k"), None, False, "o"),
        (KeyFile("k"), [ADMIN], True, "o"),
    ],
)
def test_the_file_of_the_admin_key(file: KeyFile, keys: list[KeyState] | None, given: bool, verdict: str) -> None:
    assert statuses(judge.admin_key_file(file, keys, given=given)) == verdict


@pytest.mark.parametrize(
    ("since", "until", "verdict"), [(-1, 90, "o"), (-1, 29, "w"), (-1, 6, "f"), (-9, -1, "f"), (1, 90, "f")]
)
def test_a_certificate_by_days(since: int, until: int, verdict: str) -> None:
    assert statuses(judge.certificate(NOW + until * DAY, NOW + since * DAY, NOW)) == verdict
    assert statuses(judge.certificate(None, None, NOW)) == "o"


@pytest.mark.parametrize(
    ("difference", "skew", "verdict"),
    [(0.4, 5, "o"), (-0.9, 5, "o"), (2.0, 5, "w"), (-4.9, 5, "w"), (5.1, 5, "f"), (-3_600, 5, "f"), (1.5, 0, "f")],
)
def test_a_clock_by_seconds(difference: float, skew: float, verdict: str) -> None:
    finding = judge.clock("the database", difference, skew)
    assert statuses(finding) == verdict
    assert verdict == "o" or ("ahead" if difference > 0 else "behind") in finding.message


@pytest.mark.parametrize(
    ("change", "bad"),
    [
        ({}, None),
        ({"innodb_flush_log_at_trx_commit": "3"}, None),
        ({"innodb_doublewrite": "DETECT_AND_RECOVER"}, None),
        ({"binlog_format": "MIXED"}, None),
        ({"log_bin": "OFF", "sync_binlog": "0", "binlog_format": "STATEMENT"}, None),
        ({"innodb_flush_log_at_trx_commit": "2"}, "innodb_flush_log_at_trx_commit"),
        ({"innodb_flush_log_at_trx_commit": "0"}, "innodb_flush_log_at_trx_commit"),
        ({"innodb_doublewrite": "OFF"}, "innodb_doublewrite"),
        ({"innodb_doublewrite": "DETECT_ONLY"}, "innodb_doublewrite"),
        ({"read_only": "ON"}, "read_only"),
        ({"sync_binlog": "0"}, "sync_binlog"),
        ({"sync_binlog": "100"}, "sync_binlog"),
        ({"binlog_format": "STATEMENT"}, "binlog_format"),
        ({"max_allowed_packet": "1024"}, "max_allowed_packet"),
    ],
)
def test_settings_of_the_database(change: dict[str, str], bad: str | None) -> None:
    findings = list(judge.mysql_settings({**GOOD_MYSQL, **change}))
    statuses(findings)
    assert [finding.check for finding in findings if finding.status == "fails"] == ([f"database {bad}"] if bad else [])


@pytest.mark.parametrize(("ahead", "verdict"), [(7, "o"), (5, "o"), (4, "w"), (1, "w"), (0, "f"), (-3, "f")])
def test_partitions_by_days_ahead_of_the_table_that_has_fewest(ahead: int, verdict: str) -> None:
    today = int(NOW // DAY)
    finding = judge.partitions({"metric_points": today + 7, "rollup_hour": today + ahead}, NOW)
    assert statuses(finding) == verdict
    assert verdict == "o" or "rollup_hour" in finding.message


@pytest.mark.parametrize(
    ("keys", "given", "verdict"),
    [
        ([ADMIN, SENDER], False, "o"),
        ([ADMIN._replace(revoked=True), SENDER], False, "f"),
        ([SENDER], True, "o"),
        ([], False, "w"),
    ],
)
def test_whether_somebody_can_still_make_keys(keys: list[KeyState], given: bool, verdict: str) -> None:
    assert statuses(judge.admin_keys(keys, given=given)) == verdict


def test_a_revoked_key_in_use_is_named() -> None:
    assert statuses(judge.revoked_in_use([SENDER], {})) == "o"
    finding = judge.revoked_in_use([SENDER], {2: 7, 9: 1})
    assert statuses(finding) == "w"
    assert "2 (checkout): 7 requests, 9 (?): 1 requests" in finding.message


def test_a_clock_that_jumped_is_told_and_how_long_nothing_is_removed() -> None:
    assert statuses(judge.clock_jumps(0, 3600)) == "o"
    finding = judge.clock_jumps(2, 1799.5)
    assert (finding.status, finding.message) == (
        "warning",
        "2 since the service started; it removes nothing for 1800 s more",
    )
    assert judge.clock_jumps(1, 0).message == "1 since the service started"


@pytest.mark.parametrize(
    ("last_run", "running", "verdict"),
    [
        (NOW - 3_600, True, "o"),
        (NOW - 25 * 3_600, True, "o"),
        (NOW - 27 * 3_600, True, "w"),
        (NOW - 27 * 3_600, False, "w"),
        (0, True, "w"),
        (0, False, "o"),
        (None, False, "o"),
    ],
)
def test_retention_by_its_last_run(last_run: float | None, running: bool, verdict: str) -> None:
    assert statuses(judge.retention(None if last_run is None else int(last_run), NOW, running=running)) == verdict


def test_migrations_and_rejected_points() -> None:
    assert statuses(judge.migrations(StoreState("v", []))) == "o"
    assert statuses(judge.migrations(StoreState("v", ["0003_x"]))) == "w"
    assert [statuses(judge.rejected_points(count)) for count in (0, None, 3)] == ["o", "o", "w"]


def test_wrong_histograms_fail() -> None:
    assert [statuses(judge.histograms(count)) for count in (0, 3)] == ["o", "f"]


def test_names_with_fewer_samples_than_their_series_fail() -> None:
    assert [statuses(judge.series(count)) for count in (0, 3)] == ["o", "f"]


def test_histograms_are_wrong_that_weigh_too_much_or_cannot_be_read() -> None:
    good = encode({5: 10_000})
    assert count_bad_histograms([(10_000, [good]), (30_000, [good]), (10_000, [b""]), (20_000, [good] * 2)]) == 0
    assert count_bad_histograms([(9_999, [good]), (10_000, [good[:-1]]), (0, [b"\x07"]), (19_999, [good] * 2)]) == 4


def test_clashes_of_names_are_shown_by_name() -> None:
    assert statuses(judge.clashes([])) == "o"
    found = judge.clashes([ListedName("a.timing", "value", "timing", "a")])
    assert (found.status, found.message) == ("warning", "a (its timings are in a.timing)")
    many = [ListedName(f"n{number}.set", "value", "set", f"n{number}") for number in range(MAX_CLASHES)]
    assert judge.clashes(many).message.endswith("(its sets are in n19.set) and perhaps more")


@pytest.mark.parametrize(
    ("status", "said", "version", "verdict"),
    [
        ("ready", "ok", "1", "o"),
        ("ready", "ok", "0", "ow"),
        ("degraded", "away", "1", "w"),
        ("not ready", "away", "1", "f"),
    ],
)
def test_what_the_service_says(status: str, said: str, version: str, verdict: str) -> None:
    findings = list(judge.service({"status": status, "dependencies": {"store": said}}, version, "1"))
    assert statuses(findings) == verdict
    assert said == "ok" or "store: away" in findings[0].message


GOOD_REDIS = RedisServer("7.0.15", None, used=1 << 20, most=0)


@pytest.mark.parametrize(
    ("facts", "spill_bytes", "verdict"),
    [
        (GOOD_REDIS, None, "o"),
        (GOOD_REDIS, 1 << 20, "oooo"),
        (RedisServer("6.0.16", None, 0, 0), None, "f"),
        (RedisServer("7.0.15", "not durable", 0, 0), 1 << 20, "ofoo"),
        (RedisServer("7.0.15", None, 9 << 20, 10 << 20), 1 << 20, "oowo"),
        (RedisServer("7.0.15", None, 1 << 20, 10 << 20), 1 << 20, "oooo"),
        (RedisServer("7.0.15", None, 0, 0, entries=3, lag=31.0), 1 << 20, "ooow"),
        (RedisServer("7.0.15", None, 0, 0, entries=3, lag=2.0), 1 << 20, "oooo"),
        (RedisServer("7.0.15", None, 0, 0, bad=1), 1 << 20, "ooow"),
    ],
)
def test_redis_and_the_spill(facts: RedisServer, spill_bytes: int | None, verdict: str) -> None:
    assert statuses(judge.redis_server(facts, spill_bytes)) == verdict


def test_the_worst_of_all_counts() -> None:
    rows = {"ok": judge.ok("a", "b"), "warning": judge.warning("a", "b", "c"), "fails": judge.fails("a", "b", "c")}
    for chosen in itertools.product(rows, repeat=2):
        wanted = next(status for status in ("fails", "warning", "ok") if status in chosen)
        assert worst([rows[name] for name in chosen]) == wanted
