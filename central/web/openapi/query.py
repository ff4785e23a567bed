"""The endpoints that read: the aggregate and the list of metrics, as rows of the description."""

import json
from typing import Final

from central.query.formats import COMPLETE_HEADER, FORMATS, JSON_LINES, UNKNOWN_HEADER
from central.query.listing import SPARKLINE
from central.query.operations import FRACTION_BELOW, OFFERED, OPERATION_RULE, OPERATIONS_PATTERN
from central.query.parameters import FILLS, LIST_LIMIT, LIST_MOST, MOST_MATCHED, NUMBER_PATTERN
from central.query.relative_time import RELATIVE_PATTERN
from central.query.tags import MOST_GROUPS
from central.store.plan import MAX_WINDOWS_PER_ANSWER, MAX_WINDOWS_PER_NAME, WINDOWS
from central.web.openapi import components
from central.web.openapi.components import Json, ref, schema, success
from central.web.openapi.endpoint import Endpoint, enum, json_answer, optional, parameter

_TEXT: Final[Json] = {"type": "string"}


def aggregate() -> Endpoint:
    """GET /api/metrics/aggregate."""
    return Endpoint(
        "Query",
        "get",
        "/api/metrics/aggregate",
        "aggregate",
        "Aggregate by time window",
        "Computes the operations for each window of start <= time < end. Windows are aligned to UTC. A window's "
        "timestamp is its start, which may be before start. Windows without data are left out unless fill is given. "
        "A window that the range cuts, or that has not ended, is marked as partial. With one operation a window has "
        "a value, with several a field for each. A percentile is within 1/256 of the true sample of its rank. If a "
        "sample of the window is in no histogram, it is null, and the window is marked as unavailable. At most "
        f"{MAX_WINDOWS_PER_NAME:,} windows per name and {MAX_WINDOWS_PER_ANSWER:,} numbers per answer. "
        "An unknown name has no data. The answer is JSON; or CSV or JSON lines, as format or Accept says. "
        "Errors are always JSON.",
        {"200": _answer()},
        "query",
        _parameters(),
    )


def _parameters() -> tuple[Json, ...]:
    relative = {"type": "string", "pattern": f"^{RELATIVE_PATTERN}$", "examples": ["-24h", "now"]}
    time = {"anyOf": [{"type": "string", "pattern": components.TIME_PATTERN}, relative]}
    operations = {"type": "string", "pattern": OPERATIONS_PATTERN, "examples": list(OFFERED)}
    names = {"type": "string", "pattern": components.NAMES_PATTERN}
    return (
        {
            **optional("name", names, "A name, or several separated by commas. Required unless match is given."),
            "example": "api.requests",
        },
        optional(
            "match",
            _TEXT,
            f"A pattern of up to {MOST_MATCHED:,} more names, such as shop.*. '*' does not match a dot. "
            "data is an object then.",
        ),
        {
            **optional("operation", operations, f"{OPERATION_RULE}. Required unless fraction_below is given."),
            "example": "sum",
        },
        optional(
            FRACTION_BELOW,
            {"type": "string", "pattern": NUMBER_PATTERN},
            "Adds the share of the samples below this value, 0 to 1. Only for value metrics.",
        ),
        parameter("window", enum(WINDOWS), "The width of a window.", "1h"),
        parameter("start", time, "The start of the range, rounded up to a second.", "2026-02-15T00:00:00Z"),
        parameter("end", time, "The end, not included. May be in the future.", "2026-02-16T00:00:00Z"),
        optional("fill", enum(FILLS), "Adds windows without data, with the value 0 or null (in CSV: empty)."),
        optional("tz", _TEXT, "The IANA time zone for windows of hours and days, such as Europe/Berlin."),
        {
            **optional("tags", _TEXT, "Only samples whose tags meet all conditions."),
            "example": "env:prod,host:web-*",
        },
        {
            **optional("group_by", _TEXT, "Tag keys: the answer has a group per value of them."),
            "example": "endpoint",
        },
        optional(
            "top",
            {"type": "integer", "minimum": 1, "maximum": MOST_GROUPS},
            "With group_by: only so many of the largest groups, and the rest as one.",
        ),
        optional("format", enum(FORMATS), "The format of the answer. Default: what Accept prefers, else json."),
    )


def list_metrics() -> Endpoint:
    """GET /api/metrics."""
    flag = {"type": "boolean", "default": False}
    some_name = {"type": "string", "pattern": components.NAME_PATTERN.replace("{1,", "{0,")}
    limit = {"type": "integer", "minimum": 1, "maximum": LIST_MOST, "default": LIST_LIMIT}
    page = {"data": {"type": "array", "items": schema("Metric")}, "next": {"type": ["string", "null"]}}
    hours = components.record(
        {"start": {"type": "string", "format": "date-time"}, "window": {"type": "string", "const": "1h"}}
    )
    beside = {"sparkline": {**hours, "description": "Only with sparkline: the first window of all of them."}}
    example = {"success": True, "data": [{"name": "api.requests", "type": "counter"}], "next": None}
    answer = json_answer("A page of names.", success(page, beside), example)
    answer["headers"] = {COMPLETE_HEADER: ref("headers", COMPLETE_HEADER)}
    return Endpoint(
        "Query",
        "get",
        "/api/metrics",
        "listMetrics",
        "List metrics",
        "Lists names in byte order. If next is not null, send it as after to get the next page. All conditions hold "
        "together. With details, an entry says when the name was first and last seen, its last value and its tags.",
        {"200": answer},
        "query",
        (
            optional("prefix", some_name, "Only names that start with this text."),
            {**optional("search", some_name, "Only names that hold this text anywhere."), "example": "orders"},
            optional("ignore_case", flag, "search finds other case too."),
            {
                **optional("match", _TEXT, "Only names that match this pattern. '*' does not match a dot."),
                "example": "shop.{orders,refunds}.*",
            },
            optional("limit", limit, f"The most names in the answer. Default: {LIST_LIMIT}."),
            optional("after", some_name, "Only names after this one."),
            optional("clashes", flag, "Only names with clash_of. Not with match."),
            optional(
                "details",
                {"type": "boolean"},
                "Whether each name comes with what was seen of it. Default: if search, match or sparkline is given.",
            ),
            optional("sparkline", enum([SPARKLINE]), "Adds the numbers of the last day by the hour."),
        ),
    )


def _point() -> Json:
    """A window of an answer: with one operation it has a value, with several a field for each."""
    number = {"type": ["number", "null"]}
    mark = {"type": "boolean", "const": True}
    cut = "Only if start or end cuts the window, or if the window has not ended yet."
    unavailable = "Only if a value is null because a sample of the window is in no histogram."
    fields = {
        "partial": {**mark, "description": cut},
        "unavailable": {**mark, "description": unavailable},
        "value": {
            **number,
            "description": "If the query has one operation. null with fill=null, or if it is unavailable.",
        },
    }
    start = {"type": "string", "format": "date-time", "description": "Start of the window, UTC."}
    return {**components.record({"timestamp": start}, fields), "additionalProperties": number}


def _group(points: Json) -> Json:
    """A group of series."""
    tags = {
        "type": "object",
        "additionalProperties": {"type": ["string", "null"]},
        "description": "The value of each key of group_by; null where the series have no such tag.",
    }
    rest = {"type": "boolean", "const": True, "description": "Only for all groups but the top ones, together."}
    return components.record({"metric": _TEXT, "tags": tags, "points": points}, {"rest": rest})


def _answer() -> Json:
    """The answer of the aggregate, as JSON and as CSV."""
    points = {"type": "array", "items": _point()}
    answer = {
        "metric": {**_TEXT, "description": "The names, separated by commas."},
        "operation": {
            **_TEXT,
            "description": "The operations of the query, and last fraction_below if the query has it.",
        },
        "window": enum(WINDOWS),
        "data": {
            "description": "The windows of the name. For several names, or with match: an object with the "
            "windows of each name. With tags or group_by: a list of groups.",
            "anyOf": [
                points,
                {"type": "object", "additionalProperties": points},
                {"type": "array", "items": _group(points)},
            ],
        },
    }
    data = [
        {"timestamp": "2026-02-15T00:00:00Z", "value": 1500},
        {"timestamp": "2026-02-15T01:00:00Z", "value": 1450.25},
    ]
    partly = {
        "type": "boolean",
        "const": False,
        "description": "Only while acknowledged points wait in the spill. They are not in the answer yet.",
    }
    near = {"type": "array", "items": _TEXT, "description": "Similar names that exist; for the first three names."}
    unknown = {
        "type": "array",
        "description": "Only if names do not exist, or match means none.",
        "items": components.record({"name": _TEXT, "near": near}),
    }
    below = {"type": "number", "description": "Only if the query has fraction_below: its value."}
    zone = {**_TEXT, "description": "Only if the query has tz: the time zone of the windows."}
    example = {"success": True, "metric": "api.requests", "operation": "sum", "window": "1h", "data": data}
    beside = {"complete": partly, "unknown": unknown, "tz": zone, FRACTION_BELOW: below}
    windows = json_answer("The windows.", success(answer, beside), example)
    lines = "".join(f"api.requests,{point['timestamp']},{point['value']}\r\n" for point in data)
    windows["content"]["text/csv"] = {"schema": _TEXT, "example": f"name,timestamp,value\r\n{lines}"}
    one = [{"name": "api.requests", **point} for point in data]
    windows["content"][JSON_LINES] = {"schema": _TEXT, "example": "".join(f"{json.dumps(point)}\n" for point in one)}
    windows["headers"] = {name: ref("headers", name) for name in (COMPLETE_HEADER, UNKNOWN_HEADER)}
    return windows
