"""The path that lists agents, as a row of the description."""

from typing import Final

from central.web.openapi.components import Json, record, schema, success
from central.web.openapi.endpoint import Endpoint, json_answer, optional

_TEXT: Final[Json] = {"type": "string"}
_HEX: Final[Json] = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
_COUNT: Final[Json] = {"type": "integer", "minimum": 0}
_COUNTS: Final[Json] = {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}}
_MOMENT: Final[Json] = {"type": "string", "format": "date-time"}
_EXAMPLE: Final[Json] = {
    "id": "9f86d081884c7d659a2feaa0c55ad015",
    "host": "web-1",
    "version": "1.0.0",
    "key_id": 2,
    "state": "live",
    "started_at": "2026-02-14T06:00:00Z",
    "seen_at": "2026-02-15T09:30:12Z",
    "names": 412,
    "series": 0,
    "received": 5001,
    "recovered": 0,
    "acknowledged": 4870,
    "left_out": 0,
    "in_window": 120,
    "in_spool": 10,
    "spool_batches": 1,
    "spool_bytes": 2210,
    "clock_ahead": 0.4,
    "dropped": {"bad_number": 1},
    "lost": {"kernel_drops": 3},
    "points_heard": 96,
    "points_answered": 96,
    "missing_points": 0,
    "shared_id": False,
}


def agent_endpoints() -> list[Endpoint]:
    """GET /api/agents."""
    states = record({"live": _COUNT, "silent": _COUNT, "stopped": _COUNT})
    following = {"type": ["string", "null"], "description": "The last id here, if there are more agents."}
    answer = success({"states": states, "data": {"type": "array", "items": schema("Agent")}, "next": following})
    example = {"success": True, "states": {"live": 1, "silent": 0, "stopped": 0}, "data": [_EXAMPLE], "next": None}
    return [
        Endpoint(
            "Admin",
            "get",
            "/api/agents",
            "listAgents",
            "List agents",
            "Lists the agents in the order of their ids, each with what it said beside its last batch. If next is not "
            "null, send it as after to get the next page.",
            {"200": json_answer("The agents.", answer, example)},
            "admin",
            (
                optional("after", _HEX, "Only agents with ids after this one."),
                optional(
                    "limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}, "Agents per page."
                ),
            ),
        )
    ]


def agent_schema() -> Json:
    """An agent. Counts are samples since its start, unless they say otherwise."""

    def about(schema: Json, text: str) -> Json:
        return {**schema, "description": text}

    nullable: Json = {"type": ["integer", "null"], "minimum": 0}
    return record(
        {
            "id": about(_HEX, "The agent's own id, which is in its spool folder."),
            "host": _TEXT,
            "version": _TEXT,
            "key_id": about({"type": ["integer", "null"]}, "The API key; null: METRICS_ADMIN_KEY."),
            "state": about(
                {"type": "string", "enum": ["live", "silent", "stopped"]},
                "silent: no batch for over 5 minutes. stopped: its last batch said that it stops.",
            ),
            "started_at": _MOMENT,
            "seen_at": about(_MOMENT, "When its last batch came."),
            "names": about(_COUNT, "Names in its open window."),
            "series": about(_COUNT, "Series with tags in its open window."),
            "received": _COUNT,
            "recovered": about(_COUNT, "Found in its spool at its start, or replayed."),
            "acknowledged": about(_COUNT, "Samples that the service has stored."),
            "left_out": about(_COUNT, "Lines that are no metrics, such as events."),
            "in_window": _COUNT,
            "in_spool": _COUNT,
            "spool_batches": about(_COUNT, "Batches in its spool."),
            "spool_bytes": about(_COUNT, "Bytes in its spool."),
            "clock_ahead": about(
                {"type": ["number", "null"]}, "Seconds that its clock is ahead of the service's; null: not known yet."
            ),
            "dropped": about(_COUNTS, "Lost, by reason: docs/agent-metrics.md has them."),
            "lost": about(_COUNTS, "Datagrams and connections that were lost before the agent could read them."),
            "points_heard": about(
                nullable, "Points of this run that the agent counts as acknowledged by this process."
            ),
            "points_answered": about(nullable, "Points of this run that this process acknowledged."),
            "missing_points": about(_COUNT, "How much greater points_heard was than points_answered."),
            "shared_id": about({"type": "boolean"}, "Whether two agents have this id."),
        }
    )
