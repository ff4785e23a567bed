"""The admin API of keys: list, make, revoke and rotate them."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import structlog
from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from central.access.auth import DEFAULT_SCOPES, Auth, Key
from central.errors import ApiError, invalid
from central.ingest.answers import Answer
from central.ingest.body import decode_short
from central.store.base import KeyRow, Store
from central.web.bodies import Bodies
from central.web.store_answers import asked
from protocol.item import Fault
from protocol.times import format_time

_KEY_RULES: Final = {
    "body": "the body must be a JSON object with at least a name",
    "name": "name must be 1 to 255 printable characters; spaces are fine, tabs and invisible characters are not",
    "rate_limit": "rate_limit must be a whole number from 1 to 1000000000",
    "scopes": "scopes must be a list of one to three of ingest, query and admin",
}
_log = structlog.get_logger(__name__)


def _printable(name: str) -> str:
    """What looks like another name, or turns a terminal's text around, is no name. Raises ValueError."""
    if not name.isprintable():
        raise ValueError("not printable")
    return name


class NewKeyBody(BaseModel):
    """The body of POST /api/admin/keys."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, StringConstraints(min_length=1, max_length=255), AfterValidator(_printable)]
    rate_limit: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    scopes: Annotated[list[Literal["ingest", "query", "admin"]], Field(min_length=1, max_length=3)] | None = None


@dataclass(frozen=True, slots=True)
class KeyEndpoints:
    """``tell_others`` is told the id of a key that was revoked or rotated, for other central processes."""

    store: Store
    auth: Auth
    tell_others: Callable[[int], Awaitable[None]]
    bodies: Bodies
    clock: Callable[[], float]
    rate_limit_default: int

    async def list(self, request: web.Request, key: Key) -> Answer:
        """GET /api/admin/keys."""
        return _answer(200, {"data": [_shown(row) for row in await asked(self.store.keys.list_all())]})

    async def create(self, request: web.Request, key: Key) -> Answer:
        """POST /api/admin/keys."""
        wanted = _new_key(await self.bodies.judge(request, key.id, decode_short))
        scopes = frozenset(wanted.scopes) if wanted.scopes else DEFAULT_SCOPES
        limit = wanted.rate_limit or self.rate_limit_default
        row, text = await asked(self.auth.create(wanted.name, scopes, limit, int(self.clock())))
        _log.info("key_created", id=row.id, name=row.name, scopes=sorted(scopes), by=key.id)
        return _key_answer("Key created; it is shown this once", row, text)

    async def revoke(self, request: web.Request, key: Key) -> Answer:
        """DELETE /api/admin/keys/{id}."""
        key_id = int(request.match_info["id"])
        row = await asked(self.store.keys.revoke(key_id, int(self.clock())))
        self.auth.forget(key_id)
        if row is None:
            raise _no_key(key_id)
        await self.tell_others(key_id)
        _log.info("key_revoked", id=key_id, by=key.id)
        return _answer(200, {"message": "Key revoked"})

    async def rotate(self, request: web.Request, key: Key) -> Answer:
        """POST /api/admin/keys/{id}/rotate."""
        key_id = int(request.match_info["id"])
        made = await asked(self.auth.rotate(key_id, int(self.clock())))
        if made is None:
            raise _no_key(key_id)
        await self.tell_others(key_id)
        _log.info("key_rotated", id=key_id, by=key.id)
        return _key_answer("Key rotated; the old one is dead, the new one is shown this once", *made)


def _new_key(raw: Any) -> NewKeyBody:
    try:
        return NewKeyBody.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])[:80] if first["loc"] else "body"
        rule = _KEY_RULES.get(field) or f"unknown field {field!r}; allowed are name, rate_limit and scopes"
        message = f"{field} is required" if first["type"] == "missing" else rule
        raise invalid(Fault("VALIDATION_ERROR", field, message)) from None


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
