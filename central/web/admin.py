"""The admin API: keys, deletion of a metric, backup."""

import asyncio
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import structlog
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from central.access.auth import DEFAULT_SCOPES, Key
from central.errors import ApiError, invalid, unavailable
from central.ingest.answers import Answer
from central.ingest.body import decode_json
from central.request_id import HEADER, current_id
from central.store.base import KeyRow, StoreError, Unsupported
from central.web.ingest import read_body
from central.web.service import Endpoint, Handler, Service
from protocol.item import Fault
from protocol.times import format_time

_CHUNK: Final = 1 << 20
_KEY_RULES: Final = {
    "body": "the body must be a JSON object with at least a name",
    "name": "name must be 1 to 255 characters, none of them a control character",
    "rate_limit": "rate_limit must be a whole number from 1 to 1000000000",
    "scopes": "scopes must be a list of one to three of ingest, query and admin",
}
_log = structlog.get_logger(__name__)


class NewKeyBody(BaseModel):
    """The body of POST /api/admin/keys."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
    rate_limit: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    scopes: Annotated[list[Literal["ingest", "query", "admin"]], Field(min_length=1, max_length=3)] | None = None


def list_keys(service: Service) -> Endpoint:
    """GET /api/admin/keys."""

    async def handle(request: web.Request, key: Key) -> Answer:
        return _answer(200, {"data": [_shown(row) for row in await _asked(service.store.list_keys())]})

    return handle


def create_key(service: Service) -> Endpoint:
    """POST /api/admin/keys."""

    async def handle(request: web.Request, key: Key) -> Answer:
        wanted = _new_key(decode_json(await read_body(service, request)))
        scopes = frozenset(wanted.scopes) if wanted.scopes else DEFAULT_SCOPES
        limit = wanted.rate_limit or service.rate_limit_default
        row, text = await _asked(service.auth.create(wanted.name, scopes, limit, int(service.clock())))
        _log.info("key_created", id=row.id, name=row.name, scopes=sorted(scopes), by=key.id)
        return _key_answer("Key created; it is shown this once", row, text)

    return handle


def revoke_key(service: Service) -> Endpoint:
    """DELETE /api/admin/keys/{id}."""

    async def handle(request: web.Request, key: Key) -> Answer:
        key_id = int(request.match_info["id"])
        row = await _asked(service.store.revoke_key(key_id, int(service.clock())))
        service.auth.forget(key_id)
        if row is None:
            raise _no_key(key_id)
        await service.redis.tell(key_id)
        _log.info("key_revoked", id=key_id, by=key.id)
        return _answer(200, {"message": "Key revoked"})

    return handle


def rotate_key(service: Service) -> Endpoint:
    """POST /api/admin/keys/{id}/rotate."""

    async def handle(request: web.Request, key: Key) -> Answer:
        key_id = int(request.match_info["id"])
        made = await _asked(service.auth.rotate(key_id, int(service.clock())))
        if made is None:
            raise _no_key(key_id)
        await service.redis.tell(key_id)
        _log.info("key_rotated", id=key_id, by=key.id)
        return _key_answer("Key rotated; the old one is dead, the new one is shown this once", *made)

    return handle


def delete_metric(service: Service) -> Endpoint:
    """DELETE /api/admin/metrics/{name}: between two groups, so that no open group keeps the old id.

    What takes long, the removal of its points, is done beside the groups.
    """

    async def handle(request: web.Request, key: Key) -> Answer:
        name = request.match_info["name"]

        async def work() -> bool:
            try:
                return await service.store.delete_metric(name)
            finally:
                service.names.forget(name)

        found = await _asked(service.commits.exclusive(work))
        await _asked(service.store.sweep())  # also without a name: an earlier try may have left points
        if not found:
            raise ApiError(404, "NOT_FOUND", "there is no metric of this name", details={"field": "name"})
        _log.info("metric_deleted", name=name, by=key.id)
        return _answer(200, {"message": "Metric deleted", "data": {"name": name}})

    return handle


def backup(service: Service, guard: Handler) -> Handler:
    """GET /api/admin/backup: a consistent copy as a stream. ``guard`` checks key, scope and limit."""

    async def handle(request: web.Request) -> web.StreamResponse:
        checked = await guard(request)
        if checked.status != 200:
            return checked
        target = service.data_dir / f"backup-{secrets.token_hex(8)}.tmp"
        try:
            await _asked(service.store.backup(target))
            return await _stream(request, target, checked.headers)
        finally:
            target.unlink(missing_ok=True)

    return handle


async def _stream(request: web.Request, path: Path, limits: Mapping[str, str]) -> web.StreamResponse:
    """The file as an answer; ``limits`` are the headers of the one that let it pass."""
    headers = {**limits, "Content-Type": "application/octet-stream", HEADER: current_id() or ""}
    response = web.StreamResponse(headers=headers)
    with path.open("rb") as file:
        response.content_length = os.fstat(file.fileno()).st_size
        await response.prepare(request)
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            await response.write(chunk)
    await response.write_eof()
    return response


def _new_key(raw: Any) -> NewKeyBody:
    try:
        return NewKeyBody.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])[:80] if first["loc"] else "body"
        rule = _KEY_RULES.get(field) or f"unknown field {field!r}; allowed are name, rate_limit and scopes"
        message = f"{field} is required" if first["type"] == "missing" else rule
        raise invalid(Fault("VALIDATION_ERROR", field, message)) from None


async def _asked(answer: Any) -> Any:
    """What the store says; 503 where it cannot now, 404 where it never will."""
    try:
        return await answer
    except Unsupported as error:
        raise ApiError(404, "NOT_FOUND", str(error)) from error
    except StoreError as error:
        raise unavailable(f"the store could not do it: {error}") from error


def _shown(row: KeyRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "prefix": f"gf_{row.public_id}",
        "scopes": sorted(row.scopes),
        "rate_limit": row.rate_limit,
        "created_at": format_time(row.created_at),
        "revoked_at": None if row.revoked_at is None else format_time(row.revoked_at),
    }


def _key_answer(message: str, row: KeyRow, text: str) -> Answer:
    return _answer(201, {"message": message, "data": {**_shown(row), "key": text}})


def _answer(status: int, body: Mapping[str, Any]) -> Answer:
    return Answer(status, json.dumps({"success": True, **body}, ensure_ascii=False).encode(), {})


def _no_key(key_id: int) -> ApiError:
    return ApiError(404, "NOT_FOUND", f"there is no live key {key_id}", details={"field": "id"})
