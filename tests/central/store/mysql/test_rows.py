"""central/store/mysql/rows.py: the lines of a group, without a server."""

from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from central.compiled import CORE
from central.store.base import Row
from central.store.mysql.rows import lines, stamp
from protocol.numbers import MAX_UNITS
from tests.central.cores import each_core
from tests.central.store_help import NOW, plain

HOUR = NOW // 3600 * 3600
TEXT = stamp(NOW)


@pytest.mark.parametrize(
    ("row", "point", "sums"),
    [
        (plain(7, 0), "0", "1,0,0,0"),
        (plain(7, 1), "0.0001", "1,0.0001,0.0001,0.0001"),
        (plain(7, -1), "-0.0001", "1,-0.0001,-0.0001,-0.0001"),
        (plain(7, 15_000), "1.5000", "1,1.5000,1.5000,1.5000"),
        (plain(7, -120_000), "-12", "1,-12,-12,-12"),
        (plain(7, MAX_UNITS), "9999999999999999.9999", f"1{',9999999999999999.9999' * 3}"),
        (Row(7, NOW, 5, 33_333, -5, 0), "0.0005,3.3333,-0.0005,0", "3.3333,0.0005,-0.0005,0"),
        (Row(7, NOW, 5, 33_333, -5, 0, b"\0\xaf"), "0.0005,3.3333,-0.0005,0,0x00af", "3.3333,0.0005,-0.0005,0"),
        (plain(7, 1)._replace(histogram=b"\1"), "0.0001,0x01", "1,0.0001,0.0001,0.0001"),
    ],
)
@each_core
def test_a_row_becomes_exact_digits(core: ModuleType | None, row: Row, point: str, sums: str) -> None:
    made = lines(bytes(16), [row], core)
    assert made[3:] == (f"7,{TEXT},0,{point}\n", f"7,{TEXT},{sums}\n", f"7,{stamp(HOUR)},{sums}\n")
    assert made[:3] == (row.weight is not None, False, row.histogram is not None)


@each_core
def test_a_row_with_tags_counts_for_its_name_and_its_series(core: ModuleType | None) -> None:
    rows = [
        plain(7, 50_000, NOW + 60)._replace(series_id=2**40 + 1),
        plain(7, 10_000, NOW),
        Row(7, NOW, 30_000, 20_000, 10_000, 20_000, b"\1", 2**40 + 1),
        plain(6, 40_000, NOW + 1)._replace(series_id=2**40),
        plain(7, 20_000, NOW + 1)._replace(series_id=2**40 + 1),
    ]
    made = lines(bytes(16), rows, core)
    one, two, text, late = 2**40, 2**40 + 1, stamp(NOW + 1), stamp(NOW + 60)
    assert made[:3] == (True, True, True)
    assert made.points.splitlines() == [
        f"6,{text},0,4,NULL,NULL,NULL,{one},NULL",
        f"7,{TEXT},1,1,NULL,NULL,NULL,NULL,NULL",
        f"7,{TEXT},2,3,2,1,2,{two},0x01",
        f"7,{text},3,2,NULL,NULL,NULL,{two},NULL",
        f"7,{late},4,5,NULL,NULL,NULL,{two},NULL",
    ]
    assert made.minutes.splitlines() == [
        f"6,{TEXT},1,4,4,4",
        f"7,{TEXT},4,6,1,2",
        f"7,{late},1,5,5,5",
        f"{one},{TEXT},1,4,4,4",
        f"{two},{TEXT},3,5,1,2",
        f"{two},{late},1,5,5,5",
    ]
    assert made.hours.splitlines() == [
        f"6,{stamp(HOUR)},1,4,4,4",
        f"7,{stamp(HOUR)},5,11,1,5",
        f"{one},{stamp(HOUR)},1,4,4,4",
        f"{two},{stamp(HOUR)},4,10,1,5",
    ]


@each_core
def test_a_plain_row_among_summaries_has_none(core: ModuleType | None) -> None:
    made = lines(bytes(16), [plain(7, 10_000), Row(8, NOW, 20_000, 10_000, 20_000, 20_000)], core)
    assert made.points == f"7,{TEXT},0,1,NULL,NULL,NULL\n8,{TEXT},1,2,1,2,2\n"


@each_core
def test_rows_without_a_histogram_among_those_with_one_have_none(core: ModuleType | None) -> None:
    rows = [plain(7, 10_000), Row(8, NOW, 5, 1, 5, 5, bytes(100_000)), Row(9, NOW, 5, 1, 5, 5)]
    made = lines(bytes(16), rows, core)
    assert made.points.splitlines() == [
        f"7,{TEXT},0,1,NULL,NULL,NULL,NULL",
        f"8,{TEXT},1,0.0005,0.0001,0.0005,0.0005,0x{'0' * 200_000}",
        f"9,{TEXT},2,0.0005,0.0001,0.0005,0.0005,NULL",
    ]


@each_core
def test_rows_are_sorted_by_key_and_numbered_from_the_groups_id(core: ModuleType | None) -> None:
    rows = [plain(2, 1, NOW), plain(1, 2, NOW + 1), plain(1, 3, NOW)]
    made = lines(b"\xff" * 16, rows, core)
    base = (2**43 - 1) << 20
    assert [line.split(",")[:3] for line in made.points.splitlines()] == [
        ["1", TEXT, str(base)],
        ["1", stamp(NOW + 1), str(base + 1)],
        ["2", TEXT, str(base + 2)],
    ]
    assert base + 2**20 <= 2**63
    assert lines(b"\xff" * 16, rows, core) == made, "a group sent again has the same points"


@each_core
def test_buckets_are_summed_exactly_and_sorted_by_their_key(core: ModuleType | None) -> None:
    rows = [
        plain(2, MAX_UNITS, HOUR + 59),
        plain(2, MAX_UNITS, HOUR),
        Row(2, HOUR + 60, -30_000, 25_000, -50_000, 10_000),
        plain(1, 5, HOUR + 3600),
    ]
    made = lines(bytes(16), rows, core)
    most = "9999999999999999.9999"
    assert made.minutes.splitlines() == [
        f"1,{stamp(HOUR + 3600)},1,0.0005,0.0005,0.0005",
        f"2,{stamp(HOUR)},2,19999999999999999.9998,{most},{most}",
        f"2,{stamp(HOUR + 60)},2.5000,-3,-5,1",
    ]
    assert made.hours.splitlines() == [
        f"1,{stamp(HOUR + 3600)},1,0.0005,0.0005,0.0005",
        f"2,{stamp(HOUR)},4.5000,19999999999999996.9998,-5,{most}",
    ]


@each_core
def test_a_group_without_points_has_no_lines(core: ModuleType | None) -> None:
    assert lines(bytes(16), [], core) == (False, False, False, "", "", "")


WIDE = st.integers(-MAX_UNITS, MAX_UNITS) | st.integers(-(2**63), 2**63 - 1) | st.integers(-100_000, 100_000)
TIMES = st.integers(NOW - 120, NOW + 4000) | st.integers(-62_135_596_800, 253_402_300_799)
SERIES = st.just(0) | st.integers(2**62, 2**62 + 3) | st.integers(2**62, 2**63 - 1)  # above the ids of names
PLAIN = st.builds(Row, st.integers(0, 3), TIMES, WIDE, *[st.none()] * 4, SERIES)
HISTOGRAM = st.none() | st.binary(min_size=1)
SUMMARY = st.builds(
    Row, st.integers(0, 2**62 - 1), TIMES, WIDE, st.integers(1, MAX_UNITS), WIDE, WIDE, HISTOGRAM, SERIES
)


@settings(deadline=None)
@given(st.binary(min_size=16, max_size=16), st.lists(PLAIN, max_size=30) | st.lists(PLAIN | SUMMARY, max_size=30))
def test_the_core_says_what_plain_python_says(group_id: bytes, rows: list[Row]) -> None:
    assert lines(group_id, rows, CORE) == lines(group_id, rows, None)


@pytest.mark.parametrize(
    "row",
    [
        plain(7, 2**63),
        plain(7, -(2**63) - 1),
        plain(2**64, 1),
        plain(7, 1)._replace(series_id=2**63),
        plain(7, 1, 253_402_300_800),
    ],
)
def test_the_core_leaves_what_does_not_fit_to_plain_python(row: Row) -> None:
    assert CORE is not None
    assert CORE.lines([row], 0) is None


@pytest.mark.parametrize("row", [Row(7, NOW, 1, None, 2, 3), Row(7, NOW, 1, 2, None, 3), Row(7, NOW, 1, 2, 3, None)])
def test_the_core_leaves_half_a_summary_to_plain_python(row: Row) -> None:
    assert CORE is not None
    assert CORE.lines([row], 0) is None
    assert lines(bytes(16), [row], CORE) == lines(bytes(16), [row], None)


@pytest.mark.parametrize(
    ("base", "rows", "written"),
    [
        (0, 1, True),
        (2**64 - 1, 0, True),
        (2**64 - 1, 1, True),
        (2**64 - 2, 2, True),
        (2**64 - 1, 2, False),
        (2**64, 1, False),
        (-1, 1, False),
        (-(2**63), 1, False),
        (2**100, 0, False),
    ],
)
def test_the_core_writes_only_ids_that_fit(base: int, rows: int, written: bool) -> None:
    assert CORE is not None
    made = CORE.lines([plain(7, 1)] * rows, base)
    assert (made is not None) == written
    if made:
        assert [int(line.split(",")[2]) for line in made[3].splitlines()] == list(range(base, base + rows))


class Clears:
    """Not an integer, and whoever takes it for one loses the rows."""

    def __init__(self, rows: list[object]) -> None:
        self.rows = rows

    def __index__(self) -> int:
        self.rows.clear()
        return 5


@pytest.mark.parametrize("place", [*range(6), 7])
def test_the_core_runs_no_code_of_a_row(place: int) -> None:
    assert CORE is not None
    rows: list[object] = []
    fields = [7, NOW, 1, 10_000, 1, 1, None, 0]
    rows += [(*fields[:place], Clears(rows), *fields[place + 1 :]) for _ in range(9)]
    with pytest.raises(TypeError, match="integers"):
        CORE.lines(rows, 0)
    assert len(rows) == 9


@pytest.mark.parametrize("base", [None, "1", 1.0])
def test_the_core_takes_an_integer_as_base(base: object) -> None:
    assert CORE is not None
    with pytest.raises(TypeError):
        CORE.lines([plain(7, 1)], base)


@pytest.mark.parametrize("row", [(), (1, 2), (1, 2, None, None), ("1", 2, 3, None), 7])
def test_the_core_takes_rows_only(row: object) -> None:
    assert CORE is not None
    with pytest.raises((TypeError, IndexError, SystemError)):
        CORE.lines([row], 0)
