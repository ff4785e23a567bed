"""The admin API of retention: show it, run it now, move the line back."""

import asyncio
import json
from collections.abc import Awaitable
from typing import Any, Final, TypeVar

from aiohttp import web

from central.access.auth import Key
from central.errors import invalid, unavailable
from central.ingest.answers import Answer
from central.ingest.body import decode_short
from central.retention import BusyError, RestoreError, Retention
from central.store.base import StoreError
from central.web.bodies import Bodies
from central.web.gate import Endpoint
from central.web.query import asked_with
from protocol.item import Fault

T = TypeVar("T")
RUN_SECONDS: Final = 20.0
"""How long an answer waits for a run to end. A longer run goes on after the answer."""
MOST_DAYS: Final = 36_500


def show(retention: Retention) -> Endpoint:
    """GET /api/admin/retention."""

    async def handle(request: web.Request, key: Key) -> Answer:
        asked_with(request)
        return await _shown(retention, 200)

    return handle


def run(retention: Retention, *, seconds: float = RUN_SECONDS) -> Endpoint:
    """POST /api/admin/retention/run. It answers within ``seconds``. The run goes on, also if the client leaves."""
    running: set[asyncio.Task[None]] = set()

    async def handle(request: web.Request, key: Key) -> Answer:
        asked_with(request)
        task = asyncio.create_task(retention.run(f"key {key.id}"))
        running.add(task)
        task.add_done_callback(running.discard)
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # read it, or asyncio logs it
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done:
            return await _shown(retention, 201, "Retention is running; removing goes on")
        await _asked(task)
        return await _shown(retention, 201, "Retention ran")

    return handle


def restore(retention: Retention, bodies: Bodies) -> Endpoint:
    """POST /api/admin/retention/restore."""

    async def handle(request: web.Request, key: Key) -> Answer:
        asked_with(request)
        asked = await bodies.decode(request, key.id, lambda body: decode_short(body) if body else {})
        await _asked(retention.restore(f"key {key.id}", _days(asked)))
        return await _shown(retention, 201, "Line moved back")

    return handle


async def _shown(retention: Retention, status: int, message: str | None = None) -> Answer:
    body: dict[str, Any] = {"success": True, "data": await _asked(retention.show())}
    if message is not None:
        body["message"] = message
    return Answer(status, json.dumps(body).encode(), {})


async def _asked(work: Awaitable[T]) -> T:
    """The result of ``work``. Turns its errors into ApiError."""
    try:
        return await work
    except RestoreError as error:
        raise invalid(Fault("VALIDATION_ERROR", "days", f"days: {error}")) from None
    except BusyError:
        raise unavailable("another process is running retention now; try again") from None
    except StoreError as error:
        raise unavailable(f"the store could not do it: {error}") from error


def _days(raw: Any) -> int | None:
    if type(raw) is not dict:
        raise invalid(Fault("VALIDATION_ERROR", "body", 'the body must be empty or a JSON object {"days": ...}'))
    for name in raw:
        if name != "days":
            raise invalid(Fault("VALIDATION_ERROR", name[:80], f"unknown field {name[:80]!r}; the only one is days"))
    days = raw.get("days")
    if days is None or (type(days) is int and 1 <= days <= MOST_DAYS):
        return days
    raise invalid(Fault("VALIDATION_ERROR", "days", f"days must be a whole number from 1 to {MOST_DAYS}"))
