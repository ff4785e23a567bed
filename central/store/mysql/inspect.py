"""Reads the state of the database, through a session like the service's. Changes nothing."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from central.store.admin_keys import is_live
from central.store.base import Page
from central.store.inspection import (
    DAY,
    MAX_CLASHES,
    MAX_HISTOGRAMS,
    TOO_MUCH_SERIES,
    DatabaseServer,
    KeyState,
    StoreState,
    count_bad_histograms,
)
from central.store.migrations import load, pending
from central.store.mysql import keys, names, partitions
from central.store.mysql.connection import Connection, Server, Session
from central.store.mysql.packed import minutes_of
from central.store.mysql.pool import Pool
from central.store.mysql.reads import ReadFrom, ReadServers
from central.store.mysql.replication import ReplicationHealth
from central.store.mysql.servers import Servers

VARIABLES: Final = (
    "version",
    "innodb_flush_log_at_trx_commit",
    "innodb_doublewrite",
    "log_bin",
    "sync_binlog",
    "binlog_format",
    "max_allowed_packet",
    "read_only",
    "rpl_semi_sync_master_enabled",
    "rpl_semi_sync_source_enabled",
)
_SEMI_SYNC: Final = "SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_%'"
_SECONDS: Final = 3.0
_PACKED: Final = "histogram_minute_packed"
_MERGED: Final = {"histogram_hour": "histogram", "histogram_minute": "histogram", _PACKED: "histograms"}
"""The tables of merged histograms, and the column of each."""


async def inspect_servers(servers: Sequence[Server], read_from: ReadFrom | None = None) -> StoreState:
    """The state of the database. Raises StoreUnavailable if it cannot be reached, StoreError and MigrationError."""
    choice = Servers(servers)
    try:
        connection = await choice.connect(Session())
        await choice.ask_all()
        readers = await _ask_readers(choice, read_from) if read_from is not None else []
    finally:
        choice.close()
    known = choice.counts.replication.hosts
    seen = [
        DatabaseServer(server.address, one.fault, one.cluster, one.size)._replace(**_replication(known, server.address))
        for server, one in choice.states
    ]
    try:
        return replace(await _inspect(connection), servers=seen, readers=readers)
    finally:
        connection.close()


async def _ask_readers(choice: Servers, read_from: ReadFrom) -> list[DatabaseServer]:
    asking = Pool(lambda: choice.connect(Session()), 1, _SECONDS)
    readers = ReadServers(read_from, Session(), _SECONDS, first=asking, lookups=asking)
    try:
        await readers.ask_all()
    finally:
        await readers.close()
        asking.close()
    known = readers.counts.readers
    return [DatabaseServer(address)._replace(**_replication(known, address)) for address in known]


def _replication(known: Mapping[str, ReplicationHealth], address: str) -> dict[str, Any]:
    found = known.get(address, ReplicationHealth(None))
    return {"replica": found.replica, "replication_fault": found.fault, "lag": found.lag}


async def _inspect(connection: Connection) -> StoreState:
    listed = ", ".join(f"'{name}'" for name in VARIABLES)
    rows = await connection.rows(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({listed})")
    rows += await connection.rows(_SEMI_SYNC)
    variables = {str(name): str(value) for name, value in rows}
    asked = time.time()
    ((milliseconds,),) = await connection.rows("SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)")
    ahead = milliseconds / 1000 - (asked + time.time()) / 2
    kind = "MariaDB" if connection.is_mariadb else "MySQL"
    version = f"{kind} {variables['version'].partition('-')[0]}"
    missing = [migration.name for migration in pending(load("mysql"), await _applied(connection))]
    if missing:
        return StoreState(version, missing, ahead=ahead, variables=variables)
    ((last_run,),) = await connection.rows("SELECT last_run FROM retention")
    ((rejected,),) = await connection.rows("SELECT COUNT(*) FROM rejected_points")
    key_rows = await keys.list_all(connection)
    merged: list[tuple[int, Iterable[bytes]]] = []
    for table, column in _MERGED.items():
        rows = await connection.rows(f"SELECT samples, {column} FROM {table} LIMIT {MAX_HISTOGRAMS}")
        merged += [(samples, _histograms(table, content)) for samples, content in rows]
    days = {table: await partitions.existing(connection, table) for table in partitions.TABLES}
    return StoreState(
        version,
        [],
        [KeyState(row.id, row.public_id, row.name, row.scopes, not is_live(row, time.time())) for row in key_rows],
        last_run,
        rejected,
        ahead,
        variables,
        {table: max(found, default=0) for table, found in days.items()},
        count_bad_histograms(merged),
        await _count_bad_series(connection),
        await names.page(connection, Page("", "", MAX_CLASHES, clashes=True)),
    )


def _histograms(table: str, content: bytes) -> Iterable[bytes]:
    """The histograms of a row. Those of a packed row are read later, which raises ValueError if they are damaged."""
    return (one for _, one in minutes_of(content)) if table == _PACKED else [content]


async def _count_bad_series(connection: Connection) -> int:
    """Hours since retention's line, and minutes of the last day."""
    line = "(SELECT FROM_UNIXTIME(line) FROM retention)"
    lines = {"hour": line, "minute": f"GREATEST({line}, FROM_UNIXTIME({int(time.time()) - DAY}))"}
    found = 0
    for level, begin in lines.items():
        ((bad,),) = await connection.rows(TOO_MUCH_SERIES.format(rollup=f"rollup_{level}", line=begin))
        found += bad
    return found


async def _applied(connection: Connection) -> dict[str, str]:
    """The checksum of each applied migration by its name; empty in a new database."""
    there = "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'migrations'"
    if not await connection.rows(there):
        return {}
    return dict(await connection.rows("SELECT name, checksum FROM migrations"))
