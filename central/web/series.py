"""The tags of a metric: its keys, the values of a key, its series; and the deletion of a series."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from aiohttp import web

from central.access.auth import Key
from central.access.prefixes import check_names
from central.errors import ApiError, unavailable
from central.fair_slots import FairSlots
from central.ingest.answers import Answer
from central.ingest.names import Names
from central.query.parameters import fault, limit_of, parsed
from central.query.tags import parse_filters
from central.store.base import Metric, Store, StoreError
from central.store.series import ANYTHING, TagFilter
from central.web.middleware import ENDS_WITH_CLIENT
from central.web.query import asked_with
from central.web.store_answers import asked
from central.write.group_commit import GroupCommit
from protocol.tags import KEY_RULE, check_tags, is_key, is_value, parse_tags, quoted

T = TypeVar("T")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SeriesEndpoints:
    """The endpoints of one metric's tags and series."""

    store: Store
    names: Names
    commits: GroupCommit
    slots: FairSlots

    async def keys(self, request: web.Request, key: Key) -> Answer:
        """GET /api/metrics/{name}/tags: the keys, each with the number of its values."""
        asked_with(request)
        found = await self._read(request, key, lambda metric: self.store.series.keys(metric.id))
        return _page([{"key": one.key, "values": one.values} for one in found], None)

    async def values(self, request: web.Request, key: Key) -> Answer:
        """GET /api/metrics/{name}/tags/{key}: the values, each with the number of its series."""
        given = asked_with(request, "prefix", "search", "after", "limit")
        limit = limit_of(given)
        tag = TagFilter(_tag_key(request.match_info["key"]), _pattern(given))
        after = _text(given, "after")
        found = await self._read(
            request, key, lambda metric: self.store.series.values(metric.id, tag, after, limit + 1)
        )
        page = found[:limit]
        return _page(
            [{"value": one.value, "series": one.series} for one in page],
            page[-1].value if len(found) > limit else None,
        )

    async def list(self, request: web.Request, key: Key) -> Answer:
        """GET /api/metrics/{name}/series: the series that meet ``tags``, in the order of their ids."""
        given = asked_with(request, "tags", "after", "limit")
        limit = limit_of(given)
        filters = parsed("tags", given["tags"], parse_filters) if "tags" in given else ()
        after = _after_id(given)
        found = await self._read(
            request, key, lambda metric: self.store.series.select(metric.id, filters, after, limit + 1)
        )
        page = found[:limit]
        return _page([{"tags": parse_tags(one.tags)} for one in page], page[-1].id if len(found) > limit else None)

    async def delete(self, request: web.Request, key: Key) -> Answer:
        """DELETE /api/admin/metrics/{name}/series?tags=...: all tags of one series. The name's total stays.

        It is deleted between two groups, so that no group uses its old id.
        """
        given = asked_with(request, "tags")
        tags = parsed("tags", given.get("tags", ""), _exact)
        metric = await self._metric(request, key)

        async def work() -> bool:
            try:
                return await self.store.series.delete(metric.id, tags)
            finally:
                self.names.forget(request.match_info["name"])

        found = await asked(self.commits.exclusive(work))
        await asked(self.store.names.purge())
        if not found:
            raise ApiError(404, "NOT_FOUND", "there is no series with these tags", details={"field": "tags"})
        name = request.match_info["name"]
        _log.info("series_deleted", name=name, tags=tags, by=key.id)
        body = {"success": True, "message": "Series deleted", "data": {"name": name, "tags": parse_tags(tags)}}
        return Answer(200, json.dumps(body, ensure_ascii=False).encode(), {})

    async def _read(self, request: web.Request, key: Key, ask: Callable[[Metric], Awaitable[T]]) -> T:
        request[ENDS_WITH_CLIENT] = True
        try:
            async with self.slots.slot(key.id):
                return await ask(await self._metric(request, key))
        except StoreError as error:
            raise unavailable(f"the tags could not be read: {error}") from error

    async def _metric(self, request: web.Request, key: Key) -> Metric:
        name = request.match_info["name"]
        check_names(key.prefixes, [name])
        metric = (await self.names.find([name])).get(name)
        if metric is None:
            raise ApiError(404, "NOT_FOUND", "there is no metric with this name", details={"field": "name"})
        return metric


def _after_id(given: Mapping[str, str]) -> int:
    text = given.get("after", "0")
    if not (text.isascii() and text.isdigit() and len(text) < len(str(1 << 62))):
        raise fault("after", "after must be a whole number, the next of the page before")
    return int(text)


def _tag_key(text: str) -> str:
    if not is_key(text):
        raise fault("key", f"key: {quoted(text)} is no key of a tag; a key {KEY_RULE}")
    return text


def _text(given: Mapping[str, str], field: str) -> str:
    text = given.get(field, "")
    if not is_value(text):
        raise fault(field, f"{field}: {quoted(text)} cannot be a part of a value")
    return text


def _pattern(given: Mapping[str, str]) -> str:
    """The values that begin with ``prefix`` and hold ``search``, or all."""
    prefix, search = _text(given, "prefix"), _text(given, "search")
    if prefix and search:
        raise fault("search", "give prefix or search, not both")
    return f"{ANYTHING}{search}{ANYTHING}" if search else f"{prefix}{ANYTHING}"


def _exact(text: str) -> str:
    """All tags of a series, ``key:value`` with commas between."""
    pairs = [pair.partition(":") for pair in text.split(",")]
    tags = {key: value for key, colon, value in pairs if colon}
    if len(tags) < len(pairs):
        raise ValueError("must be all tags of the series, such as env:prod,host:web-1")
    found = check_tags(tags)
    if found is None:
        raise ValueError("must be all tags of the series, such as env:prod,host:web-1")
    return found


def _page(data: list[dict[str, Any]], after: str | int | None) -> Answer:
    following = None if after is None else str(after)
    body = {"success": True, "data": data, "next": following}
    return Answer(200, json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode(), {})
