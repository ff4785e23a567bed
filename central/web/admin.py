"""The admin API of the store: delete a metric, and make a backup."""

import asyncio
import json
import os
import secrets
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web

from central.access.auth import Key
from central.errors import ApiError
from central.fair_slots import FairSlots, SlotBounds
from central.ingest.answers import Answer
from central.ingest.names import Names
from central.request_id import HEADER, current_id
from central.store.base import Store
from central.web.connections import TAKE_SECONDS
from central.web.gate import Gate
from central.web.middleware import ENDS_WITH_CLIENT, Handler
from central.web.query import asked_with
from central.web.store_answers import asked
from central.write.group_commit import GroupCommit

BACKUPS: Final = "backups"
SLOTS: Final = SlotBounds(at_once=1, of_one_key=1, waiting=1, waiting_of_one_key=1)
"""One backup at a time, because it takes as much disk space as the store."""
BINARY: Final = "application/octet-stream"
_CHUNK: Final = 1 << 20
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MetricEndpoints:
    """The endpoint that deletes a metric."""

    store: Store
    names: Names
    commits: GroupCommit

    async def delete(self, request: web.Request, key: Key) -> Answer:
        """DELETE /api/admin/metrics/{name}. It deletes the name between two groups, so that no group uses the old id.

        Then it removes the points, which takes long, while groups are committed.
        """
        asked_with(request)
        name = request.match_info["name"]

        async def work() -> bool:
            try:
                return await self.store.names.delete(name)
            finally:
                self.names.forget(name)

        found = await asked(self.commits.exclusive(work))
        await asked(self.store.names.purge())  # also if there is no such name: an earlier call may have left points
        if not found:
            raise ApiError(404, "NOT_FOUND", "there is no metric with this name", details={"field": "name"})
        _log.info("metric_deleted", name=name, by=key.id)
        body = {"success": True, "message": "Metric deleted", "data": {"name": name}}
        return Answer(200, json.dumps(body).encode(), {})


@dataclass(frozen=True, slots=True)
class BackupEndpoint:
    """The endpoint that sends a consistent copy of the store. The copy is in ``data_dir`` while it is sent."""

    store: Store
    data_dir: Path
    slots: FairSlots

    def behind(self, gate: Gate) -> Handler:
        """The handler of GET /api/admin/backup. The gate checks the request first; then this sends a stream."""
        checked_by = gate("admin", passed)

        async def handle(request: web.Request) -> web.StreamResponse:
            checked = await checked_by(request)
            if checked.status != 200:
                return checked
            asked_with(request)
            request[ENDS_WITH_CLIENT] = True
            async with self.slots.slot(0):  # one slot for all keys: each copy takes as much disk space as the store
                target = self.data_dir / f"backup-{secrets.token_hex(8)}.tmp"
                try:
                    await asked(self.store.backup(target))
                    return await stream(request, target, {**checked.headers, "Content-Type": BINARY})
                finally:
                    for left in self.data_dir.glob(f"{target.name}*"):
                        left.unlink(missing_ok=True)

        return handle


async def passed(_: web.Request, key: Key) -> Answer:
    """The endpoint of a gate whose caller sends the answer itself."""
    return Answer(200, b"", {})


async def _taken(request: web.Request, written: Awaitable[None]) -> None:
    """Wait until the client has taken a chunk. After TAKE_SECONDS, end the connection and raise ConnectionError."""
    try:
        async with asyncio.timeout(TAKE_SECONDS):
            await written
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionError("the answer is not read") from None


async def stream(request: web.Request, path: Path, headers: Mapping[str, str]) -> web.StreamResponse:
    """Send the file. ``headers`` hold the rate limit of the gate's check."""
    response = web.StreamResponse(headers={**headers, HEADER: current_id() or ""})
    with path.open("rb") as file:
        response.content_length = os.fstat(file.fileno()).st_size
        await response.prepare(request)
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            await _taken(request, response.write(chunk))
    await response.write_eof()
    return response
