"""GET /api/metrics/export: windows of many names as a Parquet file, which is made in pieces and sent in pieces."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, ParamSpec

from aiohttp import web

from central.errors import ApiError, unavailable
from central.fair_slots import FairSlots, SlotBounds
from central.graphite.paths import Finder
from central.ingest.names import Names
from central.query.parameters import MOST_MATCHED, Export, fault, parse_export
from central.query.windows import start_of_window
from central.retention import Retention
from central.store.base import IdGroup, Metric, Store, StoreError
from central.store.duck.parquet import ParquetFile
from central.store.plan import plan
from central.web.admin import passed, stream
from central.web.gate import Gate
from central.web.middleware import ASKED_BY, ENDS_WITH_CLIENT, Handler
from central.web.query import once

P = ParamSpec("P")

EXPORTS: Final = "exports"
SLOTS: Final = SlotBounds(at_once=1, of_one_key=1, waiting=4, waiting_of_one_key=1)
"""One export at a time, because it takes disk space."""
MOST_ROWS: Final = 5_000_000
MOST_SECONDS: Final = 300.0
_AT_ONCE: Final = 50_000
"""How many windows of all names are read at once."""
PARQUET: Final = "application/vnd.apache.parquet"


@dataclass(frozen=True, slots=True)
class ExportParts:
    """What an export needs. ``queries`` are the slots of queries: each piece waits for one, as a query does."""

    store: Store
    names: Names
    finder: Finder
    retention: Retention
    queries: FairSlots
    clock: Callable[[], float]


@dataclass(frozen=True, slots=True)
class ExportEndpoint:
    """The endpoint. The file is in ``data_dir`` while it is made and sent. Nothing goes on when the client leaves."""

    parts: ExportParts
    data_dir: Path
    slots: FairSlots
    most_rows: int = MOST_ROWS

    def behind(self, gate: Gate) -> Handler:
        """The handler. The gate checks the request first; then this sends a stream."""
        checked_by = gate("query", passed)

        async def handle(request: web.Request) -> web.StreamResponse:
            checked = await checked_by(request)
            if checked.status != 200:
                return checked
            key_id = request[ASKED_BY]
            request[ENDS_WITH_CLIENT] = True
            export = parse_export(once(request), self.parts.clock(), start_of_window)
            async with self.slots.slot(key_id):
                target = self.data_dir / f"export-{secrets.token_hex(8)}.tmp"
                try:
                    await self._write(export, key_id, target)
                    headers = {
                        **checked.headers,
                        "Content-Type": PARQUET,
                        "Content-Disposition": 'attachment; filename="metrics.parquet"',
                    }
                    return await stream(request, target, headers)
                finally:
                    for left in self.data_dir.glob(f"{target.name}*"):
                        left.unlink(missing_ok=True)

        return handle

    async def _write(self, export: Export, key_id: int, target: Path) -> None:
        """Make the file. Raises ApiError."""
        try:
            async with asyncio.timeout(MOST_SECONDS):
                metrics = await self._metrics(export, key_id)
                await self._fill(export, metrics, key_id, target)
        except TimeoutError:
            raise _too_large(f"the export takes longer than {MOST_SECONDS:g} s") from None
        except StoreError as error:
            raise unavailable(f"the export could not be read: {error}") from error
        except OSError as error:
            raise unavailable(f"the export could not be written: {error}") from error

    async def _metrics(self, export: Export, key_id: int) -> dict[str, Metric]:
        async with self.parts.queries.slot(key_id):
            metrics = await self.parts.names.find(export.names)
            if export.globs is not None:
                try:
                    found = await self.parts.finder.metrics(export.globs, MOST_MATCHED)
                except ValueError as error:
                    raise fault("match", f"match {error}; an export may be of {MOST_MATCHED:,}") from None
                metrics |= {name: metric for one in found for name, metric in one}
        return metrics

    async def _fill(self, export: Export, metrics: dict[str, Metric], key_id: int, target: Path) -> None:
        groups = [IdGroup(metric.id, metric.id, None) for metric in metrics.values()]
        kinds = {metric.id: (name, metric.kind) for name, metric in metrics.items()}
        step = max(1, _AT_ONCE // max(1, len(groups))) * export.seconds
        begin = max(export.start, await self.parts.retention.visible_from())
        rows = 0
        file = await asyncio.to_thread(ParquetFile, target, kinds)
        with contextlib.closing(file):
            while begin < export.end and groups:
                end = min(export.end, begin // export.seconds * export.seconds + step)
                async with self.parts.queries.slot(key_id):
                    buckets = await self.parts.store.aggregate(groups, export.seconds, plan(begin, end, export.seconds))
                rows += len(buckets.starts)
                if rows > self.most_rows:
                    raise _too_large(f"the export has more than {self.most_rows:,} rows")
                if len(buckets.starts):
                    await _in_thread(file, file.add, buckets)
                begin = end
            await _in_thread(file, file.finish)


async def _in_thread(file: ParquetFile, work: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
    """Run ``work`` in a thread. If it is cancelled, interrupt the file's work and wait for its end."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        file.interrupt()
        await asyncio.wait([task])
        task.exception()  # read, or asyncio would log it
        raise


def _too_large(message: str) -> ApiError:
    advice = "ask for a shorter range, a longer window or fewer names"
    return ApiError(400, "RANGE_TOO_LARGE", f"{message}; {advice}", details={"field": "window"})
