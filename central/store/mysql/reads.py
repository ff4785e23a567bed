"""Queries at the servers of DB_READ_HOSTS, which copy the server in use: replicas, or nodes of its Galera cluster.

An answer is never behind. For each query, the server in use is asked for its position, which covers everything that any
process has acknowledged. The read server then waits until it has reached this position. If that takes too long, or the
read server fails, the server in use answers. docs/decisions/0027-a-read-server-waits.md says why.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

from central.store.base import StoreError, StoreUnavailable
from central.store.mysql.connection import Connection, Server, ServerError, Session, TooSlow, connect
from central.store.mysql.pool import Pool, Work
from central.store.mysql.replication import (
    Behind,
    Position,
    Replica,
    ReplicationCounts,
    ReplicationHealth,
    catch_up,
    position_of,
    replica_of,
)
from central.store.mysql.servers import LATE_SECONDS, PROBE_SECONDS, ServerCounts, state_of_node

T = TypeVar("T")

MOST_LAG_SECONDS: Final = 1
READERS: Final = 4
"""How many queries run at each server."""
_ASIDE_SECONDS: Final = 3.0
_WAIT_AT_NODE: Final = "SELECT version FROM name_changes"
"""In a session with wsrep_sync_wait, a read of a table waits until the node has what its cluster had committed."""


class ReadFrom(NamedTuple):
    """The servers of DB_READ_HOSTS, and how many seconds they may be behind."""

    servers: Sequence[Server] = ()
    most_lag: float = MOST_LAG_SECONDS


@dataclass(frozen=True, slots=True)
class ReadState:
    """What a read server said when it was last asked."""

    fault: str | None = None
    """Why it cannot be asked at all."""
    id: int = 0
    """Its ``server_id``."""
    cluster: str = ""
    """The id of its Galera cluster; empty if it is no node of one."""
    replica: Replica | None = None


def unfit(state: ReadState, source: Position, most_lag: float) -> str | None:
    """Why a read server gets no query; None if it does. ``source`` is the position of the server in use."""
    if state.fault is not None:
        return state.fault
    if source.cluster:
        # The GTIDs of a cluster's nodes may differ, so a replica of one cannot be compared with another.
        if state.cluster == source.cluster:
            return None
        return "it is no node of the cluster that is in use"
    if state.replica is None:
        return "it is no replica"
    if state.replica.fault is not None:
        return state.replica.fault
    if state.replica.source != source.id:
        return f"it copies the server with server_id {state.replica.source}, and {source.id} is in use"
    if not source.gtids:
        return "the server in use has no binary log with GTIDs"
    if state.replica.lag is None:
        return "it does not know how far it is behind"
    if state.replica.lag > most_lag:
        return f"it is {state.replica.lag} s behind"
    return None


def chosen(fit: Sequence[bool], busy: Sequence[int]) -> int | None:
    """The index of the fit server with the fewest running queries, the first of several; None if no server is fit."""
    return min((place for place, is_fit in enumerate(fit) if is_fit), key=busy.__getitem__, default=None)


@dataclass(slots=True)
class _Reader:
    """A read server. ``aside`` has one more session, for questions about the server and to kill queries."""

    server: Server
    pool: Pool
    aside: Pool
    state: ReadState = field(default_factory=lambda: ReadState("it was not asked yet"))
    busy: int = 0


class LatestPosition:
    """The position of the server in use. One question serves all callers that came before it was sent."""

    def __init__(self, ask: Callable[[], Awaitable[Position]]) -> None:
        self._ask = ask
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[Position] | None = None
        self._asking: set[asyncio.Task[Position]] = set()

    async def now(self) -> Position:
        """A position from a question that is sent after this call. Raises StoreError."""
        if self._next is None:
            self._next = asyncio.create_task(self._ask_next(), name="database-position")
            self._asking.add(self._next)
            self._next.add_done_callback(self._ended)
        return await asyncio.shield(self._next)

    async def _ask_next(self) -> Position:
        async with self._turn:
            self._next = None  # a caller that comes after this needs the next question
            return await self._ask()

    def _ended(self, task: asyncio.Task[Position]) -> None:
        self._asking.discard(task)
        if not task.cancelled():
            task.exception()  # read, or asyncio would log it where nobody waits any more

    async def close(self) -> None:
        """Ask no more."""
        for task in self._asking:
            task.cancel()
        if self._asking:
            await asyncio.wait(self._asking)


class ReadServers:
    """pool.Readers at read servers, with the server in use behind them. ``start`` begins to watch them."""

    def __init__(self, read_from: ReadFrom, session: Session, seconds: float, *, first: Pool, lookups: Pool) -> None:
        """``first`` has the sessions for queries at the server in use. ``lookups`` has those for short questions."""
        self._first = first
        self._most_lag = read_from.most_lag
        wait = self._most_lag + LATE_SECONDS
        self._all = [_reader(server, session, seconds + wait) for server in read_from.servers]
        self._source = LatestPosition(lambda: lookups.ask(position_of))
        self._last: Position | None = None
        self._watch: asyncio.Task[None] | None = None
        self.counts = ReplicationCounts(reads=dict.fromkeys((one.server.address for one in self._all), 0))

    async def start(self, counts: ServerCounts) -> None:
        """Ask all servers, now and then again and again. Puts what they say into ``counts``."""
        counts.replication.reads = self.counts.reads
        self.counts = counts.replication
        await self.ask_all()
        self._watch = asyncio.create_task(self._watch_all(), name="read-servers-watch")

    async def close(self) -> None:
        """Close all sessions at read servers."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        await self._source.close()
        for reader in self._all:
            reader.pool.close()
            reader.aside.close()

    async def ask(self, work: Work[T]) -> T:
        """See pool.Readers."""
        reader = self._choose()
        if reader is not None:
            try:
                found = await self._ask_at(reader, work)
            except TooSlow:
                raise
            except StoreError as error:
                if not isinstance(error, Behind | ServerError):
                    reader.state = ReadState(str(error))  # until it answers again
                    self._tell()
            else:
                self.counts.reads[reader.server.address] += 1
                return found
        self.counts.fallbacks += 1
        return await self._first.ask(work)

    async def ask_all(self) -> None:
        """Ask all servers once."""
        with suppress(StoreError, TimeoutError):
            async with asyncio.timeout(LATE_SECONDS):
                self._last = await self._source.now()
        states = await asyncio.gather(*(_state_of(reader) for reader in self._all))
        for reader, state in zip(self._all, states, strict=True):
            reader.state = state
        self._tell()

    async def _watch_all(self) -> None:
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            await self.ask_all()

    def _choose(self) -> _Reader | None:
        if self._last is None:
            return None
        fit = [unfit(reader.state, self._last, self._most_lag) is None for reader in self._all]
        place = chosen(fit, [reader.busy for reader in self._all])
        return None if place is None else self._all[place]

    async def _ask_at(self, reader: _Reader, work: Work[T]) -> T:
        """What ``work`` finds at a read server that has caught up. Raises StoreError."""
        reader.busy += 1
        try:
            source = await self._source.now()
            if why := unfit(reader.state, source, self._most_lag):  # another server may be in use by now
                raise Behind(why)

            async def caught_up(connection: Connection) -> T:
                await self._catch_up(connection, source)
                return await work(connection)

            return await reader.pool.ask(caught_up)
        finally:
            reader.busy -= 1

    async def _catch_up(self, connection: Connection, source: Position) -> None:
        try:
            async with asyncio.timeout(self._most_lag + LATE_SECONDS):
                if not source.cluster:
                    await catch_up(connection, source, self._most_lag)
                elif connection.in_cluster:
                    await connection.rows(_WAIT_AT_NODE)
                else:
                    raise Behind("it is no node of a cluster any more")
        except TimeoutError:
            raise StoreUnavailable("the read server does not catch up in time") from None

    def _tell(self) -> None:
        self.counts.readers = {one.server.address: self._health(one.state) for one in self._all}

    def _health(self, state: ReadState) -> ReplicationHealth:
        if self._last is None or state.fault is not None:
            return ReplicationHealth(state.fault)
        if state.replica is None:
            in_use = state.id == self._last.id  # it was promoted, and is no read server now
            return ReplicationHealth(None if in_use else unfit(state, self._last, self._most_lag))
        return ReplicationHealth(unfit(state, self._last, self._most_lag), state.replica.lag, replica=True)


def _reader(server: Server, session: Session, seconds: float) -> _Reader:
    aside = Pool(lambda: _connect(server, Session()), 1, _ASIDE_SECONDS)

    async def kill(reader: Connection) -> None:
        with suppress(StoreError):
            await aside.ask(lambda connection: connection.run(f"KILL QUERY {reader.server_id}"))

    return _Reader(server, Pool(lambda: _connect(server, session), READERS, seconds, kill=kill), aside)


async def _connect(server: Server, session: Session) -> Connection:
    try:
        async with asyncio.timeout(LATE_SECONDS):
            return await connect(server, session)
    except TimeoutError:
        raise StoreUnavailable(f"no answer within {LATE_SECONDS:g} s") from None


async def _state_of(reader: _Reader) -> ReadState:
    try:
        state = await reader.aside.ask(_state, LATE_SECONDS)
    except StoreError as error:
        return ReadState(str(error))
    if state.replica is not None and state.replica.hidden:
        reader.aside.forget()  # a right that is granted meanwhile holds for new sessions only
    return state


async def _state(connection: Connection) -> ReadState:
    id_ = (await position_of(connection)).id
    if connection.in_cluster:
        node = await state_of_node(connection)
        if node.fault is None and not node.synced:
            return ReadState("it gives its data to another node", id_, node.cluster)
        return ReadState(node.fault, id_, node.cluster)
    return ReadState(None, id_, replica=await replica_of(connection))
