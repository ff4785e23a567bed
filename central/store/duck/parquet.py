"""A Parquet file, written in pieces. DuckDB is the writer, whatever store the numbers come from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np

from central.store.buckets import Buckets, Column
from protocol.numbers import units_to_text

_MEMORY: Final = "256MB"
_NUMBERS: Final = ("count", "sum", "min", "max")
_CREATE: Final = (
    "CREATE TABLE windows (name VARCHAR, type VARCHAR, timestamp TIMESTAMP, "
    + ", ".join(f'"{name}" DECIMAL(38,4)' for name in _NUMBERS)
    + "); CREATE TABLE names (id BIGINT, name VARCHAR, type VARCHAR)"
)
_NARROW: Final = "{}::DECIMAL(19,0) * 0.0001::DECIMAL(5,4)"
_WIDE: Final = "{}::DECIMAL(38,4)"


class ParquetFile:
    """Rows of windows, kept in a file beside ``path`` until ``finish`` makes it Parquet. For one thread at a time.

    Times are in UTC. Memory is bounded. Whoever made it removes ``path`` and the files whose names begin with it.
    """

    def __init__(self, path: Path, names: Mapping[int, tuple[str, str]]) -> None:
        """``names``: the name and type of each metric's id. Raises OSError."""
        self._path = path
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
        metric_ids, starts, *numbers = buckets
        columns = {f"n{at}": _column(number) for at, number in enumerate(numbers)}
        sql = ", ".join((_WIDE if column.dtype == object else _NARROW).format(at) for at, column in columns.items())
        incoming = {"m": metric_ids.astype(np.int64), "t": starts.astype(np.int64), **columns}
        select = f"SELECT name, type, make_timestamp(t * 1000000), {sql} FROM incoming JOIN names ON id = m"
        try:
            _insert(self._handle, select, incoming)
        except duckdb.Error as error:
            raise OSError(str(error)) from error

    def finish(self) -> None:
        """Write the file, in the order of names and times. Raises OSError."""
        target = str(self._path).replace("'", "''")
        try:
            self._handle.execute(
                f"COPY (FROM windows ORDER BY name, timestamp) TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
            )
        except duckdb.Error as error:
            raise OSError(str(error)) from error

    def interrupt(self) -> None:
        """End what another thread does with it, which then raises OSError."""
        self._handle.interrupt()

    def close(self) -> None:
        """Release the file of rows."""
        self._handle.close()


def _insert(handle: duckdb.DuckDBPyConnection, select: str, incoming: dict[str, Any]) -> None:
    """DuckDB finds the table ``incoming`` by the name of the argument."""
    handle.execute(f"INSERT INTO windows {select}")


def _column(numbers: Column) -> Column:
    """Units in 64 bits, or the texts of the numbers."""
    if numbers.dtype != object:
        return numbers.astype(np.int64)
    return np.array([units_to_text(int(number)) for number in numbers], dtype=object)
