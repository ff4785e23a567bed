"""central/store/mysql/sql.py and partitions.py: the statements as text, without a server."""

import os

import pytest

from central.store.base import IdGroup, RequestId, StoreError
from central.store.members import members_of
from central.store.mysql.connection import PACKET_BYTES
from central.store.mysql.partitions import add_sql, drop_sql, partition_day, partition_name
from central.store.mysql.rows import RowLines, lines
from central.store.mysql.sql import aggregate, buckets, inserts, loads, request_ids, statements
from central.store.plan import Segment
from protocol.numbers import MAX_UNITS, UNIT
from tests.central.store_help import TODAY, Bucket, as_rows, plain, whole


@pytest.mark.parametrize(
    ("summaries", "series", "columns"), [(False, False, 4), (True, False, 7), (False, True, 5), (True, True, 8)]
)
def test_points_and_sums_are_inserted_into_their_tables(summaries: bool, series: bool, columns: int) -> None:
    points, minute, hour = inserts(RowLines(summaries, series, False, "1,2\n3,4\n", "5,6\n", "7,8\n"))
    into, values = points.split(" VALUES ")
    assert into.startswith("INSERT INTO metric_points (metric_id, recorded_at, id, value")
    assert into.count(",") == columns - 1
    assert values == "(1,2),(3,4)"
    assert "INTO rollup_minute" in minute
    assert "VALUES (5,6) ON DUPLICATE KEY UPDATE samples = rollup_minute.samples + VALUES(samples)" in minute
    assert "INTO rollup_hour" in hour
    assert "VALUES (7,8) ON DUPLICATE KEY UPDATE samples = rollup_hour.samples + VALUES(samples)" in hour


def test_nothing_is_inserted_where_nothing_is() -> None:
    assert inserts(RowLines(False, False, False, "", "", "")) == []


def test_a_large_group_is_cut_into_statements_of_bounded_size() -> None:
    cut = inserts(lines(os.urandom(16), [plain(number, MAX_UNITS) for number in range(20_000)]))
    assert len(cut) > 3
    assert all(len(statement) < PACKET_BYTES + 500 for statement in cut)
    assert sum(statement.count("),(") + 1 for statement in cut) == 60_000


def test_each_load_has_its_text() -> None:
    statements, texts = loads(RowLines(False, False, False, "1,2\n", "5,6\n", "7,8\n"))
    loading = [statement.split()[7] for statement in statements if statement.startswith("LOAD DATA LOCAL INFILE")]
    assert loading == ["metric_points", "minute_sums", "hour_sums"]
    assert texts == [b"1,2\n", b"5,6\n", b"7,8\n"]


@pytest.mark.parametrize(
    ("tuples", "expected"),
    [
        ([], []),
        (["(1)", "(2)"], ["x (1),(2)"]),
        (["a" * PACKET_BYTES, "b", "c"], ["x " + "a" * PACKET_BYTES, "x b,c"]),
    ],
)
def test_statements_hold_as_much_as_they_should(tuples: list[str], expected: list[str]) -> None:
    assert list(statements("x ", tuples)) == expected


def test_ids_are_sorted_and_sent_as_hexadecimal() -> None:
    entries = [RequestId(b"\x02" * 16, b"'" * 16, b'"'), RequestId(b"\x01" * 16, b"\\" * 16, None)]
    (statement,) = request_ids(TODAY, entries)
    assert statement.partition(" VALUES ")[2] == (
        f"(X'{'01' * 16}','2026-02-15',X'{'5c' * 16}',NULL),(X'{'02' * 16}','2026-02-15',X'{'27' * 16}',0x22)"
    )


def test_buckets_come_from_text_as_units_in_order() -> None:
    text = "7200 1.0000 -0.5000 -0.5000 9999999999999999.9999\n3600 2.0000 3.2500 1.0000 2.2500"
    assert as_rows(buckets([(7, 2, text), (9, 1, "0 1.0000 2.0000 2.0000 2.0000")], extremes=True)) == [
        Bucket(7, 3600, 20_000, 32_500, 10_000, 22_500),
        Bucket(7, 7200, 10_000, -5_000, -5_000, MAX_UNITS),
        Bucket(9, 0, 10_000, 20_000, 20_000, 20_000),
    ]


@pytest.mark.parametrize("units", [0, 1, *(1 << bits for bits in (61, 62, 63, 64)), (1 << 63) - 1, 10**38 - 1])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_number_of_any_size_comes_from_text(units: int, sign: int) -> None:
    number = f"{'-' if sign < 0 else ''}{units // UNIT}.{units % UNIT:04d}"
    text = f"3600 1.0000 {number} -0.0001 0.0001\n7200 1.0000 2.0000 2.0000 2.0000"
    assert as_rows(buckets([(7, 2, text)], extremes=True)) == [
        Bucket(7, 3600, UNIT, sign * units, -1, 1),
        Bucket(7, 7200, UNIT, 2 * UNIT, 2 * UNIT, 2 * UNIT),
    ]


def test_buckets_without_extremes_come_from_text() -> None:
    found = buckets(
        [(7, 2, f"7200 1.0000 -0.5000\n3600 2.0000 {10**15}.0001"), (7, 1, "0 1.0000 3.0000")], extremes=False
    )
    assert [column.tolist() for column in found] == [
        [7, 7, 7],
        [0, 3600, 7200],
        [10_000, 20_000, 10_000],
        [30_000, 10**19 + 1, -5_000],
        [],
        [],
    ]


def test_no_rows_are_no_buckets() -> None:
    assert as_rows(buckets([], extremes=True)) == []


@pytest.mark.parametrize("end", ["", "\n", "\n7200 2.0000 3.2500 1.0000", "\n7200 2.0000 3.2500 1.0000 2.25"])
def test_a_text_that_was_cut_short_is_an_error_and_no_answer(end: str) -> None:
    with pytest.raises(StoreError, match="cut the answer short"):
        buckets([(7, 2, "3600 2.0000 3.2500 1.0000 2.2500" + end)], extremes=True)


def test_a_line_that_lost_its_extremes_is_an_error_too() -> None:
    with pytest.raises(StoreError, match="cut the answer short"):
        buckets([(7, 1, "3600 2.0000 3.2500")], extremes=True)


def test_each_segment_asks_its_own_table() -> None:
    segments = [Segment("raw", 90_000, 90_060), Segment("hour", 93_600, 97_200)]
    sql = aggregate(members_of(whole([1, 2])), 3600, segments, extremes=True)
    assert "FROM metric_points WHERE metric_id IN (1,2) AND recorded_at >= '1970-01-02 01:00:00'" in sql
    assert "FROM rollup_hour WHERE metric_id IN (1,2) AND bucket >= '1970-01-02 02:00:00'" in sql
    assert "rollup_minute" not in sql


def test_rows_of_series_count_under_the_keys_of_their_groups() -> None:
    first = 1 << 40
    groups = [IdGroup(8, 1, (first + 1,)), IdGroup(9, 1, (first, 0))]
    segments = [Segment("raw", 90_000, 90_060), Segment("minute", 90_060, 93_600)]
    sql = aggregate(members_of(groups), 60, segments, extremes=True)
    key = f"INTERVAL(member_id + 0e0,-1e0,{first}e0,{first + 1}e0),9,9,8)"
    assert key in sql
    assert f"FROM rollup_minute WHERE metric_id IN ({first + 1},{first}) AND bucket >= '1970-01-02 01:01:00'" in sql
    assert f"AND recorded_at < '1970-01-02 01:01:00' AND series_id IN ({first + 1},{first})" in sql
    assert "AND recorded_at < '1970-01-02 02:00:00' AND series_id IS NULL" in sql, "of the whole range"


MINUTE = Segment("minute", 90_060, 93_600)


@pytest.mark.parametrize(
    ("groups", "window", "segments", "grouped"),
    [
        (whole([1, 2]), 60, [MINUTE], False),
        ([IdGroup(7, 1, (5,)), IdGroup(8, 1, (6,))], 60, [MINUTE], False),
        ([IdGroup(7, 1, (5, 6))], 60, [MINUTE], True),
        ([IdGroup(7, 1, (0,))], 60, [MINUTE], True),
        (whole([1]), 300, [MINUTE], True),
        (whole([1]), 60, [Segment("raw", 90_001, 90_060), MINUTE], True),
    ],
)
def test_rows_are_grouped_where_a_window_may_have_several(
    groups: list[IdGroup], window: int, segments: list[Segment], grouped: bool
) -> None:
    assert ("GROUP BY 1, 2" in aggregate(members_of(groups), window, segments, extremes=True)) == grouped


@pytest.mark.parametrize(("day", "text"), [(0, "p19700101"), (TODAY, "p20260215"), (19_782, "p20240229")])
def test_a_partition_is_named_after_its_day(day: int, text: str) -> None:
    assert (partition_name(day), partition_day(text)) == (text, day)


def test_partitions_end_where_the_next_day_begins() -> None:
    assert add_sql("metric_points", [0, 1]) == (
        "ALTER TABLE metric_points ADD PARTITION (PARTITION p19700101 VALUES LESS THAN (86400),"
        " PARTITION p19700102 VALUES LESS THAN (172800))"
    )
    assert add_sql("request_ids", [TODAY]) == (
        "ALTER TABLE request_ids ADD PARTITION (PARTITION p20260215 VALUES LESS THAN ('2026-02-16'))"
    )
    assert drop_sql("rollup_hour", [0, 1]) == "ALTER TABLE rollup_hour DROP PARTITION p19700101, p19700102"
