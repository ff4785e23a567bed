"""The endpoints of a metric's tags and series, as rows of the description."""

from typing import Final

from central.query.parameters import LIST_LIMIT, LIST_MOST
from central.web.openapi import components
from central.web.openapi.components import Json, success
from central.web.openapi.endpoint import Endpoint, json_answer, optional, parameter
from protocol.tags import KEY_PATTERN

_TEXT: Final[Json] = {"type": "string"}
_NAME: Final[Json] = {
    **parameter("name", {"type": "string", "pattern": components.NAME_PATTERN}, "The metric.", "shop.orders"),
    "in": "path",
}
_LIMIT: Final[Json] = optional(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": LIST_MOST, "default": LIST_LIMIT},
    "The most entries in the answer.",
)
_TAGS: Final[Json] = {"type": "object", "additionalProperties": _TEXT}


def series_endpoints() -> list[Endpoint]:
    """The lists, which need the scope query, and the deletion of a series."""
    return [_keys(), _values(), _list(), _delete()]


def _page(data: Json, example: Json) -> Json:
    answer = success({"data": {"type": "array", "items": data}, "next": {"type": ["string", "null"]}})
    return {"200": json_answer("A page.", answer, {"success": True, "data": [example], "next": None})}


def _keys() -> Endpoint:
    count = components.record({"key": _TEXT, "values": {"type": "integer"}})
    return Endpoint(
        "Query",
        "get",
        "/api/metrics/{name}/tags",
        "listTagKeys",
        "List the tag keys of a metric",
        "Lists the keys of a metric's tags, each with the number of its values. next is always null.",
        _page(count, {"key": "endpoint", "values": 12}),
        "query",
        (_NAME,),
    )


def _values() -> Endpoint:
    count = components.record({"value": _TEXT, "series": {"type": "integer"}})
    key = {
        **parameter("key", {"type": "string", "pattern": KEY_PATTERN}, "The key of the tag.", "endpoint"),
        "in": "path",
    }
    return Endpoint(
        "Query",
        "get",
        "/api/metrics/{name}/tags/{key}",
        "listTagValues",
        "List the values of a tag",
        "Lists the values of a key in byte order, each with the number of series that have it. If next is not null, "
        "send it as after to get the next page.",
        _page(count, {"value": "/cart", "series": 3}),
        "query",
        (
            _NAME,
            key,
            optional("prefix", _TEXT, "Only values that begin with this text."),
            optional("search", _TEXT, "Only values that hold this text."),
            optional("after", _TEXT, "Only values after this one."),
            _LIMIT,
        ),
    )


def _list() -> Endpoint:
    return Endpoint(
        "Query",
        "get",
        "/api/metrics/{name}/series",
        "listSeries",
        "List the series of a metric",
        "Lists the sets of tags that a metric has been sent with. If next is not null, send it as after to get the "
        "next page.",
        _page(components.record({"tags": _TAGS}), {"tags": {"endpoint": "/cart", "env": "prod"}}),
        "query",
        (
            _NAME,
            optional("tags", _TEXT, "Only series that meet all these conditions, such as env:prod,host:web-*."),
            optional("after", {"type": "string", "pattern": "^[0-9]{1,18}$"}, "The next of the page before."),
            _LIMIT,
        ),
    )


def _delete() -> Endpoint:
    tags = parameter("tags", _TEXT, "All tags of the series.", "endpoint:/cart,env:prod")
    data = components.record({"name": _TEXT, "tags": _TAGS})
    example = {"name": "shop.orders", "tags": {"endpoint": "/cart", "env": "prod"}}
    deleted = success({"message": _TEXT, "data": data})
    return Endpoint(
        "Admin",
        "delete",
        "/api/admin/metrics/{name}/series",
        "deleteSeries",
        "Delete a series",
        "Removes one set of tags and its rollups. The metric's totals stay as they are.",
        {"200": json_answer("Deleted.", deleted, {"success": True, "message": "Series deleted", "data": example})},
        "admin",
        (_NAME, tags),
    )
