"""The admin API of keys: list, make, change, revoke and rotate them."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeVar

import structlog
from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from central.access.auth import DEFAULT_SCOPES, Auth, Key
from central.access.limit import Used
from central.access.prefixes import MOST_PREFIXES, Prefixes, minimal
from central.access.uses import KeyUses
from central.errors import ApiError, invalid
from central.ingest.answers import Answer
from central.ingest.body import decode_short
from central.store.base import KeyRow, NewKey, Store
from central.web.bodies import Bodies
from central.web.query import asked_with
from central.web.store_answers import asked
from protocol.item import Fault
from protocol.names import NAME_RULE, is_name
from protocol.times import first_second, format_time, parse_exact

B = TypeVar("B", bound=BaseModel)

_KEY_RULES: Final = {
    "body": "the body must be a JSON object with at least a name",
    "name": "name must be 1 to 255 printable characters, not only spaces; tabs and invisible characters are refused",
    "rate_limit": "rate_limit must be a whole number from 1 to 1000000000",
    "scopes": "scopes must be a list of one to three of ingest, query and admin",
    "names": f"names must be a list of 1 to {MOST_PREFIXES} beginnings of names, such as 'shop.', or null for all",
    "expires_at": "expires_at must be a time in the future, ISO 8601, or null for never",
}
_RateLimit = Annotated[int, Field(ge=1, le=1_000_000_000)]
_Scopes = Annotated[list[Literal["ingest", "query", "admin"]], Field(min_length=1, max_length=3)]


def _a_name(text: str) -> str:
    """Refuse what no name can begin with. Raises ValueError."""
    if not is_name(text):
        raise ValueError(NAME_RULE)
    return text


_Names = Annotated[list[Annotated[str, AfterValidator(_a_name)]], Field(min_length=1, max_length=MOST_PREFIXES)]
_MAX_TIME: Final = 253_402_300_799
_log = structlog.get_logger(__name__)


def _printable(name: str) -> str:
    """Refuse names that show nothing, could look like another name or garble a terminal. Raises ValueError."""
    if not name.isprintable() or name.isspace():
        raise ValueError("not printable")
    return name


class ChangeBody(BaseModel):
    """The body of PATCH /api/admin/keys/{id}. Fields that it does not have stay as they are."""

    model_config = ConfigDict(extra="forbid", strict=True)

    rate_limit: _RateLimit | None = None
    scopes: _Scopes | None = None
    names: _Names | None = None
    expires_at: str | None = None


class NewKeyBody(ChangeBody):
    """The body of POST /api/admin/keys."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=255), AfterValidator(_printable)]


class KeyRules(NamedTuple):
    """What the settings say about keys: the default rate limit, and whether METRICS_ADMIN_KEY is set."""

    rate_limit_default: int
    other_admin: bool = False


@dataclass(frozen=True, slots=True)
class KeyEndpoints:
    """``announce`` tells the other central processes the id of a key that was changed, revoked or rotated.

    ``requests`` gives the requests of a key by its id, at a time in UTC seconds.
    """

    store: Store
    auth: Auth
    uses: KeyUses
    announce: Callable[[int], Awaitable[None]]
    bodies: Bodies
    clock: Callable[[], float]
    requests: Callable[[int, float], Used]
    rules: KeyRules

    async def list(self, request: web.Request, key: Key) -> Answer:
        """GET /api/admin/keys."""
        asked_with(request)
        return _answer(200, {"data": [self._shown(row) for row in await asked(self.store.keys.list_all())]})

    async def create(self, request: web.Request, key: Key) -> Answer:
        """POST /api/admin/keys."""
        asked_with(request)
        fields = _checked(NewKeyBody, await self.bodies.decode(request, key.id, decode_short))
        scopes = frozenset(fields.scopes) if fields.scopes else DEFAULT_SCOPES
        limit, now = fields.rate_limit or self.rules.rate_limit_default, int(self.clock())
        ends = _moment(fields.expires_at, now)
        prefixes = minimal(fields.names or ())
        if _is_no_limit(scopes, prefixes):
            raise _no_limit()
        row, text = await asked(self.auth.create(NewKey("", fields.name, "", scopes, limit, ends, prefixes), now))
        _log.info("key_created", id=row.id, name=row.name, scopes=sorted(scopes), names=prefixes, by=key.id)
        return self._key_answer("Key created; it is shown only now", row, text)

    async def change(self, request: web.Request, key: Key) -> Answer:
        """PATCH /api/admin/keys/{id}."""
        fields = _checked(ChangeBody, await self.bodies.decode(request, key.id, decode_short))
        if not fields.model_fields_set:
            raise invalid(
                Fault("VALIDATION_ERROR", "body", "name what to change: rate_limit, scopes, names or expires_at")
            )
        ends = _moment(fields.expires_at, int(self.clock()))

        def allowed(row: KeyRow) -> KeyRow:
            made = _changed(row, fields, ends)
            return row if _is_no_limit(made.scopes, made.prefixes) else made

        row = await self._change(request, allowed)
        wanted = _changed(row, fields, ends)
        if _is_no_limit(wanted.scopes, wanted.prefixes):
            raise _no_limit()
        _log.info("key_changed", id=row.id, fields=sorted(fields.model_fields_set), by=key.id)
        return _answer(200, {"message": "Key changed", "data": self._shown(row)})

    async def revoke(self, request: web.Request, key: Key) -> Answer:
        """DELETE /api/admin/keys/{id}."""
        now = int(self.clock())
        row = await self._change(request, lambda row: row._replace(revoked_at=row.revoked_at or now))
        _log.info("key_revoked", id=row.id, by=key.id)
        return _answer(200, {"message": "Key revoked"})

    async def _change(self, request: web.Request, change: Callable[[KeyRow], KeyRow]) -> KeyRow:
        """Change the key of the request. Returns its new row.

        Raises ApiError: 404 if there is no such key, or if it is revoked and cannot be changed; 409 if this would end
        the last admin key.
        """
        key_id = int(request.match_info["id"])
        keep_admin = not (_forced(request) or self.rules.other_admin)
        now = int(self.clock())
        row = await asked(self.store.keys.change(key_id, change, now, keep_admin=keep_admin))
        self.auth.forget(key_id)
        if row is None or (row.revoked_at is not None and request.method == "PATCH"):
            raise _no_key(key_id)
        if change(row) != row:
            raise _last_admin(key_id)
        await self.announce(key_id)
        return row

    async def rotate(self, request: web.Request, key: Key) -> Answer:
        """POST /api/admin/keys/{id}/rotate."""
        asked_with(request)
        key_id = int(request.match_info["id"])
        made = await asked(self.auth.rotate(key_id, int(self.clock())))
        if made is None:
            raise _no_key(key_id)
        await self.announce(key_id)
        _log.info("key_rotated", id=key_id, by=key.id)
        return self._key_answer("Key rotated; the old key is invalid, and the new one is shown only now", *made)

    def _shown(self, row: KeyRow) -> dict[str, Any]:
        used = self.uses.latest(row.id, row.last_used_at)
        requests = self.requests(row.id, self.clock())
        return {
            "id": row.id,
            "name": row.name,
            "prefix": f"gf_{row.public_id}",
            "scopes": sorted(row.scopes),
            "names": list(row.prefixes) or None,
            "rate_limit": row.rate_limit,
            "created_at": format_time(row.created_at),
            "expires_at": _time(row.expires_at),
            "last_used_at": _time(used),
            "requests_this_minute": requests.this_minute,
            "requests_last_minute": requests.last_minute,
            "revoked_at": _time(row.revoked_at),
        }

    def _key_answer(self, message: str, row: KeyRow, text: str) -> Answer:
        return _answer(201, {"message": message, "data": {**self._shown(row), "key": text}})


def _checked(body: type[B], raw: Any) -> B:
    try:
        return body.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])[:80] if first["loc"] else "body"
        allowed = ", ".join(sorted(body.model_fields))
        rule = _KEY_RULES.get(field) if field in body.model_fields or field == "body" else None
        message = f"{field} is required" if first["type"] == "missing" else rule
        message = message or f"unknown field {field!r}; allowed are {allowed}"
        raise invalid(Fault("VALIDATION_ERROR", field, message)) from None


def _changed(row: KeyRow, fields: ChangeBody, ends: int | None) -> KeyRow:
    """The key with the fields of the body. A revoked key stays as it is."""
    if row.revoked_at is not None:
        return row
    given = fields.model_fields_set
    return row._replace(
        rate_limit=fields.rate_limit or row.rate_limit,
        scopes=frozenset(fields.scopes) if fields.scopes else row.scopes,
        prefixes=minimal(fields.names or ()) if "names" in given else row.prefixes,
        expires_at=ends if "expires_at" in given else row.expires_at,
    )


def _is_no_limit(scopes: frozenset[str], prefixes: Prefixes) -> bool:
    """Whether the key could make another key for all names."""
    return bool(prefixes) and "admin" in scopes


def _no_limit() -> ApiError:
    message = "a key with the scope admin may use all names; leave names out, or take the scope admin away"
    return invalid(Fault("VALIDATION_ERROR", "names", message))


def _moment(text: str | None, now: int) -> int | None:
    """The second at which a key expires. Raises ApiError if it is in the past: that would revoke the key."""
    if text is None:
        return None
    try:
        moment = first_second(parse_exact(text))
    except ValueError:
        moment = 0
    if not now < moment <= _MAX_TIME:
        raise invalid(Fault("VALIDATION_ERROR", "expires_at", _KEY_RULES["expires_at"]))
    return moment


def _time(seconds: int | None) -> str | None:
    return None if seconds is None else format_time(seconds)


def _forced(request: web.Request) -> bool:
    """Whether the request has ``?force=true``. Raises ApiError for any other parameter or value."""
    for name, value in request.query.items():
        if name != "force" or value not in {"true", "false"}:
            raise invalid(Fault("VALIDATION_ERROR", name[:80], "the only parameter is force; it is true or false"))
    return request.query.get("force") == "true"


def _answer(status: int, body: Mapping[str, Any]) -> Answer:
    return Answer(status, json.dumps({"success": True, **body}, ensure_ascii=False).encode(), {})


def _no_key(key_id: int) -> ApiError:
    return ApiError(404, "NOT_FOUND", f"there is no valid key {key_id}", details={"field": "id"})


def _last_admin(key_id: int) -> ApiError:
    message = (
        f"key {key_id} is the last admin key that stays valid; without it nobody could make or revoke keys; "
        "make another admin key first, or send force=true: then only a restart of the service makes a new one"
    )
    return ApiError(409, "LAST_ADMIN_KEY", message, details={"field": "id"})
