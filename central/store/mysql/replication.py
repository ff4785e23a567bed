"""What a server says of its replication: how far it is, whose replica it is, and whether its commits wait for replicas.

The names are MariaDB's. MySQL 8 says source for master and replica for slave, and has other functions for GTIDs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from central.store.base import StoreError
from central.store.mysql.connection import Connection, ServerError

_DENIED: Final = 1227
_CLUSTER: Final = "SHOW GLOBAL STATUS LIKE 'wsrep_cluster_state_uuid'"
_SEMI_SYNC: Final = ("SHOW GLOBAL VARIABLES LIKE 'rpl_semi_sync_%'", "SHOW GLOBAL STATUS LIKE 'rpl_semi_sync_%'")
HIDDEN: Final = "this user may not see its replication; GRANT REPLICA MONITOR (MySQL: REPLICATION CLIENT) ON *.* to it"


class Behind(StoreError):
    """A read server does not have in time what the answer must hold."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a server was at a moment. ``gtids`` is empty if it has no binary log with GTIDs."""

    id: int
    """The server's ``server_id``."""
    gtids: str
    cluster: str = ""
    """The id of its Galera cluster; empty if it is no node of one."""


@dataclass(frozen=True, slots=True)
class Replica:
    """What a replica says of itself."""

    source: int
    """The ``server_id`` of the server that it copies; 0 if it does not say."""
    lag: int | None = None
    """How many seconds it is behind; None while it does not copy."""
    fault: str | None = None
    """Why it does not copy, or not everything."""

    @property
    def hidden(self) -> bool:
        """Whether our user lacks the right to see how the replica does."""
        return self.fault == HIDDEN


@dataclass(frozen=True, slots=True)
class SemiSync:
    """Whether commits of a server should wait for a replica, whether they do, and how many replicas are connected."""

    enabled: bool = False
    on: bool = False
    replicas: int = 0

    @property
    def lost(self) -> bool:
        """Whether commits should wait for a replica, and do not."""
        return self.enabled and not (self.on and self.replicas)


class Replication(NamedTuple):
    """What one server says of its replication. ``replica`` is None if it is no replica."""

    position: Position
    replica: Replica | None
    semi_sync: SemiSync


class ReplicationHealth(NamedTuple):
    """What /ready and the metrics say of a server. ``fault`` is what is wrong with its replication, or None."""

    fault: str | None
    lag: int | None = None
    """How many seconds a replica is behind, if it says so."""
    replica: bool = False


@dataclass(slots=True)
class ReplicationCounts:
    """Plain numbers, read at each scrape. Servers are named by their addresses."""

    hosts: dict[str, ReplicationHealth] = field(default_factory=dict)
    """The servers of DB_HOSTS, if there are several."""
    readers: dict[str, ReplicationHealth] = field(default_factory=dict)
    """The servers of DB_READ_HOSTS."""
    semi_sync: SemiSync = field(default_factory=SemiSync)
    """Of the server in use."""
    reads: dict[str, int] = field(default_factory=dict)
    """How many queries each server of DB_READ_HOSTS has answered."""
    fallbacks: int = 0
    """How many queries the server in use had to answer for them."""

    @property
    def servers(self) -> dict[str, ReplicationHealth]:
        """All servers. If a server is in both lists and only one of them has a fault, that one counts."""
        wrong = {address: health for address, health in self.hosts.items() if health.fault is not None}
        wrong |= {address: health for address, health in self.readers.items() if health.fault is not None}
        return self.hosts | self.readers | wrong

    @property
    def lags(self) -> dict[str, float]:
        """How many seconds each replica is behind that says so."""
        return {address: health.lag for address, health in self.servers.items() if health.lag is not None}

    @property
    def faulty(self) -> dict[str, float]:
        """1 for each server with a fault, 0 for the others."""
        return {address: float(health.fault is not None) for address, health in self.servers.items()}

    @property
    def fault(self) -> str | None:
        """What is wrong, with the address of each server; None if nothing is."""
        return (
            "; ".join(f"{address}: {health.fault}" for address, health in self.servers.items() if health.fault) or None
        )


async def replication_of(connection: Connection) -> Replication:
    """Ask a server. Raises StoreError."""
    variables = [(str(name), str(value)) for sql in _SEMI_SYNC for name, value in await connection.rows(sql)]
    return Replication(await position_of(connection), await replica_of(connection), semi_sync_of(dict(variables)))


async def position_of(connection: Connection) -> Position:
    """The position of the server, which covers everything that it has acknowledged so far. Raises StoreError."""
    gtids = "@@GLOBAL.gtid_binlog_pos" if connection.is_mariadb else "@@GLOBAL.gtid_executed"
    cluster = str((await connection.rows(_CLUSTER))[0][1]) if connection.in_cluster else ""
    ((id_, position),) = await connection.rows(f"SELECT @@GLOBAL.server_id, {gtids}")
    return Position(int(id_), str(position).replace("\n", ""), cluster)


async def catch_up(connection: Connection, position: Position, seconds: float) -> None:
    """Return once a replica has everything up to ``position``. Raises Behind after ``seconds``, and StoreError."""
    wait = "MASTER_GTID_WAIT" if connection.is_mariadb else "WAIT_FOR_EXECUTED_GTID_SET"
    ((late,),) = await connection.rows(f"SELECT {wait}(%s, %s)", (position.gtids, seconds))
    if late != 0:
        raise Behind(f"the replica at {connection.server.address} is more than {seconds:g} s behind")


async def replica_of(connection: Connection) -> Replica | None:
    """What a replica says of itself; None for a server that is no replica. Raises StoreError."""
    try:
        records = await connection.records("SHOW SLAVE STATUS" if connection.is_mariadb else "SHOW REPLICA STATUS")
    except ServerError as error:
        if error.code != _DENIED:
            raise
        return Replica(0, fault=HIDDEN)
    return replica(records[0]) if records else None


def replica(record: Mapping[str, Any]) -> Replica:
    """Judge the row of SHOW SLAVE STATUS, or of SHOW REPLICA STATUS."""
    row = {name.replace("Master", "Source").replace("Slave", "Replica"): value for name, value in record.items()}
    source, delay = int(row["Source_Server_Id"]), int(row.get("SQL_Delay") or 0)
    for thread in ("IO", "SQL"):
        if (runs := row[f"Replica_{thread}_Running"]) != "Yes":
            why = f" ({row[f'Last_{thread}_Error']})" if row.get(f"Last_{thread}_Error") else ""
            return Replica(source, fault=f"its {thread} thread does not run: {runs}{why}")
    if filters := sorted(name for name, value in row.items() if name.startswith("Replicate_") and value):
        return Replica(source, fault=f"it leaves something out ({', '.join(filters)})")
    if row["Seconds_Behind_Source"] is None:
        return Replica(source, fault="it does not know how far it is behind")
    return Replica(source, max(int(row["Seconds_Behind_Source"]), delay))


def semi_sync_of(variables: Mapping[str, str]) -> SemiSync:
    """Judge the variables and the status of a primary."""
    values = {name.lower(): value.upper() for name, value in variables.items()}
    for word in ("master", "source"):
        if values.get(f"rpl_semi_sync_{word}_enabled") in ("ON", "1"):
            clients = int(values.get(f"rpl_semi_sync_{word}_clients", "0"))
            return SemiSync(enabled=True, on=values.get(f"rpl_semi_sync_{word}_status") == "ON", replicas=clients)
    return SemiSync()
