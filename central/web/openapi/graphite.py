"""The paths of Graphite's API that find metrics, as rows of the description."""

from functools import partial
from typing import Final

from central.graphite.find import FORMATS
from central.web.graphite import MOST_FOUND, TAGS_LIMIT, VERSION
from central.web.openapi.components import Json, record
from central.web.openapi.endpoint import Endpoint, enum, json_answer, optional, parameter
from protocol.tags import KEY_PATTERN

_TEXT: Final[Json] = {"type": "string"}
_TEXTS: Final[Json] = {"type": "array", "items": _TEXT}
_FLAG: Final[Json] = enum(("0", "1", "false", "true"))
_QUERY: Final[Json] = parameter(
    "query", _TEXT, "A path in which *, ?, [a-z] and {a,b} stand for several.", "shop.checkout_ms.*"
)
_LEAVES: Final[Json] = optional("leavesOnly", _FLAG, "1 leaves out what can be opened.")
_FORMAT: Final[Json] = optional("format", enum(FORMATS), "The form of the answer, without it treejson.")
_BY_QUERY: Final[Json] = optional("groupByExpr", _FLAG, "1 groups the paths by query.")
_EXPR: Final[Json] = optional("expr", _TEXT, "A condition such as env=prod, env!=test, host=~web-.* or host!=~db-.*.")
_FILTER: Final[Json] = optional("filter", _TEXT, "A regular expression that the beginning must match.")
_NODE: Final[Json] = {
    "text": "p95",
    "id": "shop.checkout_ms.p95",
    "leaf": 1,
    "expandable": 0,
    "allowChildren": 0,
    "context": {},
}
_NUMBER: Final[Json] = {"type": "integer", "minimum": 0, "maximum": 1}
_TREE_NODE: Final[Json] = record(
    {"text": _TEXT, "id": _TEXT, "leaf": _NUMBER, "expandable": _NUMBER, "allowChildren": _NUMBER},
    {"context": {"type": "object"}},
)
_COMPLETED_NODE: Final[Json] = record({"path": _TEXT, "name": _TEXT, "is_leaf": enum(("0", "1"))})
_endpoint: Final = partial(Endpoint, "Graphite", scope="query")


def graphite_endpoints() -> list[Endpoint]:
    """The paths that find metrics, and those of tags."""
    return [*_metrics(), *_tags(), _completions("tags"), _completions("values"), _series(), _version(), _events()]


def _form(**fields: Json) -> Json:
    """A body that is a form, in which the parameters may come too."""
    described = {"type": "object", "properties": fields}
    return {"required": False, "content": {"application/x-www-form-urlencoded": {"schema": described}}}


def _answer(schema: Json, example: object) -> Json:
    return {"200": json_answer("Found.", schema, example)}


def _metrics() -> list[Endpoint]:
    completed = record({"metrics": {"type": "array", "items": _COMPLETED_NODE}})
    nodes = {"anyOf": [{"type": "array", "items": _TREE_NODE}, completed, record({"nodes": _TEXTS})]}
    paths = record({"results": {"anyOf": [_TEXTS, {"type": "object", "additionalProperties": _TEXTS}]}})
    find = "Shows the nodes that match the query. Operations are leaves. Anything else can be opened."
    expand = "Lists the paths that match each query. It may be given several times."
    by_form = "The parameters may come in a form in the body."
    found, listed = _answer(nodes, [_NODE]), _answer(paths, {"results": ["shop.checkout_ms.p95"]})
    path = "/graphite/metrics"
    return [
        _endpoint(
            "get", f"{path}/find", "findMetrics", "Find metrics", find, found, parameters=(_QUERY, _FORMAT, _LEAVES)
        ),
        _endpoint(
            "post",
            f"{path}/find",
            "findMetricsByForm",
            "Find metrics by a form",
            f"{find} {by_form}",
            found,
            parameters=(_QUERY, _FORMAT, _LEAVES),
            body=_form(query=_TEXT, format=enum(FORMATS), leavesOnly=_FLAG),
        ),
        _endpoint(
            "get",
            f"{path}/expand",
            "expandMetrics",
            "Expand paths",
            expand,
            listed,
            parameters=(_QUERY, _LEAVES, _BY_QUERY),
        ),
        _endpoint(
            "post",
            f"{path}/expand",
            "expandMetricsByForm",
            "Expand paths by a form",
            f"{expand} {by_form}",
            listed,
            parameters=(_QUERY, _LEAVES, _BY_QUERY),
            body=_form(query=_TEXT, leavesOnly=_FLAG, groupByExpr=_FLAG),
        ),
        _endpoint(
            "get",
            f"{path}/index.json",
            "indexMetrics",
            "List all paths",
            f"Lists the paths of all leaves. There may be at most {MOST_FOUND:,} names.",
            _answer(_TEXTS, ["shop.orders.sum"]),
        ),
    ]


def _tags() -> list[Endpoint]:
    tag = {**parameter("tag", {"type": "string", "pattern": KEY_PATTERN}, "The key of the tag.", "env"), "in": "path"}
    values = record({"tag": _TEXT, "values": {"type": "array", "items": record({"value": _TEXT})}})
    return [
        _endpoint(
            "get",
            "/graphite/tags",
            "graphiteTags",
            "List all tags",
            "Lists the keys of all tags. The tag 'name' is the path of a metric.",
            _answer({"type": "array", "items": record({"tag": _TEXT})}, [{"tag": "env"}]),
            parameters=(_FILTER,),
        ),
        _endpoint(
            "get",
            "/graphite/tags/{tag}",
            "graphiteTag",
            "List the values of a tag",
            "Lists the values of a tag of all metrics.",
            _answer(values, {"tag": "env", "values": [{"value": "prod"}]}),
            parameters=(tag, _FILTER, _limit(MOST_FOUND)),
        ),
    ]


def _completions(what: str) -> Endpoint:
    of_tags = what == "tags"
    tag = parameter("tag", {"type": "string", "pattern": KEY_PATTERN}, "The key of the tag.", "env")
    prefix = optional("tagPrefix" if of_tags else "valuePrefix", _TEXT, "Only those that begin with this text.")
    return _endpoint(
        "get",
        f"/graphite/tags/autoComplete/{what}",
        "completeTags" if of_tags else "completeTagValues",
        "Complete a tag" if of_tags else "Complete the value of a tag",
        f"Lists the {'keys' if of_tags else 'values of a tag'} of the series that meet all conditions.",
        _answer(_TEXTS, ["env", "host"] if of_tags else ["prod", "test"]),
        parameters=(*(() if of_tags else (tag,)), _EXPR, prefix, _limit(TAGS_LIMIT)),
    )


def _series() -> Endpoint:
    return _endpoint(
        "get",
        "/graphite/tags/findSeries",
        "findSeries",
        "Find series by tags",
        "Lists the paths of the series that meet all conditions. expr may be given several times.",
        _answer(_TEXTS, ["shop.orders;env=prod;host=web-1"]),
        parameters=({**_EXPR, "required": True, "example": "env=prod"}, _limit(MOST_FOUND)),
    )


def _version() -> Endpoint:
    text = "The version of Graphite whose API this is. Grafana asks for it."
    return _endpoint("get", "/graphite/version", "graphiteVersion", "Version", text, _answer(_TEXT, VERSION))


def _events() -> Endpoint:
    text = "An empty list: the service has no events. Grafana asks for them where an annotation has tags."
    listed = {"type": "array", "items": record({"when": {"type": "integer"}, "what": _TEXT}), "maxItems": 0}
    return _endpoint("get", "/graphite/events/get_data", "graphiteEvents", "Events", text, _answer(listed, []))


def _limit(default: int) -> Json:
    described = {"type": "integer", "minimum": 0, "maximum": MOST_FOUND, "default": default}
    return optional("limit", described, f"The most entries of the answer. 0 means {default}.")
