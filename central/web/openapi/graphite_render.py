"""The paths of Graphite's API that draw, as rows of the description."""

from functools import partial
from typing import Final

from central.graphite.functions.table import FUNCTIONS
from central.graphite.render import FORMATS
from central.query.formats import COMPLETE_HEADER
from central.web.openapi.components import Json, record, ref
from central.web.openapi.endpoint import Endpoint, enum, json_answer, optional, parameter

_TEXT: Final[Json] = {"type": "string"}
_FLAG: Final[Json] = enum(("0", "1", "false", "true"))
_POINTS: Final[Json] = {"type": "string", "pattern": "^[1-9][0-9]{0,8}$"}
_FIELDS: Final[dict[str, Json]] = {
    "target": _TEXT,
    "from": _TEXT,
    "until": _TEXT,
    "maxDataPoints": _POINTS,
    "tz": _TEXT,
    "format": enum(FORMATS),
    "noNullPoints": _FLAG,
}
_MEANING: Final = {
    "from": "The first moment, such as -24h.",
    "until": "The last moment, without it now.",
    "maxDataPoints": "The most points of a line.",
    "tz": "The time zone of days and clock times.",
    "format": "The form of the answer, without it json.",
    "noNullPoints": "true leaves out points without a number.",
}
_POINT: Final[Json] = {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": ["number", "null"]}}
_LINE: Final[Json] = record(
    {
        "target": _TEXT,
        "tags": {"type": "object", "additionalProperties": _TEXT},
        "datapoints": {
            "type": "array",
            "items": _POINT,
            "description": "A number or null, and its time, of each point.",
        },
    }
)
_EXAMPLE: Final = [{"target": "orders", "tags": {"name": "shop.orders.sum"}, "datapoints": [[12.0, 1771113600]]}]
_endpoint: Final = partial(Endpoint, "Graphite", scope="query")


def drawing_endpoints() -> list[Endpoint]:
    """The paths that compute lines and that list functions."""
    parameters = (
        parameter("target", _TEXT, "A path, or functions over paths.", "alias(shop.orders.sum, 'orders')"),
        *(optional(name, _FIELDS[name], text) for name, text in _MEANING.items()),
    )
    answers: Json = {"200": json_answer("The lines.", {"type": "array", "items": _LINE}, _EXAMPLE)}
    answers["200"]["content"]["text/csv"] = {"schema": _TEXT, "example": "orders,2026-02-15 00:00:00,12.0\r\n"}
    answers["200"]["content"]["text/plain"] = {"schema": _TEXT, "example": "orders,1771113600,1771113660,60|12.0\n"}
    answers["200"]["headers"] = {COMPLETE_HEADER: ref("headers", COMPLETE_HEADER)}
    form = {
        "required": False,
        "content": {"application/x-www-form-urlencoded": {"schema": {"type": "object", "properties": _FIELDS}}},
    }
    text = "Computes each target over windows that the store adds up exactly. target may be given several times."
    path = "/graphite/render"
    functions = {"200": json_answer("Found.", {"type": "object"}, {"scale": FUNCTIONS["scale"].described()})}
    return [
        _endpoint("get", path, "render", "Draw", text, answers, parameters=parameters),
        _endpoint("post", path, "renderByForm", "Draw by a form", text, answers, parameters=parameters, body=form),
        _endpoint(
            "get", "/graphite/functions", "graphiteFunctions", "List functions", "What targets may call.", functions
        ),
    ]
