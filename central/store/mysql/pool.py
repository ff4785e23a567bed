"""A pool of sessions to one database, and how a transaction runs on them. It knows nothing about metrics.

A session is closed and not used again after a broken connection, a timeout or a cancellation. The pool also closes
sessions that were idle for long, before the server does.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, Protocol, TypeVar

import structlog

from central.store.base import OutcomeUnknown, StoreError, StoreUnavailable
from central.store.mysql.connection import AGAIN, ROLLED_BACK, Connection, Lost, ServerError, TooSlow

T = TypeVar("T")
Work = Callable[[Connection], Awaitable[T]]
Commit = Callable[[Connection], Awaitable[None]]
Mend = Callable[[ServerError], Awaitable[bool]]
"""Whether a transaction may succeed next time: it removes the cause of the error, or the cause has gone."""

ATTEMPTS: Final = 5
"""How often a transaction is tried, after sessions that turn out to be dead and causes that were removed."""
_PAUSE: Final = 0.01
_DOUBLINGS: Final = 5
_REST_SECONDS: Final = 30.0
_ROLLBACK_SECONDS: Final = 5.0
_log = structlog.get_logger(__name__)


class Readers(Protocol):
    """Sessions for queries, at one server or at several."""

    async def ask(self, work: Work[T]) -> T:
        """See Pool.ask. ``work`` sees everything that was acknowledged before this call."""


async def run_commit(connection: Connection) -> None:
    """Make the open transaction durable."""
    await connection.run("COMMIT")


class Pool:
    """At most ``size`` sessions. The pool owns idle sessions; a borrower owns its session until it returns it."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        size: int,
        seconds: float,
        *,
        commit: Commit = run_commit,
        kill: Callable[[Connection], Awaitable[None]] | None = None,
    ) -> None:
        """``kill`` ends the running statement of a session whose borrower was cancelled."""
        self._connect = connect
        self._seconds = seconds
        self._commit = commit
        self._kill = kill
        self._killing: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(size)
        self._resting: list[tuple[Connection, float]] = []
        self._closed = False

    async def ask(self, work: Work[T], seconds: float | None = None) -> T:
        """Run ``work``, which must change nothing. Run it once more if its session turns out to be dead.

        Raises StoreUnavailable, also after ``seconds``, and StoreError if the server refuses a statement.
        """
        deadline = self._deadline(seconds)
        try:
            return await self._ask_once(work, deadline)
        except Lost:
            self.forget()
        return await self._ask_once(work, deadline)

    async def transact(self, work: Work[T], *, mend: Mend | None = None) -> T:
        """Run ``work`` in a transaction. Retry it after a lock conflict, or if ``mend`` has removed the error's cause.

        A conflict says nothing against ``work``, so it is no answer: after conflicts for all of the time, this raises
        TooSlow. Raises OutcomeUnknown if it is not known whether COMMIT succeeded. After any other error, nothing is
        stored.
        """
        deadline = self._deadline(None)
        attempt = failed = 0
        while True:
            attempt += 1
            try:
                return await self._transact_once(work, deadline)
            except ServerError as error:
                failed += error.code not in AGAIN
                if error.code not in AGAIN and (failed == ATTEMPTS or mend is None or not await mend(error)):
                    raise
                _log.info("transaction_run_again", error=str(error), attempt=attempt)
            except Lost:
                self.forget()
                failed += 1
                if failed == ATTEMPTS:
                    raise
            await asyncio.sleep(random.uniform(0, _PAUSE * 2 ** min(attempt, _DOUBLINGS)))  # noqa: S311 - no secret

    async def change(self, work: Work[T], *, mend: Mend | None = None) -> T:
        """Run ``work`` as ``transact`` does. Use it only for work that is harmless to do twice.

        Raises StoreError if nothing is stored. After StoreUnavailable, it is not known whether the change is stored.
        """
        try:
            return await self.transact(work, mend=mend)
        except OutcomeUnknown as error:
            raise StoreUnavailable(f"it is not known whether the change was stored: {error}") from error

    async def _ask_once(self, work: Work[T], deadline: float) -> T:
        async with self._session(deadline) as connection, _until(deadline):
            return await work(connection)

    async def _transact_once(self, work: Work[T], deadline: float) -> T:
        async with self._session(deadline) as connection:
            async with _until(deadline):
                await connection.run("BEGIN")
                result = await work(connection)
                if not connection.in_transaction:  # a COMMIT would say OK and store nothing
                    raise ServerError(ROLLED_BACK, "the server rolled the transaction back without an error")
            try:
                async with asyncio.timeout(self._seconds):  # COMMIT gets the full time: a timeout leaves a doubt
                    await self._commit(connection)
            except Exception as error:
                if isinstance(error, ServerError) and error.code in AGAIN:
                    raise  # not a doubt: the nodes of a cluster decide at COMMIT, and these mean no
                connection.close()
                raise OutcomeUnknown(f"COMMIT did not return well: {error!r}") from error
            return result

    @asynccontextmanager
    async def _session(self, deadline: float) -> AsyncIterator[Connection]:
        """A session for the block. It is kept only if the block succeeds, or if the server refused a statement."""
        connection = await self._take(deadline)
        try:
            yield connection
        except StoreError as error:
            if isinstance(error, StoreUnavailable):
                connection.close()
            else:
                await _roll_back(connection)
            raise
        except BaseException:
            connection.close()
            self._end_at_server(connection)
            raise
        finally:
            self._slots.release()
            if self._closed or connection.closed:
                connection.close()
            else:
                self._resting.append((connection, asyncio.get_running_loop().time()))

    async def _take(self, deadline: float) -> Connection:
        async with _until(deadline):
            await self._slots.acquire()
            try:
                return self._rested() or await self._connect()
            except BaseException:
                self._slots.release()
                raise

    def _end_at_server(self, connection: Connection) -> None:
        """Kill the session's statement: the server notices a closed connection only when the statement has ended."""
        if self._kill is not None and not self._closed:
            task = asyncio.ensure_future(self._kill(connection))
            self._killing.add(task)
            task.add_done_callback(self._killing.discard)

    def _deadline(self, seconds: float | None) -> float:
        return asyncio.get_running_loop().time() + (self._seconds if seconds is None else seconds)

    def forget(self) -> None:
        """Close all idle sessions. When one turns out to be dead, the others probably are too."""
        while self._resting:
            self._resting.pop()[0].close()

    def close(self) -> None:
        """Close the idle sessions now, and the others when they are returned."""
        self._closed = True
        self.forget()

    def _rested(self) -> Connection | None:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        now = asyncio.get_running_loop().time()
        while self._resting:
            connection, since = self._resting.pop()
            if now - since < _REST_SECONDS and not connection.closed and not connection.outdated:
                return connection
            connection.close()
        return None


@asynccontextmanager
async def _until(deadline: float) -> AsyncIterator[None]:
    """Ends the block at ``deadline`` by raising TooSlow."""
    try:
        async with asyncio.timeout_at(deadline):
            yield
    except TimeoutError:
        raise TooSlow("the database did not answer in time") from None


async def _roll_back(connection: Connection) -> None:
    """Roll back, or close the session if that fails: then the server rolls back."""
    try:
        async with asyncio.timeout(_ROLLBACK_SECONDS):
            await connection.run("ROLLBACK")
    except (StoreError, TimeoutError):
        connection.close()
    except BaseException:
        connection.close()
        raise
