"""Reads the state of the embedded store's file, read-only. No service may have the file open."""

import time
from pathlib import Path

import duckdb

from central.store.admin_keys import is_live
from central.store.base import StoreUnavailable
from central.store.duck import keys, names
from central.store.inspection import (
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
            merged = handle.execute(f"SELECT samples, histogram FROM histogram_hour LIMIT {MAX_HISTOGRAMS}").fetchall()
            bad = count_bad_histograms((int(samples * UNIT), histogram) for samples, histogram in merged)
            too_much = TOO_MUCH_SERIES.format(line="(SELECT line FROM retention)")
            ((series,),) = handle.execute(too_much).fetchall()
            clashes = names.page(handle, "", "", MAX_CLASHES, clashes=True)
    except duckdb.Error as error:
        raise StoreUnavailable(f"{path} cannot be read: {error}") from error
    shown = [KeyState(row.id, row.public_id, row.name, row.scopes, not is_live(row, time.time())) for row in key_rows]
    return StoreState(version, [], shown, last_run, rejected, bad_histograms=bad, bad_series=series, clashes=clashes)
