"""central/store/duck/sql.py: how a group's rows reach DuckDB."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.compiled import CORE
from central.store.base import RequestId, Row
from central.store.duck.engine import Connection
from central.store.duck.sql import FEW, ID_TABLE, PUT_NARROW, PUT_PLAIN, PUT_WIDE, TAIL, point_columns
from central.store.duck.store import DuckStore
from tests.central.store_contract_data import EDGES, any_rows
from tests.central.store_help import NOW, TODAY, group, plain

DIGITS_14 = 10**14 - 1


@given(st.lists(any_rows(), min_size=1, max_size=20), st.sampled_from([0, 2**31 - 1]), st.sampled_from([None, b"\1"]))
def test_the_core_makes_the_same_columns(rows: list[Row], series_id: int, histogram: bytes | None) -> None:
    rows = [*rows, rows[0]._replace(series_id=series_id, histogram=histogram)]
    (statement, *tables), (expected, *plain_tables) = point_columns(rows, CORE), point_columns(rows, None)
    assert statement == expected
    for made, wanted in zip(tables, plain_tables, strict=True):
        assert list(made) == list(wanted)
        for name, column in wanted.items():
            assert made[name].dtype == column.dtype
            np.testing.assert_array_equal(made[name], column)


@pytest.mark.parametrize(
    ("row", "statement", "names"),
    [
        (plain(7, DIGITS_14), PUT_PLAIN, "mtv"),
        (plain(7, -DIGITS_14), PUT_PLAIN, "mtv"),
        (Row(7, NOW, 5, 20_000, 2, 3), PUT_NARROW, "mtfvwab"),
        (plain(7, DIGITS_14 + 1), PUT_WIDE, None),
        (plain(7, -(10**20) + 1), PUT_WIDE, None),
    ],
)
def test_only_large_numbers_pass_in_halves(row: Row, statement: str, names: str | None) -> None:
    made, columns, texts = point_columns([row])
    assert made.split()[:5] == statement.split()[:5]
    assert (made, texts) == (statement.format(histogram="NULL", series="NULL"), {})
    if names is not None:
        assert "".join(columns) == names
    else:
        high, low = columns["vh"].item(), columns["vl"].item()
        assert (high * 10**10 + low, 0 <= low < 10**10) == (row.value, True)


async def test_a_few_rows_are_stored_as_many_are(tmp_path: Path) -> None:
    units = [sign * edge for edge in EDGES for sign in (1, -1)]
    rows = [plain(7, value) for value in units]
    rows += [Row(7, NOW, value, abs(value), -abs(value), abs(value), bytes(range(9)), 5) for value in units]
    answers = (b"{'\xff'}", None)
    ids = [RequestId(bytes([255 - number] * 16), b"\xff" * 16, answers[number % 2]) for number in range(9)]
    assert len(rows) > FEW
    store = DuckStore(tmp_path)
    try:
        await store.open()
        await store.commit(group(rows, ids))
        for row, other in zip(rows[::2], reversed(rows[1::2]), strict=True):
            await store.commit(group([row, other]))
        for entry in ids:
            await store.commit(group(ids=[entry]))
        for table, wanted in ((TAIL, rows), (f"{ID_TABLE}{TODAY}", ids)):
            assert await store.engine.read(partial(rows_stored_twice, table=table)) == len(wanted)
    finally:
        await store.close()


def rows_stored_twice(cursor: Connection, table: str) -> int:
    return len(cursor.execute(f"SELECT * FROM {table} GROUP BY ALL HAVING count(*) = 2").fetchall())


@pytest.mark.parametrize("rows", [(), None, [()], [(1, 2)], [("1", 2, 3, None, None, None, None, 0)], [7]])
def test_the_core_takes_a_list_of_rows_only(rows: object) -> None:
    assert CORE is not None
    with pytest.raises((TypeError, IndexError, SystemError)):
        CORE.columns(rows)


def test_the_core_leaves_numbers_over_64_bits() -> None:
    assert CORE is not None
    assert CORE.columns([plain(7, 2**63 - 1)]) is not None
    assert CORE.columns([plain(7, 2**63)]) is None
