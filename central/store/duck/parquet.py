"""A Parquet file, written in pieces. DuckDB is the writer, whatever store the numbers come from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np

from central.store.buckets import Buckets, Column
from central.store.points import Points
from protocol.numbers import units_to_text

_MEMORY: Final = "256MB"
_NUMBERS: Final = ("count", "sum", "min", "max")
_CREATE: Final = (
    "CREATE TABLE lines (name VARCHAR, type VARCHAR, timestamp TIMESTAMP, tags VARCHAR, "
    + ", ".join(f'"{name}" DECIMAL(38,4)' for name in _NUMBERS)
    + "); CREATE TABLE names (id BIGINT, name VARCHAR, type VARCHAR); CREATE TABLE series (id BIGINT, tags VARCHAR);"
    " INSERT INTO series VALUES (0, '')"
)
_NARROW: Final = "{}::DECIMAL(19,0) * 0.0001::DECIMAL(5,4)"
_WIDE: Final = "{}::DECIMAL(38,4)"


class ParquetFile:
    """Rows of windows or of points, kept in a file beside ``path`` until ``finish`` makes it Parquet.

    Times are in UTC. Memory is bounded. Use it in one thread at a time. Whoever made it removes ``path`` and the files
    whose names begin with it.
    """

    def __init__(self, path: Path, names: Mapping[int, tuple[str, str]], *, tags: bool = False) -> None:
        """``names``: the name and type of each metric's id. ``tags``: whether it has that column. Raises OSError."""
        self._path = path
        self._left_out = "" if tags else "EXCLUDE (tags)"
        config: dict[str, Any] = {
            "threads": 1,
            "memory_limit": _MEMORY,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        try:
            self._handle = duckdb.connect(f"{path}.rows", config=config)
            self._handle.execute(_CREATE)
            if names:
                self._handle.executemany(
                    "INSERT INTO names VALUES (?, ?, ?)", [[key, *one] for key, one in names.items()]
                )
        except duckdb.Error as error:
            raise OSError(str(error)) from error

    def add(self, buckets: Buckets) -> None:
        """Add windows. Raises OSError."""
        self.add_points(Points(buckets.metric_ids, np.zeros_like(buckets.metric_ids), *buckets[1:]), {})

    def add_points(self, points: Points, tags: Mapping[int, str | None]) -> None:
        """Add points. ``tags``: those of series that no earlier call has named. Raises OSError."""
        metric_ids, series_ids, times, *numbers = points
        columns = {f"n{at}": _column(number) for at, number in enumerate(numbers)}
        sql = ", ".join((_WIDE if column.dtype == object else _NARROW).format(at) for at, column in columns.items())
        ids = {"m": metric_ids.astype(np.int64), "s": series_ids.astype(np.int64), "t": times.astype(np.int64)}
        select = (
            f"SELECT name, type, make_timestamp(t * 1000000), tags, {sql}"
            " FROM incoming JOIN names ON names.id = m JOIN series ON series.id = s"
        )
        try:
            if tags:
                _insert(self._handle, "series SELECT id, tags FROM incoming", _series(tags))
            _insert(self._handle, f"lines {select}", {**ids, **columns})
        except duckdb.Error as error:
            raise OSError(str(error)) from error

    def finish(self) -> None:
        """Write the file, in the order of names and times. Raises OSError."""
        target = str(self._path).replace("'", "''")
        order = ", ".join(("name", "timestamp", "tags", *(f'"{number}"' for number in _NUMBERS)))
        try:
            self._handle.execute(
                f"COPY (SELECT * {self._left_out} FROM lines ORDER BY {order}) TO '{target}'"
                " (FORMAT parquet, COMPRESSION zstd)"
            )
        except duckdb.Error as error:
            raise OSError(str(error)) from error

    def interrupt(self) -> None:
        """End what another thread does with it, which then raises OSError."""
        self._handle.interrupt()

    def close(self) -> None:
        """Release the file of rows."""
        self._handle.close()


def _insert(handle: duckdb.DuckDBPyConnection, what: str, incoming: dict[str, Any]) -> None:
    """DuckDB finds the table ``incoming`` by the name of the argument."""
    handle.execute(f"INSERT INTO {what}")


def _series(tags: Mapping[int, str | None]) -> dict[str, Any]:
    return {"id": np.array(list(tags), dtype=np.int64), "tags": np.array(list(tags.values()), dtype=object)}


def _column(numbers: Column) -> Column:
    """Units in 64 bits, or the texts of the numbers."""
    if numbers.dtype != object:
        return numbers.astype(np.int64)
    return np.array([units_to_text(int(number)) for number in numbers], dtype=object)
