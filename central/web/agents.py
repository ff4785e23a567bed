"""GET /api/agents: what each agent of the fleet says of itself."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from central.access.auth import Key
from central.fleet.agents import Agents, ListedAgent
from central.ingest.answers import Answer
from central.query.parameters import check_known, fault, limit_of
from central.web.query import once
from protocol.times import format_time

_PARAMETERS: Final = frozenset({"after", "limit"})
_DIGITS: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class AgentEndpoints:
    """The endpoint that lists agents. It reads only memory, so it also answers while the store is down."""

    agents: Agents

    async def list(self, request: web.Request, key: Key) -> Answer:
        """GET /api/agents."""
        after, limit = _page(once(request))
        found = self.agents.listed(after, limit + 1)
        shown = [_shown(listed) for listed in found[:limit]]
        following = shown[-1]["id"] if len(found) > limit else None
        body = {"success": True, "states": self.agents.states(), "data": shown, "next": following}
        return Answer(200, json.dumps(body).encode(), {})


def _page(parameters: Mapping[str, str]) -> tuple[str, int]:
    check_known(parameters, _PARAMETERS)
    after = parameters.get("after", "")
    if len(after) > 32 or not _DIGITS.issuperset(after):
        raise fault("after", "after must be the id of an agent, 32 hex digits")
    return after, limit_of(parameters)


def _shown(listed: ListedAgent) -> dict[str, Any]:
    report, row = listed.report, listed.row
    return {
        "id": report.id,
        "host": report.host,
        "version": report.version,
        "key_id": row.key_id or None,
        "state": listed.state,
        "started_at": format_time(report.started),
        "seen_at": format_time(row.seen_at),
        "names": report.names,
        "series": report.series,
        "received": report.received,
        "recovered": report.recovered,
        "acknowledged": report.acknowledged,
        "left_out": report.left_out,
        "in_window": report.in_window,
        "in_spool": report.in_spool,
        "spool_batches": report.spool_batches,
        "spool_bytes": report.spool_bytes,
        "clock_ahead": report.clock_ahead,
        "dropped": dict(report.dropped),
        "lost": dict(report.lost),
        "points_heard": listed.acknowledged,
        "points_answered": listed.answered,
        "missing_points": row.missing,
        "shared_id": listed.shared,
    }
