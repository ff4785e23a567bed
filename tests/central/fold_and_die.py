"""Folds histograms in processes that kill themselves: ``python -m tests.central.fold_and_die STORE``.

For each number on standard input a process folds. It kills itself after so many statements of the fold's transaction,
those that only read left out; with fewer it folds all that is due, and ends. Then its exit code is printed.
The processes are forks, so that Python and the store's modules start once.
STORE is the folder of the embedded store, or host, port, user and database of a server.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from central.store.duck.histograms import DuckFolding
from central.store.duck.store import DuckStore
from central.store.folding import FoldingStore, HistogramFold
from central.store.mysql.connection import Server, Session, connect
from central.store.mysql.histograms import MySQLFolding
from central.store.mysql.pool import Pool
from tests.central.harness import Overlay
from tests.central.store_contract_histograms import at_once
from tests.central.store_help import NOW

LATER = NOW + 3_600
"""When the hour before NOW is due."""


def main(*store: str) -> None:
    """Fold as often as there are numbers."""
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            fold_and_die(int(line), *store)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def fold_and_die(statements: int, *store: str) -> None:
    """Fold, and die after so many ``statements``."""
    left = statements

    def over() -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    if len(store) == 1:
        asyncio.run(_in_file(Path(store[0]), over))
    else:
        host, port, user, database = store
        asyncio.run(_on_server(Server(host, int(port), database, user), over))


async def fold(folding: FoldingStore) -> None:
    """One round, of all that is due."""
    await HistogramFold(folding, lambda: LATER, at_once).round()


async def _in_file(folder: Path, over: Callable[[], None]) -> None:
    store = DuckStore(folder, clock=lambda: LATER)
    await store.open()

    async def change(work: Callable[..., None], *args: Any) -> None:
        def watched(handle: Any) -> None:
            # DuckDB finds tables by the names of arguments, which are now a call further up.
            handle.execute("SET python_scan_all_frames = true")

            def execute(*statement: Any) -> Any:
                result = handle.execute(*statement)
                over()
                return result

            work(Overlay(handle, execute=execute), *args)

        await store.engine.change(watched)
        over()

    engine: Any = Overlay(store.engine, change=change)
    await fold(DuckFolding(engine))
    await store.close()


def watched_pool(server: Server, over: Callable[[str], Awaitable[None]]) -> Any:
    """A pool of one session; ``over`` is called after each of its statements that reads no rows."""
    pool = Pool(lambda: connect(server, Session(lock_seconds=1)), 1, 60)

    async def ask(work: Callable[[Any], Awaitable[Any]]) -> Any:
        def watched(session: Any) -> Any:
            def then(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
                async def run(sql: str, *parameters: Any) -> Any:
                    result = await method(sql, *parameters)
                    await over(sql)
                    return result

                return run

            faces = {name: then(getattr(session, name)) for name in ("run", "change")}
            return work(Overlay(session, **faces))

        return await pool.ask(watched)

    return Overlay(pool, ask=ask)


async def _on_server(server: Server, over: Callable[[], None]) -> None:
    async def count(_: str) -> None:
        over()

    readers, changers = Pool(lambda: connect(server, Session()), 1, 60), watched_pool(server, count)
    await fold(MySQLFolding(readers, changers))
    readers.close()
    changers.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
