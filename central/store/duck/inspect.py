"""Reads the state of the embedded store's file, read-only. No service may have the file open."""

import time
from pathlib import Path

import duckdb

from central.store.admin_keys import is_live
from central.store.base import Page, StoreUnavailable
from central.store.duck import keys, names
from central.store.duck.engine import Connection
from central.store.duck.sql import HISTOGRAMS, ROLLUPS
from central.store.inspection import (
    DAY,
    MAX_CLASHES,
    MAX_HISTOGRAMS,
    TOO_MUCH_SERIES,
    KeyState,
    StoreState,
    count_bad_histograms,
)
from central.store.migrations import load, pending
from protocol.numbers import UNIT


def inspect_file(path: Path) -> StoreState:
    """The state of the store in this file. Raises StoreUnavailable if the file cannot be read, and MigrationError."""
    try:
        with duckdb.connect(str(path), read_only=True, config={"threads": 1}) as handle:
            version = f"DuckDB {duckdb.__version__}"
            applied = dict(handle.execute("SELECT name, checksum FROM migrations").fetchall())
            missing = [migration.name for migration in pending(load("duckdb"), applied)]
            if missing:
                return StoreState(version, missing)
            ((last_run,),) = handle.execute("SELECT last_run FROM retention").fetchall()
            ((rejected,),) = handle.execute("SELECT count(*) FROM rejected_points").fetchall()
            key_rows = keys.list_all(handle)
            bad, series = _count_bad_histograms(handle), _count_bad_series(handle)
            clashes = names.page(handle, Page("", "", MAX_CLASHES, clashes=True))
    except duckdb.Error as error:
        raise StoreUnavailable(f"{path} cannot be read: {error}") from error
    shown = [KeyState(row.id, row.public_id, row.name, row.scopes, not is_live(row, time.time())) for row in key_rows]
    return StoreState(version, [], shown, last_run, rejected, bad_histograms=bad, bad_series=series, clashes=clashes)


def _count_bad_histograms(handle: Connection) -> int:
    rows = [
        (int(samples * UNIT), [histogram])
        for table in HISTOGRAMS.values()
        for samples, histogram in handle.execute(
            f"SELECT samples, histogram FROM {table} LIMIT {MAX_HISTOGRAMS}"
        ).fetchall()
    ]
    return count_bad_histograms(rows)


def _count_bad_series(handle: Connection) -> int:
    """Hours since retention's line, and minutes of the last day."""
    line = "(SELECT line FROM retention)"
    lines = {"hour": line, "minute": f"greatest({line}, {int(time.time()) - DAY})"}
    found = 0
    for level, begin in lines.items():
        parts = " UNION ALL ".join(f"SELECT metric_id, bucket, samples FROM {table}" for table in ROLLUPS[level])
        found += handle.execute(TOO_MUCH_SERIES.format(rollup=f"({parts})", line=begin)).fetchall()[0][0]
    return found
