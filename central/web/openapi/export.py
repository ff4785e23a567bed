"""The endpoint that exports, as a row of the description."""

from central.query.formats import COMPLETE_HEADER, UNKNOWN_HEADER
from central.query.parameters import MOST_MATCHED, RAW
from central.query.relative_time import RELATIVE_PATTERN
from central.store.plan import WINDOWS
from central.web.export import PARQUET, ExportBounds
from central.web.openapi import components
from central.web.openapi.endpoint import Endpoint, enum, optional, parameter


def export() -> Endpoint:
    """GET /api/metrics/export."""
    bounds = ExportBounds()
    time = {"anyOf": [{"type": "string", "pattern": p} for p in (components.TIME_PATTERN, f"^{RELATIVE_PATTERN}$")]}
    return Endpoint(
        "Query",
        "get",
        "/api/metrics/export",
        "exportMetrics",
        "Export windows or raw points as Parquet",
        "Sends name, type, timestamp, count, sum, min and max of each window with data of start <= time < end, as a "
        f"Parquet file with exact decimals, in the order of names and times. With window={RAW}, it sends each point as "
        f"it was stored, with its tags. At most {bounds.rows:,} rows, and {bounds.seconds:g} seconds to make it. "
        "Errors are JSON.",
        {
            "200": {
                "description": "The file.",
                "headers": {name: components.ref("headers", name) for name in (COMPLETE_HEADER, UNKNOWN_HEADER)},
                "content": {PARQUET: {"schema": {"type": "string", "format": "binary"}}},
            }
        },
        "query",
        (
            {
                **optional(
                    "name",
                    {"type": "string", "pattern": components.NAMES_PATTERN},
                    "A name, or several separated by commas. Required unless match is given.",
                ),
                "example": "api.requests",
            },
            optional("match", {"type": "string"}, f"A pattern of up to {MOST_MATCHED:,} more names, such as shop.*."),
            optional("window", {**enum((*WINDOWS, RAW)), "default": "1m"}, f"The width of a window; {RAW} for points."),
            parameter("start", time, "The start of the range, rounded up to a second.", "2026-02-15T00:00:00Z"),
            parameter("end", time, "The end, not included.", "2026-02-16T00:00:00Z"),
        ),
    )
