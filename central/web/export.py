"""GET /api/metrics/export: windows or points of many names as a Parquet file. It is made and sent in pieces."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, ParamSpec

from aiohttp import web

from central.errors import ApiError, unavailable
from central.fair_slots import FairSlots, SlotBounds
from central.graphite.paths import Finder
from central.ingest.names import Names
from central.query.parameters import MOST_MATCHED, Export, fault, parse_export
from central.query.windows import start_of_window
from central.retention import Retention
from central.spill.spill import Spill
from central.store.base import IdGroup, Metric, Store, StoreError
from central.store.duck.parquet import ParquetFile
from central.store.plan import plan
from central.store.points import Points, Span, TooDense, pieces, tags_to_find
from central.web.admin import passed, stream
from central.web.gate import Gate
from central.web.middleware import ASKED_BY, ENDS_WITH_CLIENT, Handler
from central.web.query import completeness, may_lack_points, once, unknown_names
from protocol.times import format_time

P = ParamSpec("P")

EXPORTS: Final = "exports"
SLOTS: Final = SlotBounds(at_once=1, of_one_key=1, waiting=4, waiting_of_one_key=1)
"""One export at a time, because it takes disk space."""
PARQUET: Final = "application/vnd.apache.parquet"


@dataclass(frozen=True, slots=True)
class ExportBounds:
    """What an export may take. ``at_once`` windows or points of all names are read at once, which bounds the memory."""

    rows: int = 5_000_000
    seconds: float = 300.0
    at_once: int = 50_000


@dataclass(frozen=True, slots=True)
class ExportParts:
    """What an export needs. ``queries`` are the slots of queries: each piece waits for one, as a query does."""

    store: Store
    names: Names
    finder: Finder
    retention: Retention
    spill: Spill | None
    queries: FairSlots
    clock: Callable[[], float]


class UnknownNames(NamedTuple):
    """What an export asks for and does not exist: names, and whether its pattern means no name."""

    names: list[str]
    pattern: bool = False


@dataclass(frozen=True, slots=True)
class ExportEndpoint:
    """The endpoint. The file is in ``data_dir`` while it is made and sent. Nothing goes on when the client leaves."""

    parts: ExportParts
    data_dir: Path
    slots: FairSlots
    bounds: ExportBounds

    def behind(self, gate: Gate) -> Handler:
        """The handler. The gate checks the request first; then this sends a stream."""
        checked_by = gate("query", passed)

        async def handle(request: web.Request) -> web.StreamResponse:
            checked = await checked_by(request)
            if checked.status != 200:
                return checked
            key_id = request[ASKED_BY]
            request[ENDS_WITH_CLIENT] = True
            parameters = once(request)
            export = parse_export(parameters, self.parts.clock(), start_of_window)
            async with self.slots.slot(key_id):
                complete = completeness(may_lack_points(self.parts.spill))
                target = self.data_dir / f"export-{secrets.token_hex(8)}.tmp"
                try:
                    missing = await self._write(export, key_id, target)
                    headers = {
                        **checked.headers,
                        **complete,
                        **unknown_names([*missing.names, *([parameters["match"]] if missing.pattern else [])]),
                        "Content-Type": PARQUET,
                        "Content-Disposition": 'attachment; filename="metrics.parquet"',
                    }
                    return await stream(request, target, headers)
                finally:
                    for left in self.data_dir.glob(f"{target.name}*"):
                        left.unlink(missing_ok=True)

        return handle

    async def _write(self, export: Export, key_id: int, target: Path) -> UnknownNames:
        """Make the file. Raises ApiError."""
        try:
            async with asyncio.timeout(self.bounds.seconds):
                metrics, missing = await self._metrics(export, key_id)
                await self._fill(export, metrics, key_id, target)
                return missing
        except TimeoutError:
            raise _too_large(f"the export takes longer than {self.bounds.seconds:g} s") from None
        except StoreError as error:
            raise unavailable(f"the export could not be read: {error}") from error
        except OSError as error:
            raise unavailable(f"the export could not be written: {error}") from error

    async def _metrics(self, export: Export, key_id: int) -> tuple[dict[str, Metric], UnknownNames]:
        async with self.parts.queries.slot(key_id):
            metrics = await self.parts.names.find(export.names)
            missing = UnknownNames([name for name in export.names if name not in metrics])
            if export.globs is not None:
                try:
                    found = await self.parts.finder.metrics(export.globs, MOST_MATCHED)
                except ValueError as error:
                    raise fault("match", f"match {error}; an export may be of {MOST_MATCHED:,}") from None
                missing = missing._replace(pattern=not any(found))
                metrics |= {name: metric for one in found for name, metric in one}
        return metrics, missing

    async def _fill(self, export: Export, metrics: dict[str, Metric], key_id: int, target: Path) -> None:
        kinds = {metric.id: (name, metric.kind) for name, metric in metrics.items()}
        export = export._replace(start=max(export.start, await self.parts.retention.visible_from()))
        file = await asyncio.to_thread(ParquetFile, target, kinds, tags=export.seconds is None)
        with contextlib.closing(file):
            if export.seconds is None:
                try:
                    await self._add_points(file, Span(tuple(kinds), export.start, export.end), key_id)
                except TooDense as error:
                    raise self._too_dense(error.span, kinds) from None
            else:
                await self._add_windows(file, list(kinds), export, export.seconds, key_id)
            await _in_thread(file, file.finish)

    async def _add_windows(
        self, file: ParquetFile, metric_ids: list[int], export: Export, seconds: int, key_id: int
    ) -> None:
        groups = [IdGroup(key, key, None) for key in metric_ids]
        step = max(1, self.bounds.at_once // max(1, len(groups))) * seconds
        begin, rows = export.start, 0
        while begin < export.end and groups:
            end = min(export.end, begin // seconds * seconds + step)
            async with self.parts.queries.slot(key_id):
                buckets = await self.parts.store.aggregate(groups, seconds, plan(begin, end, seconds))
            rows += len(buckets.starts)
            self._check(rows)
            if len(buckets.starts):
                await _in_thread(file, file.add, buckets)
            begin = end

    async def _add_points(self, file: ParquetFile, whole: Span, key_id: int) -> None:
        store, rows = self.parts.store.points, 0
        known: dict[int, str | None] = {}

        async def read(span: Span) -> Points | None:
            async with self.parts.queries.slot(key_id):
                return await store.read(span, self.bounds.at_once)

        async for points in pieces(read, whole):
            rows += len(points.times)
            self._check(rows)
            wanted = tags_to_find(points, known)
            found = dict.fromkeys(wanted) | await store.tags(wanted)  # a series without tags is gone
            known |= found
            await _in_thread(file, file.add_points, points, found)

    def _check(self, rows: int) -> None:
        if rows > self.bounds.rows:
            raise _too_large(f"the export has more than {self.bounds.rows:,} rows")

    def _too_dense(self, span: Span, kinds: Mapping[int, tuple[str, str]]) -> ApiError:
        name, _ = kinds[span.metric_ids[0]]
        at_once = f"{self.bounds.at_once:,} points in the second {format_time(span.start)}"
        return _too_large(f"{name} has more than {at_once}, too many to export raw", "ask for window=1m")


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


def _too_large(message: str, advice: str = "ask for a shorter range, a longer window or fewer names") -> ApiError:
    return ApiError(400, "RANGE_TOO_LARGE", f"{message}; {advice}", details={"field": "window"})
