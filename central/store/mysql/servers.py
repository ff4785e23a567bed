"""Chooses one of several database servers: the first of the list that is a healthy primary.

It stays in use while it is one. Only within a cluster, an earlier server takes over again, after BACK_SECONDS.

A healthy primary can be reached and takes writes. A node of a Galera cluster also belongs to the part of the cluster
that goes on (Primary), and has caught up (Synced). With one server, nothing is asked and nothing is chosen.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakSet

import structlog

from central.store.base import StoreError, StoreUnavailable
from central.store.mysql.connection import Connection, Server, ServerError, Session, connect
from central.store.mysql.replication import Replication, ReplicationCounts, ReplicationHealth, SemiSync, replication_of

PROBE_SECONDS: Final = 1.0
"""How often all servers are asked."""
LATE_SECONDS: Final = 1.0
"""A server that does not answer for so long is not healthy."""
BACK_SECONDS: Final = 30.0
"""How long an earlier server of the list must be healthy before it is used again. So a server that comes and goes does
not make the service follow it."""
_VARIABLES: Final = (
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only', 'super_read_only', 'innodb_read_only', 'wsrep_on')"
)
_STATUS: Final = (
    "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_ready', 'wsrep_cluster_status', 'wsrep_local_state_comment',"
    " 'wsrep_cluster_state_uuid', 'wsrep_cluster_size')"
)
NO_SEMI_SYNC: Final = "its commits wait for no replica: semi-synchronous replication has fallen back"
_SYNCED: Final = "Synced"
_DONOR: Final = "Donor/Desynced"
_OFF: Final = ("OFF", "0", "")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ServerState:
    """What one server said of itself. ``fault`` is why it is no healthy primary, or None."""

    fault: str | None = None
    cluster: str = ""
    """The id of its Galera cluster; empty if it is no node of one."""
    size: int = 0
    """How many nodes the cluster has, as far as this node sees."""
    synced: bool = True
    """False for a node that gives its data to another one just now. It is used if there is no better one."""


@dataclass(slots=True)
class ServerCounts:
    """Plain numbers, read at each scrape."""

    used: int = 0
    """The place in the list of the server in use."""
    healthy: int = 1
    """How many servers were healthy primaries when they were last asked."""
    switches: int = 0
    cluster_size: int = 0
    several_writers: bool = False
    """Whether more than one server takes writes, without a cluster that joins them."""
    replication: ReplicationCounts = field(default_factory=ReplicationCounts)


async def state_of(connection: Connection) -> ServerState:
    """Ask a server whether it is a healthy primary. Raises StoreError."""
    has = {str(name): str(value) for name, value in await connection.rows(_VARIABLES)}
    for name in ("read_only", "super_read_only", "innodb_read_only"):
        if has.get(name, "OFF").upper() not in _OFF:
            return ServerState(f"it is read only ({name} is {has[name]})")
    return ServerState() if has.get("wsrep_on", "OFF") != "ON" else await state_of_node(connection)


async def state_of_node(connection: Connection) -> ServerState:
    """Ask a node of a Galera cluster whether it can be used. Raises StoreError."""
    return cluster_state({str(name): str(value) for name, value in await connection.rows(_STATUS)})


def cluster_state(status: dict[str, str]) -> ServerState:
    """Judge a node of a Galera cluster by its status variables."""
    id_, size = status.get("wsrep_cluster_state_uuid", "?"), int(status.get("wsrep_cluster_size", "0"))
    for name, right in (
        ("wsrep_cluster_status", ("Primary",)),
        ("wsrep_local_state_comment", (_SYNCED, _DONOR)),
        ("wsrep_ready", ("ON",)),
    ):
        if status.get(name) not in right:
            return ServerState(f"{name} is {status.get(name, 'unknown')} and not {right[0]}", id_, size)
    return ServerState(None, id_, size, status["wsrep_local_state_comment"] == _SYNCED)


def health_of(state: ServerState, replication: Replication | None, *, in_use: bool) -> ReplicationHealth:
    """What is wrong with the replication of a server of DB_HOSTS. ``replication`` is None if it did not answer."""
    if replication is None or state.cluster:
        return ReplicationHealth(state.fault)
    if in_use:
        return ReplicationHealth(NO_SEMI_SYNC if replication.semi_sync.lost else None)
    replica = replication.replica
    if replica is None:
        return ReplicationHealth("it is no replica" if state.fault else "it takes writes too, and is no replica")
    return ReplicationHealth(None if replica.hidden else replica.fault, replica.lag, replica=True)


@dataclass(slots=True)
class _Host:
    """A server, what it said last, and since when it has been healthy."""

    server: Server
    state: ServerState = field(default_factory=lambda: ServerState("it was not asked yet"))
    replication: Replication | None = None
    since: float | None = None
    probe: Connection | None = None


class Servers:
    """The servers of one database, in the order of preference. ``watch`` asks them; ``connect`` uses the best one."""

    def __init__(
        self, servers: Sequence[Server], *, ticks: Callable[[], float] = time.monotonic, back: float = BACK_SECONDS
    ) -> None:
        self._all = [_Host(server) for server in servers]
        self._ticks = ticks
        self._back = back
        self._current = 0
        self._made: WeakSet[Connection] = WeakSet()
        self._asking: asyncio.Task[None] | None = None
        """Servers are asked by one task at a time: a session has one question at a time."""
        self.counts = ServerCounts()

    @property
    def several(self) -> bool:
        """Whether there is a choice."""
        return len(self._all) > 1

    @property
    def current(self) -> Server:
        """The server in use."""
        return self._all[self._current].server

    @property
    def states(self) -> list[tuple[Server, ServerState]]:
        """Each server and what it said last."""
        return [(host.server, host.state) for host in self._all]

    async def connect(self, session: Session) -> Connection:
        """A session at the server in use, or if need be at the first healthy primary. Raises StoreUnavailable."""
        if not self.several:
            return await connect(self.current, session)
        try:
            return await self._connect_to(self._all[self._current], session)
        except StoreUnavailable:
            await self.ask_all()
        try:
            return await self._connect_to(self._all[self._current], session)
        except StoreUnavailable as error:
            said = "; ".join(f"{host.server.address}: {host.state.fault}" for host in self._all if host.state.fault)
            raise StoreUnavailable(f"no server of DB_HOSTS is a healthy primary: {said or error}") from error

    async def watch(self) -> None:
        """Ask all servers again and again. Runs until it is cancelled."""
        while True:
            await self.ask_all()
            await asyncio.sleep(PROBE_SECONDS)

    def close(self) -> None:
        """Close the sessions over which the servers are asked."""
        if self._asking is not None:
            self._asking.cancel()
        for host in self._all:
            _drop(host)

    async def ask_all(self) -> None:
        """Ask all servers, and choose the one to use. Callers at the same time share the answers.

        A round that runs already may have asked before the caller saw a fault, so the caller waits for the next too.
        """
        for _ in range(1 if self._asking is None else 2):
            if self._asking is None:
                self._asking = asyncio.create_task(self._ask_each(), name="ask-database-servers")
                self._asking.add_done_callback(self._asked)
            await asyncio.shield(self._asking)

    async def _ask_each(self) -> None:
        await asyncio.gather(*(self._ask(host) for host in self._all))
        self._choose()
        used, counts = self._all[self._current], self.counts.replication
        counts.semi_sync = used.replication.semi_sync if used.replication else SemiSync()
        counts.hosts = {
            host.server.address: health_of(host.state, host.replication, in_use=host is used)
            for host in self._all
            if self.several or host.replication
        }

    def _asked(self, _: object) -> None:
        self._asking = None

    def check(self) -> None:
        """Raise StoreUnavailable if the server in use was no healthy primary when it was last asked."""
        host = self._all[self._current]
        if self.several and host.probe is not None and host.state.fault is not None:
            raise StoreUnavailable(f"the database at {host.server.address} takes no writes: {host.state.fault}")

    async def _connect_to(self, host: _Host, session: Session) -> Connection:
        """A session at this server, if it is a healthy primary."""
        connection: Connection | None = None
        try:
            async with asyncio.timeout(LATE_SECONDS):
                connection = await connect(host.server, session)
                state = await state_of(connection)
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, TimeoutError | StoreError):
                raise StoreUnavailable(str(error) or f"no answer within {LATE_SECONDS:g} s") from error
            raise
        if state.fault is not None:
            connection.close()
            raise StoreUnavailable(f"the database at {host.server.address} takes no writes: {state.fault}")
        connection.outdated = host.server != self.current
        self._made.add(connection)
        return connection

    async def _ask(self, host: _Host) -> None:
        """Ask one server over a session that is kept for this."""
        try:
            async with asyncio.timeout(LATE_SECONDS):
                if host.probe is None or host.probe.closed:
                    host.probe = await connect(host.server, Session())
                host.state, host.replication = await state_of(host.probe), None
                with suppress(ServerError):  # an engine without replication of this kind
                    host.replication = await replication_of(host.probe)
        except (StoreError, TimeoutError) as error:
            host.state, host.replication = ServerState(str(error) or f"no answer within {LATE_SECONDS:g} s"), None
            _drop(host)
        except BaseException:
            _drop(host)
            raise
        if host.state.fault is not None:
            host.since = None
        elif host.since is None:
            host.since = self._ticks()

    def _choose(self) -> None:
        healthy = [place for place, host in enumerate(self._all) if host.state.fault is None]
        clusters = {self._all[place].state.cluster for place in healthy}
        several = len(healthy) > 1 and (len(clusters) > 1 or "" in clusters)
        if several and not self.counts.several_writers:
            addresses = [self._all[place].server.address for place in healthy]
            _log.error("several_databases_take_writes", addresses=addresses)
        self.counts.several_writers = several
        self.counts.healthy = len(healthy)
        if healthy:
            synced = [place for place in healthy if self._all[place].state.synced]
            self._use(self._best(synced or healthy))
        self.counts.cluster_size = self._all[self._current].state.size

    def _best(self, healthy: list[int]) -> int:
        if self._current not in healthy:
            return healthy[0]
        now, cluster = self._ticks(), self._all[self._current].state.cluster
        if not cluster:
            return self._current  # without a cluster, an earlier server may lack what this one has stored
        for place in healthy:
            host = self._all[place]
            if place < self._current and host.state.cluster == cluster and now - (host.since or now) >= self._back:
                return place
        return self._current

    def _use(self, place: int) -> None:
        if place == self._current:
            return
        before, after = self._all[self._current], self._all[place]
        _log.warning(
            "database_changed", now=after.server.address, before=before.server.address, reason=before.state.fault
        )
        self._current = self.counts.used = place
        self.counts.switches += 1
        for connection in self._made:
            connection.outdated = connection.server != self.current


def _drop(host: _Host) -> None:
    if host.probe is not None:
        with suppress(Exception):
            host.probe.close()
        host.probe = None
